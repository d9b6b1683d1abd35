"""Reports say what the outcomes say: nothing is lost, nothing is added, nothing of a backend's text is taken for markup."""

import json
import re
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import sparseref as sr
from sparseref.atomic import write_text
from sparseref.conformance.outcome import LEVELS, Outcome, RunResult, Verdict
from sparseref.conformance.report import print_mutants, print_result, read_json, write_html, write_json, write_junit
from sparseref.conformance.report.page import SHOWN_FAILURES
from sparseref.conformance.report.summary import WORST_FIRST, Square, conclusion, inventory, ratio_text
from sparseref.conformance.report.terminal import SHOWN_CELLS

LINEAR = sr.Cell("linear", ("array", "nmg"), "float32")
INF = float("inf")
EVIL = "<script>alert(1)</script> [red] \x00 \x1b[0m &amp; ]]>"


def outcome(verdict=Verdict.PASS, number=1, cell=LINEAR, level="L2", **more):
    return Outcome(f"{level}/{cell}/nmg:2:4:1/normal/{number}", level, cell, ("BOUND-1", "LINEAR-1"), verdict, **more)


def run(*outcomes, expected=None):
    return RunResult("fast", "1.2", "quick", len(outcomes) if expected is None else expected, outcomes, 1.5, {"python": "3.13"})


EVERY_VERDICT = run(
    outcome(number=1, ratio=0.41, seconds=0.25),
    outcome(Verdict.FAIL, 2, ratio=INF, reason="a bit differs", counterexample="picture\nsr.linear(x, w)", seconds=0.5),
    outcome(Verdict.UNSUPPORTED, 3, sr.Cell("decode", ("bsr",), "int8"), "L0", reason="not planned"),
    outcome(Verdict.ERROR, 4, sr.Cell("gelu.gradient", ("csr",), "float16"), "L3", reason="RuntimeError: out of fuel"),
    outcome(Verdict.CRASH, 5, reason="killed by signal 11"),
    outcome(Verdict.TIMEOUT, 6, reason="no reply within 30 s"),
    outcome(Verdict.KNOWN_FAILURE, 7, reason="issue 12 (fail: a bit differs)"),
    outcome(Verdict.STALE, 8, reason="listed, but it passes"),
    Outcome("L2/liner*", "", sr.Cell("known-failures", (), ""), ("KNOWN-1",), Verdict.STALE, reason="names no case"))

texts = st.text(max_size=20)
seconds = st.floats(0, 100)


def tuples(elements, **sizes):
    return st.lists(elements, **sizes).map(tuple)


cells = st.builds(sr.Cell, st.sampled_from(["linear", "linear.gradient", "decode"]),
                  tuples(st.sampled_from(["array", "csr"]), min_size=1, max_size=2), st.sampled_from(["float32", "int8"]))
outcomes = st.builds(Outcome, texts, st.sampled_from(LEVELS), cells, tuples(texts, max_size=2), st.sampled_from(Verdict),
                     st.floats(0, allow_nan=False), texts, texts, seconds)
results = st.builds(RunResult, texts, texts, texts, st.integers(0, 9), tuples(outcomes, max_size=6), seconds,
                    st.dictionaries(texts, texts, max_size=2))


def printed(show, *things, width=160):
    console = Console(file=StringIO(), width=width, color_system=None)
    show(*things, console)
    return console.file.getvalue()


# ---- What all reports share


def test_worst_first_ranks_every_verdict():
    """Each verdict has its place, and every bad one stands before every other."""
    expected = [True] * 5 + [False] * 3
    actual = [outcome(verdict).bad for verdict in WORST_FIRST]

    assert set(WORST_FIRST) == set(Verdict)
    assert expected == actual


def test_a_square_shows_its_worst():
    """One failure among a thousand passes is what the square says."""
    square = Square((outcome(), outcome(ratio=0.5), outcome(Verdict.FAIL, ratio=2.0)))
    expected = (Verdict.FAIL, True, 2.0, "1 fail, 2 pass")
    actual = (square.verdict, square.bad, square.ratio, square.tip)

    assert expected == actual


