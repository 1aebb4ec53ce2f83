"""The floats that NumPy lacks: what they are, and the same bits in every mode."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from harness import same_bits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schedule_graphs import arrays_for, graphs

import dualflow as df
from dualflow import errors, nn, optim
from dualflow.base.dtypes import as_dtype, compute_dtype, is_added, kind, promote
from dualflow.codegen import numba
from dualflow.ir.interpret import interpret
from dualflow.passes import simplify
from dualflow.runtime import cpu
from dualflow.schedule import plan

BF16, E4M3, E5M2 = df.bfloat16, df.float8_e4m3fn, df.float8_e5m2
ADDED = (BF16, E4M3, E5M2)


def drawn(*shape: int, dtype=BF16, low: float = 0.1, high: float = 2.0) -> df.Tensor:
    values = np.random.default_rng(len(shape)).uniform(low, high, shape)
    return df.asarray(values.astype(np.float32)).astype(dtype)


def checked(f, *args, replays: int = 2):
    """What `f` gives, eagerly and compiled with the same bits, replayed."""
    wanted = f(*args)
    compiled = df.compile(f, wait=True)
    with df.config(on_compiler_error="raise"):
        for _ in range(replays + 1):
            found = compiled(*args)
    assert compiled.stats()["replays"] == replays
    for one, other in zip(flat(found), flat(wanted), strict=True):
        assert same_bits(one.numpy(), other.numpy()), f"{one} {other}"
    return wanted


def flat(value) -> list[df.Tensor]:
    return [t for one in value for t in flat(one)] if isinstance(value, (tuple, list)) else [value]


# What they are.


def test_words():
    assert [kind(dtype) for dtype in ADDED] == ["f", "s", "s"]
    assert all(map(is_added, ADDED))
    assert {compute_dtype(dtype) for dtype in ADDED} == {df.float32}
    assert as_dtype("bfloat16") is as_dtype(ml_dtypes.bfloat16) is BF16
    assert df.isdtype(BF16, "real floating")
    assert not df.isdtype(E5M2, ("integral", "bool", "complex floating"))
    assert (df.finfo(BF16).eps, df.finfo(E4M3).max, df.finfo(E5M2).max) == (2.0**-7, 448.0, 57344.0)


@pytest.mark.parametrize(
    ("other", "result"),
    [("bool", "bfloat16"), ("uint8", "bfloat16"), ("int64", "bfloat16"), ("bfloat16", "bfloat16"),
     ("float16", "float32"), ("float32", "float32"), ("float64", "float64"),
     ("complex64", "complex64"), ("complex128", "complex128")],
)  # fmt: skip
def test_promotion(other, result):
    assert promote(BF16, as_dtype(other)).name == promote(as_dtype(other), BF16).name == result
    x, y = df.ones(2, BF16), df.ones(2, other)
    assert (x + y).dtype.name == (y * x).dtype.name == result


def test_printing():
    x = df.asarray([1.0, 0.1, -3.3, 448.0, 1e30, -0.0, float("nan"), float("inf")], dtype=BF16)
    text = "Tensor([1.0, 0.1, -3.3, 448.0, 1e+30, -0.0, nan, inf], shape=(8,), dtype=bfloat16, "
    assert repr(x) == text + "device=cpu)"
    assert "[448.0, -3.25, 0.1]" in repr(x[df.asarray([3, 2, 1])].astype(E4M3))
    assert "1.0, ..., 1.0" in repr(df.ones(2000, E5M2))


def test_python_scalars_take_the_dtype():
    x = df.ones(2, BF16)
    assert {(x + 1).dtype, (2.5 * x).dtype, (x / True).dtype} == {BF16}
    assert (x * 1j).dtype == df.complex64
    assert (x + 0.1).tolist() == [1.1015625] * 2  # of 0.1 as a bfloat16


@pytest.mark.parametrize("dtype", [E4M3, E5M2], ids=str)
def test_floats_of_8_bits_are_not_computed_with(dtype):
    x = df.ones((2, 2), dtype)
    for refused in (lambda: x + x, lambda: x * 2.0, lambda: -x, lambda: x.sum(), lambda: x @ x,
                    lambda: x == x, lambda: df.exp(x), lambda: df.sort(x), lambda: x + df.ones(2),
                    lambda: x.mean(), lambda: x.var(), lambda: df.cumsum(x, 0),
                    lambda: df.nan_to_num(x), lambda: df.scatter_add(x, df.asarray([0]), x[:1]),
                    lambda: df.random.normal((2,), dtype=dtype)):  # fmt: skip
        with pytest.raises(errors.DTypeError, match=r"astype\(df.float32\)|a float dtype"):
            refused()
    assert (x.astype(df.float32) + 1).tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_a_program_that_names_none_does_not_load_them():
    script = "import sys, dualflow as df; df.ones(2) + 1; print('ml_dtypes' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "False", found.stderr


# Rounding: all bits, against ml_dtypes.


@pytest.mark.parametrize("dtype", ADDED, ids=str)
def test_all_values_and_their_neighbours_are_cast_as_by_ml_dtypes(dtype):
    size = 8 * dtype.itemsize
    values = np.arange(1 << size, dtype=f"u{dtype.itemsize}").view(dtype).astype(np.float32)
    finite = values[np.isfinite(values)]
    ordered = np.sort(finite)
    halves = (ordered[1:] / 2 + ordered[:-1] / 2).astype(np.float32)
    near = [np.nextafter(halves, np.float32(way)) for way in (-np.inf, np.inf)]
    far = np.array([464, 464.01, 61440, 61439, 1e9, 3.4e38, np.inf, np.nan], np.float32)
    x = np.concatenate([values, halves, *near, far, -far])

    @df.compile(wait=True)
    def casts(x):
        y = x.astype(dtype)
        return y, y.astype(df.float32), (y.astype(df.float64) * 1.0).astype(dtype)

    with np.errstate(all="ignore"):  # of signalling NaN
        wanted = x.astype(dtype)
        for _ in range(2):
            found, back, again = casts(df.asarray(x))
        assert same_bits(found.numpy(), wanted)
        assert same_bits(back.numpy(), wanted.astype(np.float32))
        assert same_bits(again.numpy(), wanted)
    assert casts.stats()["replays"] == 1


def test_each_operation_is_rounded():
    x, y, z = (drawn(997, low=low) for low in (0.1, 0.2, 0.3))

    def wide(function, *values):
        arrays = [v.numpy().astype(np.float32) for v in values]
        return df.asarray(function(*arrays).astype(BF16))

    first = wide(np.multiply, x, y)
    wanted = wide(np.divide, wide(np.add, first, z), y)
    found = checked(lambda x, y, z: (x * y + z) / y, x, y, z)
    assert same_bits(found.numpy(), wanted.numpy())


def test_sums_are_rounded_once():
    x = drawn(3, 1_000)  # few enough for float32 to add up without a rounding
    exact = x.numpy().astype(np.float64).sum(axis=1)
    found = checked(lambda x: (x.sum(axis=1), x.T.sum(axis=0), x.mean(axis=1)), x)
    for sums in found[:2]:
        np.testing.assert_array_equal(sums.numpy(), exact.astype(np.float32).astype(BF16))
    half = df.full((100_000, 2), 1.0 / 64, "float16")  # NumPy stops at 32
    np.testing.assert_allclose(half.sum(axis=0).tolist(), 1562.5, rtol=1e-3)


# The same bits in every mode.

PROGRAMS = {
    "arithmetic": (lambda x: ((x * 2 + x / 3 - 1.5) ** 2, x // 0.3, x % 0.3, -x, abs(x - 1)), 2),
    "functions": (lambda x: (df.exp(x), df.tanh(x), df.log(x), df.gelu(x), df.softmax(x)), 2),
    "comparisons": (lambda x: (x > 1, df.isnan(x), df.maximum(x, 1), df.clip(x, 0.5, 1)), 2),
    "folds": (lambda x: (x.max(), x.argmin(axis=1), df.prod(x, axis=0), x.std(), df.median(x)), 2),
    "scans": (lambda x: (df.cumsum(x, 0), df.cumprod(x, 1), df.diff(x)), 2),
    "movement": (lambda x: (x.T, x[1:, ::-1] * 2, df.concat([x, x]), df.pad(x, 1), x[:, 0]), 2),
    "indexing": (lambda x: (x[df.asarray([2, 0])], df.take(x, df.asarray([1]), axis=1)), 2),
    "sorting": (lambda x: (df.sort(x), df.argsort(x), df.unique_values(x)), 2),
    "products": (lambda x: (df.relu(x @ x.T + 1), x @ x[0], df.einsum("ij,kj->ik", x, x)), 2),
    "convolution": (lambda x: df.conv2d(x, x[:, :, :2, :2]), 4),
    "attention": (lambda x: df.scaled_dot_product_attention(x, x, x), 4),
    "norms": (lambda x: (df.layer_norm(x), df.linalg.vector_norm(x), df.logsumexp(x, axis=1)), 2),
    "creation": (lambda x: (df.arange(5, dtype=BF16) + x[0], df.linspace(0, 1, 5, dtype=BF16),
                            df.full(5, 0.1, BF16), df.zeros_like(x), df.eye(5, dtype=BF16)), 2),
    "mixed": (lambda x: (x + x.astype(df.float16), x * df.arange(5), x * 1j, x.astype(df.int8)), 2),
    "bits": (lambda x: (df.bitcast(x, df.uint16), df.bitcast(x, df.float16)), 2),
    "numbers": (lambda x: x * x.sum().item() if float(x[0, 0]) > 0 else x, 2),
    "stored": (lambda x: [df.concat([y, y])[1:].T.astype(df.float32) * 2 for y in
                          (x.astype(E4M3), x.astype(E5M2))], 2),
    "chosen": (lambda x: df.where(x > 1, x.astype(E5M2), df.zeros((), E5M2)), 2),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_compiled_programs_have_eager_bits(name):
    function, rank = PROGRAMS[name]
    checked(function, drawn(*(2, 3, 4, 5)[4 - rank :]))


@settings(max_examples=40, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(graphs(dtypes=(BF16, df.float16, df.float32)), st.integers(0, 99))
def test_random_graphs(drawn, seed):
    graph, _ = drawn
    arrays = arrays_for(graph, seed)
    with np.errstate(all="ignore"):
        wanted = interpret(graph, arrays)
        program = plan(simplify(graph))
        texts = {launch.kernel: numba.emit(launch.kernel) for launch in program.launches}
        found = cpu.prepare(program, texts).result().run(arrays)
    for one, other in zip(found, wanted, strict=True):
        assert same_bits(one, other), str(graph)


def test_a_written_tensor_keeps_its_dtype():
    def f(x, i):
        y = x.copy()
        y[0], y[:, 1] = 1.5, 2
        y[i] = x[:2].astype(df.float64)
        y += 0.1
        return y

    assert checked(f, drawn(4, 5), df.asarray([2, 3])).dtype == BF16


def test_dtypes_are_guarded():
    f = df.compile(lambda x: x * 3, wait=True)
    given = [df.ones(3, dtype) for dtype in (BF16, df.float16, df.float32)]
    for _ in range(3):
        assert [f(x).dtype for x in given] == [x.dtype for x in given]
    assert (f.stats()["recordings"], f.stats()["replays"]) == (3, 6)


def test_co_executed():
    seen = []

    def f(x):
        y = df.tanh(x) * 2
        seen.append(str(sys._getframe().f_code.co_name))  # keeps it from replay
        return (y + 1).sum(axis=0)

    compiled, x = df.compile(f, wait=True), drawn(30, 40)
    for _ in range(3):
        assert same_bits(compiled(x).numpy(), f(x).numpy())
    assert compiled.stats()["co_executions"] >= 2


def test_exact_numerics():
    with df.config(numerics="exact", on_compiler_error="raise"):
        checked(lambda x: df.log(df.exp(x) + df.erf(x)).sum(axis=0), drawn(20, 30))


# Gradients.


def _grad(f, *args):
    return df.grad(lambda *given: f(*given).sum(), tuple(range(len(args))))(*args)


GRADIENTS = {
    "tanh": (lambda x: df.tanh(x) * x, (7,)),
    "quotient": (lambda x, y: x / (y + 1), (3, 4), (4,)),
    "softmax": (lambda x: df.softmax(x) * x, (3, 4)),
    "product": (lambda x, y: x @ y, (3, 4), (4, 5)),
    "convolution": (lambda x, w: df.conv2d(x, w), (1, 2, 5, 5), (3, 2, 3, 3)),
    "pieces": (lambda x: x[1:] * x[:-1], (6,)),
    "largest": (lambda x: x.max(axis=1), (3, 4)),
    "second": (lambda x: df.grad(lambda v: (v**3).sum())(x), (5,)),
    "mapped": (lambda x: df.vmap(df.grad(lambda v: df.exp(v).sum()))(x), (3, 2)),
    "looped": (lambda x: df.scan(lambda c, v: (c * v, c + v), df.ones((), x.dtype), x)[1], (5,)),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    f, *shapes = GRADIENTS[name]
    args = [drawn(*shape) for shape in shapes]
    found = checked(lambda *args: _grad(f, *args), *args)
    wide = _grad(f, *(x.astype(df.float32) for x in args))
    for one, other in zip(flat(found), flat(wide), strict=True):
        assert one.dtype == BF16
        scale = float(abs(other).max())
        np.testing.assert_allclose(one.tolist(), other.tolist(), rtol=0.03, atol=0.02 * scale)


@pytest.mark.parametrize("dtype", ADDED, ids=str)
def test_gradients_of_casts(dtype):
    x = drawn(5, dtype=df.float32)
    wide = checked(lambda x: _grad(lambda v: v.astype(dtype).astype(df.float32) * 3, x), x)
    assert wide[0].dtype == df.float32
    assert wide[0].tolist() == [3.0] * 5
    x = x.astype(dtype)
    (narrow,) = _grad(lambda v: v.astype(df.float32) * 3, x)
    assert (narrow.dtype, narrow.astype(df.float32).tolist()) == (dtype, [3.0] * 5)


def test_a_model_of_bfloat16_learns():
    df.random.seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).to(BF16)
    optimizer = optim.Adam(model.parameters(), 0.02)
    x, y = df.random.normal((32, 6), dtype=BF16), df.random.integers(0, 3, (32,))

    @df.compile(wait=True)
    def step(x, y):
        optimizer.zero_grad()
        loss = df.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    losses = [step(x, y).item() for _ in range(25)]
    assert step.stats()["replays"] >= 20
    assert losses[-1] < 0.8 * losses[0]
    assert {p.dtype for p in model.parameters()} == {BF16}


# Out of the process and back.


@pytest.mark.parametrize("dtype", ADDED, ids=str)
def test_copies_pickles_and_files(dtype, tmp_path):
    x = drawn(3, 4, dtype=dtype)
    df.save({"x": x, "y": df.ones(2)}, tmp_path / "x.safetensors")
    files = df.load(tmp_path / "x.safetensors")
    for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), files["x"], x.copy()):
        assert same_bits(made.numpy(), x.numpy())
        made[0] = 0.5
        assert made[0].tolist() == [0.5] * 4
    assert files["y"].tolist() == [1.0, 1.0]


def test_another_process_reads_them(tmp_path):
    df.save({"x": df.full(2, 2.5, BF16), "y": df.full(2, 2.5, E4M3)}, tmp_path / "x.safetensors")
    (tmp_path / "x.pickle").write_bytes(pickle.dumps(df.full(2, 2.5, BF16)))
    script = (
        f"import pickle, dualflow as df; a = df.load({str(tmp_path / 'x.safetensors')!r})\n"
        f"b = pickle.load(open({str(tmp_path / 'x.pickle')!r}, 'rb'))\n"
        "print(b * 2 + a['x'], a['y'].dtype, (b * 2).sum().tolist())"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    text = "Tensor([7.5, 7.5], shape=(2,), dtype=bfloat16, device=cpu) float8_e4m3fn 10.0"
    assert found.stdout.strip() == text, found.stderr


@pytest.mark.parametrize("dtype", ADDED, ids=str)
def test_dlpack_shares_memory(dtype):
    x = drawn(3, 4, dtype=dtype)
    shared, copied = df.from_dlpack(x[:, ::2]), df.from_dlpack(x, copy=True)
    assert shared.dtype == copied.dtype == dtype
    shared[0, 1] = 0.5
    assert x[0, 2].item() == 0.5 != copied[0, 2].item()
    with pytest.raises(errors.SharingError, match="DLPack"):
        df.from_dlpack(np.zeros(2, "V4"))


def test_arrays_of_ml_dtypes_are_adopted():
    array = np.array([1.0, 2.5], ml_dtypes.bfloat16)
    x = df.asarray(array)
    x[0] = 4.0
    assert array.tolist() == [4.0, 2.5]
    assert (df.ones(2, BF16) + array).tolist() == [5.0, 3.5]
    assert np.exp(x).dtype == BF16
    assert df.asarray([1, 2.5, True], dtype=E5M2).tolist() == [1.0, 2.5, 1.0]
    with pytest.raises(errors.DTypeError, match="float8_e3m4"):
        df.asarray(np.zeros(2, ml_dtypes.float8_e3m4))


def test_compiled_functions_of_numpy_arrays_leave_them_to_numpy():
    f = df.compile(lambda a: a * np.float32(2) + a, wait=True)
    array = np.array([1.0, 2.5], ml_dtypes.bfloat16)
    for _ in range(3):
        found = f(array)
        assert (found.dtype, found.tolist()) == (np.float32, [3.0, 7.5])
