"""Builds of the C library that the kit has to judge: with sanitizers, which must find nothing, and of wrong sources, all of
which it must find."""

import os
import platform
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from sparseref_c import compiling
from sparseref_c.library import instruction_sets, load

CHECKS = Path(__file__).parent / "c_build_checks.py"
MUTANTS = [mutant for path in sorted((Path(__file__).parent / "c_mutants").glob("*.toml"))
           for mutant in tomllib.loads(path.read_text())["mutant"]]
TIMEOUT, PATIENCE = 180, 600
"""Seconds; a mutant that hangs is found, too.  What sanitizers look through takes longest."""
try:
    COMPILER = compiling.find_compiler()
except compiling.NotBuilt as reason:
    pytest.skip(f"the C library: {reason}", allow_module_level=True)
pytestmark = pytest.mark.slow


SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")


def checked(sources, *options, script=CHECKS, timeout=TIMEOUT, **environment):
    return subprocess.run([sys.executable, script, sources, *options], env={**os.environ, **environment}, text=True,
                          capture_output=True, timeout=timeout, check=False)


def test_the_library_as_it_is_passes():
    """Else every mutant would seem to be found."""
    done = checked(compiling.SOURCES, "-O1", SPARSEREF_C_ISA="portable")

    assert (done.returncode, done.stdout) == (0, "all is right\n"), done.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant["title"])
def test_a_mutant_is_found(mutant, tmp_path):
    """One change of the source; a wrong number, a refusal, a crash or a hang gives it away."""
    isa = mutant.get("isa", "portable")
    if isa not in instruction_sets(load()):
        pytest.skip(f"this machine has no {isa}")
    sources = tmp_path / "src"
    shutil.copytree(compiling.SOURCES, sources)
    source = sources / mutant["file"]
    text = source.read_text()
    assert mutant["before"] in text, "the catalogue knows another source"
    source.write_text(text.replace(mutant["before"], mutant["after"], 1))
    try:
        done = checked(sources, "-O1", "-Wno-unused", SPARSEREF_C_ISA=isa)
    except subprocess.TimeoutExpired:
        return

    assert done.returncode not in (0, 3), done.stdout


def runtime(name):
    """The sanitizer's library, which has to be loaded before Python."""
    found = subprocess.run([*COMPILER.command, f"-print-file-name={name}"], text=True, capture_output=True, check=False).stdout
    return found.strip() if Path(found.strip()).is_absolute() else None


sanitizers = pytest.mark.skipif(runtime("libasan.so") is None, reason="this compiler has no libasan.so")
PRELOADED = {"LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}", "ASAN_OPTIONS": "detect_leaks=0"}


@sanitizers
def test_sanitizers_find_nothing():
    """AddressSanitizer and UndefinedBehaviorSanitizer, on every product of the kit: no access outside what was given."""
    done = checked(compiling.SOURCES, *SANITIZED, timeout=PATIENCE, **PRELOADED)

    assert (done.returncode, done.stdout) == (0, "all is right\n"), done.stderr[-3000:]


@sanitizers
def test_a_descriptor_that_lies_is_refused_or_harmless():
    """3,000 weights whose arrays were changed at random."""
    done = checked("3000", *SANITIZED, script=CHECKS.with_name("c_fuzz.py"), timeout=PATIENCE, **PRELOADED)

    assert done.returncode == 0, done.stderr[-3000:]


@sanitizers
def test_no_descriptor_leads_out_of_its_memory(tmp_path, monkeypatch):
    """Weights, products, gradients, choices and codings of any bytes (c_fuzz_target.c, in the form of libFuzzer), by chance."""
    machine = compiling.platform.machine()
    monkeypatch.setattr(compiling, "SETS", {machine: {"portable": compiling.SETS[machine]["portable"]}})
    compiling.compile_library(COMPILER, tmp_path, SANITIZED)
    program = tmp_path / "fuzz"
    target = Path(__file__).parent / "c_fuzz_target.c"
    subprocess.run([*COMPILER.command, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-DBY_CHANCE", *SANITIZED, "-pthread", "-I",
                    compiling.SOURCES, target, *map(str, tmp_path.glob("*.o")), "-lm", "-o", program], check=True)
    done = subprocess.run([program, "300000"], capture_output=True, text=True, timeout=TIMEOUT, check=False)

    assert (done.returncode, done.stdout) == (0, "300000 rounds\n"), done.stderr[-3000:]


CROSS, EMULATOR = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")


@pytest.mark.parametrize("machine", [platform.machine(), "aarch64"])
def test_exact_products_without_python(machine, tmp_path, monkeypatch):
    """c_exact.c here, and compiled for 64-bit Arm and run by qemu: every n that has a kernel, 1 to 70 tokens."""
    command, emulator, linked = COMPILER.command, [], []
    if machine != platform.machine():
        if CROSS is None or EMULATOR is None:
            pytest.skip("needs Debian's gcc-aarch64-linux-gnu and qemu-user-static")
        command, emulator, linked = (CROSS,), [EMULATOR], ["-static"]
    monkeypatch.setattr(compiling.platform, "machine", lambda: machine)
    compiling.compile_library(compiling.Compiler(command, "exact"), tmp_path, ("-Werror", "-O2"))
    program = tmp_path / "exact"
    main = Path(__file__).parent / "c_exact.c"
    subprocess.run([*command, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", *linked, "-pthread", "-I", compiling.SOURCES,
                    main, *map(str, tmp_path.glob("*.o")), "-lm", "-o", program], check=True)
    done = subprocess.run([*emulator, program], capture_output=True, text=True, timeout=300, check=False)

    here = [name for name in compiling.SETS[machine] if emulator or name in instruction_sets(load())]
    assert (done.returncode, done.stdout) == (0, "".join(f"{name} is right\n" for name in here)), done.stderr


@pytest.mark.skipif(shutil.which("clang") is None, reason="needs clang")
def test_clang_finds_nothing_to_warn_of(tmp_path):
    assert compiling.compile_library(compiling.Compiler(("clang",), ""), tmp_path, ("-Werror", "-O2")).is_file()
