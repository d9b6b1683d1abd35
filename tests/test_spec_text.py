"""The normative text: well formed, true of the reference, reviewed, and its pages up to date."""

import ast
import doctest
import json
import re
import shutil
import textwrap
from dataclasses import MISSING, fields
from pathlib import Path

import formulas
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparseref as sr
from sparseref import spec
from sparseref.conformance import pages
from sparseref.conformance import strategies as some
from sparseref.conformance.laws import run_laws
from sparseref.conformance.outcome import Verdict
from sparseref.layouts import ALL as LAYOUTS
from sparseref.operators import ALL as OPERATORS
from sparseref.sparsifiers import ALL as SPARSIFIERS

CLAUSES = spec.clauses()
NORMATIVE = re.compile(r"\b(SHALL|SHALL NOT|MUST|SHOULD|MAY|REQUIRED|RECOMMENDED|OPTIONAL)\b")
SENTENCE_END = re.compile(r"[.!?]\s+[A-Z`]")
RAISING = {"SpecError", "whole_number", "matrix_only", "check_pointers", "check_indices", "check_rising", "same_shape", "both",
           "checked_like", "Registry"}
each_clause = pytest.mark.parametrize("clause", CLAUSES.values(), ids=list(CLAUSES))
each_layout = pytest.mark.parametrize("name", [kind.name for kind in LAYOUTS])


@each_clause
def test_a_clause_is_one_normative_sentence(clause):
    """A clause can be quoted, tested and broken as a whole."""
    assert NORMATIVE.search(clause.text)
    assert clause.text.endswith(".")
    assert not SENTENCE_END.search(clause.text)
    assert clause.why


def test_normative_words_stand_in_the_text_of_clauses_only():
    """Whoever searches for SHALL finds every demand, and nothing else."""
    expected = []
    actual = [said for said in _strings(spec.groups()) if NORMATIVE.search(said)]

    assert expected == actual


def _strings(content):
    """Every string in the clause files but the normative texts."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for item in content:
            yield from _strings(item)
    elif isinstance(content, dict):
        for name, item in content.items():
            if name != "text":
                yield from _strings(item)


@each_clause
def test_formulas_stand_in_backticks(clause):
    """A bare asterisk beside a letter would set half a page in italics."""
    prose = re.sub(r"`[^`]*`", "", f"{clause.text} {clause.why}")

    assert not re.search(r"\S\*|\*\S", prose)


def test_the_errors_of_the_clauses_are_those_that_the_code_raises():
    """An id that refuses input stands in a call in the code; in the text, in the `errors` of its clause."""
    expected = {error for clause in CLAUSES.values() for error in clause.errors}
    actual = {name for path in Path(sr.__file__).parent.rglob("*.py") if "mutants" not in path.parts
              for name in _raised(ast.parse(path.read_text(encoding="utf-8")))}

    assert expected == actual


def _raised(module):
    """Clause ids that are handed to SpecError or to a helper that raises it, as an argument."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISING:
            yield from (argument.value for argument in node.args if getattr(argument, "value", None) in CLAUSES)


def test_every_text_was_reviewed():
    """An edited clause is looked at again, with the code that cites it, before the suite is green."""
    expected = []
    actual = spec.unreviewed()

    assert expected == actual, f"new, changed or withdrawn: python -m sparseref.spec review {' '.join(actual)}"


# --- what the files say of layouts, sparsifiers and operators -----------------------------------------------------------


@each_layout
def test_a_layouts_parameters_are_those_of_its_class(name):
    """Names in order, and defaults."""
    described = spec.layout_descriptions()[name].get("parameter", [])
    expected = [(parameter["name"], parameter.get("default", MISSING)) for parameter in described]
    actual = [(field.name, field.default) for field in fields(sr.registry.layouts.get(name))]

    assert expected == actual


