"""The torch backend against the kit, as a third party would test a backend of its own."""

import pytest

from sparseref.conformance.testing import BackendConformance

pytest.importorskip("torch", reason="the torch backend needs the extra 'torch'")


@pytest.mark.slow
class TestTorch(BackendConformance):
    """Every level and operation of the quick profile, and a property for each operation."""

    backend = "torch"
