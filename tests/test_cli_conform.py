"""`sparseref conform`, `validate` and `vectors`: verdicts on the screen, in reports and as exit codes."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from cli_plugins import run

import sparseref as sr
from sparseref import registry
from sparseref.conformance import vectors as frozen
from sparseref.reference import Reference


@pytest.fixture
def forget():
    yield
    registry.layouts.remove("bitmap")
    registry.layouts.remove("shifted")


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
    shown = run("conform", "--backend", "cli_plugins:Broken", *ONE_CELL, code=1)

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
    shown = run("conform", "--backend", "cli_plugins:Broken", *ONE_CELL, "--known-failures", str(listed))

    assert "known failure" in shown


def test_validate_runs_the_laws_and_makes_the_card(tmp_path, forget):
    """A sound layout from elsewhere: laws, card, and every file that was asked for."""
    files = {option: tmp_path / name for option, name in
             (("--json", "laws.json"), ("--junit", "laws.xml"), ("--card", "card.json"), ("--html", "card.html"))}
    shown = run("validate", "cli_plugins:Bitmap", "--shape", "8x16", *(str(word) for pair in files.items() for word in pair))
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
    shown = run("validate", "cli_plugins:Shifted", code=1)

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


def test_a_layout_that_is_not_whole_is_told_what_it_lacks():
    """CORE-L1: not a traceback from inside."""
    shown = run("validate", "cli_plugins:NotWhole", code=2)

    assert "CORE-L1" in shown
    assert "`encode`, `fields`, `positions`" in shown


def test_a_backend_that_cannot_be_made_is_refused():
    """DSP-6, with what its constructor said."""
    shown = run("conform", "--backend", "cli_plugins:Unmade", code=2)

    assert "DSP-6" in shown
    assert "no such device" in shown


def test_a_backend_that_fails_to_declare_has_errors_and_the_run_goes_on():
    """Every accident of a backend is a verdict."""
    shown = run("conform", "--backend", "cli_plugins:Mute", "--operation", "relu", "--layout", "ell", "--level", "L1", code=1)

    assert "asked what it declares: KeyError: 'float32'" in shown
    assert "does not conform" in shown


@pytest.mark.parametrize("script", ["raise SystemExit(3)", "print('hello')", "print('{}')"])
def test_a_worker_that_does_not_introduce_itself_is_a_result_without_a_traceback(script):
    """WIRE-2: gone, not JSON, no reply."""
    shown = run("conform", "--cmd", f'{sys.executable} -c "{script}"', code=1)

    assert "no conforming first reply (WIRE-2)" in shown


@pytest.fixture
def two_backends(monkeypatch):
    """The reference is installed, and a backend that lacks a package; `--backend` names the second."""
    from sparseref.conformance import subjects

    monkeypatch.setattr(subjects, "installed", lambda: ({"reference": Reference()}, {"gpu": "no CUDA"}))


def test_all_is_one_table_of_backends_and_each_others_arrays(two_backends, tmp_path):
    """The backend that is named joins those that are installed; data and page have every run."""
    files = [tmp_path / name for name in ("m.json", "m.html")]
    shown = run("conform", "--all", "--backend", "cli_plugins:Twin", "--operation", "relu", "--layout", "csr",
                "--json", str(files[0]), "--html", str(files[1]))
    data = json.loads(files[0].read_text())
    cell = next(cell for cell in data["cells"] if cell["operation"] == "relu" and cell["dtype"] == "float32")

    assert "gpu: not here: no CUDA" in shown
    assert [run["backend"] for run in data["runs"]] == ["reference", "twin", "differential"]
    assert (data["conforms"], cell["layouts"], cell["level"], cell["counts"].keys()) == (True, ["csr"], "L1", {"pass"})
    assert [cell["backend"] for cell in data["cells"][:2]] == ["reference", "twin"]
    assert "<td>twin</td>" in files[1].read_text()
    assert "gpu is not here: no CUDA" in files[1].read_text()


def test_all_fails_where_one_backend_does(two_backends):
    """Exit code 1, and the counterexample."""
    shown = run("conform", "--all", "--backend", "cli_plugins:Broken", *ONE_CELL, code=1)

    assert "broken 0, quick: does not conform" in shown
    assert "reference 0, quick: conforms" in shown


def test_differential_alone(two_backends):
    """Only each other's arrays; a worker takes part."""
    worker = Path(__file__).parents[1] / "spec" / "examples" / "worker.py"
    shown = run("conform", "--differential", "--cmd", f"{sys.executable} {worker}", "--operation", "decode", "--layout", "csr")

    assert "Each other's arrays" in shown
    assert "differential of reference, " in shown


@pytest.mark.parametrize(("words", "told"), [
    (("--all", "--junit", "x.xml"), "for one backend alone"),
    (("--all", "--cmd", f"{sys.executable} -m sparseref.conformance.worker reference"), "names of their own"),
    (("--differential", "--operation", "encode"), "no array goes from one backend to another"),
    (("--all", "--operation", "encode", "--layout", "ell", "--level", "L3"), "no case fits")])
def test_requests_that_make_no_matrix_are_refused(two_backends, words, told, monkeypatch, tmp_path):
    """Exit code 2, and what to leave out."""
    monkeypatch.chdir(tmp_path)

    second = () if "--cmd" in words else ("--backend", "cli_plugins:Twin")

    assert told in " ".join(run("conform", *words, *second, code=2).replace("│", " ").split())


def test_a_run_of_one_dtype(tmp_path):
    """Only cases whose operands are in it; one that no value may have is refused (CORE-D1)."""
    file = tmp_path / "report.json"
    run("conform", "--backend", "reference", *ONE_CELL, "--dtype", "float64", "--json", str(file))
    refused = run("conform", "--backend", "reference", "--dtype", "float8", code=2)
    actual = {outcome["cell"]["dtype"] for outcome in json.loads(file.read_text())["outcomes"]}

    assert {"float64"} == actual
    assert "CORE-D1" in refused
