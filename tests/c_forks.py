"""Forks in the middle of products, without torch, whose threads would be used: `python c_forks.py`.

Prints how many children computed wrongly.  Exit code: 0 none.
"""

import os
import sys
import threading
import time

os.environ["SPARSEREF_NUM_THREADS"] = "4"
import numpy as np
from sparseref_c.multiplying import multiply
from sparseref_c.preparing import prepare

import sparseref as sr

FORKS, ROWS, TOKENS = 40, 512, 3000


def main() -> int:
    rng = np.random.default_rng(0)
    a = sr.sparsify(rng.integers(-8, 9, (ROWS, ROWS)).astype(np.float32), "csr:0.7")
    weight, dense, busy = prepare(a), sr.decode(a), threading.Event()
    many, x = (rng.integers(-8, 9, (tokens, ROWS)).astype(np.float32) for tokens in (20_000, TOKENS))
    expected, out = x @ dense.T, np.empty((TOKENS, ROWS), np.float32)
    multiply(weight, x)                                        # who forks while another thread imports waits for ever
    busy.set()

    def work() -> None:
        while busy.is_set():
            multiply(weight, many)

    worker = threading.Thread(target=work)
    worker.start()
    wrong = 0
    for _ in range(FORKS):
        time.sleep(0.01 * rng.random())
        child = os.fork()
        if not child:
            right = True
            for _ in range(3):
                out[:] = np.nan
                right &= np.array_equal(expected, multiply(weight, x, out=out))
            os._exit(0 if right else 1)
        wrong += os.waitpid(child, 0)[1] != 0
    busy.clear()
    worker.join()
    print(f"{wrong} of {FORKS} are wrong" if wrong else "all is right")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
