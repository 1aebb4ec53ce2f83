"""Every snippet of `numpy_face_snippets` gives on faces, bit by bit, what it gives on ndarrays.

In the eager mode and in the co-executing one (values pending): values, dtypes, shapes, scalar
types, exceptions with their texts, what was written where, which results share memory with what.
"""

from __future__ import annotations

import copy
import warnings

import numpy as np
import numpy_face_snippets as snippets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualflow.array import face
from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments

FINITE = (0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.0, 7.25, 1e-3, 300.0)
FLOATS = (*FINITE, np.nan, np.inf, -np.inf)
DTYPES = ("f8", "f4", "i8", "i4", "u1", "i1", "?", "f2", "c16", "u8")
#: where the sign of a zero may differ: of two zeros NumPy itself takes one or the other
ZEROS_ALIKE = ("sort", "uni", "setdiff", "intersect", "max", "min", "clip", "ntile")
Arrays = dict[str, np.ndarray]


def array(random: np.random.Generator, dtype: str, shape: tuple[int, ...], lie: int) -> np.ndarray:
    """An array whose memory lies as `lie` says: rows, columns, with gaps, or backwards."""
    wide = shape if lie < 2 else (*shape[:-1], shape[-1] * 2) if shape else shape
    if lie == 1:
        wide = tuple(reversed(shape))
    kind = np.dtype(dtype).kind
    if kind in "fc":
        made = random.choice(FINITE if kind == "c" else FLOATS, wide).astype(dtype)
        if kind == "c":
            made = made + 1j * random.choice((0.0, 1.0, -2.0), wide)
    else:
        made = random.integers(-3 if kind == "i" else 0, 6, wide).astype(dtype)
    if lie == 1:
        return made.T
    if lie == 2 and shape:
        return made[..., ::2]
    return made[..., ::-2] if lie == 3 and shape else made


def arguments(seed: int, dtypes: tuple[str, str], shape: tuple[int, ...], lie: int) -> Arrays:
    """The arrays that a snippet names."""
    random = np.random.default_rng(seed)
    other = tuple(1 if random.random() < 0.3 else n for n in shape)
    size = int(random.integers(0, 6)) if seed % 5 == 0 else int(random.integers(2, 40))
    return {
        "a": array(random, dtypes[0], shape, lie),
        "b": array(random, dtypes[1], other[int(random.integers(0, len(shape) + 1)) :], 0),
        "v": array(random, dtypes[0], (size,), lie),
        "w": array(random, dtypes[1], (3,), 0),
        "q": np.nan_to_num(array(random, dtypes[0], (3, 3), lie), posinf=4.0, neginf=-3.0),
        "m": np.array(random.random(shape) < 0.5),
        "i": random.integers(0, max(size, 1), 3),
    }


def run(code: str, names: dict[str, object]) -> object:
    """The value of the last statement of `code`, or the exception."""
    *first, last = code.split("; ")
    scope = dict(names, np=np)
    try:
        for statement in first:
            exec(statement, scope)
        try:
            compiled = compile(last, "<snippet>", "eval")
        except SyntaxError:
            exec(last, scope)
            return None
        found = eval(compiled, scope)
        return real(found)
    except Exception as error:
        return error


def real(found: object) -> object:
    """What leaves: real arrays and scalars."""
    if type(found).__name__ == "Flat":
        return np.asarray(found)
    if type(found) in (map, zip, range):
        found = list(found)
    return face.unwrap_all(found)


def same(found: object, expected: object, where: str) -> None:
    if isinstance(expected, Exception):
        assert type(found) is type(expected), (where, found, expected)
        assert str(found) == str(expected).replace("numpy.ndarray'", "ndarray'"), where
        return
    assert not isinstance(found, Exception), (where, found)
    if isinstance(expected, (list, tuple)):
        assert type(found) is type(expected), (where, found)
        assert len(found) == len(expected), (where, found)
        for x, y in zip(found, expected, strict=True):
            same(x, y, where)
        return
    assert type(found) is type(expected), (where, type(found), type(expected), found, expected)
    if isinstance(expected, (np.ndarray, np.generic)):
        assert found.dtype == expected.dtype, (where, found.dtype, expected.dtype)
        assert found.shape == expected.shape, (where, found.shape, expected.shape)
        alike(found, expected, where)
    elif isinstance(expected, (np.lib._index_tricks_impl.ndenumerate, np.flatiter)):
        return
    else:
        assert found == expected or found != found, (where, found, expected)


