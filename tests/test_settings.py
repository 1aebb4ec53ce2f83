"""Settings from the environment: taken where they are right, refused where they are not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dualflow as df
from dualflow.base.config import Config, active

PACKAGE = Path(df.__file__).parent
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


def test_settings_hold_from_the_call_on_and_in_a_block_to_its_end():
    with df.config(mode="eager") as settings:
        assert settings.mode == active().mode == "eager"
        df.config(numerics="exact")  # no block: up to the end of the one around
        assert active().numerics == "exact"
    assert (active().mode, active().numerics) == ("compiled", "strict")
    with pytest.raises(df.errors.ConfigError, match="mode='eagr'"):
        df.config(mode="eagr")


def test_settings_changed_in_a_call_hold_for_what_is_computed_there():
    values = np.random.default_rng(0).normal(size=4096).astype("float32")

    @df.compile(wait=True)
    def f(x):
        with df.config(numerics="exact"):
            y = df.tanh(x) * df.exp(x)
        return y, df.tanh(x) * df.exp(x)

    exact, _ = f.eager(df.asarray(values))
    for _ in range(4):
        found, strict = f(df.asarray(values))
        np.testing.assert_array_equal(found.numpy(), exact.numpy())
    assert not np.array_equal(strict.numpy(), exact.numpy())
    stats = f.stats()
    assert stats["co_executions"] == 3
    assert stats["operations_fused"] >= 12
    assert "settings changed in the call" in f.explain()
