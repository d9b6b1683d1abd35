"""Pages from templates that lie beside the module that fills them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import MissingDependency

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(package: str, folder: str, purpose: str, extra: str = "conformance", *, html: bool = True) -> Environment:
    """The templates in a folder of a package; html: what is filled in is escaped.  A name that nothing fills in is an error.

    Errors: MissingDependency without jinja2, which says the purpose and the extra that brings it.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as missing:
        raise MissingDependency("jinja2", purpose, extra) from missing
    return Environment(loader=PackageLoader(package, folder), autoescape=html, undefined=StrictUndefined, trim_blocks=True,
                       lstrip_blocks=True, keep_trailing_newline=not html)
