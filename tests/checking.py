"""What the tests of several files ask."""

from collections.abc import Callable
from typing import Any

import pytest

from sparseref import SpecError


def refusal(call: Callable[..., Any], *operands: Any, **parameters: Any) -> str:
    """The clause that refuses a call; the message must say what was given and what is wanted (ERR-1)."""
    with pytest.raises(SpecError) as caught:
        call(*operands, **parameters)
    error = caught.value
    assert error.wanted
    assert error.given
    assert str(error).startswith(f"{error.clause}: ")
    return error.clause
