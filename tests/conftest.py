"""How the tests draw their examples, and on how many threads they compute."""

import os

from hypothesis import settings

# One test process for each core, and one thread for each process: more of them wait for each other in tiny parallel regions.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")              # read by torch and NumPy's BLAS when they are first imported

# A red run must be red again, so examples are the same every time; `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("fixed", deadline=None, max_examples=50, derandomize=True, database=None)
settings.register_profile("quick", deadline=None, max_examples=8, derandomize=True, database=None)    # make check
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("fixed")
