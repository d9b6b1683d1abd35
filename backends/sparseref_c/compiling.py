"""The C sources -> a shared library: the one that the wheel brought, or one made once for these sources and this compiler.

Building a wheel needs this file alone, without sparseref and what that depends on.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE / "src"
COMMON = ("sets.c", "product.c", "gradient.c", "choice.c", "elements.c", "check.c", "placing.c", "pool.c", "scratch.c")
"""Compiled once; kernels.c is compiled for each instruction set and type."""
TYPES = {"float": 4, "double": 8}
SETS: dict[str, dict[str, tuple[int, tuple[str, ...]]]] = {
    "x86_64": {"portable": (16, ("-march=x86-64",)), "sse42": (16, ("-march=x86-64-v2",)), "avx2": (32, ("-march=x86-64-v3",)),
               "avx512": (64, ("-march=x86-64-v4", "-mprefer-vector-width=512"))},
    "aarch64": {"portable": (16, ()), "neon": (16, ())},
}
"""Machine -> instruction set -> bytes of a vector, and what the compiler is told."""
AS_WRITTEN = ("-fno-tree-vectorize", "-fno-tree-slp-vectorize")
"""For kernels.c, whose vectors are written out: gcc's own would round products before they are added."""
FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-pthread", "-fvisibility=hidden", "-ffp-contract=fast", "-Wall", "-Wextra")


class NotBuilt(RuntimeError):
    """There is no library, and why."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler, and what it says of itself."""

    command: tuple[str, ...]
    version: str


def library_file() -> Path:
    """-> the library's path: that which the wheel brought, else the one in the cache.  Errors: NotBuilt."""
    return bundled_file() or built_file()


def bundled_file() -> Path | None:
    """The library that the wheel brought; None: it brought none, or the sources have changed since."""
    brought = HERE / bundled_name()
    return brought if brought.is_file() else None


def bundled_name() -> str:
    """What a wheel calls the library of these sources.  The compiler is no part of it: who installs a wheel may have none."""
    return f"libsparseref-{_key()}.so"


def built_file(folder: Path | None = None, extra: tuple[str, ...] = ()) -> Path:
    """-> the path of a library in the folder, by default the user's cache; compiled now if it is not there yet.

    extra: more options, such as -fsanitize=address.  Many processes may ask at once: each that finds nothing compiles in a
    folder of its own and moves the finished file into place.  Errors: NotBuilt.
    """
    compiler = find_compiler()
    kept = (folder or _cache()) / f"libsparseref-{_key(compiler, extra)}.so"
    if not kept.is_file():
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent, prefix="building-") as making:
                made = compile_library(compiler, Path(making), extra)
                os.replace(made, kept)
        except OSError as error:
            raise NotBuilt(f"cannot write to {kept.parent}: {error.strerror or error}") from error
    return kept


def _cache() -> Path:
    try:
        from platformdirs import user_cache_path  # a wheel's library needs no cache
    except ImportError as missing:
        from sparseref import MissingDependency

        raise NotBuilt(str(MissingDependency("platformdirs", "a library that is compiled at first use", "c"))) from missing
    return user_cache_path("sparseref") / "c"


def compile_library(compiler: Compiler, folder: Path, extra: tuple[str, ...] = ()) -> Path:
    """-> the shared library, made in the folder.  Errors: NotBuilt with what the compiler said."""
    sets = SETS[platform.machine()]
    told = tuple(f"-DWITH_{name.upper()}" for name in sets)
    jobs = [(SOURCES / name, folder / f"{name}.o", told) for name in COMMON]
    for name, (width, flags) in sets.items():
        for real, size in TYPES.items():
            defined = (f"-DISA={name}", f"-DVECTOR_BYTES={width}", f"-DREAL={real}", f"-DREAL_BYTES={size}")
            jobs.append((SOURCES / "kernels.c", folder / f"{name}-{real}.o", (*AS_WRITTEN, *flags, *defined)))

    def compile_one(job: tuple[Path, Path, tuple[str, ...]]) -> str:
        source, to, flags = job
        _run((*compiler.command, *FLAGS, *flags, *extra, "-c", str(source), "-o", str(to)))
        return str(to)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, jobs))
    made = folder / "libsparseref.so"
    _run((*compiler.command, "-shared", "-pthread", *extra, *objects, "-lm", "-o", str(made)))
    return made


@cache
def find_compiler() -> Compiler:
    """The compiler that CC names, else cc, gcc or clang.  Errors: NotBuilt."""
    if platform.machine() not in SETS or sys.platform == "win32":
        raise NotBuilt(f"there are no kernels for {platform.machine()} on {sys.platform}")
    wanted = os.environ.get("CC")
    for name in [wanted] if wanted else ["cc", "gcc", "clang"]:
        command = tuple(name.split())
        if shutil.which(command[0]):
            told = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
            if told.returncode == 0:
                return Compiler(command, told.stdout.splitlines()[0])
    raise NotBuilt(f"there is no C compiler ({wanted or 'cc, gcc or clang'}): install gcc or clang, or name one in CC")


def _key(*more: object) -> str:
    """The sources and how they are compiled, and what else decides the library, in 16 hexadecimal digits."""
    found = hashlib.sha256(repr((COMMON, FLAGS, AS_WRITTEN, SETS, platform.machine(), *more)).encode())
    for source in sorted(SOURCES.iterdir()):
        found.update(source.read_bytes())
    return found.hexdigest()[:16]


def _run(command: tuple[str, ...]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotBuilt(f"`{' '.join(command[:1])}` failed:\n{done.stderr.strip()[-2000:]}")