@pytest.mark.parametrize(("result", "expected"), [
    (run(outcome(), outcome(Verdict.UNSUPPORTED)), "2 expected, 1 run, 1 unsupported"),
    (run(outcome(), expected=1200), "1,200 expected, 1 run, 0 unsupported: 1,199 missing, so this is no pass"),
    (EVERY_VERDICT, "9 expected, 7 run, 1 unsupported: 1 missing, so this is no pass"),        # a list entry is no case
])
def test_inventory(result, expected):
    """What was expected, what ran, what is missing."""
    actual = inventory(result)

    assert expected == actual


@pytest.mark.parametrize(("result", "expected"), [
    (run(outcome()), "conforms; level reached: L2"),
    (run(outcome(Verdict.UNSUPPORTED)), "does not conform: nothing ran; level reached: none, without 1 unsupported case"),
    (replace(run(outcome()), flushes=("float32",)),
     "conforms; level reached: L2; flushes subnormal numbers in float32 (BOUND-5)"),
    (run(outcome(), expected=2), "does not conform; level reached: L2"),
    (run(outcome(Verdict.FAIL)), "does not conform: 1 bad outcome; level reached: none"),
    (run(outcome(Verdict.FAIL), outcome(Verdict.CRASH, level="L0")), "does not conform: 2 bad outcomes; level reached: none"),
])
def test_conclusion(result, expected):
    """Conforming, and how far."""
    actual = conclusion(result)

    assert expected == actual


@pytest.mark.parametrize(("ratio", "expected"), [(0, ""), (0.4137, "0.41"), (1, "1"), (12345, "1.2e+04"), (INF, "inf")])
def test_ratio_text(ratio, expected):
    """Two digits tell enough; 0 means that every bit was decided."""
    actual = ratio_text(ratio)

    assert expected == actual


# ---- Terminal


def test_the_terminal_tells_everything():
    """Counts by level, counterexamples, reasons of gaps, inventory, conclusion."""
    text = printed(print_result, EVERY_VERDICT)
    expected = ["picture\nsr.linear(x, w)", "1 unsupported: not planned  (decode)", "1 known failure: issue 12",
                "names no case", "RuntimeError: out of fuel",
                "9 expected, 7 run", "fast 1.2, quick: does not conform: 6 bad outcomes"]
    actual = [part for part in expected if part in text]
    linear = next(line for line in text.splitlines() if "linear" in line)

    assert expected == actual
    assert re.sub(r"[│┃ ]+", " ", linear).strip() == "linear ☠ 1 … 1 ✗ 1 ? 1 ~ 1 ✓ 1 inf"


def test_the_terminal_breaks_no_line_of_a_call():
    """A paste-able call stays one line, however long."""
    call = "call = '" + "0x1.8p+1 " * 100 + "'"
    text = printed(print_result, run(outcome(Verdict.FAIL, counterexample=call)), width=80)

    assert call in text.splitlines()


def test_the_terminal_shows_a_failure_a_cell():
    """A thousand failures do not bury the conclusion: what is left out is counted."""
    wide = [sr.Cell("linear", (f"layout{number}",), "float32") for number in range(SHOWN_CELLS + 2)]
    text = printed(print_result, run(*(outcome(Verdict.FAIL, number, cell) for cell in wide for number in range(3))))
    expected = (SHOWN_CELLS, SHOWN_CELLS, 1)
    actual = (text.count("✗ fail  L2"), text.count("and 2 more in this cell"), text.count("and 6 more in 2 other cells"))

    assert expected == actual


def test_the_terminal_takes_no_markup_from_a_backend():
    """[red] in a reason is text."""
    fail, gap = outcome(Verdict.FAIL, reason="[red]x[/red] [/]"), outcome(Verdict.UNSUPPORTED, reason="[b]gap")
    text = printed(print_result, run(fail, gap))

    assert "[red]x[/red] [/]" in text
    assert "[b]gap" in text


@dataclass(frozen=True)
class Report:
    name: str
    what: str
    clause: str
    case: str
    killed: bool


