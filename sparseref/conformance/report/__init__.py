"""Reports of a run: on the terminal, as JSON, as JUnit XML, and as one self-contained HTML page."""

from .junit import write_junit
from .matrix import Matrix, write_matrix
from .page import write_html
from .results import read_json, write_json
from .terminal import print_matrix, print_mutants, print_result

__all__ = ["Matrix", "print_matrix", "print_mutants", "print_result", "read_json", "write_html", "write_json", "write_junit",
           "write_matrix"]