def alike(found: np.ndarray, expected: np.ndarray, where: str) -> None:
    """The same bits, but for the payload and sign of NaN."""
    if expected.dtype.kind == "c":
        alike(np.real(found), np.real(expected), where)
        alike(np.imag(found), np.imag(expected), where)
        return
    if expected.dtype.kind == "f":
        nan = np.isnan(expected)
        assert np.array_equal(nan, np.isnan(found)), (where, found, expected)
        found, expected = np.where(nan, 0, found), np.where(nan, 0, expected)
        if any(word in where for word in ZEROS_ALIKE):
            found, expected = found + 0.0, expected + 0.0
    if "co-execute" in where and expected.dtype.kind == "f":  # other strides, other SIMD loops
        np.testing.assert_array_max_ulp(found, expected, 2)
        return
    assert found.tobytes() == expected.tobytes(), (where, found, expected)


def layouts(found: object, expected: object) -> bool:
    """Whether arrays lie in memory as NumPy's do."""
    if isinstance(expected, (list, tuple)):
        return all(map(layouts, found, expected))
    if not isinstance(expected, np.ndarray) or expected.size < 2:
        return True
    wide = [axis for axis, size in enumerate(expected.shape) if size > 1]
    return [found.strides[i] for i in wide] == [expected.strides[i] for i in wide]


def aliases(found: object, arguments: Arrays) -> list[str]:
    """The arguments with which results share memory."""
    if isinstance(found, (list, tuple)):
        return sorted({name for item in found for name in aliases(item, arguments)})
    if not isinstance(found, np.ndarray):
        return []
    return [name for name, x in arguments.items() if np.may_share_memory(found, x)]


def check(code: str, given: Arrays, mode: str) -> None:
    mine, theirs = copy.deepcopy(given), copy.deepcopy(given)
    for name, x in given.items():  # deepcopy packs
        mine[name], theirs[name] = relaid(x), relaid(x)
    where = f"{code!r} [{mode}] " + ", ".join(
        f"{k}={v.dtype}{v.shape}{v.strides}" for k, v in given.items() if k in code
    )
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = run(code, theirs)
        handles = {name: face.wrap(x) for name, x in mine.items()}
        if mode == "eager":
            found = run(code, handles)
        else:
            found = coexecute(Segments(), lambda: run(code, handles))
    same(found, expected, where)
    for name in given:
        alike(mine[name], theirs[name], f"{name} after {where}")
    if not isinstance(expected, Exception):
        assert layouts(found, expected), (where, found, expected)
        assert aliases(found, mine) == aliases(expected, theirs), where


def relaid(x: np.ndarray) -> np.ndarray:
    """A copy with the same strides."""
    root = x
    while isinstance(root.base, np.ndarray):
        root = root.base
    if root is x:
        return x.copy(order="K")
    memory = root.copy(order="K")
    offset = x.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return np.ndarray(x.shape, x.dtype, memory, offset, x.strides)


def split(text: str, by: str) -> list[str]:
    return [code.strip() for code in text.strip().replace("\n", by).split(by)]


CODES = [
    code
    for text in (snippets.OPERATORS, snippets.UFUNCS, snippets.REDUCTIONS, snippets.SHAPES,
                 snippets.INDEXING, snippets.WRITES)
    for code in split(text, "; ")
] + split(snippets.PROGRAMS, "\n")  # fmt: skip
SHAPES = ((3, 4), (2, 3, 2), (5,), (), (0, 3), (1, 4))


@pytest.mark.parametrize("mode", ["eager", "co-execute"])
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6),
    dtypes=st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)),
    shape=st.sampled_from(SHAPES),
    lie=st.integers(0, 3),
)
def test_snippets_give_what_numpy_gives(mode, seed, dtypes, shape, lie):
    random = np.random.default_rng(seed)
    given = arguments(seed, dtypes, shape, lie)
    for code in random.choice(CODES, 12):
        check(str(code), given, mode)
