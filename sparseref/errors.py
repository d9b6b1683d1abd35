"""Errors: what was given, what the clause wants, what to do (ERR-1); a refused call has changed nothing (ERR-2)."""


class SpecError(ValueError):
    """A call that a clause of the specification refuses.

    Parameters: clause, the id of the clause that refuses ("NMG-C1"); what, one sentence; wanted and given, the two
    sides; fix, what to write instead.  Source: spec/clauses/errors.toml.
    """

    def __init__(self, clause: str, what: str, *, wanted: str, given: object, fix: str = "") -> None:
        self.clause, self.what, self.wanted, self.given, self.fix = clause, what, wanted, str(given), fix
        lines = [f"{clause}: {what}", f"  wanted: {wanted}        given: {given}"]    # ERR-1
        super().__init__("\n".join([*lines, f"  {fix}"] if fix else lines))

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild across processes: the default would lose the keyword arguments."""
        return _rebuild, (self.clause, self.what, self.wanted, self.given, self.fix)


def _rebuild(clause: str, what: str, wanted: str, given: str, fix: str) -> SpecError:
    return SpecError(clause, what, wanted=wanted, given=given, fix=fix)


class MissingDependency(ImportError):
    """An optional package is absent; the message names it and the pip command that brings it."""

    def __init__(self, package: str, purpose: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(f"{purpose} needs the package {package!r}, which is not installed.\n"
                         f"  to install it: pip install 'sparseref[{extra}]'")


def install_hint(name: str, problem: Exception) -> str:
    """The command that brings what an import of the plugin `name` lacks, where an extra of ours has its name; else ""."""
    from importlib.metadata import metadata  # not at import time: it reads files

    if not isinstance(problem, ImportError) or isinstance(problem, MissingDependency):     # the latter says it itself
        return ""
    return f"; pip install 'sparseref[{name}]'" if name in (metadata("sparseref").get_all("Provides-Extra") or []) else ""


class FallbackWarning(UserWarning):
    """An operator ran on densified operands because the backend has no sparse implementation (DSP-3)."""
