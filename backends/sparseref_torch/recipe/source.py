"""MODEL, as `sparseref sparsify` is given it -> a torch module that holds its weights under their full names."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparseref import SpecError
from sparseref.errors import MissingDependency
from sparseref.registry import load_object

FORMS = "a folder with config.json and model.safetensors, a .safetensors file, or module:function that returns an nn.Module"


@dataclass(frozen=True)
class Source:
    """What was given: kind "folder", "tensors" or "function"; name without its folder; module; files that are the input."""

    kind: str
    name: str
    module: nn.Module
    files: tuple[Path, ...] = ()

    def sha256(self) -> str:
        """Of every tensor's name, dtype, shape and elements: the same on every platform, whatever file they stood in."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.module.state_dict().items()):
            dtype = str(tensor.dtype).removeprefix("torch.")
            found.update(f"{dtype} {','.join(map(str, tensor.shape))} {name}\n".encode())
            found.update(raw(tensor))
        return found.hexdigest()


def raw(tensor: Tensor) -> memoryview:
    """tensor [shape] -> its elements in row-major order as the machine holds them: little-endian where torch runs."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def load_source(model: str, seed: int = 0) -> Source:
    """The MODEL argument -> its weights; `seed` decides the ones that a function draws.  Errors: RECIPE-7, REG-3."""
    path = Path(model)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _tensors(path)
    if ":" in model:
        return _function(model, seed)
    beside = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, 1)
    raise SpecError("RECIPE-7", f"there is no model {model!r}.", wanted=FORMS, given=model,
                    fix=f"did you mean {path.parent / near[0]}?" if near else "")          # RECIPE-7


def _tensors(path: Path) -> Source:
    """A safetensors file: every tensor by its name, no class needed."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as missing:
        raise MissingDependency("safetensors", "reading a model's weights", "models") from missing
    try:
        return Source("tensors", path.name, Weights(load_file(path)), (path,))
    except (SafetensorError, OSError) as problem:                                          # RECIPE-7
        raise SpecError("RECIPE-7", f"{path} is no whole safetensors file: {problem}.", wanted=FORMS, given=path,
                        fix="a PyTorch checkpoint becomes one by safetensors.torch.save_file(state_dict, path)") from problem


class Weights(nn.Module):
    """Tensors without their modules: parameters and buffers under their full names, dots included."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                self.register_parameter(name, nn.Parameter(tensor, requires_grad=False))
            else:
                self._buffers[name] = tensor

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Under its full name: a module's own method would refuse the dots, because it holds what one module has."""
        self._parameters[name] = param


def _folder(path: Path) -> Source:
    """A Hugging Face model: the class that config.json names, with the folder's weights and no others."""
    config = path / "config.json"
    files = tuple(sorted(path.glob("model*.safetensors")))
    if not config.is_file() or not files:                                                  # RECIPE-7
        raise SpecError("RECIPE-7", f"{path} holds no Hugging Face model.", wanted="config.json and model.safetensors",
                        given=", ".join(sorted(file.name for file in path.iterdir())[:20]) or "an empty folder",
                        fix="model.save_pretrained(folder) writes both")
    try:
        import transformers
    except ImportError as missing:
        raise MissingDependency("transformers", "a Hugging Face model", "models") from missing
    try:
        names = json.loads(config.read_text(encoding="utf-8")).get("architectures") or []
        kind: Any = next((getattr(transformers, name) for name in names if hasattr(transformers, name)), transformers.AutoModel)
        with _quiet(transformers):
            module, told = kind.from_pretrained(path, local_files_only=True, use_safetensors=True, dtype="auto",
                                                output_loading_info=True)
    except (OSError, ValueError, KeyError, AttributeError) as problem:                     # RECIPE-7
        raise SpecError("RECIPE-7", f"transformers cannot load {path}: {problem}", wanted=FORMS, given=path,
                        fix="give the .safetensors file itself: its tensors are then made sparse by name") from problem
    if told["missing_keys"]:                                                               # RECIPE-7: they would be random
        raise SpecError("RECIPE-7", f"{path} lacks weights of {kind.__name__}.", wanted="all its weights",
                        given=f"none for {', '.join(sorted(told['missing_keys'])[:5])}",
                        fix="give the .safetensors file itself: its tensors are then made sparse by name")
    return Source("folder", path.resolve().name, module.eval(), (config, *files))


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """One progress bar is enough."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


def _function(address: str, seed: int) -> Source:
    """`"module:function"` -> what it returns; weights that it draws are those of the seed."""
    make = load_object(address)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make() if callable(make) and not isinstance(make, nn.Module) else make
    if not isinstance(module, nn.Module):                                                  # RECIPE-7
        raise SpecError("RECIPE-7", f"{address} gives no model.", given=type(module).__name__,
                        wanted="a function without arguments that returns an nn.Module", fix="e.g. torchvision.models:resnet18")
    return Source("function", address, module.eval())
