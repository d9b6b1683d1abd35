"""The out-of-process protocol: both example workers conform, and every way to go wrong is told as what it is."""

import json
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import sparseref as sr
from sparseref.bounds import error_ratio, expected_forward
from sparseref.conformance.coding_cases import coding_cases
from sparseref.conformance.inputs import disordered, sparse, values
from sparseref.conformance.judge import judge
from sparseref.conformance.operator_cases import operator_cases
from sparseref.conformance.outcome import Verdict
from sparseref.conformance.process import WorkerProcess
from sparseref.conformance.serving import introduction, reply_to
from sparseref.conformance.wire import Call, from_json, to_json
from sparseref.conformance.worker import WorkerBackend, WorkerError

SPEC = Path(__file__).parent.parent / "spec"
SCHEMA = json.loads((SPEC / "protocol.schema.json").read_text())
PYTHON_WORKER = shlex.join([sys.executable, str(SPEC / "examples" / "worker.py")])
REFERENCE_WORKER = shlex.join([sys.executable, "-m", "sparseref.conformance.worker", "reference"])


@pytest.fixture(scope="session")
def c_worker(tmp_path_factory):
    """The command of the example in C, compiled with every warning an error."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: spec/examples/worker.c is not tested here")
    program = tmp_path_factory.mktemp("worker") / "worker"
    source = SPEC / "examples" / "worker.c"
    subprocess.run([compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source, "-lm"], check=True)
    return str(program)


@pytest.fixture(scope="session", params=["python", "c"])
def example(request):
    """A running example worker."""
    command = PYTHON_WORKER if request.param == "python" else request.getfixturevalue("c_worker")
    with WorkerBackend(command) as backend:
        yield backend


@pytest.fixture(scope="session")
def served():
    """The reference behind the protocol."""
    with WorkerBackend(REFERENCE_WORKER) as backend:
        yield backend


def operands(dtype="float32", channel="normal", seed=0):
    """x [2, 3, 5], w csr [4, 5], in any order and with duplicates, bias [4]."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    w = disordered(sparse(sr.CSR(), values(channel, (4, 5), dtype, rng), rng), rng)
    return values(channel, (2, 3, 5), dtype, rng), w, values(channel, (4,), dtype, rng)


# ---- The examples and the served reference


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channel", ["exact", "normal", "cancelling", "special"])
def test_examples_stay_within_the_derived_bounds(example, dtype, channel):                 # LINEAR-1, BOUND-1, CORE-V2
    """linear, with and without a bias, is within the bound of the accumulator that the worker declares."""
    x, w, bias = operands(dtype, channel)
    for given in ((x, w), (x, w, None), (x, w, bias)):
        wanted, _ = expected_forward(sr.registry.get_operator("linear"), given, {}, example.accumulator(dtype))
        actual = example.call("linear", *given)

        assert error_ratio(actual, wanted).max() <= 1


def test_examples_pass_every_case_they_declare(example):
    """The kit's own cases: decode, validate with its refusals, linear on every kind of input."""
    cases = [case for case in (*coding_cases("quick"), *operator_cases("quick")) if example.declines(case.cell) is None]
    expected = []
    actual = [(outcome.case, outcome.reason) for outcome in (judge(case, example) for case in cases)
              if outcome.verdict is not Verdict.PASS]

    assert {case.cell.operation for case in cases} == {"decode", "validate", "linear"}
    assert expected == actual


@pytest.mark.parametrize(("operation", "change", "expected"), [
    ("validate", lambda x, w, b: (sr.SparseArray(sr.CSR(), (4, 5, 1), w.dtype, w.arrays),), "CSR-C1"),
    ("validate", lambda x, w, b: (sr.SparseArray(sr.CSR(), w.shape, w.dtype, {"values": w.values}),), "CORE-A1"),
    ("validate", lambda x, w, b: (_with(w, indices=w["indices"].astype(np.int64)),), "CORE-A2"),
    ("validate", lambda x, w, b: (_with(w, indptr=w["indptr"][:-1]),), "CORE-A2"),
    ("validate", lambda x, w, b: (_with(w, indptr=w["indptr"] + np.int32(1)),), "CSR-C2"),
    ("validate", lambda x, w, b: (_with(w, indices=w["indices"] + np.int32(5)),), "CSR-C3"),
    ("linear", lambda x, w, b: (x.astype(np.float64), w), "CORE-D2"),
    ("linear", lambda x, w, b: (x, w, b[:2]), "LINEAR-2"),
    ("linear", lambda x, w, b: (x[..., :2], w), "LINEAR-2"),
])
def test_examples_refuse_by_the_clause(example, operation, change, expected):
    """The clause id comes back as a SpecError, the same as the reference's."""
    call = change(*operands())
    actual = []
    for backend in (example, sr.Reference()):
        with pytest.raises(sr.SpecError) as refusal:
            backend.call(operation, *call)
        actual.append(refusal.value.clause)

    assert [expected, expected] == actual