@each_layout
@given(st.data())
def test_the_formulas_give_dtypes_shapes_and_bits(name, data):  # CORE-A2, CORE-B1, CORE-I1, CORE-I2, NMG-C7, NMG-C9
    """Of any valid array, canonical or not: the file's formulas against the reference's actual arrays."""
    a = data.draw(some.sparse_arrays(data.draw(some.layouts([name]))))
    names, described = formulas.names_of(a), spec.layout_descriptions()[name]
    expected = {field["name"]: (formulas.value(field["dtype"], names), formulas.value(f"({', '.join(field['shape'])},)", names))
                for field in described["field"]}
    actual = {field: (array.dtype, array.shape) for field, array in a.arrays.items()}

    assert expected == actual
    assert formulas.value(described["bits"], names) == a.bits


@pytest.mark.parametrize("text", ["csr", "csc", "coo", "ell", "bsr:2:2", "masked", "dense", "nm:2:4", "nmg:10:12:4,tail=short",
                                  "nmg:10:12:4", "nmg:2:6:8", "nmg:2:20:4,tail=short", "vnm:64:2:300"])
@pytest.mark.parametrize("shape", [(46340, 46341), (46341, 46341), (3072, 768)])
def test_the_bits_of_arrays_too_large_to_make(text, shape):
    """Around 2**31 entries, where coordinates turn from int32 to int64 (CORE-I1)."""
    layout, free = sr.parse_layout(text), {"nnz": 1000, "nnzb": 100}
    free |= {"K": 30} if text == "ell" else {}
    names = formulas.names(layout, shape, np.dtype(np.float16)) | free
    expected = formulas.value(spec.layout_descriptions()[layout.name]["bits"], names)
    actual = layout.bits(shape, np.float16, **free)

    assert expected == actual


@pytest.mark.parametrize("kind", SPARSIFIERS, ids=lambda kind: kind.name)
def test_a_sparsifier_is_what_the_text_declares(kind):  # SPF-7
    """Class, passes, working memory, parameters."""
    described = spec.sparsifier_descriptions()[kind.name]
    expected = tuple(described[key] for key in ("kind", "passes", "memory", "parameters"))
    actual = (kind.kind.value, kind.passes, kind.memory, [field.name for field in fields(kind)])

    assert expected == actual
    assert (described["chance"] != "none") == kind.needs_draws


DTYPES = {"all": sr.dtypes.DTYPES, "floats": sr.dtypes.FLOATS, "floats and int32": (*sr.dtypes.FLOATS, "int32")}


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_an_operator_is_what_the_text_declares(operator):  # OPS-3, OPS-4, OPS-5
    """Result, dtypes, how many operands may be sparse, rounding."""
    described = spec.operator_descriptions()[operator.name]
    expected = (described["result"], DTYPES[described["dtypes"]], described["sparse_operands"], described["rounding"])
    actual = (operator.result.name.lower(), operator.dtypes, operator.sparse_operands, operator.rounding.name.lower())

    assert expected == actual


@each_layout
def test_a_worked_example_works(name):
    """Every line of it, against the reference of today."""
    text = spec.layout_descriptions()[name]["example"]
    example = doctest.DocTestParser().get_doctest(text, {}, f"spec/clauses/{name}.toml", None, 0)
    report = []
    failed, tried = doctest.DocTestRunner().run(example, out=report.append)

    assert tried > 0
    assert failed == 0, "".join(report)


def test_the_layout_of_the_checklist_obeys_the_laws():
    """Its code runs as it stands there, and what it makes is a layout."""
    text = (spec.folder() / "CHECKLIST-new-layout.md").read_text(encoding="utf-8")
    code = textwrap.dedent(text[text.index("   from dataclasses"):text.index("   ```\n\n   Parameters are fields")])
    module = {"__name__": __name__}
    exec(code, module)
    sr.registry.layouts.add(module["Flat"])
    try:
        expected = {Verdict.PASS}
        actual = {outcome.verdict for outcome in run_laws(module["Flat"]())}
    finally:
        sr.registry.layouts.remove("flat")

    assert expected == actual


