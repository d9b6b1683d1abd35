"""Which backends are tested: one by name or address, or every one that is installed."""

from __future__ import annotations

from ..backend import Backend
from ..errors import SpecError, install_hint
from ..registry import backends, get_backend, load_object


def backend_at(text: str) -> Backend:
    """A registered name, or `"my_module:MyBackend"`, a class or an object -> the backend.  Errors: REG-3, DSP-6."""
    if ":" not in text:
        return get_backend(text)
    found = load_object(text)
    try:
        backend = found() if isinstance(found, type) else found
    except Exception as problem:
        raise SpecError("DSP-6", f"{text} cannot be made: {type(problem).__name__}: {problem}.", given=text,
                        wanted="a class that is made without arguments, with `declines` and `call`",
                        fix="or give the address of an object") from problem
    if not isinstance(backend, Backend):
        raise SpecError("DSP-6", f"{text} is no backend.", wanted="a subclass of sparseref.Backend, or an object of one",
                        given=type(backend).__name__)
    return backend


def installed() -> tuple[dict[str, Backend], dict[str, str]]:
    """-> {name: backend} of every registered one that can be made here, and why the others cannot: {name: reason}."""
    found, missing = dict[str, Backend](), dict[str, str]()
    for name in backends.names():
        try:
            found[name] = get_backend(name)
        except Exception as problem:  # a backend may raise anything, and the others go on
            missing[name] = f"{type(problem).__name__}: {problem}{install_hint(name, problem)}"
        else:
            if not isinstance(found[name], Backend):
                missing[name] = f"{type(found.pop(name)).__name__} is no sparseref.Backend"
    return found, missing
