"""The layouts of the specification, one a file."""

from .base import Field, Layout
from .bsr import BSR
from .coo import COO
from .csc import CSC
from .csr import CSR
from .dense import Dense
from .ell import ELL
from .masked import Masked
from .nm import NM
from .nmg import NMG
from .vnm import VNM

ALL: tuple[type[Layout], ...] = (Dense, Masked, COO, CSR, CSC, BSR, ELL, NM, NMG, VNM)

__all__ = ["ALL", "BSR", "COO", "CSC", "CSR", "ELL", "NM", "NMG", "VNM", "Dense", "Field", "Layout", "Masked"]