def _with(a, **arrays):
    return sr.SparseArray(a.layout, a.shape, a.dtype, {**a.arrays, **arrays})


def calls():
    """Calls with every form of value there is."""
    x, w, bias = operands()
    dense = x[0]
    nmg = sr.sparsify(np.arange(24, dtype=np.float16).reshape(4, 6), "nmg:2:4:1")
    return [Call("linear", (x, w, bias)), Call("linear.gradient", (x[..., :4].copy(), x, w, None)), Call("decode", (nmg,)),
            Call("encode", (dense, dense > 0), {"layout": "csr"}), Call("validate", (w,)),
            Call("convert", (nmg,), {"layout": "coo"}), Call("scale", (w, np.float32(2) * np.ones((), np.float32))),
            Call("gelu", (x,), {"approximate": "tanh"}), Call("sum", (w,), {"axis": None}),
            Call("select", (dense, dense, dense), {"sparsifier": "scalar-fraction:0.5"}),
            Call("select", (dense, dense, None), {"sparsifier": sr.SameFormat(sr.sparsify(dense, "csr"))}),
            Call("conv2d", (np.ones((1, 1, 3, 3), np.float32), np.ones((1, 4), np.float32), None),
                 {"kernel": (2, 2), "stride": 1, "padding": 0, "dilation": 1}),
            Call("linear", (x[..., :3], w))]


@pytest.mark.parametrize("call", calls(), ids=lambda call: call.operation)
def test_a_served_backend_answers_as_in_process(served, call):
    """Over the wire not a bit is lost, and a refusal keeps its clause, what was wanted and what was given."""
    expected = _answer(sr.Reference(), call)
    actual = _answer(served, call)

    assert expected == actual


def _answer(backend, call):
    try:
        return to_json(backend.call(call.operation, *call.operands, **call.parameters))
    except sr.SpecError as refusal:
        return str(refusal)


def test_a_served_backend_declares_the_same_cells():
    """What the backend declines or densifies, dtype by dtype, arrives; what it prints does not spoil the protocol."""
    program = "\n".join([
        "import sys, sparseref as sr",
        "from sparseref.conformance.serving import main",
        "class Noisy(sr.Reference):",
        "    name = 'noisy'",
        "    def declines(self, cell): return 'no' if cell.dtype == 'int8' or 'csr' in cell.layouts else None",
        "    def densifies(self, cell): return cell.dtype == 'float16'",
        "    def accumulator(self, dtype): return 'float32'",
        "    def call(self, *a, **k): print('noise', flush=True); return 1 // 0",
        "sr.registry.backends.add(Noisy())",
        "sys.argv = ['worker', 'noisy']",
        "main()"])
    cells = [sr.Cell("linear", ("array", "coo"), "float16"), sr.Cell("linear", ("array", "coo"), "float32"),
             sr.Cell("linear", ("array", "csr"), "float32"), sr.Cell("decode", ("coo",), "int8")]
    no = "not declared by the worker"
    expected = [(None, True), (None, False), (no, False), (no, False), "float32"]
    with WorkerBackend(shlex.join([sys.executable, "-c", program])) as backend:
        actual = [*((backend.declines(cell), backend.densifies(cell)) for cell in cells), backend.accumulator("float64")]
        with pytest.raises(WorkerError, match="the worker failed: ZeroDivisionError"):
            backend.call("decode", np.zeros(1))

    assert expected == actual


def test_threads_take_turns(served):
    """Each thread gets the answer to its own call."""
    factors = np.arange(24, dtype=np.float32)
    x = np.ones(3, np.float32)
    expected = [[factor] * 3 for factor in factors]
    with ThreadPoolExecutor(4) as pool:
        actual = [y.tolist() for y in pool.map(lambda factor: served.call("scale", x, np.asarray(factor)), factors)]

    assert expected == actual


# ---- The schema and the page


def lines_of(traffic):
    return [(which, json.loads(line)) for pair in traffic for which, line in zip(("request", "reply"), pair, strict=True)]


