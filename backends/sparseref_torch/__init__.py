"""sparseref on torch: the backend of the specification, and the STen front end that makes existing models sparse.

The modules of this folder work on torch tensors and `TorchSparse`; `backend.py` adapts them to the protocol, which speaks
NumPy.  `tensor/` is the sparse tensor: a torch.Tensor that models, optimizers and checkpoints take for an ordinary one.
"""

from sparseref.errors import MissingDependency

try:
    import torch  # noqa: F401 - only to see that it is there
except ImportError as missing:
    raise MissingDependency("torch", "the torch backend", "torch") from missing

from .builder import (
    Selector,
    SparsityBuilder,
    is_turned,
    register_bwd_op_impl,
    register_fwd_op_impl,
    register_sparsifier_implementation,
    sparsified_op,
    unregister,
)
from .distributed import sparse_parameters, value_parameters
from .export import dense_copy, save_dense
from .files import load_model, load_state, save_model
from .least_squares import prune_by_least_squares
from .recipe import Recipe
from .tensor import (
    Record,
    SparseTensor,
    explain,
    from_pattern,
    sparse_parameter,
    sparsify,
    strict,
    use_backend,
)
from .training import SET, Distiller, Pruner, RigL, SparsityGuard

__all__ = [
    "SET",
    "Distiller",
    "Pruner",
    "Recipe",
    "Record",
    "RigL",
    "Selector",
    "SparseTensor",
    "SparsityBuilder",
    "SparsityGuard",
    "dense_copy",
    "explain",
    "from_pattern",
    "is_turned",
    "load_model",
    "load_state",
    "prune_by_least_squares",
    "register_bwd_op_impl",
    "register_fwd_op_impl",
    "register_sparsifier_implementation",
    "save_dense",
    "save_model",
    "sparse_parameter",
    "sparse_parameters",
    "sparsified_op",
    "sparsify",
    "strict",
    "unregister",
    "use_backend",
    "value_parameters",
]
