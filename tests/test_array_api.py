"""The Array API 2024.12 in short: every name, signature and dtype rule, a call of every function
eagerly and compiled, special cases. `run_array_api.py` runs the whole public suite."""

from __future__ import annotations

import inspect
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_api_table import (
    ARRAYS,
    BINARY,
    CALLS,
    CONSTANTS,
    DTYPES,
    EXPOSING,
    OTHERS,
    PROPERTIES,
    SIGNATURES,
    SPECIAL,
    UNARY,
)

import dualflow as df
from dualflow import errors

STANDARD = dict(line.split("(", 1) for line in SIGNATURES.split("\n") if line)
RULES = [(name, rule) for table in (UNARY, BINARY) for rule in table for name in rule[2].split()]
COUNT = {name: 1 + (rule in BINARY) for name, rule in RULES}


def find(name: str) -> Any:
    """A function of the standard: `add`, `fft.fft`, `array.__add__`, `info.dtypes`."""
    room, _, rest = name.rpartition(".")
    owner = {"array": df.Tensor, "info": type(df.__array_namespace_info__()), "": df}.get(room)
    return getattr(getattr(df, room) if owner is None else owner, rest)


@pytest.mark.parametrize("name", STANDARD)
def test_signature(name: str):
    """What the standard lets a caller write, dualflow's function takes."""
    exec(f"def wanted({STANDARD[name]}: pass", made := {})
    wanted = list(inspect.signature(made["wanted"]).parameters.values())
    found = dict(inspect.signature(find(name)).parameters)
    if name.startswith(("array.", "info.")):
        found.pop(next(iter(found)))
    for place, parameter in enumerate(wanted):
        if parameter.kind is parameter.VAR_POSITIONAL:
            assert list(found.values())[place].kind is parameter.kind
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            same = found[parameter.name]
        else:
            same = list(found.values())[place]
            assert same.kind in (same.POSITIONAL_ONLY, same.POSITIONAL_OR_KEYWORD)
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            assert same.name == parameter.name
            assert same.kind is same.POSITIONAL_OR_KEYWORD
        if parameter.default is not parameter.empty:
            assert same.default == parameter.default
    names = {parameter.name for parameter in wanted}
    required = [p for p in list(found.values())[len(wanted) :] if p.default is p.empty]
    assert not [p for p in required if p.name not in names and p.kind is not p.VAR_KEYWORD]


def test_constants_and_properties():
    for name, value in CONSTANTS.items():
        found = getattr(df, name)
        assert found is value or found == value or (found != found and value != value)
    assert all(isinstance(getattr(df, name), np.dtype) for name in DTYPES)
    x = df.ones((2, 3))
    assert all(hasattr(x, name) for name in PROPERTIES)
    assert x.__array_namespace__(api_version="2024.12") is df
    assert df.__array_api_version__ == "2024.12"


def test_every_function_is_called():
    text = "\n".join(CALLS)
    called = {name for name, _ in RULES} | set(OTHERS)
    names = [name for name in STANDARD if not name.startswith(("array.", "info."))]
    assert not [name for name in names if f"xp.{name}(" not in text and name not in called]


@pytest.mark.parametrize(("name", "rule"), RULES, ids=[name for name, _ in RULES])
def test_dtype_rule(name: str, rule: tuple[str, str, str]):
    kinds, result, _ = rule
    with np.errstate(divide="ignore"):  # atanh(1)
        check_dtypes(name, kinds, result, getattr(df, name))


def check_dtypes(name: str, kinds: str, result: str, function: Callable[..., Any]) -> None:
    for dtype in map(np.dtype, DTYPES):
        if dtype.kind not in kinds:
            if dtype.kind == "c" and kinds != "b":
                with pytest.raises(errors.DTypeError):
                    function(*[df.ones(2, dtype)] * COUNT[name])
            continue
        x = df.asarray(np.array([1, 1], dtype))
        wanted = {"same": dtype, "bool": np.dtype(bool), "real": x.numpy().real.dtype}[result]
        assert function(*[x] * COUNT[name]).dtype == wanted
        assert function(*[x[:1], df.ones((3, 1), dtype)][: COUNT[name]]).dtype == wanted


def twice(function: Callable[..., Any], *args: Any, way: str = "replays") -> Any:
    """The result of a second call of `function`, compiled, which must run in this way."""
    compiled = df.compile(function, wait=True)
    with np.errstate(all="ignore"):
        compiled(*args)
        out = compiled(*args)
    assert compiled.stats()[way] == 1, compiled.explain()
    return out


def arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays(part)]
    return [np.asarray(value)]


@pytest.fixture(autouse=True)
def _strict():
    with df.config(on_compiler_error="raise"):
        yield


@pytest.mark.parametrize(
    ("name", "kind"),
    [(n, k) for n, rule in RULES for k in "bifc" if k in rule[0]],
    ids=lambda value: value,
)
def test_elementwise_compiled(name: str, kind: str):
    rng = np.random.default_rng(5)
    dtype = {"b": "bool", "i": "int32", "f": "float32", "c": "complex64"}[kind]
    values = [rng.uniform(0.1, 0.9, (2, 3)) * (1 if kind in "fc" else 9) for _ in range(2)]
    if kind == "c":
        values = [value + 1j * value[::-1] for value in values]
    given = [df.asarray(value.astype(dtype)) for value in values][: COUNT[name]]
    with np.errstate(invalid="ignore"):  # acosh below 1
        eager = getattr(df, name)(*given)
    out = twice(getattr(df, name), *given)
    assert (out.dtype, out.shape) == (eager.dtype, eager.shape)
    np.testing.assert_allclose(out.numpy(), eager.numpy(), rtol=5e-7)


