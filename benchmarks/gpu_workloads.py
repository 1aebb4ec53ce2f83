"""What is measured on a GPU: each workload as a function of a library and a size.

`make(library, size)` gives a call without arguments; `work(size)` says which ceiling bounds it
("bytes", "float32" or "float16") and how much of it a call takes at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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
    made = [random.standard_normal(shape, np.float32) * scale for shape in shapes]
    if dtype == "bfloat16":  # which NumPy lacks
        return [library.ops.brain(library.array(each)) for each in made]
    return [library.array(each.astype(dtype)) for each in made]


def forward(
    function: Callable[..., Any], *, inputs: Callable[[Size], list[Size]], dtype: str = "float32"
) -> Make:
    """`function(ops, *tensors)` of tensors of these shapes."""

    def make(library: Any, size: Size) -> Callable[[], Any]:
        given = values(library, *inputs(size), dtype=dtype)
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


def labelled(library: Any, size: Size, *, backward: bool = True) -> Callable[[], Any]:
    """cross_entropy, with its gradient."""
    (x,) = values(library, size)
    labels = library.array(np.random.default_rng(1).integers(0, size[1], size[0]))

    def loss(x: Any, labels: Any) -> Any:
        return library.ops.cross_entropy(x, labels)

    compiled = library.compile(library.value_and_grad(loss, 1) if backward else loss)
    return lambda: compiled(x, labels)


def table_gradient(library: Any, size: Size) -> Callable[[], Any]:
    """The gradient of rows that are looked up: values added to rows of a table."""
    words, tokens, width = size
    table, g = values(library, (words, width), (tokens, width))
    rows = library.array(np.random.default_rng(4).integers(0, words, tokens))
    ops = library.ops

    def loss(table: Any, rows: Any, g: Any) -> Any:
        return ops.sum(ops.take(table, rows) * g)

    compiled = library.compile(library.value_and_grad(loss, 1))
    return lambda: compiled(table, rows, g)[1]


def histogram(dtype: str) -> Make:
    """Numbers added up by their places."""

    def make(library: Any, size: Size) -> Callable[[], Any]:
        places, count = size
        random = np.random.default_rng(5)
        at = library.array(random.integers(0, places, count))
        x = library.array(random.integers(0, 99, count).astype(dtype))
        zeros = library.array(np.zeros(places, dtype))
        ops = library.ops
        compiled = library.compile(lambda zeros, at, x: ops.scatter_add(zeros, at, x * x))
        return lambda: compiled(zeros, at, x)

    return make


def convolution(ops: Any, x: Any, w: Any) -> Any:
    return ops.conv(x, w)


def of_images(size: Size) -> list[Size]:
    """Images, channels in and out, the side: what is convolved, and by what."""
    n, given, made, side = size
    return [(n, given, side, side), (made, given, 3, 3)]


def convolution_backward(library: Any, size: Size) -> Callable[[], Any]:
    """The gradients of a convolution with respect to the images and the kernel."""
    n, _, made, side = size
    x, w, g = values(library, *of_images(size), (n, made, side, side), scale=0.1)
    ops = library.ops

    def loss(x: Any, w: Any, g: Any) -> Any:
        return ops.sum(ops.conv(x, w) * g)

    compiled = library.compile(library.value_and_grad(loss, 2))
    return lambda: compiled(x, w, g)[1]


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


def product_of_rows(library: Any, size: Size) -> Callable[[], Any]:
    """layer_norm of the rows of a product."""
    m, n, k = size
    a, b = values(library, (m, k), (k, n), dtype="bfloat16", scale=1 / math.sqrt(k))
    w, c = values(library, (n,), (n,))
    ops = library.ops

    def normed(a: Any, b: Any, w: Any, c: Any) -> Any:
        return ops.layer_norm(ops.single(ops.matmul(a, b)), w, c)

    compiled = library.compile(normed)
    return lambda: compiled(a, b, w, c)


def attention(dtype: str) -> Make:
    def make(library: Any, size: Size) -> Callable[[], Any]:
        q, k, v = values(library, *[size] * 3, dtype=dtype)
        compiled = library.compile(library.ops.attention)
        return lambda: compiled(q, k, v)

    return make


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


def convolved(count: float) -> Callable[[Size], tuple[str, float]]:
    """The operations of so many convolutions by 3 x 3."""
    return lambda s: ("float32", count * 2 * 9 * s[0] * s[1] * s[2] * s[3] ** 2)


#: in each row of the table the sizes that matter most come first
SQUARE = ((4096, 8192), (4096, 1024), (1024, 65536))
SMALL = ((8, 40),)
WORKLOADS = (
    Workload("chain", forward(chain, inputs=lambda size: [size] * 3),
             ((1 << 24,), (1 << 16,), (1 << 20,), (1 << 28,)), ((5000,),), moved(4)),
    Workload("chain bfloat16", forward(chain, inputs=lambda size: [size] * 3, dtype="bfloat16"),
             ((1 << 24,), (1 << 28,)), ((5000,),), moved(4, 2), 2e-2),
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
    Workload("layer_norm bfloat16", forward(
        lambda ops, x, w, b: ops.layer_norm(x, w, b), dtype="bfloat16",
        inputs=lambda size: [size, size[-1:], size[-1:]]), SQUARE[:2], SMALL, moved(2, 2), 2e-2),
    Workload("cross_entropy", partial(labelled, backward=False), ((4096, 50257), (8192, 1000)),
             SMALL, moved(1)),
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
    Workload("matmul gelu bfloat16", product("bfloat16"), ((4096, 4096, 4096), (8192, 8192, 1024)),
             ((16, 16, 16),), products("float16"), 2e-2),
    Workload("matmul layer_norm bfloat16", product_of_rows, ((65536, 256, 512), (65536, 128, 1024)),
             ((16, 32, 16),), products("float16"), 3e-2),
    Workload("attention causal", attention("float16"),
             ((4, 16, 4096, 64), (4, 16, 4096, 128), (4, 16, 1024, 64), (1, 16, 16384, 64)),
             ((1, 2, 16, 16),), lambda s: ("float16", 2.0 * s[0] * s[1] * s[2] ** 2 * s[3]), 2e-2),
    Workload("attention causal backward", attention_backward,
             ((4, 16, 4096, 64), (4, 16, 4096, 128), (1, 16, 16384, 64)), ((1, 2, 16, 16),),
             lambda s: ("float16", 7.0 * s[0] * s[1] * s[2] ** 2 * s[3]), 3e-2),
    Workload("attention causal bfloat16", attention("bfloat16"), ((4, 16, 4096, 64),),
             ((1, 2, 16, 16),), lambda s: ("float16", 2.0 * s[0] * s[1] * s[2] ** 2 * s[3]), 5e-2),
    Workload("embedding gradient", table_gradient, ((50257, 4096, 768), (1000, 65536, 128)),
             ((30, 20, 8),), lambda s: ("bytes", 4.0 * (s[0] + s[1]) * s[2])),
    Workload("histogram float32", histogram("float32"), ((1 << 20, 1 << 24), (256, 1 << 24)),
             ((30, 200),), lambda s: ("bytes", 12.0 * s[1] + 8 * s[0])),
    Workload("histogram int32", histogram("int32"), ((1 << 20, 1 << 24), (256, 1 << 24)),
             ((30, 200),), lambda s: ("bytes", 12.0 * s[1] + 8 * s[0])),
    Workload("convolution", forward(convolution, inputs=of_images),
             ((64, 64, 64, 56), (64, 256, 256, 14)), ((2, 3, 4, 6),), convolved(1), 1e-3),
    Workload("convolution backward", convolution_backward, ((64, 64, 64, 56), (64, 256, 256, 14)),
             ((2, 3, 4, 6),), convolved(2), 1e-3),
    Workload("transformer block", transformer, ((1, 8, 1024, 768, 1000),), ((1, 1, 8, 64, 50),),
             close=1e-2),
    Workload("GPT-2 small step", transformer, ((12, 4, 1024, 768, 50257),), ((2, 1, 8, 64, 50),),
             close=1e-2),
    Workload("LeNet-like step", network, ((1, 512, 16, 28),), ((1, 2, 3, 6),), close=1e-2),
    Workload("ResNet-like step", network, ((8, 64, 64, 56),), ((2, 2, 3, 6),), close=1e-2),
    Workload("many small ops", small_ops, ((60, 1000),), ((5, 20),)),
)  # fmt: skip
