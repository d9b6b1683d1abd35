"""The report of the proof says what was measured: shares of the better dense model, spreads over seeds, and a verdict."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sparseref_torch.poc.report import CONTROL, DENSE, ONE_SHOT, TRAINED, Study, Variant, verdicts
from sparseref_torch.poc.report.page import to_html, to_json
from sparseref_torch.poc.report.terminal import print_study

DENSE_BITS = 800
LOADED = Variant("dense", DENSE, (0.8,), DENSE_BITS, error=0.01, p50=10.0, p95=12.0)
MORE = Variant("dense", CONTROL, (0.79, 0.81, 0.83), DENSE_BITS, p50=10.0, p95=12.0, seconds=60)
SHOT = Variant("nmg:2:8:8", ONE_SHOT, (0.4, 0.4, 0.4), 400, 0.75, 0.02, 5.0, 6.0)
GOOD = Variant("nmg:2:8:8", TRAINED, (0.79, 0.80, 0.81), 400, 0.75, 0.01, 5.0, 6.0, 90, ((0, 0.4), (50, 0.7), (100, 0.8)))


def study(*variants, **more):
    return Study("my-task", "accuracy", variants or (LOADED, MORE, SHOT, GOOD), 3, 100, 1000, 600, "sparseref poc my-task",
                 **more)


def printed(of, width=160):
    console = Console(file=StringIO(), width=width, color_system=None)
    print_study(of, console)
    return console.file.getvalue()


# -- the figures ------------------------------------------------------------------------------------------------------

def test_other_figures_are_printed_and_on_the_page():
    """Where a variant has them; they decide nothing."""
    of = study(replace(LOADED, also={"agreement": 0.65}), MORE, SHOT, replace(GOOD, also={"agreement": 0.6}))
    expected = "agreement: 0.650 dense; 0.600 nmg:2:8:8, trained"

    assert of.also == [expected]
    assert expected in printed(of)
    assert expected in to_html(of)
    assert study().also == []


def test_all_is_compared_with_the_better_dense_model():
    """Dense is given the same training; its quality counts where it is better, its time and its room are those loaded."""
    better, worse = study(), study(LOADED, replace(MORE, scores=(0.7, 0.7, 0.7)), SHOT, GOOD)
    expected = (0.8 / 0.81, 0.5, 0.5, 1.0)
    actual = (better.kept(GOOD), better.size(GOOD), better.time(GOOD), worse.kept(GOOD))

    assert (better.dense, worse.dense) == (MORE, LOADED)
    assert expected == pytest.approx(actual)


def test_the_uncertainty_does_not_shrink_below_that_of_the_data():
    """All seeds are scored on the same questions."""
    expected = (0.02 / math.sqrt(3), 0.02, 0.0)
    actual = (MORE.uncertainty, replace(MORE, error=0.02).uncertainty, Variant("dense", DENSE, (0.5,), 1).uncertainty)

    assert actual == pytest.approx(expected)


# -- the verdict ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("changes", "kind", "expected"), [
    ({}, "good", "nmg:2:8:8 pays: 98.8% of the dense accuracy is kept (0.800 of 0.810, spread 0.010 over 3 seeds; 97% is "
     "wanted at 75.0% sparsity), for 50.0% of the storage and 0.50 of the time."),
    ({"p50": 9.9}, "mixed", "pays in storage only"),
    ({"p50": None}, "mixed", "a latency that was not measured"),
    ({"bits": 900}, "mixed", "pays in time only"),
    ({"bits": 900, "p50": 11.0}, "bad", "does not pay: 98.8%"),
    ({"scores": (0.78, 0.78, 0.78)}, "bad", "does not pay: only 96.3%"),
    ({"scores": (0.74,), "sparsity": 0.875}, "good", "90% is wanted at 87.5% sparsity"),
    ({"scores": (0.72,), "sparsity": 0.95}, "bad", "one seed; 90% is wanted at 95.0% sparsity"),
])
def test_the_verdict_follows_from_the_figures(changes, kind, expected):
    """Quality first, then what is gained for it; a latency within the noise is no gain."""
    [verdict] = verdicts(study(LOADED, MORE, SHOT, replace(GOOD, **changes)))

    assert (verdict.format, verdict.kind) == ("nmg:2:8:8", kind)
    assert expected in verdict.sentence


def test_a_format_is_judged_by_its_best_variant():
    """One shot may be enough, and training may do harm."""
    [verdict] = verdicts(study(LOADED, replace(SHOT, scores=(0.8,)), replace(GOOD, scores=(0.1, 0.1, 0.1))))

    assert verdict.kind == "good"


# -- what is shown ----------------------------------------------------------------------------------------------------

def test_the_terminal_shows_every_figure():
    shown = printed(study(resumed=2))

    for expected in ("my-task: accuracy, mean and spread of 3 seeds", "dense, same training", "0.800 ± 0.010", "98.8%", "75.0%",
                     "5.00", "6.00", "50.0%", "nmg:2:8:8 pays", "2 measurements were taken from an interrupted run"):
        assert expected in shown


def test_the_json_is_strict_and_has_the_shares():
    """And the variants as they were measured."""
    data = json.loads(json.dumps(to_json(study()), allow_nan=False))
    expected = (0.5, 0.5, [0.79, 0.80, 0.81], "good")
    trained = data["variants"][3]
    actual = (trained["size"], trained["time"], trained["scores"], data["verdicts"][0]["kind"])

    assert expected == actual


class Page(HTMLParser):
    """What a test asks of a page: resources outside, plots, tags."""

    def __init__(self, text):
        super().__init__()
        self.outside, self.plots, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.outside += [value for name, value in attrs.items() if name in ("src", "href") and not value.startswith("#")]
        if tag == "figure":
            self.plots.append(attrs["aria-label"])


def test_the_page_shows_the_curves_and_needs_no_other_file():
    """Quality, its course while training, storage and latency."""
    text = to_html(study())
    page = Page(text)
    expected = ["Score of every variant", "Score while training", "Quality against storage", "Quality against latency",
                "Latency of every variant"]

    assert expected == page.plots
    assert page.outside == []
    assert page.tags.count("svg") == 5
    assert not re.search(r"@import|url\(http", text)
    assert "sparseref poc my-task" in text


def test_what_was_not_measured_has_no_plot():
    """No latency, no course of training: the page says the rest."""
    quiet = [replace(one, p50=None, p95=None, curve=()) for one in (LOADED, MORE, SHOT, GOOD)]

    assert Page(to_html(study(*quiet))).plots == ["Score of every variant", "Quality against storage"]
    assert "not measured" in printed(study(*quiet))


def test_the_same_study_gives_the_same_page():
    """No time, no random ids."""
    assert to_html(study()) == to_html(study())


def test_names_are_text_on_the_page():
    page = Page(to_html(replace(study(), task="<script>x</script>", metric="a<b>")))

    assert "script" not in page.tags
    assert "b" not in page.tags or page.tags.count("b") == 1


scores = st.lists(st.floats(0, 1), min_size=1, max_size=3).map(tuple)
times = st.none() | st.floats(0.01, 100)
variants = st.builds(Variant, st.sampled_from(["nmg:2:8:8", "csr:0.9"]), st.sampled_from([ONE_SHOT, TRAINED]), scores,
                     st.integers(1, 10**9), st.floats(0, 1), st.none() | st.floats(0, 0.1), times, times, st.floats(0, 1000))


@given(scores, st.lists(variants, max_size=3))
def test_any_figures_can_be_shown(dense, sparse):
    """A dense score of 0, one seed, nothing timed: no division by zero, no missing verdict."""
    of = study(replace(LOADED, scores=dense), *sparse)
    shown = printed(of)

    assert len(verdicts(of)) == len(of.formats)
    assert all(form in shown for form in of.formats)
