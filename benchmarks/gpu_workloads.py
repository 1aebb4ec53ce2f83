"""What is measured on a GPU: each workload as a function of a library and a size.

`make(library, size)` gives a call without arguments; `work(size)` says which ceiling bounds it
("bytes", "float32" or "float16") and how much of it a call takes at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Size = tuple[int, ...]
Make = Callable[[Any, Size], Callable[[], Any]]


@dataclass(frozen=True)
class Workload:
    """One workload; `close`: how far results may differ, of the largest value."""

    name: str
    make: Make
    sizes: tuple[Size, ...]
    tiny: tuple[Size, ...]
    work: Callable[[Size], tuple[str, float]] | None = None
    close: float = 1e-4


def values(library: Any, *shapes: Size, dtype: str = "float32", scale: float = 1.0) -> list[Any]:
    """Random tensors on the device; every library is given the same."""
    random = np.random.default_rng(0)
    return [library.array((random.standard_normal(shape, np.float32) * scale).astype(dtype))
            for shape in shapes]  # fmt: skip


def forward(function: Callable[..., Any], *, inputs: Callable[[Size], list[Size]]) -> Make:
    """`function(ops, *tensors)` of tensors of these shapes."""

    def make(library: Any, size: Size) -> Callable[[], Any]:
        given = values(library, *inputs(size))
        compiled = library.compile(lambda *xs: function(library.ops, *xs))
        return lambda: compiled(*given)

    return make


def backward(function: Callable[..., Any], *, inputs: Callable[[Size], list[Size]]) -> Make:
    """The gradients of the sum of `function` times fixed weights, with respect to all inputs."""

    def make(library: Any, size: Size) -> Callable[[], Any]:
        shapes = inputs(size)
        *given, g = values(library, *shapes, shapes[0])
        ops = library.ops

        def loss(*xs: Any) -> Any:
            return ops.sum(function(ops, *xs[:-1]) * xs[-1])

        compiled = library.compile(library.value_and_grad(loss, len(given)))
        return lambda: compiled(*given, g)[1]

    return make


def chain(ops: Any, x: Any, y: Any, z: Any) -> Any:
    return ops.tanh(x * y + z) * x - y / (1.0 + ops.exp(-z))


def rms_silu(ops: Any, x: Any, w: Any) -> Any:
    return ops.silu(x / ops.sqrt(ops.mean(x * x, -1, keepdims=True) + 1e-6) * w)


def rows(size: Size) -> list[Size]:
    return [size, size[-1:]]


def labelled(library: Any, size: Size) -> Callable[[], Any]:
    """cross_entropy with its gradient."""
    (x,) = values(library, size)
    labels = library.array(np.random.default_rng(1).integers(0, size[1], size[0]))
    loss = library.value_and_grad(lambda x, labels: library.ops.cross_entropy(x, labels), 1)
    compiled = library.compile(loss)
    return lambda: compiled(x, labels)


def adam(library: Any, size: Size) -> Callable[[], Any]:
    """One step of Adam, not in place."""
    given = values(library, *[size] * 3, scale=0.1)
    square = library.array(np.full(size, 0.01, np.float32))
    ops = library.ops

    def step(p: Any, g: Any, m: Any, v: Any) -> Any:
        m = m * 0.9 + g * 0.1
        v = v * 0.999 + g * g * 0.001
        return p - m / (ops.sqrt(v) + 1e-8) * 1e-3, m, v

    compiled = library.compile(step)
    return lambda: compiled(*given, square)


def product(dtype: str) -> Make:
    def make(library: Any, size: Size) -> Callable[[], Any]:
        m, n, k = size
        a, b, bias = values(library, (m, k), (k, n), (n,), dtype=dtype, scale=1 / math.sqrt(k))
        compiled = library.compile(lambda a, b, c: library.ops.gelu(library.ops.matmul(a, b) + c))
        return lambda: compiled(a, b, bias)

    return make


def attention(library: Any, size: Size) -> Callable[[], Any]:
    q, k, v = values(library, *[size] * 3, dtype="float16")
    compiled = library.compile(library.ops.attention)
    return lambda: compiled(q, k, v)


def attention_backward(library: Any, size: Size) -> Callable[[], Any]:
    """The gradients of attention with respect to its operands."""
    q, k, v, g = values(library, *[size] * 4, dtype="float16", scale=0.5)
    ops = library.ops

    def loss(q: Any, k: Any, v: Any, g: Any) -> Any:
        return ops.sum(ops.single(ops.attention(q, k, v) * g))

    compiled = library.compile(library.value_and_grad(loss, 3))
    return lambda: compiled(q, k, v, g)[1]


def block_parameters(width: int) -> list[Size]:
    return [(width,), (width,), (width, 3 * width), (width, width), (width,), (width,),
            (width, 4 * width), (4 * width, width)]  # fmt: skip


def block(ops: Any, x: Any, heads: int, p: list[Any]) -> Any:
    """A transformer block: attention and a network, each after a norm and added."""
    n, tokens, width = x.shape
    both = ops.matmul(ops.layer_norm(x, p[0], p[1]), p[2])
    parts = [both[..., i * width : (i + 1) * width] for i in range(3)]
    q, k, v = (ops.swap(ops.reshape(a, n, tokens, heads, width // heads)) for a in parts)
    seen = ops.reshape(ops.swap(ops.attention(q, k, v)), n, tokens, width)
    x = x + ops.matmul(seen, p[3])
    inner = ops.gelu(ops.matmul(ops.layer_norm(x, p[4], p[5]), p[6]))
    return x + ops.matmul(inner, p[7])


def transformer(library: Any, size: Size) -> Callable[[], Any]:
    """Loss and gradients of a language model: layers, batch, tokens, width, vocabulary."""
    layers, batch, tokens, width, words = size
    shapes = [(words, width), *block_parameters(width) * layers]
    parameters = values(library, *shapes, scale=0.02)
    random = np.random.default_rng(2)
    text = library.array(random.integers(0, words, (batch, tokens)))
    after = library.array(random.integers(0, words, (batch * tokens,)))
    ops, heads = library.ops, max(1, width // 64)

    def loss(*given: Any) -> Any:
        table, *rest = given[: len(shapes)]
        x = ops.take(table, given[-2])
        for i in range(layers):
            x = block(ops, x, heads, rest[8 * i : 8 * i + 8])
        flat = ops.reshape(x, batch * tokens, width)
        return ops.cross_entropy(ops.matmul(flat, table.T), given[-1])

    compiled = library.compile(library.value_and_grad(loss, len(shapes)))
    return lambda: compiled(*parameters, text, after)[0]


def network(library: Any, size: Size) -> Callable[[], Any]:
    """Loss and gradients of a residual network of 3 x 3 convolutions."""
    layers, batch, channels, side = size
    shapes = [(channels, 3, 3, 3), *[(channels, channels, 3, 3)] * layers, (channels, 10)]
    parameters = values(library, *shapes, scale=0.05)
    (x,) = values(library, (batch, 3, side, side))
    labels = library.array(np.random.default_rng(3).integers(0, 10, batch))
    ops = library.ops

    def loss(*given: Any) -> Any:
        first, *rest, last = given[: len(shapes)]
        y = ops.relu(ops.conv(given[-2], first))
        for w in rest:
            y = y + ops.relu(ops.conv(y, w))
        return ops.cross_entropy(ops.matmul(ops.pool(y), last), given[-1])

    compiled = library.compile(library.value_and_grad(loss, len(shapes)))
    return lambda: compiled(*parameters, x, labels)[0]


def small_ops(library: Any, size: Size) -> Callable[[], Any]:
    """Many operations on few numbers."""
    count, n = size
    x, y = values(library, (n,), (n,))
    ops = library.ops

    def many(x: Any, y: Any) -> Any:
        for _ in range(count):
            x = ops.tanh(x * y) + ops.sum(x) * 1e-3
        return x

    compiled = library.compile(many)
    return lambda: compiled(x, y)


def moved(count: float, itemsize: int = 4) -> Callable[[Size], tuple[str, float]]:
    """The bytes of `count` tensors of the size."""
    return lambda size: ("bytes", count * itemsize * math.prod(size))


def products(dtype: str) -> Callable[[Size], tuple[str, float]]:
    return lambda size: (dtype, 2.0 * math.prod(size))


#: in each row of the table the sizes that matter most come first
SQUARE = ((4096, 8192), (4096, 1024), (1024, 65536))
SMALL = ((8, 40),)
WORKLOADS = (
    Workload("chain", forward(chain, inputs=lambda size: [size] * 3),
             ((1 << 24,), (1 << 16,), (1 << 20,), (1 << 28,)), ((5000,),), moved(4)),
    Workload("softmax", forward(lambda ops, x: ops.softmax(x), inputs=lambda size: [size]),
             SQUARE, SMALL, moved(2)),
    Workload("softmax backward", backward(lambda ops, x: ops.softmax(x),
             inputs=lambda size: [size]), SQUARE, SMALL, moved(3)),
    Workload("layer_norm", forward(lambda ops, x, w, b: ops.layer_norm(x, w, b),
             inputs=lambda size: [size, size[-1:], size[-1:]]), SQUARE, SMALL, moved(2)),
    Workload("layer_norm backward", backward(
        lambda ops, x, w, b: ops.layer_norm(x, w, b),
        inputs=lambda size: [size, size[-1:], size[-1:]]), SQUARE[:2], SMALL, moved(3)),
    Workload("rms_norm silu", forward(rms_silu, inputs=rows), SQUARE, SMALL, moved(2)),
    Workload("rms_norm silu backward", backward(rms_silu, inputs=rows), SQUARE[:2], SMALL,
             moved(3)),
    Workload("cross_entropy backward", labelled, ((4096, 50257), (8192, 1000)), SMALL, moved(2)),
    Workload("column sum", forward(lambda ops, x: ops.sum(x, 0), inputs=lambda size: [size]),
             ((8192, 8192), (100000, 512)), SMALL, moved(1)),
    Workload("full sum", forward(lambda ops, x: ops.sum(x), inputs=lambda size: [size]),
             ((1 << 28,),), ((5000,),), moved(1), 1e-3),
    Workload("adam", adam, ((1 << 26,), (1 << 20,)), ((5000,),), moved(7)),
    Workload("matmul gelu float32", product("float32"), ((4096, 4096, 4096),), ((16, 16, 16),),
             products("float32")),
    Workload("matmul gelu float16", product("float16"), ((4096, 4096, 4096), (8192, 8192, 1024)),
             ((16, 16, 16),), products("float16"), 1e-2),
    Workload("attention causal", attention,
             ((4, 16, 4096, 64), (4, 16, 4096, 128), (4, 16, 1024, 64), (1, 16, 16384, 64)),
             ((1, 2, 16, 16),), lambda s: ("float16", 2.0 * s[0] * s[1] * s[2] ** 2 * s[3]), 2e-2),
    Workload("attention causal backward", attention_backward,
             ((4, 16, 4096, 64), (4, 16, 4096, 128), (1, 16, 16384, 64)), ((1, 2, 16, 16),),
             lambda s: ("float16", 7.0 * s[0] * s[1] * s[2] ** 2 * s[3]), 3e-2),
    Workload("transformer block", transformer, ((1, 8, 1024, 768, 1000),), ((1, 1, 8, 64, 50),),
             close=1e-2),
    Workload("GPT-2 small step", transformer, ((12, 4, 1024, 768, 50257),), ((2, 1, 8, 64, 50),),
             close=1e-2),
    Workload("LeNet-like step", network, ((1, 512, 16, 28),), ((1, 2, 3, 6),), close=1e-2),
    Workload("ResNet-like step", network, ((8, 64, 64, 56),), ((2, 2, 3, 6),), close=1e-2),
    Workload("many small ops", small_ops, ((60, 1000),), ((5, 20),)),
)  # fmt: skip