def test_mutants_show_survivors_last():
    """Each mutant with its clause; a survivor stands where it is seen."""
    reports = [Report("tough", "bias added twice", "", "", False), Report("weak", "tail dropped", "NMG-C9", "L1/x", True)]
    lines = printed(print_mutants, reports).splitlines()
    expected = [["weak", "tail dropped", "NMG-C9", "L1/x"], ["tough", "bias added twice", "SURVIVED", ""]]
    rows = [line.split("│")[1:-1] for line in lines if "tail" in line or "bias" in line]
    actual = [[entry.strip() for entry in row] for row in rows]

    assert expected == actual
    assert lines[-1].strip() == "1 of 2 killed"


# ---- JSON


@given(results)
def test_json_gives_back_the_run(tmp_path_factory, result):  # REPORT-1
    """Every outcome, an infinite ratio too."""
    path = tmp_path_factory.getbasetemp() / "run.json"
    write_json(result, path)
    expected = result
    actual = read_json(path)

    assert expected == actual


def test_json_is_strict_and_has_a_summary(tmp_path):
    """Readers in other languages know no Infinity, and need not know the rules."""
    write_json(EVERY_VERDICT, tmp_path / "run.json")
    data = json.loads((tmp_path / "run.json").read_text(), parse_constant=pytest.fail)
    expected = {"conforms": False, "level": "none", "counts": EVERY_VERDICT.counts, "worst_ratio": "inf"}
    actual = data["summary"]

    assert expected == actual


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', '{"format": "sparseref-conformance-1"}'])
def test_json_of_something_else_is_refused(tmp_path, text):                                # REPORT-1
    """Not a report, another format, or half of one."""
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(sr.SpecError, match="REPORT-1"):
        read_json(tmp_path / "run.json")


# ---- JUnit


def junit(result, tmp_path):
    write_junit(result, tmp_path / "run.xml")
    return ET.parse(tmp_path / "run.xml").getroot()


def test_junit_counts_as_ci_servers_do(tmp_path):
    """The totals of the root, and of each suite those of its tests."""
    root = junit(EVERY_VERDICT, tmp_path)
    expected = {"tests": "10", "failures": "3", "errors": "3", "skipped": "2", "time": "0.750000"}
    actual = {name: root.get(name) for name in expected}

    assert expected == actual
    for suite in root:
        tests = suite.findall("testcase")
        assert suite.get("tests") == str(len(tests))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))


def test_junit_has_a_suite_a_cell_and_a_test_a_case(tmp_path):
    """Grouped by level and cell; names are the ids."""
    root = junit(EVERY_VERDICT, tmp_path)
    expected = [f"L2 {LINEAR}", "L0 decode[bsr, int8]", "L3 gelu.gradient[csr, float16]", "known-failures[, ]", "inventory"]
    actual = [suite.get("name") for suite in root]
    names = {test.get("name") for test in root.iter("testcase")}

    assert expected == actual
    assert names >= {one.case for one in EVERY_VERDICT.outcomes}


@pytest.mark.parametrize(("expected", "foreseen"), [(0, 1), (1, 2)])
def test_junit_fails_when_cases_are_missing(tmp_path, expected, foreseen):
    """A suite that shrank is red on the CI server too."""
    root = junit(run(outcome(), expected=foreseen), tmp_path)
    actual = len(root.findall("testsuite[@name='inventory']/testcase/failure"))

    assert expected == actual


def test_junit_can_hold_any_text(tmp_path):
    """Control characters, which XML cannot hold, are replaced; the file stays readable."""
    told = junit(run(outcome(Verdict.FAIL, reason=EVIL, counterexample=EVIL)), tmp_path).find(".//failure")
    expected = EVIL.replace("\x00", "�").replace("\x1b", "�")
    actual = told.get("message")

    assert expected == actual
    assert expected in told.text


# ---- HTML


