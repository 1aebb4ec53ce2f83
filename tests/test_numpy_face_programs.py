"""Random programs of NumPy with views, writes and scalars give on faces what they give on ndarrays.

A program is a list of statements over a growing pool of arrays that share memory in all ways. It
runs on ndarrays, on faces eagerly (the same bits), and co-executed: pending, and by programs
(sums of reversed or strided memory may round otherwise).
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualflow.array import face
from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments

#: {x}, {y}: arrays of the pool; {k}: a small integer; the result, if it is an array, joins the pool
EXPRESSIONS = (
    "{x} + {k}", "{x} * {y}.sum()", "-{x}", "{x}[::-1]", "{x}[1:]", "{x}[:-1]", "{x}[::2]",
    "{x}.T", "{x}.reshape(-1)", "{x}.ravel()", "{x}.copy()", "np.abs({x})", "{x}[..., None]",
    "np.maximum({x}, {k})", "{x} - {x}.mean()", "{x}[{x} > {k}]", "np.where({x} > {k}, {x}, {k})",
    "{x}.T + {x}.T", "np.concatenate([{x}.ravel(), {y}.ravel()])", "np.sort({x}.ravel())",
    "np.cumsum({x})", "{x}.astype('f4')", "{x}[...]", "np.atleast_2d({x})", "np.flip({x})",
    "np.roll({x}, {k})", "{x}.ravel()[np.arange({x}.size)[::2]]", "np.zeros_like({x})",
    "{x} ** 2", "np.sqrt(np.abs({x}))", "{x} @ {x}.T", "np.outer({x}, {y})[:3, :3]",
    "{x}.max(axis=0) + np.zeros(1)", "np.tile({x}, 2)", "{x}[:1] * {y}.min()",
    "np.diff({x}, axis=0)", "np.squeeze({x})", "np.round({x}, 1)", "np.clip({x}, 0, {k})",
)  # fmt: skip
STATEMENTS = (
    "{x} += {k}", "{x} *= 0.5", "{x}[...] = {k}", "{x}[:1] = {y}.sum()", "{x}[::2] -= 1",
    "{x}[{x} > {k}] = 0", "{x}[{x} < 0] *= -1", "{x}[1:] = {x}[:-1]", "{x}[:-1] += {x}[1:]",
    "{x} -= {x}.mean()", "np.add({x}, 1, out={x})", "np.copyto({x}, {k})", "{x}.fill({k})",
    "{x}.sort(axis=0)", "{x}.T[...] = {x}.T * 2", "{x}.reshape(-1)[:1] = 7", "{x}.flat[0] = 3",
    "{x}[[0, -1]] = {k}", "{x}[0] = {x}[-1]", "np.add.at({x}, [0, 0], 1.0)",
    "numbers.append(float({x}.sum()))", "numbers.append({x}.sum() > {k})",
    "numbers.append({x}.ravel()[-1] + {k})", "numbers.append(int(np.argmax({x})))",
    "numbers.append({x}.shape)", "numbers.append({x}[(0,) * {x}.ndim])",
    "{x}[...] = np.where({x} > {k}, {x}, -{x})",
    "if {x}.max() > {k}: {x} -= 1", "numbers.append(np.shares_memory({x}, {y}))",
)  # fmt: skip
STARTS = ((5,), (3, 4), (2, 3, 2))


def program(random: np.random.Generator, length: int) -> list[str]:
    """The source of a program, a statement each."""
    names, lines = ["v0", "v1", "v2"], []
    for _ in range(length):
        x, y = random.choice(names[-5:]), random.choice(names)
        k = int(random.integers(0, 4))
        if random.random() < 0.55:
            name = f"v{len(names)}"
            code = str(random.choice(EXPRESSIONS)).format(x=x, y=y, k=k)
            lines.append(f"{name} = {code}")
            names.append(name)
        else:
            lines.append(str(random.choice(STATEMENTS)).format(x=x, y=y, k=k))
    return lines


def run(lines: list[str], arrays: list) -> tuple[dict, list]:
    """The pool and the numbers after the program; a line that fails is noted and left out."""
    numbers: list = []
    names = {"np": np, "numbers": numbers} | {f"v{i}": x for i, x in enumerate(arrays)}
    for line in lines:
        try:
            exec(line, names)
        except Exception as error:
            numbers.append((type(error).__name__, str(error)))
            target = line.split(" ")[0]
            names.setdefault(target, arrays[0]) if " = " in line else None
    pool = {name: x for name, x in names.items() if name[0] == "v" and name[1:].isdigit()}
    return pool, numbers


def starts(seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [np.round(random.standard_normal(shape) * 4, 1) for shape in STARTS]


def same(found: tuple[dict, list], expected: tuple[dict, list], lines: list[str], exact: bool):
    text = "\n".join(lines)
    pool, numbers = face.unwrap_all(list(found[0].items())), face.unwrap_all(found[1])
    assert len(numbers) == len(expected[1]), text
    for x, y in zip(numbers, expected[1], strict=True):
        assert type(x) is type(y), (x, y, text)
        near = not exact and isinstance(y, (float, np.floating))
        assert x == y or x != x or (near and abs(x - y) <= 1e-9 + 1e-9 * abs(y)), (x, y, text)
    for (name, x), y in zip(pool, expected[0].values(), strict=True):
        assert type(x) is type(y), (name, type(x), type(y), text)
        assert (x.dtype, x.shape) == (y.dtype, y.shape), (name, text)
        if exact:
            np.testing.assert_array_equal(x, y, err_msg=f"{name}\n{text}")
        else:
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-9, err_msg=f"{name}\n{text}")
        if x.size > 1:
            wide = [i for i, size in enumerate(x.shape) if size > 1]
            assert [x.strides[i] for i in wide] == [y.strides[i] for i in wide], (name, text)
    arrays, wanted = [x for _, x in pool], list(expected[0].values())
    for i, x in enumerate(arrays):
        for j, y in enumerate(arrays[:i]):
            if x.size and y.size and isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
                shared = np.shares_memory(wanted[i], wanted[j])
                assert np.shares_memory(x, y) == shared, (pool[i][0], pool[j][0], text)


def check(seed: int, length: int, mode: str) -> Segments | None:
    lines = program(np.random.default_rng(seed), length)
    segments = Segments()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for turn in range(3 if mode == "compiled" else 1):
            theirs, mine = starts(seed + turn), starts(seed + turn)
            expected = run(lines, theirs)
            handles = [face.wrap(x) for x in mine]
            if mode == "eager":
                found = run(lines, handles)
            else:
                wait = mode == "compiled"
                found = coexecute(segments, lambda h=handles: run(lines, h), wait=wait)
            same(found, expected, lines, exact=mode == "eager")
    return segments


@pytest.mark.parametrize("mode", ["eager", "pending"])
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), length=st.integers(1, 25))
def test_random_programs(mode, seed, length):
    check(seed, length, mode)


@pytest.mark.parametrize("seed", range(6))
def test_random_programs_compiled(seed):
    segments = check(seed + 40, 10, "compiled")
    assert segments is not None
    assert segments.stats.compiled > 0
    assert segments.stats.failures == 0