NAMES = list(ARRAYS)
VALUES = [df.asarray(np.asarray(value)) for value in ARRAYS.values()]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The calls as functions in a file: what has no source is not recorded."""
    parts = [f"def call_{i}({', '.join(NAMES)}):\n    return {t}\n" for i, t in enumerate(CALLS)]
    made = tmp_path_factory.mktemp("calls") / "array_api_calls.py"
    made.write_text("\n".join(parts))
    return made


def of(namespace: Any, file: Path, name: str) -> Callable[..., Any]:
    """The function of that name in the file, with `namespace` as `xp`."""
    room = {"xp": namespace, "inf": math.inf, "__name__": "array_api_calls"}
    exec(compile(file.read_text(), str(file), "exec"), room)
    return room[name]  # type: ignore[return-value]


@pytest.mark.parametrize("text", CALLS)
def test_call(text: str, file: Path):
    """A call gives NumPy's values, eagerly and compiled."""
    name = f"call_{CALLS.index(text)}"
    function = of(df, file, name)
    wanted = of(np, file, name)(*(x.numpy().copy() for x in VALUES))
    exposing = any(name in text for name in EXPOSING)
    eager = function(*VALUES)
    compiled = twice(function, *VALUES, way="co_executions" if exposing else "replays")
    for out in (eager, compiled):
        for found, expected in zip(arrays(out), arrays(wanted), strict=True):
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    assert [a.dtype for a in arrays(eager)] == [a.dtype for a in arrays(compiled)]


@pytest.mark.parametrize(
    ("name", "args", "wanted"), SPECIAL, ids=[f"{name}{args}" for name, args, _ in SPECIAL]
)
def test_special_case(name: str, args: tuple[complex, ...], wanted: complex):
    given = [df.asarray([value, value]) for value in args]
    with np.errstate(all="ignore"):
        eager = getattr(df, name)(*given)
    for out in (eager, twice(getattr(df, name), *given)):
        for found in out.tolist():
            parts = [(complex(v).real, complex(v).imag) for v in (found, wanted)]
            for one, other in zip(*parts, strict=True):
                assert one == pytest.approx(other, rel=1e-6, nan_ok=True)
                assert one != 0 or math.copysign(1, one) == math.copysign(1, other)


SUITE = """
import sys
import array_api_compiled as xp
import dualflow as df
names = sys.argv[1].split()
rooms = {"linalg": xp.linalg, "fft": xp.fft}
for name in names:
    room, _, rest = name.rpartition(".")
    getattr(rooms.get(room, xp), rest)
print(*[name for name in names if name not in xp.COUNTS])
x = xp.asarray([1.0, 2.0])
for call in (lambda: xp.add(x, x), lambda: x + x, lambda: x[:1], lambda: xp.nonzero(x)):
    call()
    try:
        with df.config(mode="eager"):
            call()
    except AssertionError as error:
        print("no replay" in str(error))
"""


def test_the_namespace_for_the_suite_compiles_everything():
    """Every function of the standard; and what runs eagerly there fails."""
    names = [name for name in STANDARD if not name.startswith(("array.", "info."))]
    run = [sys.executable, "-c", SUITE, " ".join(names)]
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    own = {"PYTHONPATH": paths, "ARRAY_API_TESTS_MODULE": "array_api_compiled"}
    done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, **own})
    said = done.stdout.splitlines()
    assert not done.returncode, done.stderr
    assert said[:5] == ["", *["True"] * 4]
    assert said[-1].startswith("compiled calls of ")


def test_what_dtypes_are():
    assert df.finfo(df.complex64).dtype == df.float32
    assert df.finfo(df.ones(1, df.float64)).bits == 64
    assert df.iinfo(df.uint8).max == 255
    assert df.isdtype(df.complex64, ("bool", "complex floating"))
    assert not df.isdtype(df.float32, "integral")
    assert df.can_cast(df.int8, df.int16)
    assert not df.can_cast(df.int64, df.int32)
    assert not df.can_cast(df.ones(1, df.complex64), df.float64)
    assert df.result_type(df.float32, 1j) == df.complex64
    assert df.result_type(df.float64, df.complex64) == df.complex128
    assert df.result_type(df.ones(1, df.uint8), df.int8, 3) == df.int16


def test_what_the_namespace_is():
    info = df.__array_namespace_info__()
    assert info.capabilities()["data-dependent shapes"] is True
    assert info.default_device() in info.devices()
    assert set(info.dtypes()) == set(DTYPES)
    assert set(info.dtypes(kind=("unsigned integer", "bool"))) == {"bool", *DTYPES[5:9]}
    assert info.default_dtypes()["complex floating"] == df.complex64
    with pytest.raises(errors.DeviceError):
        info.dtypes(device="cuda")
