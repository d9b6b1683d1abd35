"""`sparseref bench`: what is wrong is not timed, what is missing is named, and ratios are to the right dense product."""

import json
import os

import numpy as np
import pytest
from cli_plugins import run

import sparseref as sr
from sparseref.bench import contender, machine, timing
from sparseref.bench.contender import Contender, Gathered, Problem
from sparseref.bench.report import write_html, write_json
from sparseref.bench.run import Bench, Measured, run_bench
from sparseref.bench.timing import Timed, in_turns

RNG = np.random.default_rng(0)
HERE = machine.Machine("a test", 1, 1e9, "by a test", 1e9)


@pytest.fixture
def problem():
    """w [8, 32], x [32, 32]: with as many tokens as columns, shapes hide who reads x the wrong way round."""
    w, x, bias = (RNG.standard_normal(side).astype(np.float32) for side in ((8, 32), (32, 32), 8))
    return Problem(sr.sparsify(w, "nmg:1:4:1"), x, bias, 1)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No pauses, short samples, and the cores of the process as they are."""
    monkeypatch.setattr(timing, "REST", 0.0)
    monkeypatch.setattr(timing, "SAMPLE", 0.0)
    monkeypatch.setattr("sparseref.bench.run.use_cores", lambda count: None)
    monkeypatch.setattr("sparseref.bench.run.measure", lambda threads, peak: HERE)


def right(problem):
    return lambda: problem.x @ problem.dense.T + problem.bias


def misread(problem):
    """As if x were [K, T], which the package of STen does with a contiguous x."""
    return lambda: problem.x.T @ problem.dense.T + problem.bias


def turned(problem):
    return lambda: problem.dense @ problem.x.T + problem.bias[:, None]


def broken(problem):
    raise RuntimeError("no such kernel\nand a long story")


def test_what_is_wrong_is_named_and_not_timed(problem):
    """Misread, of another shape, raising; the right ones are timed all the same."""
    found = in_turns([Contender("right", right), Contender("misread", misread), Contender("turned", turned, feature_major=True),
                      Contender("flat", lambda p: lambda: right(p)().reshape(-1)), Contender("broken", broken)], problem, 3)
    expected = {"right": "", "misread": "its output is wrong: error / bound", "turned": "",
                "flat": "its output is (256,), wanted (32, 8)", "broken": "RuntimeError: no such kernel"}

    assert {one.name: len(one.seconds) for one in found} == {"right": 3, "misread": 0, "turned": 3, "flat": 0, "broken": 0}
    assert all(one.wrong.startswith(expected[one.name]) for one in found)
    assert "story" not in found[-1].wrong
    assert found[0].error_over_bound <= 1


def timed(name, *seconds, **more):
    return Timed(name, False, more.get("dense", False), name.startswith("sparseref"), seconds, 0.5, more.get("wrong", ""))


def measured(tokens, *contenders):
    return Measured((8, 32), tokens, "nmg:1:4:1", 0.25, 0.5, 2560, contenders)


BOTH = (timed("torch dense", 4.0, 4.0, 4.0, dense=True), timed("numpy dense", 2.0, 2.0, 2.0, dense=True))


@pytest.mark.parametrize(("tokens", "expected"), [(1, 2.0), (128, 4.0)])
def test_the_bar_is_torch_and_at_one_token_numpy(tokens, expected):
    """NumPy's product is the faster dense one there."""
    one = timed("sparseref_c", 1.0, 1.0, 1.0)

    assert measured(tokens, *BOTH, one).speed(one) == expected
    assert measured(tokens, BOTH[0], one).speed(one) == 4.0    # whatever there is
    assert np.isnan(measured(tokens, one).speed(one))


def test_what_is_missing_says_what_brings_it():
    """A package that is not there, or a reason of its own."""
    absent = Contender("x", right, ("no_such_package", "numpy"), "pip install x")

    assert absent.missing == "no no_such_package: pip install x"
    assert Contender("x", right, ("numpy",), lacks=lambda: "no GPU").missing == "no GPU"
    assert Contender("x", right, ("numpy",)).missing == ""


def test_a_module_that_cannot_be_loaded_is_named(monkeypatch):
    """The others go on."""
    class Point:
        def __init__(self, name):
            self.name = name

        def load(self):
            if self.name == "gone":
                raise ImportError("no torch")
            return type("module", (), {"CONTENDERS": (Contender("x", right),), "ABSENT": {"y": "not here"},
                                       "fma_peak": staticmethod(lambda threads: 2.0)})

    monkeypatch.setattr(contender, "entry_points", lambda group: [Point("gone"), Point("here")])
    found = contender.gather()

    assert found.absent == {"gone": "ImportError: no torch", "y": "not here"}
    assert ([one.name for one in found.contenders], found.fma_peak(1)) == (["x"], 2.0)


