"""A wheel brings the C library compiled; where that cannot be, it is pure Python and the library is compiled at first use."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

PACKAGE = "sparseref_c"


class CLibrary(BuildHookInterface):
    """Compiles with the function that first use calls.  SPARSEREF_C_BUILD=0 leaves it out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":                              # whose sources may change: compiled at first use
            return
        if os.environ.get("SPARSEREF_C_BUILD") == "0":
            self.app.display_info("SPARSEREF_C_BUILD is 0: the wheel brings no C library, and compiles it at first use")
            return
        compiling = compiling_of(Path(self.root))
        self.making = tempfile.TemporaryDirectory()
        try:
            made = compiling.compile_library(compiling.find_compiler(), Path(self.making.name))
        except compiling.NotBuilt as reason:
            self.app.display_warning(f"the wheel brings no C library, and compiles it at first use: {reason}")
            return
        build_data["force_include"][str(made)] = f"{PACKAGE}/{compiling.bundled_name()}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{this_platform()}"      # ctypes loads it: any Python 3 does

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "making"):
            self.making.cleanup()


def compiling_of(root: Path) -> Any:
    """sparseref_c/compiling.py without its package, which needs sparseref and NumPy: a build has neither."""
    name = f"{PACKAGE}_compiling"
    spec = importlib.util.spec_from_file_location(name, root / "backends" / PACKAGE / "compiling.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module                                 # its dataclasses look there for what their types mean
    spec.loader.exec_module(module)
    return module


def this_platform() -> str:
    """Such as linux_x86_64: manylinux and musllinux promise what only a tool like auditwheel can."""
    return next(tag for tag in platform_tags() if not tag.startswith(("manylinux", "musllinux")))
