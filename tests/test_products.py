"""Products by texts of our own: values against wider arithmetic, in all layouts and sizes."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
import references_convolution as references

import dualflow as df
from dualflow.base.errors import LinearAlgebraError
from dualflow.ir.op import CATALOGUE
from dualflow.ir.program import Buffer, Call, Operand, Program
from dualflow.ir.types import View
from dualflow.ops import convolving
from dualflow.runtime import blas, cpu, native, threads
from dualflow.runtime.products import systems, transforms, windows

Array = np.ndarray


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch):
    """Also where BLAS is as fast."""
    monkeypatch.setattr(blas, "is_wide", lambda: False)


def operand(place: Any, number: int, array: Array) -> Operand:
    steps = tuple(step // array.itemsize for step in array.strides)
    view = View(array.shape, steps)
    return Operand(Buffer(place, number, view.extent[1] * array.itemsize), array.dtype, view)


def call_of(name: str, inputs: list[Array], attributes: dict[str, Any]) -> Call:
    op = CATALOGUE[name]
    given = tuple(operand("input", n, array) for n, array in enumerate(inputs))
    (kind,) = op.infer(tuple(each.type for each in given), attributes)
    out = Operand(Buffer("output", 0, kind.nbytes), kind.dtype, View.contiguous(kind.shape))
    return Call(op, attributes, given, (out,))


def run(name: str, inputs: list[Array], **attributes: Any) -> Array:
    """What a program of one call gives, which has to be native."""
    call = call_of(name, inputs, attributes)
    program = Program(call.operands, call.results, (call,), 0, ())
    executable = cpu.prepare(program, {}).result()
    assert executable.native, "it is one native call"
    return executable.run(inputs)[0]


def normal(*shape: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def close(found: Array, inputs: list[Array], function: Any) -> None:
    """As close to `function` in the widest numbers as sums of that length are."""
    wide = [array.astype(np.longdouble) for array in inputs]
    sizes = [abs(array) for array in wide]
    error = abs(found - function(*wide))
    assert (error <= 8 * np.finfo(found.dtype).eps * function(*sizes)).all(), error.max()


SIZES = [
    (1, 1, 1), (1, 1, 300), (1, 40, 33), (40, 1, 33), (1, 700, 50), (3, 3, 3), (5, 2, 17),
    (6, 64, 64), (7, 65, 31), (13, 100, 270), (20, 33, 1), (100, 70, 20), (3, 129, 600),
    (400, 70, 30), (97, 130, 300),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_matrices_as_they_lie_transposed_and_in_steps(size: tuple[int, int, int], dtype: str):
    m, n, k = size
    lefts = [normal(m, k, dtype=dtype), normal(k, m, dtype=dtype).T,
             normal(m, 2 * k + 3, dtype=dtype)[:, 1::2][:, :k]]  # fmt: skip
    rights = [normal(k, n, dtype=dtype), normal(n, k, dtype=dtype).T,
              normal(k, 3 * n, dtype=dtype)[::-1, ::3]]  # fmt: skip
    for a, b in itertools.product(lefts, rights):
        close(run("matmul", [a, b]), [a, b], np.matmul)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (normal(5, 3, 4), normal(5, 4, 6)),
        (normal(2, 3, 40, 20), normal(2, 3, 20, 70)),
        (normal(5, 6, 1), normal(5, 1, 7)),
        (normal(6, 4, 9), np.broadcast_to(normal(9, 12), (6, 9, 12))),
        (np.broadcast_to(normal(4, 9), (6, 4, 9)), normal(6, 9, 12)),
        (normal(4, 3, 8), normal(4, 5, 8).transpose(0, 2, 1)),
        (normal(7, 3, 8).transpose(1, 0, 2), normal(3, 8, 5)),
        (normal(9, 1, 30), normal(9, 20, 30).transpose(0, 2, 1)),
        (normal(9, 30, 20).transpose(0, 2, 1), normal(9, 30, 1)),
    ],
    ids=lambda x: str(x.shape),
)
def test_batches(a: Array, b: Array):
    close(run("matmul", [a, b]), [a, b], np.matmul)


def test_nothing_beside_the_operands_is_touched():
    """Edges are masked: what lies around a matrix neither matters nor changes."""
    for m, n, k in ((5, 37, 9), (1, 3, 4), (11, 2, 6)):
        whole = [np.full((size[0] + 2, size[1] + 40), np.nan, np.float32)
                 for size in ((m, k), (k, n))]  # fmt: skip
        a, b = whole[0][1:-1, 20 : 20 + k], whole[1][1:-1, 20 : 20 + n]
        a[...], b[...] = normal(m, k), normal(k, n)
        close(run("matmul", [a, b]), [a, b], np.matmul)


@pytest.mark.parametrize("k", [100, 700, 5000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_are_those_of_blas(k: int, dtype: str):
    """The sums of squares of errors, over all ways of reading the operands, beside NumPy's."""
    errors = np.zeros(2)
    for m, n in ((16, 70), (1, 99), (99, 1), (3, 60)):
        for a in (normal(m, k, dtype=dtype), normal(k, m, dtype=dtype).T):
            for b in (normal(k, n, dtype=dtype), normal(n, k, dtype=dtype).T):
                exact = np.einsum("ik,kj->ij", a.astype(np.longdouble), b.astype(np.longdouble))
                found = run("matmul", [a, b]), a @ b
                errors += [float((((each - exact) / np.sqrt(k)) ** 2).mean()) for each in found]
    assert errors[0] <= 2 * errors[1]


