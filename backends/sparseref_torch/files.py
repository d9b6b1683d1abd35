"""Models in sparse safetensors (FILE-1 to FILE-13): what is sparse is stored in its layout, what is tied is stored once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sparseref import SparseArray, SpecError
from sparseref.files import View, read_file, save_file

from .builder.selector import close
from .state import Holder, holders, state_of
from .tensor.sparse_tensor import SparseTensor
from .tensors import TorchSparse, to_numpy, to_torch


class Keys(NamedTuple):
    """What load_model(strict=False) could not match, by the names that torch's load_state_dict uses."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def save_model(model: nn.Module | Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str] | None = None) -> Path:
    """A model, or tensors by name -> one file with its parameters and persistent buffers, which appears whole (FILE-13).

    Equal models give equal bytes.  Which parameters are frozen and how gradients are stored is no part of it.
    Errors: MODEL-1, FILE-6, FILE-7, FILE-10.
    """
    arrays: dict[str, SparseArray | np.ndarray] = {}
    views: dict[str, View] = {}
    made: dict[int, SparseArray | np.ndarray] = {}
    for name, tensor in state_of(model).items():
        if id(tensor) not in made:
            made[id(tensor)] = array_of(name, tensor)
            if isinstance(tensor, SparseTensor) and (tensor.turned or tuple(tensor.shape) != tensor.matrix):
                views[name] = View(tuple(tensor.shape), tensor.turned)                     # FILE-8
        arrays[name] = made[id(tensor)]                                                    # FILE-9
    return save_file(arrays, path, metadata, views)


def array_of(name: str, tensor: Tensor) -> SparseArray | np.ndarray:
    """tensor [shape] -> the array of its elements; of a sparse tensor, of its stored matrix.  Errors: FILE-7."""
    if isinstance(tensor, SparseTensor):
        sparse = tensor.sparse
        moved = {field: part.detach().cpu() for field, part in sparse.tensors.items()}
        return to_numpy(TorchSparse(sparse.layout, sparse.shape, moved), [])
    try:
        return to_numpy(tensor.detach().as_subclass(Tensor).cpu(), [])
    except (TypeError, RuntimeError) as problem:                                           # FILE-7
        raise SpecError("FILE-7", f"{name!r} has a dtype that no file can hold.", wanted="a dtype that NumPy has, or bfloat16",
                        given=tensor.dtype, fix="convert it first, e.g. tensor.float()") from problem


def load_state(path: str | Path) -> dict[str, Tensor]:
    """A file -> its tensors by name, on the CPU: SparseTensor [shape] or dense; tied names have one tensor.

    Errors: FILE-1 to FILE-10, and those of the layouts.
    """
    header, arrays = read_file(path)
    views = {name: entry.view for name, entry in header.arrays.items()}
    tensors = {name: _tensor(arrays[name], view) for name, view in views.items()}
    return tensors | {tie: tensors[name] for tie, name in header.ties.items()}


def _tensor(array: SparseArray | np.ndarray, view: View | None) -> Tensor:
    """An array, and the tensor that it stands for -> that tensor."""
    if not isinstance(array, SparseArray):
        return to_torch(array)
    return SparseTensor(to_torch(array), *((view.shape, view.transposed) if view else ()))


@torch.no_grad()
def load_model(model: nn.Module, path: str | Path, strict: bool = True) -> Keys:
    """Put a file's tensors into a model of the same class, dense or sparse as it may be, built anew or in use.

    A parameter that stays dense, or sparse, stays the same object, which its optimizer knows; one that changes is replaced
    wherever it stands, so what is tied stays tied.  What the file ties the model ties, too.  Device and requires_grad are
    the model's.  strict: every name must match; otherwise those that do not are given back.
    Errors: MODEL-1 to MODEL-4, and those of load_state; a refused call has changed nothing (ERR-2).
    """
    held, state = holders(model), load_state(path)
    groups = list(_groups(held, state))
    found = {name for group in groups for name in group.holders}
    keys = Keys([name for name in held if name not in found], [name for name in state if name not in held])
    if strict and (keys.missing_keys or keys.unexpected_keys):                             # MODEL-2
        raise SpecError("MODEL-2", f"the names of {Path(path).name} are not those of this {type(model).__name__}.",
                        wanted=f"missing: {_listed(keys.missing_keys)}", given=f"unexpected: {_listed(keys.unexpected_keys)}",
                        fix=_advice(keys, list(held)))
    for group in groups:
        group.check()
    for group in groups:
        group.load()
    return keys


