"""A worker that crashes, hangs, writes garbage or answers a wrong number is told as what it is, and leaves nothing behind."""

import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import sparseref as sr
from sparseref.conformance.judge import judge
from sparseref.conformance.operator_cases import operator_cases
from sparseref.conformance.outcome import Verdict
from sparseref.conformance.process import WorkerProcess
from sparseref.conformance.worker import WorkerBackend, WorkerCrash, WorkerError, WorkerTimeout

X = np.ones((2, 3), np.float32)
W = sr.encode(np.ones((4, 3), np.float32), "csr", np.eye(4, 3, dtype=bool))


@pytest.fixture
def scripted(tmp_path):
    """A worker that answers hello, then runs `body` on each request."""
    started = []

    def start(body, seconds=20.0):
        lines = ["import json, math, os, signal, subprocess, sys, time",
                 "print(json.dumps({'id': 0, 'name': 'scripted', 'version': '1', 'cells': ["
                 "{'operation': '*', 'layouts': ['array', 'csr'], 'dtypes': ['*']}]}), flush=True)",
                 "sys.stdin.readline()",
                 "for line in sys.stdin:", "    request = json.loads(line)", *(f"    {line}" for line in body.splitlines())]
        script = tmp_path / f"worker{len(started)}.py"
        script.write_text("\n".join(lines))
        started.append(WorkerBackend(shlex.join([sys.executable, "-I", "-S", str(script)]), seconds))
        return started[-1]

    yield start
    for backend in started:
        backend.close()


# ---- What goes wrong


@pytest.mark.parametrize(("body", "code", "told"), [
    ("print('lost my way', file=sys.stderr, flush=True); os._exit(3)", 3, "exit code 3"),
    ("os._exit(0)", 0, "exit code 0"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, "killed by signal 11"),
    ("os.close(1); time.sleep(60)", None, "closed its output"),
    ("sys.stdout.write('{\"id\": 1, '); sys.stdout.flush(); os._exit(4)", 4, "exit code 4"),
])
def test_a_crash_says_how_the_worker_died(scripted, body, code, told):
    """Exit code or signal, with the last words on stderr."""
    with pytest.raises(WorkerCrash, match=told) as crash:
        scripted(body).call("linear", X, W)

    assert crash.value.exit_code == code
    assert ("lost my way" in str(crash.value)) == ("lost my way" in body)


@pytest.mark.parametrize("body", [
    "time.sleep(60)",
    "while True: sys.stderr.write('x' * 10000)",
    "sys.stdout.write('{'); sys.stdout.flush(); time.sleep(60)",
])
def test_a_hang_ends_at_the_deadline(scripted, body):
    """Sleeping, flooding stderr, or half a line: no reply is no reply."""
    started = time.monotonic()
    with pytest.raises(WorkerTimeout, match=r"no reply within 0\.3 s") as timeout:
        scripted(body, seconds=0.3).call("linear", X, W)

    assert timeout.value.seconds == 0.3
    assert time.monotonic() - started < 10


