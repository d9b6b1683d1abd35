"""What `import sparseref` takes, in a process of its own."""

import statistics
import subprocess
import sys
from time import perf_counter

ROUNDS = 7


def track_import():
    """Beyond an empty process with NumPy and SciPy's package, which it needs anyway."""
    found = [took("import numpy, scipy, sparseref") - took("import numpy, scipy") for _ in range(ROUNDS)]
    return statistics.median(found)


track_import.unit = "seconds"
track_import.version = "1"


def took(code):
    start = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return perf_counter() - start
