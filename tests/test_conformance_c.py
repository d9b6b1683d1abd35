"""The C backend against the kit: what it declares, it computes within its bounds, on every instruction set of this machine."""

import pytest
from sparseref_c import compiling, library

from sparseref.conformance.testing import BackendConformance

try:
    SETS = library.instruction_sets(library.load())
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)


@pytest.mark.slow
@pytest.mark.parametrize("instructions", SETS)
class TestC(BackendConformance):
    """Every level and operation of the quick profile; what is declined is not asked."""

    backend = "c"

    @pytest.fixture(autouse=True)
    def forced(self, instructions, monkeypatch):
        monkeypatch.setenv("SPARSEREF_C_ISA", instructions)
