"""The command line: what each command prints and writes, and its exit code: 0 good, 1 wrong, 2 refused, 130 interrupted."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import sparseref as sr
from sparseref import registry, spec
from sparseref.card import Weight
from sparseref.cli import app
from sparseref.conformance import runner as kit
from sparseref.conformance import vectors as frozen
from sparseref.reference import Reference

COMMANDS = ("demo", "show", "card", "validate", "conform", "vectors", "sparsify", "poc")


class Unmade(Reference):
    """A backend that needs what this machine does not have."""

    def __init__(self):
        raise RuntimeError("no such device")


class Mute(Reference):
    """A backend that fails when it is asked what it implements."""

    def declines(self, cell):
        raise KeyError(cell.dtype)


class NotWhole(sr.Layout):
    """A layout that was begun."""

    name: ClassVar[str] = "not-whole"


def run(*arguments, code=0):
    """Arguments -> what the command prints, stdout and stderr; its exit code must be `code`."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})

    assert result.exit_code == code, result.output
    return result.output


@dataclass(frozen=True)
class Bitmap(sr.Layout):
    """A layout from elsewhere: the values of the stored entries, and a bool for every entry."""

    name: ClassVar[str] = "bitmap"
    any_pattern: ClassVar[bool] = True

    def fields(self, shape):
        return {"values": sr.Field(None, ("nnz",)), "bitmap": sr.Field(np.dtype(bool), shape)}

    def positions(self, a):
        return np.flatnonzero(a["bitmap"])

    def encode(self, dense, pattern):
        return {"values": dense[pattern], "bitmap": pattern.copy(order="C")}


@dataclass(frozen=True)
class Shifted(Bitmap):
    """A layout that is wrong: it looks for the entries one place too far."""

    name: ClassVar[str] = "shifted"

    def positions(self, a):
        return np.minimum(np.flatnonzero(a["bitmap"]) + 1, a["bitmap"].size - 1)


class Broken(Reference):
    """A backend that adds 1 to every linear."""

    name = "broken"

    def call(self, operation, *operands, **parameters):
        result = super().call(operation, *operands, **parameters)
        return result + result.dtype.type(1) if operation == "linear" else result


@pytest.fixture
def forget():
    yield
    registry.layouts.remove("bitmap")
    registry.layouts.remove("shifted")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_examples(command):
    """Every command shows examples, takes --json, and no n:m was mistaken for an emoji."""
    shown = run(command, "--help")
    expected = (True, True, False)
    actual = ("Example" in shown and f"sparseref {command}" in shown, "--json" in shown, "Ⓜ" in shown)

    assert expected == actual


def test_help_lists_the_commands():
    shown = run("--help")

    assert [command for command in COMMANDS if command not in shown] == []


def test_show_draws_a_format():
    """The picture's grid: the letter of a pattern for each entry of n:m:g."""
    shown = run("show", "nmg:1:2:2", "--shape", "2x4")

    assert shown.startswith("nmg:1:2:2   2 x 4 float32   4 of 8 stored")
    assert "a = places 0" in shown


def test_show_draws_a_format_with_a_fraction_and_numbers_its_slots():
    """csr:0.75 of 16 entries stores 4, in the slots 0 to 3."""
    grid = run("show", "csr:0.75", "--shape", "4x4", "--slots").splitlines()[2:7]
    expected = ["0", "1", "2", "3"]
    actual = [word for line in grid[1:] for word in line.split()[1:] if word != "·"]

    assert expected == actual


def test_show_draws_a_layout_from_elsewhere(forget):
    shown = run("show", f"{__name__}:Bitmap", "--shape", "2x5")

    assert shown.startswith("bitmap   2 x 5 float32   3 of 10 stored")


def test_show_writes_the_picture_and_the_data(tmp_path):
    """The SVG is a document; the JSON is the sparse array, as the wire has it."""
    run("show", "nmg:2:4:2", "--shape", "8x12", "--svg", str(tmp_path / "a.svg"), "--json", str(tmp_path / "a.json"))
    data = json.loads((tmp_path / "a.json").read_text())
    expected = ("{http://www.w3.org/2000/svg}svg", "nmg:2:4:2", [8, 12])
    actual = (ElementTree.fromstring((tmp_path / "a.svg").read_text()).tag, data["layout"], data["shape"])

    assert expected == actual