@pytest.mark.slow
def test_everyone_who_is_here_is_right(tmp_path):
    """All contenders that are installed, at one token and at some; JSON and page say what was measured."""
    found = run_bench([(32, 48)], ["nmg:2:8:1", "csr:0.9"], [1, 5], 1, 3, True)
    wrong = [(one.name, each.format, one.wrong) for each in found.measured for one in each.timed if one.wrong]
    names = {one.name for one in found.measured[0].timed}
    write_json(found, tmp_path / "b.json")
    write_html(found, tmp_path / "b.html")
    data = json.loads((tmp_path / "b.json").read_text())

    assert wrong == []
    assert {"torch dense", "numpy dense", "scipy csr", "jax BCSR", "sparseref_torch", "sparseref_jax"} <= names
    assert "libxsmm" in found.missing
    assert len(data["measured"]) == 4
    assert data["measured"][0]["timed"][0]["ratio"] > 0
    assert (tmp_path / "b.html").read_text().count("<svg") == 2


def test_without_peers_ours_and_the_dense_ones(monkeypatch):
    """And nobody else's."""
    names = ("torch dense", "numpy dense", "scipy csr", "sparseref_x")
    monkeypatch.setattr("sparseref.bench.run.gather", lambda: Gathered(
        tuple(Contender(name, right, ours=name == "sparseref_x") for name in names), None, {"y": "not here"}))
    steps = []
    found = run_bench([(8, 32)], ["nmg:1:4:1"], [3], 1, 3, False, lambda *step: steps.append(step))

    assert [one.name for one in found.measured[0].timed] == ["torch dense", "numpy dense", "sparseref_x"]
    assert [step[1:] for step in steps] == [(1, 3), (2, 3), (3, 3)]


def test_the_command_fails_where_one_of_ours_is_wrong(monkeypatch, tmp_path):
    """Exit code 1, and which; a peer's mistake is no failure of ours."""
    peer, ours = (timed(name, wrong="its output is wrong") for name in ("sten", "sparseref_c"))
    results = [Bench(HERE, 3, (measured(128, *BOTH, one),), {"x": "no x"}, {})
               for one in (peer, ours)]
    monkeypatch.setattr("sparseref.bench.run.run_bench", lambda *request: results.pop(0))
    shown = [run("bench", "--json", str(tmp_path / "b.json"), code=code) for code in (0, 1)]

    assert "x is missing: no x" in shown[0]
    assert "sparseref_c, nmg:1:4:1: its output is wrong" in shown[1]


@pytest.mark.parametrize("shape", ["768", "0x5", "2x3x4", "axb"])
def test_shapes_that_are_no_weight_are_refused(shape):
    """Exit code 2."""
    assert "shape" in run("bench", "--shape", shape, code=2)


def test_the_machine_is_measured():
    """Without a library that spins the peak is a product's; a processor has a name."""
    def fails(threads):
        raise RuntimeError("no compiler")

    found = [machine.measure(1, peak) for peak in (lambda threads: 3e9, None, fails)]

    assert [one.peak_by for one in found] == ["in registers", "by a product", "by a product"]
    assert min(one.peak for one in found) > 1e8
    assert min(one.read for one in found) > 1e8
    assert found[0].processor


def test_cores_are_kept_to(monkeypatch):
    """As many as threads, of those that the process may use."""
    kept = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 1, 2}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: kept.append(cores), raising=False)
    for threads in (2, 4):
        machine.use_cores(threads)

    assert kept == [[1, 2], [1, 2, 3]]


def test_what_cannot_be_measured_is_refused_before_anything_is():
    """A format that does not exist, more threads than cores: exit code 2, and nothing is lost."""
    assert "REG-2" in run("bench", "--format", "nmg:2:8:8", "--format", "nmgg:2:8", code=2)
    assert "4096 threads were asked for" in run("bench", "--threads", "4096", code=2)


def test_an_empty_weight_and_dense_products_have_their_shares():
    """Of a dense product all that it computes and reads, whatever the format keeps."""
    nothing = Measured((8, 32), 2, "csr:1.0", 0.0, 0.0, 288, BOTH)

    assert nothing.operations(BOTH[0]) == 2 * 2 * 8 * 32 / 4
    assert nothing.operations(timed("sparseref_c", 1.0, 1.0, 1.0)) == 0
    assert nothing.bytes(BOTH[0]) == (4 * 8 * 32 + 4 * (2 * 40 + 8)) / 4


def test_jax_says_that_it_has_no_such_layout(problem):
    """A layout from elsewhere is named, not the class that some table lacks."""
    peers = pytest.importorskip("sparseref_jax.peers")

    class Other(sr.CSR):
        name = "other"

    a = sr.encode(problem.dense, Other(), problem.a.pattern)
    ours = next(one for one in peers.CONTENDERS if one.ours)
    found = in_turns([ours], Problem(a, problem.x, problem.bias, 1), 3)

    assert found[0].wrong.startswith("NotImplementedError: the JAX backend")
    assert "other" in found[0].wrong
