"""Peers that cannot share the benchmark's process: what they compute, how they time themselves, and how they fail."""

import sys
from pathlib import Path

import numpy as np
import pytest

import sparseref as sr
from sparseref.bench import deepsparse_worker, peers, remote, timing
from sparseref.bench.contender import Contender, Problem
from sparseref.bench.timing import in_turns

WORKER = f"""
import sys
sys.path.insert(0, {str(Path(deepsparse_worker.__file__).parent)!r})
import deepsparse_worker as worker

class Engine:
    def __init__(self, x, w, bias, threads):
        print("a banner on stdout")
        self.w, self.bias = w, bias
    def run(self, inputs):
        return [inputs[0] @ self.w.T + self.bias]

BODY
worker.engine = Engine
worker.main()
"""


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    w, x, bias = (rng.standard_normal(side).astype(np.float32) for side in ((8, 32), (4, 32), 8))
    return Problem(sr.sparsify(w, "nm:1:4"), x, bias, 1)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(timing, "REST", 0.0)
    monkeypatch.setattr(timing, "SAMPLE", 0.0)


def started(tmp_path, body=""):
    """-> the command of a worker that multiplies with NumPy, after what `body` does."""
    path = tmp_path / "worker.py"
    path.write_text(WORKER.replace("BODY", body))
    return [sys.executable, str(path)]


def test_a_worker_computes_and_times_itself(problem, tmp_path):
    """What its library prints does not get between the answers."""
    peer = remote.Remote(started(tmp_path), problem)
    y, seconds = peer(), peer.timed(5)
    peer.close()

    np.testing.assert_allclose(problem.x @ problem.dense.T + problem.bias, y, rtol=1e-5)
    assert 0 < seconds < 1
    assert peer._process.returncode is not None
    assert not Path(peer._folder.name).exists()


def test_workers_take_turns_with_the_others_and_end(problem, tmp_path):
    made = []

    def make(problem):
        made.append(remote.Remote(started(tmp_path), problem))
        return made[0]

    here = Contender("here", lambda p: lambda: p.x @ p.dense.T + p.bias)
    found = in_turns([here, Contender("there", make)], problem, 3)

    assert [(one.name, len(one.seconds), one.wrong) for one in found] == [("here", 3, ""), ("there", 3, "")]
    assert made[0]._process.returncode is not None


@pytest.mark.parametrize(("body", "told"), [
    ("Engine.run = lambda self, inputs: 1 / 0", "RuntimeError: ZeroDivisionError: division by zero"),
    ("import os; print('boom', file=sys.stderr); os._exit(3)", "RuntimeError: its process ended with 3: boom"),
    ("import os; os._exit(3)", "RuntimeError: its process ended with 3: without a word"),
    ("Engine.run = lambda self, inputs: [inputs[0] @ self.w.T]", "its output is wrong: error / bound")])
def test_a_worker_that_fails_is_named_and_the_others_go_on(problem, tmp_path, body, told):
    """At the start, in the middle, with a wrong output."""
    command = started(tmp_path, body)
    here = Contender("here", lambda p: lambda: p.x @ p.dense.T + p.bias)
    found = in_turns([Contender("there", lambda p: remote.Remote(command, p)), here], problem, 3)

    assert found[0].wrong.startswith(told)
    assert (found[0].seconds, len(found[1].seconds)) == ((), 3)


def test_a_worker_that_dies_while_it_is_timed_is_named_and_the_others_go_on(problem, tmp_path):
    """All its samples are dropped; those of the others stay."""
    body = ("import os\nleft = [3]\nright = Engine.run\ndef run(self, inputs):\n    left[0] -= 1\n"
            "    return right(self, inputs) if left[0] >= 0 else os._exit(4)\nEngine.run = run")
    command = started(tmp_path, body)
    here = Contender("here", lambda p: lambda: p.x @ p.dense.T + p.bias)
    found = in_turns([Contender("there", lambda p: remote.Remote(command, p)), here], problem, 3)

    assert found[0].wrong == "RuntimeError: its process ended with 4: a banner on stdout"
    assert (found[0].seconds, len(found[1].seconds)) == ((), 3)


def test_a_worker_that_dies_later_says_so(problem, tmp_path):
    peer = remote.Remote(started(tmp_path), problem)
    peer._process.kill()
    peer._process.wait()
    with pytest.raises(RuntimeError, match="its process was ended"):
        peer()
    peer.close()


def test_a_worker_that_does_not_answer_is_ended(problem, tmp_path, monkeypatch):
    peer = remote.Remote(started(tmp_path, "import time\nright = [Engine.run]\nEngine.run = lambda self, inputs: ("
                                           "right.pop()(self, inputs) if right else time.sleep(60))"), problem)
    monkeypatch.setattr(remote, "PATIENCE", 0.5)
    with pytest.raises(RuntimeError, match=r"no answer within 0\.5 s"):
        peer()
    peer.close()


def test_without_its_environment_a_peer_says_how_to_make_it(tmp_path, monkeypatch):
    """In the user's cache folder; with a Python there it can run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    peer = next(one for one in peers.CONTENDERS if one.name == "DeepSparse")
    folder = tmp_path / "sparseref" / "peers" / "deepsparse"
    missing = peer.missing
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)

    assert missing == (f"no environment of its own: python3.11 -m venv {folder} && "
                       f"{folder}/bin/pip install deepsparse==1.8.0 'numpy<2'")
    assert peer.missing == ""


def test_the_worker_of_deepsparse_without_deepsparse(problem, tmp_path, monkeypatch):
    """In the environment that is there, it is not installed: a contender that cannot be made."""
    peer = remote.contender("DeepSparse", Path(deepsparse_worker.__file__), lambda: Path(sys.prefix), "deepsparse")
    with pytest.raises(RuntimeError, match="ModuleNotFoundError: No module named 'deepsparse'"):
        peer.make(problem)
