"""The operators of the specification, one a file."""

from .add import ADD
from .base import Operator
from .conv2d import CONV2D
from .convert import CONVERT, TO_DENSE
from .gelu import GELU
from .linear import LINEAR
from .matmul import MATMUL
from .multiply import MULTIPLY
from .reduce_sum import SUM
from .relu import RELU
from .scale import SCALE
from .transpose import TRANSPOSE

ALL: tuple[Operator, ...] = (TO_DENSE, CONVERT, MATMUL, LINEAR, ADD, MULTIPLY, SCALE, RELU, GELU, TRANSPOSE, SUM, CONV2D)

__all__ = ["ALL", "Operator"]