def test_real_traffic_fits_the_schema(monkeypatch, c_worker):
    """Every line of a session with each worker is what the schema says."""
    traffic, exchange = [], WorkerProcess.exchange

    def recorded(self, line, seconds):
        traffic.append((line, exchange(self, line, seconds)))
        return traffic[-1][1]

    monkeypatch.setattr(WorkerProcess, "exchange", recorded)
    for command in (PYTHON_WORKER, c_worker, REFERENCE_WORKER):
        with WorkerBackend(command) as backend:
            for call in calls() if command == REFERENCE_WORKER else [calls()[0], calls()[4], calls()[-1]]:
                _answer(backend, call)
    validators = {which: schema_of(which) for which in ("request", "reply")}
    for which, line in lines_of(traffic):
        validators[which].validate(line)

    assert len(traffic) == 2 * (1 + 3) + 1 + len(calls())


def schema_of(which):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{which}", "$defs": SCHEMA["$defs"]})


@pytest.mark.parametrize(("which", "line"), [
    ("request", {"id": 1, "hello": 1}),
    ("request", {"id": 0, "call": {"operation": "decode", "operands": [], "parameters": {}}}),
    ("request", {"id": 1, "call": {"operation": "decode", "operands": []}}),
    ("reply", {"id": 1}),
    ("reply", {"result": None}),
    ("reply", {"id": 1, "result": None, "error": {"clause": "A-1", "message": ""}}),
    ("reply", {"id": 1, "error": {"message": "no clause"}}),
    ("reply", {"id": 1, "result": 1.5}),
    ("reply", {"id": 1, "result": {"dtype": "float32", "shape": [1], "data": [1.5]}}),
    ("reply", {"id": 1, "result": {"dtype": "float32", "shape": [1], "data": ["1.5"]}}),
    ("reply", {"id": 1, "result": {"dtype": "int32", "shape": [1], "data": [1.5]}}),
    ("reply", {"id": 1, "result": {"dtype": "bool", "shape": [1], "data": [1]}}),
    ("reply", {"id": 1, "result": {"dtype": "float32", "shape": [-1], "data": []}}),
    ("reply", {"id": 1, "result": {"dtype": "object", "shape": [0], "data": []}}),
    ("reply", {"id": 0, "name": "w", "version": "1"}),
    ("reply", {"id": 0, "name": "w", "version": "1", "cells": [{"operation": "linear", "layouts": "csr", "dtypes": ["*"]}]}),
])
def test_the_schema_refuses_what_breaks_the_protocol(which, line):
    """The schema is not so wide that anything fits."""
    assert not schema_of(which).is_valid(line)


def test_the_transcript_of_the_page_is_true():
    """spec/protocol.md: played to the example worker, the requests bring exactly the replies shown."""
    text = (SPEC / "protocol.md").read_text()
    asked = [line[3:] for line in text.splitlines() if line.startswith("-> ")]
    expected = [line[3:] for line in text.splitlines() if line.startswith("<- ")]
    run = subprocess.run(shlex.split(PYTHON_WORKER), input="\n".join(asked) + "\n", capture_output=True, text=True, check=True)
    actual = run.stdout.splitlines()

    assert len(asked) >= 4
    assert expected == actual


def test_serving_answers_a_line_that_is_no_request():
    """Even then a reply comes, with the id if there is one; no clause refuses it but WIRE-1."""
    expected = [(None, None), (3, None), (4, "WIRE-1")]
    lines = ["nonsense", '{"id": 3}', '{"id": 4, "call": {"what": 1}}']
    replies = [reply_to(sr.Reference(), line) for line in lines]
    actual = [(reply["id"], reply["error"]["clause"]) for reply in replies]

    assert expected == actual
    assert all(schema_of("reply").is_valid(reply) for reply in replies)


def test_introduction_names_every_cell_of_the_reference():
    """Nothing that the reference implements is missing from what it declares as a worker."""
    declared = {(cell["operation"], tuple(cell["layouts"])) for cell in introduction(sr.Reference())["cells"]}
    expected = {(case.cell.operation, case.cell.layouts) for case in (*coding_cases("quick"), *operator_cases("quick"))}

    assert expected <= declared


def test_wire_gives_back_what_it_took():
    """A call survives the way there and back, same-format sparsifiers and nested parameters too."""
    expected = [to_json(call) for call in calls()]
    actual = [to_json(from_json(json.loads(json.dumps(line)))) for line in expected]

    assert expected == actual
