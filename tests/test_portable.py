"""Where no native part works, as on a system that none was written for: the same answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dualflow as df
from dualflow.runtime import helper

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import json, sys

import numpy as np

import dualflow as df

random = np.random.default_rng(0)


def floats(*shape):
    return df.asarray(random.normal(size=shape).astype(np.float32))


def chain(x, y):
    return df.exp(-x * x) * y + df.tanh(y) * 0.5, df.sum(x * y), df.softmax(x, axis=-1)


def products(x, y):
    return df.relu(x @ y.T + 1), df.einsum("ij,ij->i", x, y)


def steps(u):
    for _ in range(40):
        u[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u


def branch(x):
    return x * 2 if x.sum() > 0 else x - 1


def numpy(x, y):
    np.multiply(x, y, out=y)
    return np.sin(y) + x.mean(axis=0)


model = df.nn.Sequential(df.nn.Linear(8, 16), df.nn.ReLU(), df.nn.Linear(16, 4))
for parameter in model.parameters():
    with df.no_grad():
        parameter[...] = floats(*parameter.shape)
optimizer = df.optim.Adam(model.parameters(), lr=1e-2)


def train(x):
    optimizer.zero_grad()
    loss = df.mean(model(x) ** 2)
    loss.backward()
    optimizer.step()
    return loss.item()


def history(x):
    return df.sum(model(x) ** 2)


A, B, C = floats(600, 700), floats(600, 700), floats(32, 8)
cases = [
    (chain, (A, B)), (products, (A, B)), (steps, (floats(3000),)), (branch, (A,)),
    (branch, (df.abs(A),)), (numpy, (A.numpy().copy(), B.numpy().copy())), (train, (C,)),
    (history, (C,)),
]
found = {}
for number, (function, given) in enumerate(cases):
    compiled = df.compile(function, wait=True)
    for _ in range(12):
        out = compiled(*given)
    for i, one in enumerate(out if isinstance(out, tuple) else (out,)):
        array = one.detach().numpy() if isinstance(one, df.Tensor) else one
        found[f"{function.__name__} {number} {i}"] = np.asarray(array)
    assert compiled.stats()["replays"] >= 10, (compiled.stats(), compiled.explain())
np.savez(sys.argv[1], **found)
stats = df.stats()
print(json.dumps([stats["portable_parts"], stats["kernel_launches"]]))
"""
#: in every process of Python's that finds it, the helper too
NOTHING_WORKS = """
from dualflow.base.counters import count
from dualflow.runtime import linker, once


def fails(part):
    return once.once(lambda: count("portable_parts"))


once.trial, linker.usable = fails, lambda: False
"""
#: programs of operations that round once: the same bits
EXACT = {"products", "steps", "branch"}


def run(way: str, folder: Path) -> tuple[dict[str, np.ndarray], list[int]]:
    """What the programs give, and how many parts did not work and kernels were launched."""
    place = folder / way
    place.mkdir()
    (place / "script.py").write_text(SCRIPT)
    if way == "portable":
        (place / "sitecustomize.py").write_text(NOTHING_WORKS)
    made = {"PYTHONPATH": f"{place}{os.pathsep}{ROOT}", "DUALFLOW_CACHE": str(place),
            "DUALFLOW_NUM_THREADS": "2"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(place / "script.py"), str(place / "found.npz")],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **made},
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(place / "found.npz")), json.loads(done.stdout)


def test_the_portable_path_gives_the_same_answers(tmp_path):
    native, (broken, launches) = run("native", tmp_path)
    portable, (unused, others) = run("portable", tmp_path)
    assert native.keys() == portable.keys()
    for name, array in native.items():
        if name.partition(" ")[0] in EXACT:
            assert array.tobytes() == portable[name].tobytes(), name
        else:
            np.testing.assert_allclose(array, portable[name], 2e-6, 1e-6, err_msg=name)
    assert broken == 0
    assert unused > 2
    assert others == launches > 100


def test_systems_without_posix_compile_in_this_process(monkeypatch):
    helper.close()
    monkeypatch.setattr(helper, "_PAUSE", 0.0)
    monkeypatch.setattr(helper.os, "name", "nt")
    before = df.stats()["helper_failures"]
    helper.begin()
    assert helper.current() is None
    assert helper.submit("math:sqrt", b"") is None
    assert df.stats()["helper_failures"] == before + 1
    monkeypatch.undo()
    helper.begin()
    assert helper.current() is not None or pytest.fail("no helper after that")
