"""Every spelling of scalar code in Triton's interpreter, against NumPy: ops, casts, chains."""

from __future__ import annotations

import numpy as np
import pytest
from gpu_stand_in import interpreter  # noqa: F401 - fixture
from triton_kernels import (
    BOOL,
    F16,
    F32,
    F64,
    I32,
    I64,
    launch,
    load,
    map_kernel,
    op_kernel,
    random,  # noqa: F401 - fixture
    same,
    spelled_ops,
)

from dualflow.codegen.spelling import spelling
from dualflow.ir.kernel import Access, Let
from dualflow.ir.op import CATALOGUE, Kind

pytest.importorskip("triton")

SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.inf, -np.inf, np.nan, 3.5, 1e-40, 1e30)


def test_every_elementwise_op_that_cannot_raise_is_spelled():
    by_numpy = {"nextafter"}
    assert {op.name for op in CATALOGUE.values() if op.kind is Kind.ELEMENTWISE
            and not op.may_raise and "triton" not in op.spelling} == by_numpy  # fmt: skip


def operands(dtype: np.dtype, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            values = np.array([*SPECIALS, *rng.standard_normal(8) * 3]).astype(dtype)
    elif dtype == BOOL:
        values = np.array([False, True])
    else:
        limits = np.iinfo(dtype)
        values = np.array([0, 1, 2, 3, 7, limits.max, limits.min, limits.max - 1], dtype)
        values = np.append(values, values[1:4] * dtype.type(limits.max))  # -1, -2, -3 if signed
    x, y = np.meshgrid(values, values)
    return x.ravel(), y.ravel()


@pytest.mark.parametrize("dtype", [BOOL, np.dtype("int8"), I32, np.dtype("uint8"),
                                   np.dtype("uint64"), F16, F32, F64], ids=str)  # fmt: skip
def test_every_op_on_every_kind_of_value(interpreter, random, dtype):  # noqa: F811
    names = [name for name, kind in spelled_ops() if kind == dtype]
    kernel = op_kernel(names, dtype)
    x, y = operands(dtype, random)
    outs = [np.zeros(len(x), access.dtype) for access in kernel.accesses[2:]]
    launch(interpreter, kernel, [x, y, *outs])
    for name, out in zip(names, outs, strict=True):
        op = CATALOGUE[name]
        with np.errstate(all="ignore"):
            given = (x == x, x, y) if op.rule.condition else (x, y)
            count = len(kernel.stages[0].lets[3 + names.index(name)].arguments)
            expected = np.asarray(op.numpy(*given[:count]))
        with_zeros = ~((x == 0) & (y == 0) & (name in ("maximum", "minimum")))
        try:
            if op.exact or dtype.kind != "f":
                same(out[with_zeros], expected[with_zeros])
            else:
                np.testing.assert_allclose(out, expected, rtol=8 * np.finfo(dtype).eps, atol=1e-45)
        except AssertionError as error:
            raise AssertionError(f"{name} of {dtype}: {error}") from error


@pytest.mark.parametrize(
    "source", [BOOL, np.dtype("int8"), I32, np.dtype("uint32"), F16, F32, F64], ids=str
)
def test_casts_of_values_that_fit(interpreter, source):  # noqa: F811
    targets = [BOOL, np.dtype("int8"), I32, I64, np.dtype("uint32"), F16, F32, F64]
    values = np.array([0, 1, 2, 3, 100]).astype(source)
    if source.kind in "if":
        values = np.concatenate([values, -values[1:4]])
    if source.kind == "f":
        values = np.append(values, np.array([0.5, 1.7, 2.5, 99.9]).astype(source))
    lets = [load("x", "X", source)]
    lets += [Let(f"r{n}", "cast", ("x",), target) for n, target in enumerate(targets)]
    accesses = [Access("X", source, "in", (1,))]
    accesses += [Access(f"O{n}", target, "out", (1,)) for n, target in enumerate(targets)]
    kernel = map_kernel(lets, [(f"O{n}", f"r{n}") for n in range(len(targets))], tuple(accesses))
    outs = [np.zeros(len(values), target) for target in targets]
    launch(interpreter, kernel, [values, *outs])
    for target, out in zip(targets, outs, strict=True):
        fits = (values >= 0) | (target.kind != "u")
        same(out[fits], values[fits].astype(target))


def test_bits_are_kept_by_bitcast(interpreter, random):  # noqa: F811
    for source, target in ((F32, I32), (F16, np.dtype("uint16")), (I64, F64)):
        lets = (load("x", "X", source), Let("y", "bitcast", ("x",), target))
        accesses = (Access("X", source, "in", (1,)), Access("O", target, "out", (1,)))
        x = random.integers(0, 256, 40 * source.itemsize, dtype=np.uint8).view(source)
        out = np.zeros(40, target)
        launch(interpreter, map_kernel(lets, [("O", "y")], accesses), [x, out])
        np.testing.assert_array_equal(out.view(np.uint8), x.view(np.uint8))


def test_random_chains_of_ops(interpreter, random):  # noqa: F811
    """Straight-line programs of float and boolean ops, with shared values and broadcasts."""
    ops = [name for name, dtype in spelled_ops() if dtype == F32 and CATALOGUE[name].exact]
    for _ in range(12):
        shape = tuple(random.integers(1, 40, 2))
        values = {"x": random.standard_normal(shape).astype(F32),
                  "y": random.choice(SPECIALS[:10], shape).astype(F32),
                  "z": random.standard_normal(shape[1]).astype(F32)}  # fmt: skip
        arrays = list(values.values())
        lets = [load("x", "X", F32), load("y", "Y", F32), load("z", "Z", F32)]
        for n in range(15):
            name = str(random.choice(ops))
            template = spelling(name, "triton", F32)
            floats = [v for v, a in values.items() if a.dtype == F32]
            bools = [v for v, a in values.items() if a.dtype == BOOL] or ["x"]
            if CATALOGUE[name].rule.condition and bools == ["x"]:
                continue
            chosen = [str(random.choice(floats)) for _ in range(2 if "{1}" in template else 1)]
            if CATALOGUE[name].rule.condition:
                chosen = [str(random.choice(bools)), *chosen]
            with np.errstate(all="ignore"):
                result = np.asarray(CATALOGUE[name].numpy(*(values[v] for v in chosen)))
            values[f"v{n}"] = result
            lets.append(Let(f"v{n}", name, tuple(chosen), result.dtype))
        stored = [let.name for let in lets[-3:]]
        accesses = [Access("X", F32, "in", ("s", 1)), Access("Y", F32, "in", ("s", 1)),
                    Access("Z", F32, "in", (0, 1))]  # fmt: skip
        accesses += [Access(f"O{n}", values[name].dtype, "out", ("s", 1))
                     for n, name in enumerate(stored)]  # fmt: skip
        stores = [(f"O{n}", name) for n, name in enumerate(stored)]
        kernel = map_kernel(lets, stores, tuple(accesses), rank=2)
        outs = [np.zeros(shape, values[name].dtype) for name in stored]
        launch(interpreter, kernel, [*arrays, *outs])
        for name, out in zip(stored, outs, strict=True):
            np.testing.assert_array_equal(out, np.broadcast_to(values[name], shape), err_msg=kernel)