@pytest.mark.parametrize("name", ["NMG-C4", "nmg-c4"])
def test_show_prints_a_clause(name, tmp_path):
    """The normative sentence, word for word, and the same as data."""
    shown = run("show", name, "--json", str(tmp_path / "clause.json"))
    expected = spec.clauses()["NMG-C4"].text
    actual = " ".join(shown.split())

    assert expected in actual
    assert json.loads((tmp_path / "clause.json").read_text())["clauses"][0]["text"] == expected


@pytest.mark.parametrize(("name", "expected"), [
    ("linear", ["LINEAR-1", "LINEAR-2", "LINEAR-3"]),
    ("to_dense", ["TODENSE-1", "TODENSE-2"]),
    ("multiply", ["MUL-1", "MUL-2", "MUL-3"]),
    ("bsr", [f"BSR-C{i}" for i in range(1, 8)]),
    ("errors", ["ERR-1", "ERR-2"]),
    ("scalar-fraction", []),
])
def test_show_prints_what_the_specification_says_under_a_name(name, expected):
    """An operator, a layout, a group of clauses, a sparsifier: its description and its clauses."""
    lines = run("show", name).splitlines()
    actual = [line.split()[0] for line in lines if " since 1.0" in line]

    assert expected == actual


def test_every_operator_has_clauses_to_show():
    expected = []
    actual = [name for name in registry.operators.names() if " since " not in run("show", name)]

    assert expected == actual


@pytest.mark.parametrize(("arguments", "expected"), [
    (("show", "nmgg"), "did you mean nmg?"),
    (("show", "NMG-C44"), "did you mean NMG-C4"),
    (("show", "xyzzy"), "nothing is called 'xyzzy'"),
    (("show", "nmg:2:4:2", "--shape", "8by8"), "is no shape"),
    (("show", "nmg:2:4:2", "--shape", "-1x8"), "is no shape"),
    (("show", "NMG-C4", "--svg", "x.svg"), "a picture needs a format"),
    (("show", "nmg:9:4:2"), "NMG-C1: n is out of its range."),
    (("show", "nmg:2:4:2", "--shape", "8"), "NMG-C2"),
    (("card", "nope:Layout"), "REG-3: cannot load 'nope:Layout'"),
    (("card", "csr:1.5"), "SPF-8"),
    (("card", "csr", "--dtype", "float8"), "CORE-D1"),
    (("validate", "nope"), "REG-2"),
    (("conform",), "give one of the two"),
    (("conform", "--backend", "reference", "--cmd", "./worker"), "give one of the two"),
    (("conform", "--backend", "nope"), "DSP-6"),
    (("conform", "--backend", f"{__name__}:Bitmap"), "DSP-6"),
    (("conform", "--backend", f"{__name__}:nothing"), "REG-3"),
    (("conform", "--cmd", "./no-such-worker"), "WIRE-3"),
    (("conform", "--backend", "reference", "--operation", "lineer"), "REG-2"),
    (("conform", "--backend", "reference", "--layout", "nmgg"), "REG-2"),
    (("conform", "--backend", "reference", "--operation", "linear", "--level", "L0"), "no case fits"),
    (("conform", "--backend", "reference", "--level", "L9"), "L9"),
    (("conform", "--backend", "reference", "--known-failures", "no-such-file"), "no-such-file"),
    (("conform", "--mutants", "--backend", "reference"), "--mutants"),
])
def test_bad_input_is_named_and_exits_with_2(arguments, expected):
    """One clean message, no traceback."""
    shown = run(*arguments, code=2)

    assert expected in shown
    assert "Traceback" not in shown


def test_card_prints_and_writes(tmp_path):
    """The table on stdout, data and page as files, for the shapes asked for."""
    files = [tmp_path / "deep" / "card.json", tmp_path / "card.html"]
    shown = run("card", "csr:0.5", "--shape", "8x16", "--shape", "4x4", "--dtype", "float64", "--json", str(files[0]),
                "--html", str(files[1]))
    data = json.loads(files[0].read_text())
    expected = ("csr", [([8, 16], "float64", 0.5), ([4, 4], "float64", 0.5)])
    actual = (data["layout"], [(m["shape"], m["dtype"], m["density"]) for m in data["measurements"]])

    assert expected == actual
    assert "energy kept" in shown
    assert "<svg" in files[1].read_text()


def test_card_measures_two_shapes_and_a_trained_weight_by_default(monkeypatch):
    """Without --shape: the usual random shapes, and whatever trained weights there are."""
    command = sys.modules["sparseref.cli.card"]               # the package's `card` is the command itself
    monkeypatch.setattr(command, "RANDOM_SHAPES", ((2, 4), (4, 2)))
    monkeypatch.setattr(command, "trained_weights", lambda dtype: [Weight("trained", np.ones((3, 3), dtype))])
    shown = run("card", "nm:1:2")

    assert [word for word in ("2 x 4", "4 x 2", "trained", "3 x 3") if word not in shown] == []


