"""Other engines that run a torch model: exported once for the shape of its input, with as many threads as torch has."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sparseref.bench.peers import onnxruntime_session, openvino_compiled

ENGINES = {"onnxruntime": ("onnxruntime", "onnx", "onnxscript"), "OpenVINO": ("openvino", "onnx", "onnxscript")}
"""Name -> the packages that it takes."""


def missing() -> dict[str, str]:
    """Engines that are not installed, each with what brings it."""
    return {name: f"pip install {' '.join(packages)}" for name, packages in ENGINES.items()
            if not all(find_spec(package) for package in packages)}


def engines(model: nn.Module, x: Tensor, folder: Path, threads: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """model(x) with one tensor, or a Hugging Face output whose first is wanted -> the same by each engine that is installed."""
    names = [name for name in ENGINES if name not in missing()]
    if not names:
        return {}
    path = folder / "model.onnx"
    with torch.no_grad():
        torch.onnx.export(model, (x,), str(path), dynamo=True, external_data=True, verbose=False)
    made = {"onnxruntime": by_onnxruntime, "OpenVINO": by_openvino}
    return {name: made[name](path, threads) for name in names}


def by_onnxruntime(path: Path, threads: int) -> Callable[[Tensor], Tensor]:
    session = onnxruntime_session(str(path), threads)
    name = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def by_openvino(path: Path, threads: int) -> Callable[[Tensor], Tensor]:
    compiled = openvino_compiled(str(path), threads)
    return lambda x: torch.from_numpy(np.array(compiled(x.numpy())[0]))
