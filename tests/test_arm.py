"""Every native part and every form of kernel becomes machine code for 64-bit Arm."""

from __future__ import annotations

import platform
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow import pipeline
from dualflow.runtime import (
    compile,
    loader,
    machine,
    native,
    native_pool,
    native_text,
    numpy_vectors,
    products,
)
from dualflow.runtime.products import writer
from dualflow.runtime.translation import expressions, words

llvm = pytest.importorskip("llvmlite.binding")
#: the number of the machine in ELF files
AARCH64 = 183
_random = np.random.default_rng(0)


def floats(*shape: int, dtype: Any = np.float32) -> df.Tensor:
    return df.asarray(_random.random(shape).astype(dtype))


def repeated(x):
    z = x
    for _ in range(20):
        z = z * z * 0.25 + x * 0.25
    return z


def stepped(u):
    for _ in range(20):
        u[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u


def scattered(x, at):
    out = df.zeros((40,))
    out[at] += x
    return out


X, WIDE, AT = floats(64, 96), floats(64, 96, dtype=np.float64), df.asarray(np.arange(40) % 7)
PROGRAMS = {
    "elementary": (lambda x: df.exp(x) + df.sin(x) * df.tanh(x) - df.log1p(x) / df.erf(x), (X,)),
    "powers of float64": (lambda x: x ** 1.5 + df.atan2(x, 2 - x) + df.lgamma(x + 1), (WIDE,)),
    "rows": (lambda x: df.softmax(x, axis=-1), (X,)),
    "short rows": (lambda x: df.softmax(x[:, :5], axis=-1), (X,)),
    "rows and a total": (lambda x: df.mean(df.logsumexp(x, axis=-1)), (X,)),
    "columns": (lambda x: df.var(x, axis=0), (X,)),
    "positions": (lambda x: df.argmin(x, axis=1), (X,)),
    "turned": (lambda x: df.exp(x.T) + 1, (X,)),
    "scan": (lambda x: df.cumulative_sum(x, axis=1), (X,)),
    "gathered": (lambda x, at: df.exp(x[at]), (X, AT)),
    "scattered": (scattered, (floats(40), AT)),
    "integers": (lambda at: (at * 7 // 3) % 5 << 1, (AT,)),
    "complex": (lambda x: df.exp(x * 1j) * (x + 2j), (X,)),
    "half": (lambda x: df.astype(x, df.float16) * 2 + 1, (X,)),
    "products": (lambda x, w: df.relu(x @ w + 1), (X, floats(96, 48))),
    "small products": (lambda x, w: x @ w, (floats(9, 4, 4), floats(9, 4, 4))),
    "convolution": (lambda x, w: df.conv2d(x, w), (floats(2, 3, 12, 12), floats(4, 3, 3, 3))),
    "steps of a point": (repeated, (X,)),
    "steps of neighbours": (stepped, (floats(1000),)),
}  # fmt: skip


def compiled(module, monkeypatch, vectorise):
    """Whether LLVM makes an object for 64-bit Arm of a module."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("aarch64-unknown-linux-gnu")
    generator = target.create_target_machine(opt=3, reloc="pic")
    with monkeypatch.context() as patch:
        patch.setattr(loader, "_machine", lambda: generator)
        image = loader.compile_ir(module, vectorise)
    return image[:4] == b"\x7fELF" and int.from_bytes(image[18:20], "little") == AARCH64


@pytest.mark.parametrize("part", [machine.part, native.part, native_pool.pool_text])
def test_native_parts(part, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(platform, "machine", lambda: "aarch64")
        module = native_text.llvm_text(*part())
    assert compiled(module, monkeypatch, vectorise=False)


@pytest.mark.parametrize("name", PROGRAMS)
def test_forms_of_kernels(name, monkeypatch):
    function, given = PROGRAMS[name]
    fast = df.compile(function)
    fast(*given)
    planned = pipeline.plan(fast.blocks()[-1].graph)
    texts = dict.fromkeys((*planned.texts.values(), *products.texts_of(planned.program)))
    assert texts
    with monkeypatch.context() as patch:  # words with Arm's vectors, and no others afterwards
        patch.setattr(writer, "vectors", lambda: (16, 4))
        patch.setattr(numpy_vectors, "usable", lambda: False)
        patch.setattr(expressions, "written", lru_cache(words.written.__wrapped__))
        for text in texts:
            module = compile.translated(text)
            assert module is not None, text.source  # Numba would have to compile it
            assert compiled(module, monkeypatch, vectorise=True)