def test_conform_passes_a_good_backend_and_writes_every_report(tmp_path):
    """Exit code 0; an object from a module is a backend, too; JSON, JUnit and HTML say the same."""
    files = [tmp_path / name for name in ("r.json", "r.xml", "r.html")]
    shown = run("conform", "--backend", f"{__name__}:READY", "--operation", "relu", "--layout", "csr", "--layout", "array",
                "--json", str(files[0]), "--junit", str(files[1]), "--html", str(files[2]))
    outcomes = json.loads(files[0].read_text())["outcomes"]

    assert "conforms" in shown
    assert {outcome["verdict"] for outcome in outcomes} == {"pass"}
    assert ElementTree.parse(files[1]).getroot().get("failures") == "0"
    assert "reference" in files[2].read_text()


def test_conform_fails_a_broken_backend_and_shows_a_counterexample():
    """Exit code 1; the clause, the difference and a call to paste."""
    shown = run("conform", "--backend", f"{__name__}:Broken", *ONE_CELL, code=1)

    assert "does not conform" in shown
    assert "LINEAR-1" in shown
    assert "the first" in shown


READY = Reference()
ONE_CELL = ("--operation", "linear", "--layout", "ell", "--level", "L1")


def test_conform_runs_a_worker():
    """A program in another process, and a gap that it declares itself is no failure."""
    worker = Path(__file__).parents[1] / "spec" / "examples" / "worker.py"
    shown = run("conform", "--cmd", f"{sys.executable} {worker}", "--operation", "decode", "--layout", "csr", "--level", "L0")

    assert "conforms" in shown


def test_conform_excuses_known_failures(tmp_path):
    """A listed failure is no failure of the run."""
    listed = tmp_path / "known.toml"
    globs = ("*/exact*", "*/extreme*", "*/wide*", "*/6x0")
    listed.write_text("".join(f'[[known]]\ncase = "L1/linear{glob}"\nreason = "adds 1"\n' for glob in globs))
    shown = run("conform", "--backend", f"{__name__}:Broken", *ONE_CELL, "--known-failures", str(listed))

    assert "known failure" in shown


def test_validate_runs_the_laws_and_makes_the_card(tmp_path, forget):
    """A sound layout from elsewhere: laws, card, and every file that was asked for."""
    files = {option: tmp_path / name for option, name in
             (("--json", "laws.json"), ("--junit", "laws.xml"), ("--card", "card.json"), ("--html", "card.html"))}
    shown = run("validate", f"{__name__}:Bitmap", "--shape", "8x16", *(str(word) for pair in files.items() for word in pair))
    expected = ({"pass"}, "0", "bitmap", True)
    actual = ({outcome["verdict"] for outcome in json.loads(files["--json"].read_text())["outcomes"]},
              ElementTree.parse(files["--junit"]).getroot().get("failures"), json.loads(files["--card"].read_text())["layout"],
              files["--html"].read_text().startswith("<!doctype html>"))

    assert expected == actual
    assert "energy kept" in shown


def test_validate_without_a_card_is_the_laws_alone(tmp_path):
    """Without parameters every example of the class is put to the laws."""
    shown = run("validate", "nm", "--no-card", "--json", str(tmp_path / "laws.json"))
    cases = [outcome["case"] for outcome in json.loads((tmp_path / "laws.json").read_text())["outcomes"]]

    assert "energy kept" not in shown
    assert [example for example in sr.NM.examples if not any(example in case for case in cases)] == []


def test_validate_fails_a_wrong_layout_and_makes_no_card(forget):
    """Exit code 1, the clause that is broken, a counterexample, and no figures of a layout that is wrong."""
    shown = run("validate", f"{__name__}:Shifted", code=1)

    assert "CORE-V1" in shown
    assert "X the first difference" in shown
    assert "energy kept" not in shown


def fake_mutants(monkeypatch, *killed):
    """Mutants that are killed or not, without the minutes that the real ones take."""
    from sparseref.conformance import mutants

    reports = [mutants.MutantReport(f"mutant-{i}", "what", "CORE-V1", "case", dead) for i, dead in enumerate(killed)]

    def run_mutants(on_mutant):
        for done, report in enumerate(reports, 1):
            on_mutant(report, done, len(reports))
        return reports

    monkeypatch.setattr(mutants, "run_mutants", run_mutants)


