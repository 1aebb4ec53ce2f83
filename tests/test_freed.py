"""Memory that eager operations free: how much stays, and what a user's settings change."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

import dualflow as df
from dualflow.base import freed

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")

STEPS = """
import resource
import threading
import dualflow as df

x = df.ones((1 << 18,))

def step():
    for _ in range(4):
        df.jvp(lambda x: df.exp(-x * x) * df.sin(x) + x / (1.0 + x * x), (x,), (x,))

def faults():
    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
"""

IN_A_THREAD = STEPS.replace(
    "print(faults())",
    "thread = threading.Thread(target=lambda: print(faults()))\nthread.start()\nthread.join()",
)

RELEASED = """
import dualflow as df

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20

many = [df.ones((1 << 18,)) for _ in range(200)]
between = [bytearray(2000) for _ in range(200)]
del many
kept = resident()
df.release_memory()
print(kept - resident())
"""


def printed(program: str, **environment: str) -> int:
    """The number that a program prints in a process of its own."""
    known = {name: value for name, value in os.environ.items()
             if not name.startswith(("MALLOC_", "GLIBC_", "DUALFLOW_KEEP"))}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
        env=known | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("program", [STEPS, IN_A_THREAD], ids=["main", "thread"])
def test_steps_take_the_memory_of_the_step_before(program: str):
    assert printed(program) < 200  # pages; an array has 256


@pytest.mark.parametrize(
    "environment",
    [{"DUALFLOW_KEEP_FREED": "0"}, {"MALLOC_TRIM_THRESHOLD_": "131072"}],
    ids=["off", "chosen"],
)
def test_the_allocator_is_left_as_it_is(environment: dict[str, str]):
    assert printed(STEPS, **environment) > 2000


def test_memory_is_given_back():
    assert printed(RELEASED) > 100  # MB


@pytest.mark.parametrize("text", ["many", "-1", str(1 << 31)])
def test_a_number_of_bytes_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DUALFLOW_KEEP_FREED", text)
    with pytest.raises(df.errors.ConfigError, match="DUALFLOW_KEEP_FREED"):
        freed.keep()