@dataclass
class _Group:
    """Names that are one tensor, in the model or in the file."""

    holders: dict[str, Holder] = field(default_factory=dict)
    new: dict[str, Tensor] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse what does not fit.  Errors: MODEL-3, MODEL-4."""
        first, tensor = next(iter(self.new.items()))
        for name, other in self.new.items():
            if other is not tensor and not _equal(tensor, other):                          # MODEL-4
                raise SpecError("MODEL-4", f"{first!r} and {name!r} are one tensor in the model, and two in the file.",
                                wanted="one tensor, or equal ones", given="different ones",
                                fix="untie them in the model, or save the model that they are tied in")
        for name, holder in self.holders.items():
            old = holder.tensor
            if (old.shape, old.dtype) != (tensor.shape, tensor.dtype):                     # MODEL-3
                raise SpecError("MODEL-3", f"{name!r} in the file is no tensor for the model's.",
                                wanted=f"{old.dtype} {tuple(old.shape)}", given=f"{tensor.dtype} {tuple(tensor.shape)}",
                                fix=f"model.to({tensor.dtype}) first" if old.shape == tensor.shape else
                                "build the model with the configuration that it was saved with")

    def load(self) -> None:
        """Write into the model's tensor if it is of the same kind and the only one, else put a new one in its place."""
        tensor = next(iter(self.new.values()))
        places = list(self.holders.values())
        old = places[0].tensor
        one = all(place.tensor is old for place in places)
        if one and isinstance(old, SparseTensor) and isinstance(tensor, SparseTensor) and old.turned == tensor.turned:
            old.set_sparse_(tensor.to(old.device))
        elif (one or not places[0].is_parameter) and not (isinstance(old, SparseTensor) or isinstance(tensor, SparseTensor)
                                                          or old.is_meta):
            for place in places:
                place.tensor.copy_(tensor)
        else:
            here = tensor if old.is_meta else tensor.to(old.device)
            new = _parameter(here, old) if places[0].is_parameter else here
            for place in places:
                place.put(new)


def _parameter(tensor: Tensor, old: Tensor) -> Tensor:
    """A tensor -> a parameter that is trained, and whose gradient is stored, as that of the old one."""
    if not isinstance(tensor, SparseTensor):
        return nn.Parameter(tensor, requires_grad=old.requires_grad)
    kept = getattr(old, "grad_format", None) if isinstance(old, SparseTensor) else "same"
    parameter: SparseTensor = nn.Parameter(tensor, requires_grad=False)                    # type: ignore[assignment]
    return parameter.set_grad_format(kept).requires_grad_(old.requires_grad)


def _groups(held: Mapping[str, Holder], state: Mapping[str, Tensor]) -> Iterator[_Group]:
    """The tensors that both sides have; names that share one on either side are one group."""
    group_of: dict[int, _Group] = {}
    for name, holder in held.items():
        keys = [id(holder.tensor)] + ([id(state[name])] if name in state else [])
        known = [group_of[key] for key in keys if key in group_of]
        group = known[0] if known else _Group()
        for other in known[1:]:                                # this name brings two groups together
            if other is not group:
                group.holders |= other.holders
                group.new |= other.new
                group_of |= {key: group for key, found in group_of.items() if found is other}
        group_of |= dict.fromkeys(keys, group)
        group.holders[name] = holder
        if name in state:
            group.new[name] = state[name]
    seen: set[int] = set()
    for group in group_of.values():
        if group.new and id(group) not in seen:
            seen.add(id(group))
            yield group


def _equal(a: Tensor, b: Tensor) -> bool:
    """True where both are stored in the same way, with the same bits."""
    return _bits(a) == _bits(b)


def _bits(tensor: Tensor) -> Any:
    """All that makes a tensor what it is."""
    array = array_of("", tensor)
    if isinstance(array, SparseArray) and isinstance(tensor, SparseTensor):
        fields = {name: (part.shape, part.tobytes()) for name, part in array.arrays.items()}
        return array.layout, array.dtype, tensor.shape, tensor.turned, fields
    return array.dtype, array.shape, array.tobytes()           # type: ignore[union-attr]


def _listed(names: list[str]) -> str:
    return (", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")) or "none"


def _advice(keys: Keys, known: list[str]) -> str:
    """What to write instead: a wrapper's prefix, or names that come close."""
    of_file = "the file is of a wrapper: save_model(model.{}, path) saves what is in it"
    of_model = "the model is a wrapper: load_model(model.{}, path) loads what is in it"
    for longer, shorter, advice in ((keys.unexpected_keys, keys.missing_keys, of_file),
                                    (keys.missing_keys, keys.unexpected_keys, of_model)):
        outer = next((name[:-len(shorter[0])] for name in longer if name.endswith(f".{shorter[0]}")), "") if shorter else ""
        if outer and all(outer + name in longer for name in shorter):
            return advice.format(outer[:-1])
    near = f"; the model has {close(keys.unexpected_keys[0], known)}" if keys.unexpected_keys else ""
    return f"strict=False loads what matches and gives the others back{near}"