@pytest.mark.parametrize(("killed", "code", "expected"), [((True, True), 0, "2 of 2 killed"), ((True, False), 1, "SURVIVED")])
def test_mutants_that_survive_fail(killed, code, expected, monkeypatch, tmp_path):
    """One survivor is exit code 1; the reports are data, too."""
    fake_mutants(monkeypatch, *killed)
    shown = run("conform", "--mutants", "--json", str(tmp_path / "m.json"), code=code)

    assert expected in shown
    assert [report["killed"] for report in json.loads((tmp_path / "m.json").read_text())] == list(killed)


@pytest.mark.parametrize(("found", "code"), [([], 0), (["nmg-1 (NMG-C4): the reference gives 3"], 1)])
def test_vectors_report_every_difference(found, code, monkeypatch, tmp_path):
    """No difference is exit code 0, any is 1; a file of figures either way."""
    vector = SimpleNamespace(kind="positive", by_hand=True, clauses=("NMG-C4",))
    monkeypatch.setattr(frozen, "load", lambda: [vector])
    monkeypatch.setattr(frozen, "check", lambda: found)
    shown = run("vectors", "--json", str(tmp_path / "v.json"), code=code)
    expected = {"vectors": 1, "clauses": 1, "positive": 1, "negative": 0, "by_hand": 1, "differences": found}
    actual = json.loads((tmp_path / "v.json").read_text())

    assert expected == actual
    assert all(difference in shown for difference in found)


def test_no_vectors_at_all_is_a_failure(monkeypatch):
    """A suite that has shrunk to nothing is not good."""
    monkeypatch.setattr(frozen, "load", list)
    monkeypatch.setattr(frozen, "check", list)

    assert "0 vectors" in run("vectors", code=1)


def test_an_interrupt_exits_with_130_and_writes_nothing(monkeypatch, tmp_path):
    def interrupt(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(kit, "run_conformance", interrupt)
    shown = run("conform", "--backend", "reference", "--json", str(tmp_path / "r.json"), code=130)

    assert "interrupted" in shown
    assert list(tmp_path.iterdir()) == []


def test_modules_are_found_in_the_folder_of_the_command(tmp_path):
    """The console script puts its own folder on the path; a user's module lies in the current one."""
    (tmp_path / "mine.py").write_text("import sparseref as sr\n\nclass Mine(sr.Dense):\n    name = 'mine'\n    examples = ()\n")
    done = subprocess.run([sys.executable, "-P", "-m", "sparseref", "show", "mine:Mine", "--shape", "1x2"], cwd=tmp_path,
                          capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "mine   1 x 2 float32   2 of 2 stored, 64 bits")


def test_a_layout_that_is_not_whole_is_told_what_it_lacks():
    """CORE-L1: not a traceback from inside."""
    shown = run("validate", f"{__name__}:NotWhole", code=2)

    assert "CORE-L1" in shown
    assert "`encode`, `fields`, `positions`" in shown


def test_a_backend_that_cannot_be_made_is_refused():
    """DSP-6, with what its constructor said."""
    shown = run("conform", "--backend", f"{__name__}:Unmade", code=2)

    assert "DSP-6" in shown
    assert "no such device" in shown


def test_a_backend_that_fails_to_declare_has_errors_and_the_run_goes_on():
    """Every accident of a backend is a verdict."""
    shown = run("conform", "--backend", f"{__name__}:Mute", "--operation", "relu", "--layout", "ell", "--level", "L1", code=1)

    assert "asked what it declares: KeyError: 'float32'" in shown
    assert "does not conform" in shown


@pytest.mark.parametrize("script", ["raise SystemExit(3)", "print('hello')", "print('{}')"])
def test_a_worker_that_does_not_introduce_itself_is_a_result_without_a_traceback(script):
    """WIRE-2: gone, not JSON, no reply."""
    shown = run("conform", "--cmd", f'{sys.executable} -c "{script}"', code=1)

    assert "no conforming first reply (WIRE-2)" in shown


@pytest.mark.parametrize("command", [
    ("conform", "--backend", "reference", "--html"), ("card", "csr", "--json"), ("vectors", "--json")])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(command, tmp_path):
    """A folder of that name, or a file where a folder should be."""
    (tmp_path / "file").write_text("")

    assert "it is a folder" in run(*command, str(tmp_path), code=2)
    assert "cannot be written" in run(*command, str(tmp_path / "file" / "report"), code=2)
