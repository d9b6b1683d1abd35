"""A run as JUnit XML, which CI servers read: one suite a cell and level, one test a case."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from ...atomic import write_text
from ..outcome import Outcome, RunResult, Verdict
from .summary import inventory, squares

TAGS = {Verdict.FAIL: "failure", Verdict.STALE: "failure",
        Verdict.ERROR: "error", Verdict.CRASH: "error", Verdict.TIMEOUT: "error",
        Verdict.UNSUPPORTED: "skipped", Verdict.KNOWN_FAILURE: "skipped"}
COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped; a worker's stderr may have them."""


def write_junit(result: RunResult, path: str | Path) -> None:
    """A suite for every cell and level; cases that the inventory foresees and that are missing are a failed test."""
    root = ET.Element("testsuites", name=_legal(f"sparseref conformance: {result.backend} {result.version}, {result.profile}"))
    for (level, cell), square in squares(result.outcomes, lambda outcome: (outcome.level, str(outcome.cell))).items():
        suite = ET.SubElement(root, "testsuite", name=_legal(f"{level} {cell}".strip()))
        for outcome in square.outcomes:
            suite.append(_test(outcome))
    _add_inventory(ET.SubElement(root, "testsuite", name="inventory"), result)
    for element in [*root, root]:
        _count(element)
    ET.indent(root)
    write_text(path, f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n')


def _test(outcome: Outcome) -> ET.Element:
    test = ET.Element("testcase", classname=_legal(f"{outcome.level}.{outcome.cell}"), name=_legal(outcome.case),
                      time=f"{outcome.seconds:.6f}")
    tag = TAGS.get(outcome.verdict)
    if tag:
        told = ET.SubElement(test, tag, message=_legal(outcome.reason), type=outcome.verdict.value)
        told.text = _legal("\n".join(part for part in (", ".join(outcome.clauses), outcome.counterexample) if part))
    return test


def _add_inventory(suite: ET.Element, result: RunResult) -> None:
    test = ET.SubElement(suite, "testcase", classname="inventory", name="every case that is expected has run", time="0")
    if len(result.outcomes) < result.expected:
        ET.SubElement(test, "failure", message=inventory(result), type="missing cases")


def _count(element: ET.Element) -> None:
    """Set the attributes that say how many tests an element holds, how they ended, and how long they took."""
    tests = list(element.iter("testcase"))
    element.set("tests", str(len(tests)))
    for attribute, tag in COUNTED.items():
        element.set(attribute, str(sum(test.find(tag) is not None for test in tests)))
    element.set("time", f"{sum(float(test.get('time', 0)) for test in tests):.6f}")


def _legal(text: str) -> str:
    return NOT_XML.sub("�", text)