def test_a_worker_that_does_not_read_is_a_timeout():
    """The request is larger than a pipe holds; writing it must not block the caller."""
    process = WorkerProcess([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
    with pytest.raises(WorkerTimeout):
        process.exchange(b"x" * 10**6 + b"\n", 0.3)
    process.stop(grace=0)


@pytest.mark.parametrize(("line", "told"), [
    ("hello?", "is not JSON.*\n.*hello\\?"),
    ("[1]", "no JSON object.*\n.*\\[1\\]"),
    ('{"id": 7, "result": null}', "answers id 7, asked was id 1"),
    ('{"id": true, "result": null}', "answers id True"),
    ('{"id": 1}', 'not exactly one of "result" and "error"'),
    ('{"id": 1, "result": 1, "error": 1}', 'not exactly one of "result" and "error"'),
    ('{"id": 1, "error": "no"}', "lacks its clause or its message"),
    ('{"id": 1, "error": {"clause": 4, "message": "no"}}', "4 is no string"),
    ('{"id": 1, "error": {"clause": null, "message": "out of fuel \\ud800"}}', r"failed: out of fuel \\ud800"),
    ('{"id": 1, "result": {"dtype": "float32", "shape": [2], "data": ["0x1p+0"]}}', "malformed"),
    ('{"id": 1, "result": {"dtype": "float32", "shape": [-1], "data": ["0x1p+0"]}}', "malformed"),
    ('{"id": 1, "result": {"dtype": "float32", "shape": [1], "data": ["0x1.00000001p+0"]}}', "no float32"),
    ('{"id": 1, "result": {"dtype": "int32", "shape": [1], "data": [1.5]}}', "no int32"),
    ('{"id": 1, "result": {"layout": "zigzag", "shape": [1], "dtype": "int32", "arrays": {}}}', "malformed"),
    ("x" * 100_000, r"100,000 characters"),
])
def test_a_line_that_breaks_the_protocol_is_shown(scripted, line, told):                   # WIRE-2
    """The error says what is wrong with the line and shows it, but not all of a long one."""
    with pytest.raises(WorkerError, match=told) as error:
        scripted(f"print({line!r}, flush=True)").call("linear", X, W)

    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("first", [
    "{}", "nonsense", '{"id": 0}', '{"id": 0, "name": "w", "version": 1, "cells": []}',
    '{"id": 0, "name": "w", "version": "1", "cells": [{"operation": "linear", "layouts": "csr", "dtypes": ["*"]}]}',
])
def test_a_bad_introduction_is_refused(first):
    """A worker that does not say what it is is not asked anything."""
    with pytest.raises(WorkerError, match="WIRE-2"):
        WorkerBackend(shlex.join(["sh", "-c", f"echo {shlex.quote(first)}; cat > /dev/null"]))


@pytest.mark.parametrize("command", ["", "./no/such/worker"])
def test_a_command_that_does_not_run_is_refused(command):                                  # WIRE-3
    """An empty command line, or a file that is not there."""
    with pytest.raises(sr.SpecError, match="WIRE-3"):
        WorkerBackend(command)


def test_the_next_call_starts_a_new_worker(scripted, tmp_path):
    """One crash does not cost the cases after it."""
    marker = tmp_path / "crashed"
    backend = scripted(f"marker = {str(marker)!r}\n"
                       "if request['id'] == 2 and not os.path.exists(marker):\n"
                       "    open(marker, 'w').close(); os._exit(1)\n"
                       "print(json.dumps({'id': request['id'], 'result': request['id']}), flush=True)")
    expected = [1, "crash", 1, 2]
    actual = []
    for _ in expected:
        try:
            actual.append(backend.call("linear", X, W))
        except WorkerCrash:
            actual.append("crash")

    assert expected == actual


ALL_768 = """x, w = request['call']['operands'][:2]
shape = x['shape'][:-1] + w['shape'][:1]
y = {'dtype': x['dtype'], 'shape': shape, 'data': ['0x1.8p+9'] * math.prod(shape)}
print(json.dumps({'id': request['id'], 'result': y}), flush=True)"""


@pytest.mark.parametrize(("body", "expected"), [
    ("os._exit(1)", Verdict.CRASH),
    ("time.sleep(60)", Verdict.TIMEOUT),
    ("print('garbage', flush=True)", Verdict.ERROR),
    (ALL_768, Verdict.FAIL),
])
def test_the_kit_reports_what_happened(scripted, body, expected):
    """Crash, timeout, garbage and a wrong number are four different verdicts."""
    case = next(case for case in operator_cases("quick")
                if str(case.cell) == "linear[array x csr, float32]" and 0 not in case.shape)
    actual = judge(case, scripted(body, seconds=2.0))

    assert (expected, True) == (actual.verdict, actual.bad)
    assert actual.reason


# ---- Nothing is left behind


def gone(pid, patience=5.0):
    """True once no process has this id."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


TELL_PID = "print(json.dumps({'id': request['id'], 'result': os.getpid()}), flush=True)"


@pytest.mark.parametrize("end", [WorkerBackend.close, lambda backend: backend.__exit__(None, None, None)])
def test_closing_leaves_no_process(scripted, end):
    """After close() or with, the worker is gone, not a zombie."""
    backend = scripted(TELL_PID)
    pid = backend.call("linear", X, W)
    end(backend)

    assert gone(pid, patience=0.1)


def test_a_forgotten_worker_is_stopped():
    """Nobody called close(): the finalizer does, and with it goes a worker that ignores the end of its input."""
    process = WorkerProcess(["sh", "-c", "echo $$; exec sleep 60"])
    pid = int(process.exchange(b"\n", 20))
    del process

    assert gone(pid)


def test_what_the_worker_started_dies_with_it(scripted):
    """A timeout kills the whole group, so that a launcher script leaves no orphan."""
    backend = scripted("child = subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(60)'])\n"
                       "print(child.pid, file=sys.stderr, flush=True); time.sleep(60)", seconds=2.0)
    with pytest.raises(WorkerTimeout) as timeout:
        backend.call("linear", X, W)

    assert gone(int(timeout.value.stderr))


def test_ctrl_c_kills_the_worker():
    """SIGINT to the kit while a worker hangs: the kit stops at once, the worker with it."""
    hangs = """sh -c 'echo {\\"id\\": 0, \\"name\\": \\"$$\\", \\"version\\": \\"1\\", \\"cells\\": []}; exec sleep 60'"""
    program = "\n".join([
        "import signal, sys, numpy as np",
        "signal.signal(signal.SIGINT, signal.default_int_handler)",        # a shell's background job is born deaf to it
        "from sparseref.conformance.worker import WorkerBackend",
        "backend = WorkerBackend(sys.argv[1])",
        "print(backend.name, flush=True)",
        "backend.call('decode', np.zeros(1))"])
    kit = subprocess.Popen([sys.executable, "-c", program, hangs], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    pid = int(kit.stdout.readline())
    time.sleep(0.2)                                           # let it reach the call
    kit.send_signal(signal.SIGINT)
    _, told = kit.communicate(timeout=10)

    assert "KeyboardInterrupt" in told
    assert gone(pid)
