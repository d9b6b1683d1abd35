"""The command line: what commands print and write, and their exit codes: 0 good, 1 wrong, 2 refused, 130 interrupted."""

import json
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from cli_plugins import run

from sparseref import registry, spec
from sparseref.card import Weight
from sparseref.conformance import runner as kit

COMMANDS = ("demo", "show", "card", "validate", "conform", "vectors", "sparsify", "poc", "predict", "bench")


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
    shown = run("show", "cli_plugins:Bitmap", "--shape", "2x5")

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
    (("conform", "--backend", "cli_plugins:Bitmap"), "DSP-6"),
    (("conform", "--backend", "cli_plugins:nothing"), "REG-3"),
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
    shown = run("card", "csr:0.5", "--no-backends", "--shape", "8x16", "--shape", "4x4", "--dtype", "float64",
                "--json", str(files[0]), "--html", str(files[1]))
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
    shown = run("card", "nm:1:2", "--no-backends")

    assert [word for word in ("2 x 4", "4 x 2", "trained", "3 x 3") if word not in shown] == []


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


@pytest.mark.parametrize("command", [
    ("conform", "--backend", "reference", "--html"), ("card", "csr", "--json"), ("vectors", "--json")])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(command, tmp_path):
    """A folder of that name, or a file where a folder should be."""
    (tmp_path / "file").write_text("")

    assert "it is a folder" in run(*command, str(tmp_path), code=2)
    assert "cannot be written" in run(*command, str(tmp_path / "file" / "report"), code=2)
