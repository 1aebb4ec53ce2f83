"""Bad input over the whole catalogue: one error, eagerly and compiled, that says what and where.

Each call of a table raises. The error names the function and the user's line, and is the same,
word for word, where the call is recorded, co-executed, or found wrong by a replay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import (
    ArgumentError,
    AxisError,
    DomainError,
    DTypeError,
    DualflowError,
    IndexingError,
    LinearAlgebraError,
    ShapeError,
)

#: what the calls are made with; `e` is empty, `o` has no axes
GIVEN = {
    "x": df.ones((2, 3)), "y": df.ones((4,)), "i": df.asarray(np.arange(6).reshape(2, 3)),
    "b": df.ones((2, 3), "bool"), "z": df.ones((2, 3), "complex64"), "e": df.zeros((0, 3)),
    "s": df.ones((3, 3)), "h": df.ones((3, 3), "float16"), "o": df.asarray(1.0),
    "n": df.full((3, 3), float("nan")), "zeros": df.zeros((3, 3)),
}  # fmt: skip


def calls(names: str, arguments: str, room: str = "df") -> list[str]:
    return [f"{room}.{name}({arguments})" for name in names.split()]


AXES = [
    *calls("all any argmax argmin argsort average count_nonzero cumulative_prod", "x, axis=7"),
    *calls("cumulative_sum diff expand_dims flip layer_norm log_softmax", "x, axis=7"),
    *calls("logsumexp max mean median min nanmax nanmean nanmin nanstd nansum", "x, axis=7"),
    *calls("nanvar prod ptp softmax sort squeeze std sum unstack var", "x, axis=-3"),
    *calls("norm vector_norm", "x, axis=7", "df.linalg"),
    *calls("fft hfft ifft ihfft irfft rfft", "x, axis=7", "df.fft"),
    *calls("fftn ifftn rfftn irfftn fft2 ifftshift fftshift", "x, axes=(0, 7)", "df.fft"),
    *calls("concat stack", "[x, x], axis=7"), *calls("scatter scatter_add", "x, i, x, axis=7"),
    *calls("quantile percentile", "x, 0.5, axis=7"), *calls("moveaxis swapaxes", "x, 7, 0"),
    *calls("take repeat split roll", "x, 1, axis=7"), *calls("vecdot linalg.cross", "x, x, axis=7"),
    "df.take_along_axis(x, i, axis=7)", "df.permute_dims(x, (0, 7))", "df.transpose(x, (0, 7))",
    "df.tensordot(x, x, axes=((7,), (0,)))", "df.cross_entropy(x, i[:, 0], axis=7)", "x.sum(7)",
    "x.mean(axis=7)",
]  # fmt: skip
SHAPES = [
    *calls("add atan2 copysign divide floor_divide hypot logaddexp maximum minimum", "x, y"),
    *calls("multiply nextafter power remainder subtract equal greater greater_equal", "x, y"),
    *calls("less less_equal not_equal isclose", "x, y"), *calls("clip", "x, y, None"),
    *calls("bitwise_and bitwise_or bitwise_xor", "i, i[0, :2]"),
    *calls("logical_and logical_or logical_xor", "b, b[0, :2]"),
    *(f"x {sign} y" for sign in ("+", "-", "*", "/", "//", "%", "**", "==", "<", ">=", "@")),
    "i & i[0, :2]", "df.fft.fft(o)",
    *calls("where", "b, x, y"), *calls("where", "b[:, :2], x, x"),
    *calls("matmul linalg.matmul vecdot outer", "x, x[:, :2]"), "df.tensordot(x, x, axes=1)",
    "df.broadcast_arrays(x, y)", "df.reshape(x, (5,))", "df.reshape(x, (-1, 4))",
    *calls("concat stack", "[x, y]"), *calls("squeeze", "x, 0"), *calls("meshgrid", "x, x"),
    *calls("einsum", "'ij,jk->ik', x, x"), *calls("sum", "x, axis=(0, 0)"), *calls("tile", "x, -1"),
    *calls("repeat", "x, -1"), *calls("pad", "x, -1"), *calls("split", "x, 5"),
    *calls("zeros ones eye", "-1"), *calls("layer_norm mse_loss", "x, y"), *calls("nonzero", "o"),
    *calls("cholesky det eigh eigvalsh eigvals eig inv slogdet expm", "x", "df.linalg"),
    *calls("qr svd svdvals pinv matrix_rank matrix_norm trace diagonal", "y", "df.linalg"),
    *calls("solve solve_triangular lstsq", "s, y", "df.linalg"),
    *calls("norm", "x, ord=3, axis=(0, 1, 2)", "df.linalg"), "df.linalg.matrix_power(x, 2)",
    *calls("fft irfft", "x, n=0", "df.fft"), "df.random.normal((-1,))", "df.searchsorted(x, y)",
]  # fmt: skip
EMPTY = [
    *calls("max min argmax argmin ptp median nanmax nanmin", "e"),
    *calls("max min argmax argmin ptp median", "e, axis=0"), "df.quantile(e, 0.5)",
]  # fmt: skip
DTYPES = [
    *calls("negative sign abs", "b"), "x & 3", "~x", "df.bitwise_invert(x)",
    *calls("floor ceil trunc max min argmax sort argsort erf sigmoid", "z"),
    *calls("maximum less atan2 floor_divide remainder hypot copysign logaddexp", "z, z"),
    *calls("bitwise_and bitwise_or", "x, x"), *calls("subtract floor_divide remainder", "b, b"),
    *calls("power matmul tensordot vecdot", "b, b"), *calls("where", "x, x, x"),
    *calls("inv det svdvals", "h", "df.linalg"), "df.fft.rfft(z)", "df.fft.fft(h)",
    "df.take(x, x[0], axis=1)", "x.astype('complex256')",
]  # fmt: skip
ARGUMENTS = [
    *calls("add multiply", "x, None"), *calls("sum tanh unique_values", "[None]"),
    *calls("max", "x, axis='0'"), *calls("sum", "x, axis=1.5"), *calls("zeros", "2.5"),
    *calls("qr", "x, mode='x'", "df.linalg"), *calls("matrix_norm", "x, ord='x'", "df.linalg"),
    *calls("fft", "x, norm='x'", "df.fft"), "df.random.uniform('x')",
]  # fmt: skip
INDICES = [
    "x[5]", "x[:, 3]", "x[0, 0, 0]", "x[i]", "x[b[0]]", "x[df.asarray([0, 5])]",
    *calls("take", "x, i, axis=0"), *calls("take_along_axis", "x, i, axis=1"),
    *calls("scatter scatter_add", "x, i, x, axis=0"),
]  # fmt: skip
SINGULAR = [
    *calls("inv", "zeros", "df.linalg"), *calls("matrix_power", "zeros, -1", "df.linalg"),
    *calls("solve solve_triangular", "zeros, y[:3]", "df.linalg"), "df.linalg.cholesky(-s)",
    *calls("svd svdvals eigh eigvals pinv matrix_rank", "n", "df.linalg"),
]  # fmt: skip
TABLE: list[tuple[str, type[DualflowError]]] = [
    *((text, AxisError) for text in AXES), *((text, ShapeError) for text in SHAPES + EMPTY),
    *((text, DTypeError) for text in DTYPES), *((text, ArgumentError) for text in ARGUMENTS),
    *((text, IndexingError) for text in INDICES),
    *((text, LinearAlgebraError) for text in SINGULAR),
    ("i ** df.asarray([1, -1, 0])", DomainError),
]  # fmt: skip
#: what messages call a function of another name
NAMES = {"permute_dims": "permute", "linalg.matmul": "matmul"}
#: good values in the place of those of a value error
GOOD = {"i": df.zeros((2, 3), "int64"), "zeros": df.eye(3) * 2, "n": df.eye(3), "s": -df.eye(3)}
BY_VALUE = [
    *(text for text, _ in TABLE if "linalg.inv(zeros" in text or "cholesky(-s)" in text),
    "df.linalg.solve(zeros, y[:3])", "df.linalg.svdvals(n)", "df.take(x, i, axis=0)",
    "df.take_along_axis(x, i, axis=1)", "df.scatter_add(x, i, x, axis=0)", "x[i]",
]  # fmt: skip


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[..., Any]]:
    """The calls as functions in a file: what has no source is not recorded."""
    texts = list(dict.fromkeys([text for text, _ in TABLE] + BY_VALUE))
    named = ", ".join(GIVEN)
    parts = [f"def f{k}({named}):\n    return {text}  # here\n" for k, text in enumerate(texts)]
    file: Path = tmp_path_factory.mktemp("errors") / "calls.py"
    file.write_text("\n".join(parts))
    room: dict[str, Any] = {"df": df, "__name__": "calls"}
    exec(compile(file.read_text(), str(file), "exec"), room)
    return {text: room[f"f{k}"] for k, text in enumerate(texts)}


def failure(function: Callable[..., Any], given: dict[str, Any]) -> DualflowError:
    with np.errstate(all="ignore"), pytest.raises(DualflowError) as found:
        function(**given)
    return found.value


def check_says(error: DualflowError, text: str, file: str) -> None:
    """The function, and the line."""
    assert error.where is not None
    assert (error.where.file, error.where.text.endswith("# here")) == (file, True)
    called = re.match(r"df\.(?:linalg\.|fft\.|random\.)?(\w+)\(", text)
    if called and not error.what.startswith("dualflow has no dtype"):
        assert NAMES.get(called[1], called[1]) in error.what, error.what


@pytest.mark.parametrize(("text", "kind"), TABLE, ids=[text for text, _ in TABLE])
def test_one_error_in_both_modes(text, kind, functions):
    function = functions[text]
    wanted = failure(function, GIVEN)
    assert isinstance(wanted, kind)
    check_says(wanted, text, function.__code__.co_filename)
    compiled = df.compile(function, wait=True)
    with df.config(on_compiler_error="raise"):
        for _ in range(2):  # recorded; what was not kept
            found = failure(compiled, GIVEN)
            assert (type(found), str(found)) == (type(wanted), str(wanted))
    assert compiled.stats()["replays"] == 0


@pytest.mark.parametrize("text", BY_VALUE)
def test_a_replay_that_meets_a_bad_value(text, functions):
    function = functions[text]
    wanted = failure(function, GIVEN)
    compiled = df.compile(function, wait=True)
    with df.config(on_compiler_error="raise"):
        for _ in range(3):
            compiled(**GIVEN | GOOD)
        before = compiled.stats()
        assert before["replays"] + before["co_executions"] == 2
        for _ in range(2):
            found = failure(compiled, GIVEN)
            assert (type(found), str(found)) == (type(wanted), str(wanted))
        compiled(**GIVEN | GOOD)
    after = compiled.stats()
    assert after["replays"] + after["co_executions"] >= 3
    assert after["eager_calls"] == 2  # those that raised
