"""Settings from the environment: taken where they are right, refused where they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dualflow
from dualflow.base.config import Config

PACKAGE = Path(dualflow.__file__).parent
SCRIPT = "import dualflow as df; print(df.set_config().on_compiler_error)"


def run(value: str) -> subprocess.CompletedProcess[str]:
    environment = {"DUALFLOW_ON_COMPILER_ERROR": value, "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.mark.parametrize("value", ["eager", "raise"])
def test_a_setting_is_taken(value):
    assert run(value).stdout.strip() == value


def test_a_wrong_setting_is_refused():
    done = run("sometimes")
    assert done.returncode != 0
    assert "ConfigError: DUALFLOW_ON_COMPILER_ERROR='sometimes'" in done.stderr
    assert "eager, raise" in done.stderr


@pytest.mark.parametrize("name", list(Config.__annotations__))
def test_every_setting_is_read_somewhere(name):
    own = PACKAGE / "base" / "config.py"
    texts = [path.read_text() for path in PACKAGE.rglob("*.py") if path != own]
    assert any(f".{name}" in text for text in texts), f"nothing reads the setting {name}"
