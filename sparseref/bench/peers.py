"""Contenders that need none of our backends: NumPy, SciPy, onnxruntime, OpenVINO, DeepSparse; and who is absent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .contender import Contender, Problem
from .remote import contender, environment


def numpy_dense(problem: Problem) -> Callable[[], Any]:
    """OpenBLAS, mostly; at one token the faster dense product."""
    w, x, bias = problem.dense.T, problem.x, problem.bias
    return lambda: x @ w + bias


def scipy_csr(problem: Problem) -> Callable[[], Any]:
    """A product from the left: x and y are turned round."""
    w, x, bias = problem.csr, problem.x, problem.bias
    return lambda: np.ascontiguousarray((w @ np.ascontiguousarray(x.T)).T) + bias


def scipy_csr_turned(problem: Problem) -> Callable[[], Any]:
    w, x, bias = problem.csr, np.ascontiguousarray(problem.x.T), problem.bias[:, None]
    return lambda: w @ x + bias


def onnxruntime_dense(problem: Problem) -> Callable[[], Any]:
    """A graph of one Gemm."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    graph = helper.make_graph([gemm], "linear", [helper.make_tensor_value_info("x", TensorProto.FLOAT, problem.x.shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [len(problem.x), len(problem.bias)])],
                              [numpy_helper.from_array(problem.dense, "w"), numpy_helper.from_array(problem.bias, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime_session(model.SerializeToString(), problem.threads)
    return lambda: session.run(None, {"x": problem.x})[0]


def onnxruntime_session(model: bytes | str, threads: int) -> Any:
    """A serialized model or its path -> what runs it; its threads do not wait busily, in the way of the next contender."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def openvino_dense(problem: Problem) -> Callable[[], Any]:
    """A MatMul and an Add."""
    openvino = imported_openvino()
    ops = openvino.opset13
    x = ops.parameter(problem.x.shape, np.float32)
    y = ops.add(ops.matmul(x, ops.constant(problem.dense), False, True), ops.constant(problem.bias))
    request = openvino_compiled(openvino.Model([y], [x]), problem.threads).create_infer_request()
    return lambda: request.infer([problem.x])[0]


def openvino_compiled(model: Any, threads: int) -> Any:
    """A model or its path, compiled for float32: OpenVINO would choose a narrower type where the machine has one."""
    how = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    return imported_openvino().Core().compile_model(model, "CPU", how)


def imported_openvino() -> Any:
    """OpenVINO without its telemetry, which would fork this process of many threads; where that is absent it has a stub."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: as if it were not installed
    import openvino
    import openvino.opset13

    return openvino


CONTENDERS = (
    Contender("numpy dense", numpy_dense, dense=True),
    Contender("scipy csr", scipy_csr),
    Contender("scipy csr", scipy_csr_turned, feature_major=True),
    Contender("onnxruntime dense", onnxruntime_dense, ("onnxruntime", "onnx"), "pip install onnxruntime onnx", dense=True),
    Contender("OpenVINO dense", openvino_dense, ("openvino",), "pip install openvino", dense=True),
    contender("DeepSparse", Path(__file__).with_name("deepsparse_worker.py"), lambda: environment("deepsparse"),
              "deepsparse==1.8.0 'numpy<2'"))

ABSENT = {
    "libxsmm": "a C library that no package on PyPI brings to Python",
    "sten": "its n:m:g kernel is in its repository alone; sten 0.0.4, the newest on PyPI, has none"}
"""Peers that people ask for, and why they are not timed."""