class Page(HTMLParser):
    """What a test asks of a page: tags, ids, links within, resources outside, squares as (verdict, tip)."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.outside, self.squares = [], set(), set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if "id" in attrs:
            assert attrs["id"] not in self.ids, f"id {attrs['id']} twice"
            self.ids.add(attrs["id"])
        if attrs.get("href", "").startswith("#"):
            self.links.add(attrs["href"][1:])
        self.outside += [value for name, value in attrs.items() if name in ("src", "href") and not value.startswith("#")]
        if "title" in attrs and "square" in attrs.get("class", ""):
            self.squares.append((attrs["class"].split()[-1], attrs["title"]))


def html(tmp_path, *results):
    write_html(results, tmp_path / "run.html")
    return (tmp_path / "run.html").read_text()


def test_the_page_needs_no_other_file(tmp_path):
    """No address of another resource, and every link within the page has its target."""
    text = html(tmp_path, EVERY_VERDICT, replace(EVERY_VERDICT, backend="other"))
    page = Page(text)

    assert page.outside == []
    assert page.links <= page.ids
    assert not re.search(r"@import|url\(|https?:", text)


def test_the_page_has_a_square_a_cell_and_level(tmp_path):
    """Colour by the worst verdict, counts in the tip, forward and gradient in one row of the operator."""
    forward, backward = outcome(ratio=0.5), outcome(Verdict.FAIL, cell=replace(LINEAR, operation="linear.gradient"), level="L3")
    text = html(tmp_path, run(forward, outcome(level="L1"), backward))
    expected = [("PASS", "1 pass"), ("PASS", "1 pass"), ("FAIL", "1 fail")]
    actual = Page(text).squares
    rows = re.findall(r"<tr data-find=", text)

    assert expected == actual
    assert len(rows) == 1
    assert re.findall(r">(L\d[^<]*)<", text) == ["L1 ✓ ", "L2 ✓ 0.5", "L3 ∂ ✗ "]


def test_the_page_spells_failures_out(tmp_path):
    """Reason, clauses, picture and call; gaps and known failures with their reasons."""
    text = html(tmp_path, EVERY_VERDICT)
    expected = ["<pre>picture\nsr.linear(x, w)</pre>", "a bit differs", "BOUND-1, LINEAR-1", "1 case: not planned",
                "1 case: issue 12 (fail: a bit differs)", "names no case", "9 expected, 7 run"]
    actual = [part for part in expected if part in text]

    assert expected == actual


def test_the_page_says_what_it_leaves_out(tmp_path):
    """Of many failures in one cell a few are shown, the rest counted."""
    text = html(tmp_path, run(*(outcome(Verdict.FAIL, number) for number in range(SHOWN_FAILURES + 7))))
    expected = (SHOWN_FAILURES, 1)
    actual = (text.count('<div class="failure"'), text.count("and 7 more in this cell"))

    assert expected == actual


def test_the_page_takes_no_markup_from_a_backend(tmp_path):
    """Names, reasons and pictures are text; the only script is the page's own."""
    evil = run(outcome(Verdict.FAIL, reason=EVIL, counterexample=EVIL), outcome(Verdict.UNSUPPORTED, reason=EVIL))
    page = Page(html(tmp_path, replace(evil, backend=EVIL, versions={EVIL: EVIL})))

    assert page.tags.count("script") == 1


@given(results)
def test_any_run_can_be_reported(tmp_path_factory, result):
    """No text, ratio or verdict breaks a report; what XML and HTML hold parses again."""
    folder = tmp_path_factory.getbasetemp()
    write_junit(result, folder / "any.xml")
    write_html([result], folder / "any.html")
    printed(print_result, result)
    expected = len(result.outcomes) + 1
    actual = len(list(ET.parse(folder / "any.xml").getroot().iter("testcase")))

    assert expected == actual
    assert Page((folder / "any.html").read_text()).links


# ---- Files


def test_a_file_is_replaced_whole(tmp_path):
    """The folders are made, the old text is gone, nothing else is left beside it, and others may read it."""
    path = tmp_path / "new" / "report.txt"
    write_text(path, "old and longer")
    expected = (path, "new", [path], 0o644)
    actual = (write_text(path, "new"), path.read_text(), list(path.parent.iterdir()), path.stat().st_mode & 0o777)

    assert expected == actual


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """Text that cannot be encoded is an error, the report of yesterday stays, and no temporary file does."""
    path = tmp_path / "report.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \ud800")
    expected = ("old", [path])
    actual = (path.read_text(), list(tmp_path.iterdir()))

    assert expected == actual
