"""The numeric harness: every op of the catalogue on dtypes, shapes and layouts, in every mode.

`cases(op)` lists what each mode is given, `RUNNERS` the modes that run a graph: a room adds its
own with `RUNNERS["name"] = run`, where `run(graph, arrays)` gives the outputs. `check(op, runner)`
compares a mode with the reference and with eager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from references import REFERENCES, SAMPLES
from references_elementwise import widened

import dualflow as df
from dualflow.base.counters import stats
from dualflow.base.dtypes import (
    ADDED,
    BY_NAME,
    added,
    compute_dtype,
    is_added,
    is_float,
    is_inexact,
    kind,
    limits,
    python_type,
    real_dtype,
)
from dualflow.ir.graph import Graph, GraphBuilder
from dualflow.ir.interpret import interpret
from dualflow.ir.op import CATALOGUE, Kind, Op
from dualflow.ir.types import TensorType, View
from dualflow.ops import domains, door
from dualflow.pipeline import compile_graph

#: kinds of ops that compute the floats that NumPy lacks in float32
COMPUTED = {Kind.ELEMENTWISE, Kind.REDUCTION, Kind.CONTRACTION, Kind.LIBRARY}
Runner = Callable[[Graph, list[np.ndarray]], tuple[np.ndarray, ...]]


def run_numba(graph: Graph, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The outputs of the compiled graph, for inputs that lie as `arrays` do; every step must have
    run where the program says."""
    layouts = [View(a.shape, tuple(step // a.itemsize for step in a.strides)) for a in arrays]
    compilation = compile_graph(graph, layouts)
    executable = compilation.result()
    before = stats()
    outputs = executable.run(arrays)
    after = stats()
    kernels, calls = compilation.program.runs
    assert after["kernel_launches"] - before["kernel_launches"] == kernels
    assert after["library_calls"] - before["library_calls"] == calls
    return tuple(outputs)


#: modes that run a graph on arrays
RUNNERS: dict[str, Runner] = {"interpreted": interpret, "numba": run_numba}

ULPS = 2.0  # what an op that is not exact may be off (DESIGN, decision 10)
SHAPES = ((), (0,), (7,), (3, 5), (2, 1, 4))
LAYOUTS = ("packed", "strided", "reversed", "transposed", "repeated")
ARITY = {"where": 3, "cast": 1, "bitcast": 1, "conj": 1, "real": 1, "imag": 1}
#: of zeros of both signs either may win
ANY_ZERO = {"maximum", "minimum", "max", "min"}
SPECIALS = (np.nan, np.inf, -np.inf, 0.0, -0.0)
DTYPES = (*BY_NAME.values(), *map(added, ADDED))
#: the dtypes from and to which those that NumPy lacks are cast
BESIDE_ADDED = {"bool", "int8", "int64", "float16", "float32", "float64", "complex64", *ADDED}


@dataclass(frozen=True)
class Case:
    """One call of an op."""

    op: Op
    arrays: tuple[np.ndarray, ...]
    attributes: dict[str, Any]
    label: str

    @property
    def types(self) -> tuple[TensorType, ...]:
        return tuple(TensorType(a.shape, a.dtype) for a in self.arrays)

    @property
    def exact(self) -> bool:
        """Whether every mode gives the same bits."""
        return self.op.is_exact(self.arrays[-1].dtype) if self.arrays else bool(self.op.exact)

    @property
    def graph(self) -> Graph:
        builder = GraphBuilder()
        node = builder.add(self.op, [builder.input(t) for t in self.types], self.attributes)
        return builder.build(node.results).verify()


def arity(op: Op) -> int:
    """How many operands an elementwise op takes."""
    if op.name in ARITY:
        return ARITY[op.name]
    spelling = str(op.spelling.get("numba", "{1}"))
    return 2 if "{1}" in spelling else 1


def draw(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, domain: Any, operand: int
) -> np.ndarray:
    """Values of the domain, with specials in between where it says so."""
    domain = domain or domains.LINE
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "c":
        part = real_dtype(dtype)
        plain = domain._replace(specials=False)
        parts = [draw(rng, shape, part, plain, operand) for _ in range(2)]
        return np.asarray(parts[0] + 1j * parts[1], dtype)
    if python_type(dtype) is float:
        low, high = domain.interval(operand)
        values = np.asarray(rng.uniform(low, high, shape)).astype(dtype)
        if domain.specials and values.size > 4:
            places = rng.random(shape) < 0.25
            values = np.where(places, rng.choice(SPECIALS, shape), values).astype(dtype)
        return values
    low, high = domain.integer_range(operand)
    limits = np.iinfo(dtype)
    low, high = max(low, int(limits.min)), min(high, int(limits.max))
    return np.asarray(rng.integers(low, high, shape, endpoint=True)).astype(dtype)


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same shape and dtype in another layout (repeated: other values, too)."""
    if layout == "strided" and array.ndim:
        wide = np.repeat(array, 2, axis=-1)
        return wide[..., ::2]
    if layout == "reversed" and array.ndim:
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    if layout == "transposed":
        return np.array(array.T, order="C").T
    if layout == "repeated" and array.size:
        return np.broadcast_to(array[..., :1] if array.ndim else array, array.shape)
    return array


def dtypes_of(op: Op) -> list[np.dtype]:
    """The dtypes of operands that the op accepts."""
    accepts = getattr(op.rule, "accepts", None)
    if accepts is None:
        accepts = SAMPLES[op.name].accepts if op.name in SAMPLES else "biuf"
    refused = SAMPLES[op.name].refused if op.name in SAMPLES else ()
    if op.kind in (Kind.MOVEMENT, Kind.INDEXING) and op.scatter != "add":
        accepts += "s"
    return [d for d in DTYPES if kind(d) in accepts and d.name not in refused]


def cases(op: Op) -> Iterator[Case]:
    """All calls of `op` that modes are checked with: every dtype, every shape, every layout, but
    not their product."""
    rng = np.random.default_rng(abs(hash_of(op.name)))
    if op.kind is Kind.ELEMENTWISE:
        yield from _elementwise_cases(op, rng)
        return
    sample = SAMPLES[op.name]
    for dtype in dtypes_of(op):
        for number, (shapes, attributes) in enumerate(sample.calls):
            full = dtype.name in ("float32", "int64", "bool") or number == 0
            if not full:
                continue
            arrays = sample.arrays(rng, shapes, dtype, attributes, draw, op.domain)
            made = sample.attributes(attributes, dtype)
            layouts = LAYOUTS if dtype.name == "float32" else LAYOUTS[:1]
            for layout in layouts:
                given = tuple(
                    laid_out(a, layout) if i in sample.layouts else a for i, a in enumerate(arrays)
                )
                yield Case(op, given, made, f"{op.name} {dtype.name} {shapes} {made} {layout}")


def hash_of(name: str) -> int:
    """A number for a name, the same in every process."""
    return int.from_bytes(name.encode()[-7:], "little")


def _elementwise_cases(op: Op, rng: np.random.Generator) -> Iterator[Case]:
    count = arity(op)
    dtypes = dtypes_of(op)
    main = np.dtype("float32") if np.dtype("float32") in dtypes else dtypes[-1]
    for dtype in dtypes:
        for attributes in _elementwise_attributes(op, dtype):
            shapes = SHAPES if dtype == main else SHAPES[2:4]
            for shape in shapes:
                layouts = LAYOUTS if dtype == main and len(shape) == 2 else LAYOUTS[:1]
                for layout in layouts:
                    arrays = [draw(rng, shape, dtype, op.domain, i) for i in range(count)]
                    if getattr(op.rule, "condition", False):
                        arrays[0] = rng.random(shape) < 0.5
                    # operands in different layouts, so that none is taken for another's
                    given = tuple(
                        laid_out(a, layout if i % 2 == 0 else "packed")
                        for i, a in enumerate(arrays)
                    )
                    label = f"{op.name} {dtype.name} {shape} {attributes} {layout}"
                    yield Case(op, given, attributes, label)


def _elementwise_attributes(op: Op, dtype: np.dtype) -> list[dict[str, Any]]:
    if op.name == "cast":
        kinds = "bc" if dtype.kind == "c" else "biufcs"
        targets = [target for target in DTYPES if kind(target) in kinds]
        if is_added(dtype):
            targets = [target for target in targets if target.name in BESIDE_ADDED]
        elif dtype.name not in BESIDE_ADDED:
            targets = [target for target in targets if not is_added(target)]
        return [{"dtype": target} for target in targets]
    if op.name == "bitcast":
        if dtype.kind == "b":
            return []
        return [
            {"dtype": target}
            for target in DTYPES
            if target.itemsize == dtype.itemsize and target.kind != "b"
        ]
    return [{}]


def run_eagerly(case: Case) -> tuple[np.ndarray, ...]:
    """The op on tensors, through the door."""
    made = door.apply(case.op, *map(df.asarray, case.arrays), **case.attributes)
    return tuple(t.numpy() for t in (made if isinstance(made, tuple) else (made,)))


def in_dtype(wanted: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers rounded to `dtype`; to one that NumPy lacks by float32, as everywhere."""
    return (
        wanted.astype(compute_dtype(dtype)).astype(dtype)
        if is_added(dtype)
        else (wanted.astype(dtype))
    )


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether all bits are equal; NaN equals NaN whatever its payload."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind == "c":
        return same_bits(a.real, b.real) and same_bits(a.imag, b.imag)
    if python_type(a.dtype) is not float:
        return bool(np.array_equal(a, b))
    nan = np.isnan(a)
    unsigned = np.dtype(f"uint{8 * a.dtype.itemsize}")
    bits = [np.where(nan, 0, np.ascontiguousarray(x)).astype(x.dtype) for x in (a, b)]
    same = [np.atleast_1d(x).view(unsigned) for x in bits]
    return bool(np.array_equal(nan, np.isnan(b)) and np.array_equal(*same))


def ulps(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest distance of `found` to `wanted` (given in higher precision), in units of the
    last place of `found`'s dtype; infinite where one is NaN or infinite and the other is not."""
    if not found.size:
        return 0.0
    exact = wanted.astype(np.longdouble)
    rounded = in_dtype(exact, found.dtype)
    equal = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
    least = limits(found.dtype).smallest_subnormal
    spacing = np.maximum(np.spacing(np.abs(rounded)), least).astype(np.longdouble)
    gap = np.abs(found.astype(np.longdouble) - exact) / spacing
    gap = np.where(equal, 0, np.where(np.isfinite(gap), gap, np.inf))
    return float(gap.max())


def agree(op: Op, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two results of an exact op are the same, as far as the op defines them."""
    if op.name in ANY_ZERO and is_float(a.dtype):
        zero = a.dtype.type(0)
        a, b = a + zero, b + zero
    return same_bits(a, b)


def check_against_reference(case: Case, found: tuple[np.ndarray, ...]) -> None:
    """Raise where `found` is not what an independent computation gives."""
    reference = REFERENCES[case.op.name]
    arrays = case.arrays
    if case.op.kind in COMPUTED and not case.op.as_given:
        arrays = tuple(a.astype(compute_dtype(a.dtype)) if is_added(a.dtype) else a for a in arrays)
    wanted = reference(*arrays, **case.attributes)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    types = case.op.infer(case.types, case.attributes)
    assert len(found) == len(wanted) == len(types), case.label
    for one, other, type_ in zip(found, wanted, types, strict=True):
        assert (one.shape, one.dtype) == (type_.shape, type_.dtype), case.label
        other = np.asarray(other)
        assert other.shape == one.shape, f"{case.label}: the reference has shape {other.shape}"
        _compare(case, one, other)


def _compare(case: Case, found: np.ndarray, wanted: np.ndarray) -> None:
    bound = getattr(SAMPLES.get(case.op.name), "bound", None)
    message = f"{case.label}\n{case.arrays}\nfound {found}\nwanted {wanted}"
    if "c" in [a.dtype.kind for a in (*case.arrays, found)] and bound is None:
        same = agree(case.op, found, in_dtype(wanted, found.dtype))
        assert same or is_rounded(found, wanted), message
    elif not is_inexact(found.dtype) or (case.exact and bound is None):
        assert agree(case.op, found, in_dtype(wanted, found.dtype)), message
    elif bound is not None:
        limit = bound(case.arrays, case.attributes, found.dtype)
        close = np.abs(widened(found) - wanted) <= limit
        near = in_dtype(wanted, found.dtype)  # infinite where the dtype ends
        special = (near == found) | (np.isnan(near) & np.isnan(found))
        assert np.all(close | special), message
    else:
        assert ulps(found, wanted) <= ULPS, message


def is_rounded(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether complex results, or real ones of complex operands, are right but for rounding."""
    if not is_inexact(found.dtype):
        return False
    gap = np.abs(found.astype(np.clongdouble) - wanted)
    return bool(np.all(gap <= 64 * np.finfo(found.dtype).eps * np.abs(wanted)))


def check(op: Op, runner: Runner) -> int:
    """Compare what `runner` gives with the reference, and for exact ops with eager's bits; how
    many cases there were."""
    count = 0
    with np.errstate(all="ignore"):
        for case in cases(op):
            found = tuple(runner(case.graph, list(case.arrays)))
            check_against_reference(case, found)
            if case.exact:
                for one, other in zip(found, run_eagerly(case), strict=True):
                    assert agree(op, one, other), case.label
            count += 1
    return count


def ops(*kinds: Kind) -> list[Op]:
    """The catalogue (or its ops of some kinds), in order of names."""
    found = [op for op in CATALOGUE.values() if not kinds or op.kind in kinds]
    return sorted(found, key=lambda op: op.name)
