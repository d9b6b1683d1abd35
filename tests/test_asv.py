"""The benchmarks run: what they measure is checked, and no time decides anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "asv_benchmarks"
pytest.importorskip("asv", reason="the benchmarks need asv")
pytestmark = pytest.mark.slow
CHOSEN = {
    "coding.Coding.time_encode": r"\('c', 'nmg:2:8:8'\)", "coding.Keeping.track_energy_kept": "",
    "coding.Selecting.time_select": r"\('c', 'nmg:2:8:8'\)", "layers.Layer.track_fallbacks": r"\('MiniLM', 'nmg:2:8:8', 1\)",
    "linear.Linear.track_share_of_peak": r"\('768x768', 'nmg:2:8:8', 8, 1\)",
    "linear.Errors.track_error_over_bound": r"\('768x768', 'nmg:2:8:8'\)",
    "operators.Memory.peakmem_linear": r"\('c', 'nmg:2:8:8'\)",
    "linear.Preparing.time_prepare": r"\('768x768', 'nmg:2:8:8'\)",
    "operators.NarrowErrors.track_error_over_bound": r"\('torch', 'linear', 'nmg:2:8:8', 128, 1\)",
    "operators.NarrowProducts.time_call": r"\('torch', 'linear', 'nmg:2:8:8', 1, 1\)",
    "operators.Errors.track_error_over_bound": r"\('c', '(linear|conv2d)', 'nmg:2:8:8', 128, 1\)",
    "operators.Products.time_call": r"\('c', 'linear', 'nmg:2:8:8', 128, 1\)"}
"""Benchmark -> for which parameters it runs: one of every class, and those that share a cache."""



@pytest.fixture(scope="module")
def asv(tmp_path_factory):
    """A command of asv in the folder of the benchmarks, with a home of its own -> what it prints."""
    home = {**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))}

    def call(*words):
        done = subprocess.run([sys.executable, "-m", "asv", *words], cwd=FOLDER, env=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("machine", "--yes")
    return call


def test_asv_finds_nothing_wrong(asv):
    """Parameters, names and signatures of every benchmark."""
    assert "No problems found" in asv("check", "-E", f"existing:{sys.executable}")


def test_benchmarks_run_once(asv):
    """Some of every kind, each once and without keeping the figures; a failed one would say so."""
    shown = asv("run", "-E", f"existing:{sys.executable}", "--quick", "--dry-run", "--show-stderr",
                *(word for name, parameters in CHOSEN.items() for word in ("--bench", f"{name}{parameters}")))
    run = set(re.findall(r"\w+\.\w+\.\w+", shown))

    assert set(CHOSEN) <= run
    assert "failed" not in shown