def test_infinities_and_nans_stay_where_they_are():
    a, b = normal(9, 20), normal(20, 30)
    a[2, 3], b[5, 6] = np.inf, np.nan
    found = run("matmul", [a, b])
    assert np.isnan(found[:, 6]).all()
    assert np.isinf(np.delete(found[2], 6)).all()
    assert np.isfinite(np.delete(np.delete(found, 2, 0), 6, 1)).all()


# Convolutions -----------------------------------------------------------------------------------


def all_three(x: Array, w: Array, how: dict[str, Any]) -> None:
    """A convolution, its transpose and the gradient for its kernel."""
    rank = len(how["strides"])
    space, kernel = {"space": x.shape[-rank:]}, {"kernel": w.shape[-rank:]}
    calls = [("convolve", [x, w], how)]
    out = run("convolve", [x, w], **how)
    g = normal(*out.shape, dtype=x.dtype.name)
    calls += [("spread", [g, w], {**space, **how}), ("correlate", [x, g], {**kernel, **how})]
    for name, inputs, attributes in calls:
        close(
            run(name, inputs, **attributes),
            inputs,
            partial(getattr(convolving, name), **attributes),
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("call", range(len(references.CALLS)))
def test_convolutions_of_the_references(call: int, dtype: str):
    x, w, how = references.CALLS[call]
    x, w = normal(*x, dtype=dtype), normal(*w, dtype=dtype)
    all_three(x, w, how)
    places = references.convolve(x, w, **how)
    np.testing.assert_allclose(run("convolve", [x, w], **how), places.astype(float), atol=1e-4)


@pytest.mark.parametrize("seed", range(40))
def test_convolutions_of_any_kind(seed: int):
    """One to three axes of space; any strides, padding, dilation and groups."""
    rng = np.random.default_rng(seed)
    rank = 1 + seed % 3
    strides, dilation, kernel = (tuple(rng.integers(1, 4, rank).tolist()) for _ in range(3))
    padding = tuple(tuple(rng.integers(0, 3, 2).tolist()) for _ in range(rank))
    groups = int(rng.choice([1, 1, 2, 3]))
    pairs = zip(kernel, dilation, strict=True)
    space = [(k - 1) * d + 1 + int(rng.integers(0, 20 // rank)) for k, d in pairs]
    images, channels, outputs = rng.integers(1, [6, 5, 20]).tolist()
    x = normal(images, channels * groups, *space)
    w = normal(outputs * groups, channels, *kernel)
    all_three(x, w, {"strides": strides, "padding": padding, "dilation": dilation,
                     "groups": groups})  # fmt: skip


def test_convolutions_of_many_channels_and_places():
    """More than one panel of places and of channels; sums longer than one part of them."""
    how = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    all_three(normal(2, 70, 19, 33), normal(67, 70, 3, 3), how)
    all_three(normal(3, 3, 40, 41), normal(70, 3, 7, 7), {**how, "strides": (2, 2)})
    all_three(normal(3, 21, 9, 8), normal(37, 21, 1, 1), {**how, "strides": (2, 1)})
    all_three(normal(9, 37, 7, 7), normal(21, 37, 3, 3), how)
    all_three(normal(2, 20, 28, 28), normal(20, 1, 3, 3), {**how, "groups": 20})
    all_three(normal(40, 6, 5, 5), normal(20, 6, 5, 5), {**how, "padding": ((0, 0), (0, 0))})


def test_convolutions_of_images_in_steps():
    how = {"strides": (1, 2), "padding": ((1, 0), (2, 1)), "dilation": (1, 1), "groups": 1}
    x = normal(3, 30, 40, 8).transpose(0, 3, 1, 2)[:, ::2, ::-1, 1:]
    all_three(x, normal(5, 4, 3, 3), how)


@pytest.mark.parametrize("groups", [1, 2])
def test_channels_are_divided_where_images_are_few(groups: int, monkeypatch: pytest.MonkeyPatch):
    how = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": groups}
    x, w, g = normal(1, 48, 40, 41), normal(96, 48 // groups, 3, 3), normal(1, 96, 40, 41)
    found = []
    for count in (1, 2, 3, 4):
        monkeypatch.setattr(threads, "most", lambda count=count: count)
        wanted = [("convolve", [x, w], how), ("spread", [g, w], {"space": (40, 41), **how})]
        found.append([run(name, given, **attributes) for name, given, attributes in wanted])
        units = [windows.product(call_of(*each)).integers[1] for each in wanted]
        assert units == [max(groups, count + count % groups)] * 2
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


def test_compiled_convolutions_with_gradients():
    x, w = df.asarray(normal(2, 3, 9, 8)), df.asarray(normal(4, 3, 3, 3))

    def loss(x, w):
        return (df.conv2d(x, w, stride=2, padding=1) ** 2).sum()

    compiled = df.compile(df.grad(loss, (0, 1)), wait=True)
    compiled(x, w)
    for found, wanted in zip(compiled(x, w), df.grad(loss, (0, 1))(x, w), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-4)
    assert compiled.stats()["replays"] == 1


# Systems of linear equations ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(1, 1, ()), (3, 1, ()), (8, 2, (5,)), (40, 7, (2, 3))])
def test_systems_have_the_bits_of_numpy(sizes: tuple[int, int, tuple[int, ...]], dtype: str):
    n, k, batch = sizes
    a, b = normal(*batch, n, n, dtype=dtype), normal(*batch, n, k, dtype=dtype)
    np.testing.assert_array_equal(run("solve", [a, b]), np.linalg.solve(a, b))
    turned = np.swapaxes(a, -1, -2)
    np.testing.assert_array_equal(run("solve", [turned, b]), np.linalg.solve(turned, b))


def test_a_singular_matrix_raises_as_in_python():
    """What was written before it is written once; nothing after it is."""

    def step(state, a, b):
        state += 1
        x = df.linalg.solve(a, b)
        state *= 10
        return x

    f, a, b = df.compile(step, wait=True), df.eye(3), df.ones((3, 2))
    bad = df.asarray(np.diag([1.0, 0.0, 2.0]).astype(np.float32))
    state, other = df.zeros(2), df.zeros(2)
    for matrix in (a, a, bad, a):
        for function, held in ((f, state), (step, other)):
            if matrix is bad:
                with pytest.raises(LinearAlgebraError, match="singular"):
                    function(held, matrix, b)
            else:
                assert function(held, matrix, b).tolist() == b.tolist()
        assert state.tolist() == other.tolist()
    assert f.stats()["replays"] >= 2


def test_systems_without_lapack_are_numpys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(systems, "gesv", lambda: None)
    f = df.compile(lambda a, b: df.linalg.solve(a, b), wait=True)
    a, b = normal(4, 4), normal(4, 2)
    f(df.asarray(a), df.asarray(b))
    found = f(df.asarray(a), df.asarray(b)).numpy()
    np.testing.assert_array_equal(found, np.linalg.solve(a, b))
    assert f.stats()["replays"] == 1


# Fourier transforms -------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("size", [1, 2, 15, 16, 243, 1000])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_transforms_of_doubles_have_the_bits_of_numpy(axis: int, size: int, norm: str):
    shape = [2, 3, 2]
    shape[axis] = size
    x, how = normal(*shape, dtype="float64"), {"axis": axis, "norm": norm}
    z, turned = x + 1j * x[::-1], normal(size, 5, dtype="float64").T * (1 + 2j)
    for name in ("fft", "ifft"):
        wanted = getattr(np.fft, name)
        np.testing.assert_array_equal(run(name, [z], **how), wanted(z, **how))
        found = run(name, [turned], axis=1, norm=norm)
        np.testing.assert_array_equal(found, wanted(turned, axis=1, norm=norm))
    half = np.fft.rfft(x, **how)
    np.testing.assert_array_equal(run("rfft", [x], **how), half)
    wanted = np.fft.irfft(half, size, **how)
    np.testing.assert_array_equal(run("irfft", [half], n=size, **how), wanted)


def test_transforms_without_their_loops_are_numpys(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transforms, "loops_work", lambda: False)
    x = normal(2, 9)
    f = df.compile(lambda x: df.fft.rfft(x), wait=True)
    f(df.asarray(x))
    np.testing.assert_array_equal(np.asarray(f(df.asarray(x))), np.fft.rfft(x))
    assert f.stats()["replays"] == 1


# In programs ------------------------------------------------------------------------------------


def test_exact_calls_are_those_of_numpy():
    x, y = df.asarray(normal(60, 70)), df.asarray(normal(70, 80))

    @df.compile(wait=True)
    def product(x, y):
        return (x * 1.5) @ y

    with df.config(numerics="exact"):
        product(x, y)
        np.testing.assert_array_equal(product(x, y).numpy(), (x * 1.5).numpy() @ y.numpy())
    assert product.stats()["replays"] == 1


def test_a_loop_of_products_is_one_native_call(monkeypatch: pytest.MonkeyPatch):
    """A recurrent net: matrix times vector in each step, nothing of it in Python."""
    runs = []
    monkeypatch.setattr("dualflow.runtime.cpu.PythonLoop", lambda *_: runs.append(1))
    w, x = df.asarray(normal(24, 24) / 8), df.asarray(normal(24))

    def recur(w, x):
        h = x * 0
        for _ in range(50):
            h = df.tanh(w @ h + x)
        return h

    compiled = df.compile(recur, wait=True)
    compiled(w, x)
    np.testing.assert_allclose(compiled(w, x).numpy(), recur(w, x).numpy(), rtol=1e-4, atol=1e-6)
    assert compiled.stats()["replays"] == 1
    assert not runs


def test_texts_are_those_of_any_size():
    """A new size compiles nothing."""
    function = df.compile(lambda x, y: x @ y, wait=True)
    for m in (3, 50, 200):
        for _ in range(2):
            function(df.asarray(normal(m, 9)), df.asarray(normal(9, 70)))
    before = df.stats()["kernels_compiled"]
    for _ in range(2):
        function(df.asarray(normal(33, 12)), df.asarray(normal(12, 7)))
    assert df.stats()["kernels_compiled"] == before
    assert function.stats()["replays"] == 4
    assert native.builtin_works()


def test_products_are_divided_over_threads(monkeypatch: pytest.MonkeyPatch):
    """The same bits, whatever the number of threads: units do not depend on each other."""
    kernel = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    calls: list[tuple[str, list[Array], dict[str, Any]]] = [
        ("matmul", [normal(300, 200), normal(200, 400)], {}),
        ("matmul", [normal(2000, 60), normal(60, 30)], {}),
        ("matmul", [normal(500, 30, 20), normal(500, 20, 30)], {}),
        ("matmul", [normal(2000, 1000), normal(1000, 1)], {}),
        ("convolve", [normal(8, 9, 30, 30), normal(20, 9, 3, 3)], kernel),
        ("spread", [normal(8, 20, 30, 30), normal(20, 9, 3, 3)], {"space": (30, 30), **kernel}),
        ("correlate", [normal(8, 9, 30, 30), normal(8, 20, 30, 30)], {"kernel": (3, 3), **kernel}),
    ]
    alone: list[Array] = []
    shared: list[Array] = []
    divided: list[Any] = []
    monkeypatch.setattr(threads, "most", lambda: 2)
    native_step = cpu.native_step
    monkeypatch.setattr(
        cpu, "native_step", lambda *given: divided.append(given) or native_step(*given)
    )
    for budget, found in ((1, alone), (2, shared)):
        with df.config(threads=budget):
            found += [run(name, inputs, **how) for name, inputs, how in calls]
        assert len(divided) == len(calls) * budget
    for one, two in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(one, two)
