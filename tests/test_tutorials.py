"""Every tutorial runs as a newcomer runs it, and a warning fails it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.py"))
#: what each prints, besides what it asserts itself
SHOWN = {
    "01_eager": ["second derivative of t**3 at 2: 12.0", "write instead"],
    "02_compile": ["'replays': 2", "history: [0, 1, 2, 3]", "def graph("],
    "03_compare": ["how the calls run", "replay"],
    "04_numpy": ["'replays': 2", "functions left to NumPy: 1", "smoothed: replay"],
    "05_derivatives": ["(256,) (256, 4)", "at rest: [0.0, 0.0, 0.0, 0.0]", "'replays': 4"],
}


def test_all_are_known():
    assert [file.stem for file in TUTORIALS] == sorted(SHOWN)


@pytest.mark.parametrize("file", TUTORIALS, ids=lambda file: file.stem)
def test_a_tutorial_runs(file, tmp_path):
    environment = {**os.environ, "DUALFLOW_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["DUALFLOW_ON_COMPILER_ERROR"] = "raise"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for text in SHOWN[file.stem]:
        assert text in done.stdout
