"""Cases judged by several processes at once, each with a backend of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from ..backend import Backend
from .case import Case
from .outcome import Outcome, Verdict
from .subjects import backend_at

CHUNK = 8
"""Cases that a process takes at a time: more would leave one idle at the end, fewer would be sent to and fro more often."""

_HERE: tuple[Backend, dict[str, Case]] | Exception


def judged_in_parallel(backend: str, profile: str, cases: Sequence[Case], jobs: int) -> Iterator[Outcome]:
    """backend, a name or an address that a new process finds; cases of the profile -> their outcomes, in order.

    Where a process dies, the case that was waited for is a crash, and there are no more outcomes.
    """
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start, (backend, profile))     # spawned: a fork copies held locks
    done = 0
    try:
        for outcome in pool.map(_judged, [case.id for case in cases], chunksize=CHUNK):
            yield outcome
            done += 1
    except BrokenProcessPool:
        case = cases[done]
        yield Outcome(case.id, case.level, case.cell, case.clauses, Verdict.CRASH,
                      reason="a process died here, or at a later case that was judged beside it; one job alone shows at which")
    except BaseException:                                      # Ctrl-C, or whoever asked has gone: nobody waits for the rest
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _start(backend: str, profile: str) -> None:
    """What a process keeps; Ctrl-C is its parent's business.  An error here would only break the pool: it is kept, too."""
    global _HERE
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        from .runner import all_cases

        _HERE = backend_at(backend), {case.id: case for case in all_cases(profile)}
    except Exception as problem:  # raised again by the first case, in the parent
        _HERE = problem


def _judged(case: str) -> Outcome:
    from .runner import judged

    if isinstance(_HERE, Exception):
        raise _HERE
    backend, cases = _HERE
    return judged(cases[case], backend)