# --- pages and review ---------------------------------------------------------------------------------------------------


def test_the_pages_are_those_that_the_clauses_make():
    """To make them again: python -m sparseref.conformance.pages."""
    expected = []
    actual = pages.differences(spec.folder() / "pages")

    assert expected == actual, "\n".join(actual)


@pytest.fixture
def copied_spec(tmp_path, monkeypatch):
    """A copy of the spec that a test may change."""
    shutil.copytree(spec.folder(), tmp_path / "spec")
    monkeypatch.setattr(spec, "folder", lambda: tmp_path / "spec")
    spec.groups.cache_clear()
    spec.clauses.cache_clear()
    yield tmp_path / "spec"
    spec.groups.cache_clear()
    spec.clauses.cache_clear()


def test_an_edited_text_waits_for_review_and_a_new_line_break_does_not(copied_spec):
    """The hash is of the words."""
    path = copied_spec / "clauses" / "nm.toml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("along `axis`\nin row-major", "along `axis` in\nrow-major")
    text = text.replace('id = "NM-C2"', 'id = "NM-C99"').replace("SHALL be whole numbers", "SHALL be integers")
    path.write_text(text, encoding="utf-8")
    expected = ["NM-C1", "NM-C2", "NM-C99"]
    actual = spec.unreviewed()

    assert expected == actual


def test_a_review_shows_the_clause_with_its_code_and_marks_it(copied_spec):
    """One hash changes, all others stay."""
    before = json.loads((copied_spec / "reviewed.json").read_text(encoding="utf-8"))
    (copied_spec / "reviewed.json").write_text(json.dumps({**before, "NM-C4": "edited"}), encoding="utf-8")
    shown = spec.review("NM-C4")

    assert CLAUSES["NM-C4"].text in shown
    assert "errors: NM-C4" in shown
    assert "sparseref/layouts/nm.py" in shown
    assert before == spec.reviewed()


def test_a_withdrawn_clause_is_reviewed_away_and_an_unknown_one_is_refused(copied_spec):
    """What is neither in the text nor in the list is a typing error."""
    (copied_spec / "reviewed.json").write_text(json.dumps({**spec.reviewed(), "NM-C99": "0"}), encoding="utf-8")

    assert "withdrawn" in spec.review("NM-C99")
    assert "NM-C99" not in spec.reviewed()
    with pytest.raises(SystemExit, match="no clause NM-C99"):
        spec.review("NM-C99")


def test_the_command_lists_what_waits_and_reviews_what_is_named(copied_spec, monkeypatch, capsys):
    """`python -m sparseref.spec review [ID ...]`."""
    (copied_spec / "reviewed.json").write_text(json.dumps({**spec.reviewed(), "NM-C4": "edited"}), encoding="utf-8")
    for arguments, wanted in (([], "NM-C4\n"), (["NM-C4"], "cited by:"), ([], "nothing waits for review\n")):
        monkeypatch.setattr("sys.argv", ["spec", "review", *arguments])
        spec.main()

        assert wanted in capsys.readouterr().out


def test_an_old_page_is_named_then_written_anew_and_one_without_a_group_goes(copied_spec, monkeypatch, capsys):
    """`python -m sparseref.conformance.pages [--check]`."""
    (copied_spec / "pages" / "nm.md").write_text("old", encoding="utf-8")
    (copied_spec / "pages" / "gone.md").write_text("old", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["pages", "--check"])
    with pytest.raises(SystemExit, match="1"):
        pages.main()

    assert {"+++ nm.md, as the clauses make it", "--- spec/pages/gone.md"} <= set(capsys.readouterr().out.splitlines())

    monkeypatch.setattr("sys.argv", ["pages"])
    pages.main()
    expected = []
    actual = pages.differences(copied_spec / "pages")

    assert expected == actual
    assert not (copied_spec / "pages" / "gone.md").exists()
