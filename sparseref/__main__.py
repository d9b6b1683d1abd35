"""The `sparseref` command; the command line itself needs typer and rich, the library does not."""

import sys

from .errors import MissingDependency


def main() -> None:
    """Run the command line, or say which pip command brings it."""
    try:
        import rich  # noqa: F401 - only to see that it is there
        import typer  # noqa: F401
    except ImportError as missing:
        sys.exit(str(MissingDependency(missing.name or "typer", "the command line", "conformance")))
    from .cli import app

    app()


if __name__ == "__main__":
    main()
