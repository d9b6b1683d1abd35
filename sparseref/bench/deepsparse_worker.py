"""DeepSparse in an environment of its own: `python deepsparse_worker.py PROBLEM.npz THREADS`, called by `remote.py`.

It needs deepsparse, numpy and onnx, and nothing of sparseref.  PROBLEM has x [T, K], w [O, K] and bias [O].  Commands come on
stdin, a line each: a number asks for so many products, a path for the output, to be saved there; answers on stdout are JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from time import perf_counter
from typing import Any


def engine(x: Any, w: Any, bias: Any, threads: int) -> Any:
    """A graph of one Gemm, compiled."""
    import deepsparse  # type: ignore[import-not-found, unused-ignore]  # of the other environment
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    graph = helper.make_graph([gemm], "linear", [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [len(x), len(bias)])],
                              [numpy_helper.from_array(w, "w"), numpy_helper.from_array(bias, "b")])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "linear.onnx")
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
        return deepsparse.compile_model(path, batch_size=len(x), num_cores=threads)


def main() -> None:
    import numpy as np

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)                                              # what a library prints goes elsewhere
    try:
        problem = np.load(sys.argv[1])
        x, compiled = problem["x"], engine(problem["x"], problem["w"], problem["bias"], int(sys.argv[2]))
        compiled.run([x])
    except Exception as accident:  # whatever it is, the benchmark says it
        answers.write(json.dumps({"error": f"{type(accident).__name__}: {accident}"}) + "\n")
        return
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        asked = line.strip()
        start = perf_counter()
        if asked.isdigit():
            for _ in range(int(asked)):
                compiled.run([x])
        else:
            np.save(asked, compiled.run([x])[0])
        answers.write(json.dumps({"seconds": perf_counter() - start}) + "\n")


if __name__ == "__main__":
    main()
