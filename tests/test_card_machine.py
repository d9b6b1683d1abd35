"""What a card says of the machine: the level of each backend, its speed, and where it meets the fastest dense product."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from cli_plugins import run

import sparseref as sr
from sparseref import card
from sparseref.bench import timing
from sparseref.bench.contender import Contender, Gathered
from sparseref.bench.run import Measured
from sparseref.bench.timing import Timed
from sparseref.card import machine_rows, speed


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """No pauses, short samples, the cores of the process as they are."""
    monkeypatch.setattr(timing, "REST", 0.0)
    monkeypatch.setattr(timing, "SAMPLE", 0.0)
    monkeypatch.setattr(speed, "use_cores", lambda count: None)


def measured(tokens, density, dense, **ours):
    """Seconds of the dense product and of ours, three equal samples each."""
    timed = [Timed("torch dense", False, True, False, (dense,) * 3, 0.5)]
    timed += [Timed(name, False, False, True, (seconds,) * 3, 0.5) for name, seconds in ours.items()]
    return Measured((8, 16), tokens, "nm:1:4", density, 0.5, 1024, tuple(timed))


def product(problem):
    return lambda: problem.x @ problem.dense.T + problem.bias


def wrong(problem):
    return lambda: problem.x @ problem.dense.T


@pytest.fixture
def contenders(monkeypatch):
    """A dense product, one of ours that is right, one that is wrong, one whose package is missing."""
    every = (Contender("numpy dense", product, dense=True), Contender("mine", product, ours=True),
             Contender("broken", wrong, ours=True), Contender("a peer", product),
             Contender("absent", product, ("no_such_package",), "pip install it", ours=True))
    monkeypatch.setattr(speed, "gather", lambda: Gathered(every, None, {}))


@pytest.mark.parametrize(("points", "expected"), [
    ([(1, 0.5), (4, 2.0)], [2.0]),                             # half way between the logarithms
    ([(1, 2.0), (16, 0.5)], [4.0]),
    ([(1, 0.5), (2, 2.0), (4, 0.5)], [math.sqrt(2), 2 * math.sqrt(2)]),
    ([(0, 2.0), (1, 0.5)], []),                                # csr:1.0 has density 0, which has no logarithm
    ([(1, 1.5), (4, 2.0)], []), ([(1, 0.2), (4, 0.9)], []), ([(3, 2.0)], [])])
def test_crossings_are_where_the_ratio_is_one(points, expected):
    assert list(speed.crossings(points)) == pytest.approx(expected)


@pytest.mark.parametrize(("ratios", "says"), [
    ((0.5, 2.0), "faster than dense from about 4 tokens"), ((2.0, 0.5), "faster than dense below about 4 tokens"),
    ((1.5, 2.0), "faster than dense from 1 token to 16 tokens, all that was measured"),
    ((0.5, 0.9), "not faster than dense from 1 token to 16 tokens, all that was measured")])
def test_break_even_in_words(ratios, says):
    """The ratio is to the dense product: 1 second, over what ours takes."""
    own = [measured(tokens, 0.25, 1.0, mine=1 / ratio) for tokens, ratio in zip((1, 16), ratios, strict=True)]

    assert [crossing.says for crossing in speed._by_tokens(own)] == [says]


def test_break_even_is_to_the_fastest_dense_product():
    both = Timed("numpy dense", False, True, False, (0.25,) * 3, 0.5)
    one = measured(8, 0.25, 1.0, mine=0.5)
    two = Measured(one.shape, 8, one.format, 0.25, 0.5, 1024, (*one.timed, both))

    assert (speed.against_dense(one, "mine"), speed.against_dense(two, "mine")) == (2.0, 0.5)
    assert math.isnan(speed.against_dense(one, "nobody"))


def test_speed_is_of_our_backends_beside_dense_ones(contenders):
    """At every shape and token count; then at other n:m, by density.  What is wrong, empty or no matrix is not timed."""
    heard = []
    found = card.speed_of(sr.NM(2, 8), sr.PerBlockNM(2, 8), [(8, 16), (0, 4), (2, 2, 2)], rounds=3,
                          on_step=lambda *step: heard.append(step[1:]))

    assert [(one.shape, one.tokens) for one in found.measured] == [((8, 16), tokens) for tokens in speed.TOKENS]
    assert [(one.format, one.density) for one in found.family] == [
        ("nm:1:8", 0.125), ("nm:2:8", 0.25), ("nm:2:4", 0.5), ("nm:3:4", 0.75)]                # not nm:1:4, as dense as it is
    assert {one.name for measured in found.measured for one in measured.timed} == {"numpy dense", "mine", "broken"}
    assert [(crossing.backend, crossing.over) for crossing in found.crossings] == [("mine", "tokens"), ("mine", "density")]
    assert found.missing == {"absent": "no no_such_package: pip install it"}
    assert heard[-1] == (21, 21)                               # 4 token counts and 3 siblings, 3 rounds


def test_a_layout_of_free_density_is_timed_at_several(contenders):
    found = card.speed_of(sr.CSR(), sr.ScalarFraction(0.9), [(16, 32)], rounds=3)
    expected = list(speed.DENSITIES)                           # its own is one of them, and not timed again
    actual = [one.density for one in found.family]

    assert expected == pytest.approx(actual, abs=1 / 512)


def test_without_a_matrix_there_is_no_speed(contenders):
    found = card.speed_of(sr.Dense(), sr.KeepAll(), [(4,)], rounds=3)

    assert (found.measured, found.family, found.crossings) == ((), (), ())


def test_conformance_names_the_level_of_each_backend(monkeypatch):
    """The reference reaches L3 in a layout; a backend that cannot be made says why; one that declines says why."""
    class Declines(sr.Reference):
        name = "declines"

        def declines(self, cell):
            return "" if cell.operation == "decode" else "it only reads"

    class Wrong(sr.Reference):
        name = "wrong"

        def call(self, operation, *operands, **parameters):
            found = super().call(operation, *operands, **parameters)
            return found + 1 if operation == "linear" and found.size else found

    made = {"reference": sr.Reference(), "declines": Declines(), "wrong": Wrong()}
    monkeypatch.setattr("sparseref.conformance.subjects.installed", lambda: (made, {"away": "ImportError: no such device"}))
    heard = []
    lines = card.conformance_of([sr.NM(2, 4), sr.NM(1, 4)], "float32", lambda *step: heard.append(step))
    away, reference, declines, wrong = lines["nm"]

    assert list(lines) == ["nm"]
    assert (away.level, away.reason) == ("none", "ImportError: no such device")
    assert (reference.level, reference.declined, reference.bad, reference.reason) == ("L3", 0, 0, "")
    assert (declines.reason, declines.bad) == ("it only reads", 0)
    assert declines.passed + declines.declined == reference.passed == heard[0][2]
    assert wrong.bad
    assert wrong.level in ("none", "L0")
    assert "linear" in wrong.reason
    assert heard[-1][0] == "wrong, nm: conformance"


@pytest.mark.slow
def test_the_command_shows_conformance_and_speed(contenders, tmp_path):
    """Terminal, JSON and page; side by side as well.  Without backends nothing of it."""
    files = [tmp_path / name for name in ("c.json", "c.html")]
    shown = run("card", "nm:2:8", "--shape", "8x16", "--json", str(files[0]), "--html", str(files[1]))
    data = json.loads(files[0].read_text())
    page = files[1].read_text()

    assert "reference" in shown
    assert "fastest dense" in shown
    assert "missing: absent, no no_such_package: pip install it" in shown
    assert "not timed: broken: its output is wrong" in shown
    assert {line["backend"]: line["level"] for line in data["conformance"]}["reference"] == "L3"
    assert [len(data["speed"][part]) for part in ("measured", "family")] == [4, 4]
    assert page.count("<svg") == 4
    assert "On this machine" in page
    assert not {"on this machine", "conformance of"} & set(re.findall(
        "on this machine|conformance of", run("card", "nm:2:8", "--no-backends", "--shape", "8x16")))
    assert "4096 threads were asked for" in run("card", "nm:2:8", "--threads", "4096", code=2)
    compared = run("card", "--compare", "nm:2:8", "nm:2:4", "--shape", "8x16", "--json", str(files[0]))

    assert "mine " in compared
    assert "levels" in compared


def test_without_a_dense_product_there_is_nothing_to_compare():
    one = Measured((8, 16), 128, "csr", 0.5, 0.5, 8, (Timed("mine", False, False, True, (1.0,) * 3, 0.5),))
    made = card.make_card(sr.CSR(), [card.Weight("by hand", np.ones((8, 16), np.float32))])
    alone = card.result.Speed("a test", 1, 3, (one,), (), (), {})

    assert machine_rows.speed_rows([one])[1] == ("csr, 8 x 16", "0.500", "128", "none", "")
    assert machine_rows.fastest(made) == {}
    assert machine_rows.fastest(card.result.Card(made.layout, "", {}, True, "", (), (), alone)) == {}


def test_where_nothing_dense_is_right_there_is_no_crossing():
    one = Measured((8, 16), 128, "csr", 0.5, 0.5, 8, (Timed("mine", False, False, True, (1.0,) * 3, 0.5),))

    assert list(speed._by_tokens([one, one])) == []


def test_data_of_a_card_has_the_ratios_of_its_tables_and_no_infinity():
    """To the fastest dense product; a backend that is wrong where every bit is decided has no finite ratio."""
    made = card.make_card(sr.CSR(), [card.Weight("by hand", np.ones((8, 16), np.float32))])
    one = measured(8, 0.25, 1.0, mine=0.5)
    others = (Timed("numpy dense", False, True, False, (0.25,) * 3, 0.5),
              Timed("wrong", False, False, True, (), math.inf, "off"))
    two = Measured(one.shape, 8, one.format, 0.25, 0.5, 8, one.timed + others)
    whole = replace(made, speed=card.result.Speed("a test", 1, 3, (two,), (), (), {}),
                    conformance=(card.result.Conformance("wrong", "none", 0, 0, 1, math.inf, "far off"),))
    data = json.loads(json.dumps(card.files.data_of_card(whole), allow_nan=False))

    assert {one["name"]: one["ratio"] for one in data["speed"]["measured"][0]["timed"]} == {
        "torch dense": 0.25, "mine": 0.5, "numpy dense": 1.0, "wrong": None}
    assert data["conformance"][0]["worst_ratio"] != math.inf


def test_one_that_fails_at_another_density_is_named():
    right = measured(8, 0.25, 1.0, mine=0.5)
    failed = replace(right, density=0.5, timed=(*right.timed, Timed("late", False, False, True, (), 2.0, "off")))
    whole = card.result.Speed("a test", 1, 3, (right,), (failed,), (), {})

    assert "not timed: late: off" in machine_rows.sentences(whole)
