"""Random Python functions: eager = interpreted graph = compiled, call by call.

Every program is run undecorated and compiled on the same fresh inputs: several calls, two shapes,
NaN and infinities, empty and 0-d tensors, strided and overlapping arguments. Compared are results,
arguments afterwards, exceptions and the state of the random generator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from harness import same_bits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_programs import LAYOUTS, SHAPES, Program, ignoring, inputs, load

import dualflow as df
from dualflow import pipeline
from dualflow.capture import blocks
from dualflow.capture.coexecution import segments
from dualflow.ir.graph import Graph
from dualflow.ir.interpret import interpret
from dualflow.passes import simplify

TOLERANCE = {"float32": 1e-3, "float64": 1e-9}


@st.composite
def programs(draw: Any, inexact: bool = True, length: int = 9) -> Program:
    """Programs with everything that decides how they are called."""
    shapes = tuple(draw(st.permutations(SHAPES)))[:2]
    made = Program(
        lambda options: draw(st.sampled_from(options)),
        draw(st.sampled_from(["float32", "float64"])),
        shapes,  # type: ignore[arg-type]
        draw(st.integers(0, 10_000)),
        inexact,
    )
    return made.grow(length)


def calls(program: Program) -> Iterator[Any]:
    """The inputs of its calls: two shapes, two layouts, new values each time."""
    one, other = program.shapes
    layout = LAYOUTS[program.seed % len(LAYOUTS)]
    for n, (shape, how) in enumerate(
        [(one, "packed"), (one, "packed"), (one, layout), (one, layout), (other, "packed"),
         (other, "packed"), (one, "packed")]
    ):  # fmt: skip
        yield inputs(program.seed + 100 * n, shape, program.float_name, how)


@dataclass
class Seen:
    """What a call showed."""

    error: tuple[type, str] | None
    results: dict[str, Any]
    memory: list[np.ndarray]
    draws: Any


def observe(function: Callable[..., Any], given: Any) -> Seen:
    """Call `function` and look at everything."""
    error, results = None, {}
    with ignoring():
        try:
            results = function(*given.arguments)
        except (df.errors.DualflowError, TypeError, ValueError, IndexError) as raised:
            if isinstance(raised, df.errors.CompileError):
                raise
            error = (type(raised), str(raised))
    results = {name: value.numpy().copy() for name, value in results.items()}
    memory = [base.numpy().copy() for base in given.bases]
    return Seen(error, results, memory, (df.random.default.key, df.random.default.counter))


def run(function: Callable[..., Any], program: Program) -> list[Seen]:
    """All calls, from one state of the random generator."""
    df.random.seed(program.seed)
    return [observe(function, given) for given in calls(program)]


def check_same(
    found: list[Seen], wanted: list[Seen], program: Program, bits: bool, closer: float = 1.0
) -> None:
    """Raise where two runs differ: exact values in a bit, others by more than rounding."""
    found_types = {v.dtype.name for v in program.worlds[0].values() if isinstance(v, df.Tensor)}
    tolerance = TOLERANCE["float32" if "float32" in found_types else "float64"] * closer
    for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
        where = f"call {number}\n{program.text}"
        assert one.error == other.error, where
        assert one.draws == other.draws, where
        for a, b in zip(one.memory, other.memory, strict=True):
            assert same_bits(a, b), f"arguments of {where}\nfound {a}\nwanted {b}"
        assert list(one.results) == list(other.results), where
        for name, a in one.results.items():
            b = other.results[name]
            message = f"{name} of {where}\nfound {a!r}\nwanted {b!r}"
            if bits or name in program.exact:
                assert same_bits(a, b), message
            else:
                assert near(a, b, tolerance), message


def near(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    """Equal shapes and dtypes, equal places of NaN and infinity, close values."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    finite = np.isfinite(b)
    if a.dtype.kind == "c":  # which part of an overflow is infinite depends on the order
        if not np.array_equal(finite, np.isfinite(a)):
            return False
    elif not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return False
    scale = max(1.0, float(np.max(np.abs(b[finite]), initial=0.0)))
    wide = complex if a.dtype.kind == "c" else float
    return bool(np.all(np.abs(a[finite].astype(wide) - b[finite]) <= tolerance * scale))


def check_stats(function: Any, seen: list[Seen]) -> None:
    """Every call was a recording or a replay; eager only where an operation raised an error."""
    stats = function.stats()
    raised = sum(1 for one in seen if one.error is not None)
    assert stats["calls"] == len(seen)
    ways = stats["replays"] + stats["recordings"] + stats["eager_calls"] + stats["co_executions"]
    assert ways == len(seen), stats
    if not raised:
        assert stats["eager_calls"] == 0, stats


# Interpreted --------------------------------------------------------------------------------


class Interpreted:
    """In the place of a Compilation: graphs run op by op, as recorded and after the passes."""

    done = True
    native = False
    runs = 0

    def __init__(
        self, graph: Graph, layouts: Any = None, into: Any = None, behind: bool = False
    ) -> None:
        self.graph, self.simpler = graph.verify(), simplify(graph).verify()
        operand = SimpleNamespace(buffer=SimpleNamespace(place="input", index=-1))
        operand.view = SimpleNamespace(is_contiguous=False, offset=0)
        self.program = SimpleNamespace(outputs=[operand] * len(graph.outputs), steps=())

    def result(self) -> Interpreted:
        return self

    def run(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        type(self).runs += 1
        with ignoring():
            found = interpret(self.graph, arrays)
            simpler = interpret(self.simpler, arrays)
        for one, other in zip(found, simpler, strict=True):
            assert near(other, one, 1e-5 if one.dtype.itemsize < 8 else 1e-10), self.graph
        return [array.copy() for array in simpler]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


def quick(examples: int) -> settings:
    """Hypothesis's settings: the same programs every time."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None,
                    suppress_health_check=list(HealthCheck))  # fmt: skip


def check_program(program: Program, folder: Path, bits: bool = False, closer: float = 1.0) -> Any:
    """Run it eagerly and compiled; returns the compiled function."""
    module = load(program.text, folder)
    wanted = run(module.program, program)
    function = df.compile(module.program, wait=True)
    check_same(run(function, program), wanted, program, bits, closer)
    check_stats(function, wanted)
    return function


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compiled: the graphs of compiled functions are interpreted."""
    monkeypatch.setattr(blocks, "compile_graph", Interpreted)
    monkeypatch.setattr(pipeline, "compile_graph", Interpreted)
    monkeypatch.setattr(segments, "_compilations", {})
    Interpreted.runs = 0


class Ways:
    """How the calls of many programs ran."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.before = df.stats()

    def add(self, function: Any) -> None:
        self.counts.update(function.stats())

    def launches(self) -> int:
        return df.stats()["kernel_launches"] - self.before["kernel_launches"]

    def check(self) -> None:
        """Most calls were replays, or recordings of a path that had not come before."""
        counts = self.counts
        assert counts["replays"] > 0.4 * counts["calls"], counts
        assert counts["recordings"] < 0.55 * counts["calls"], counts
        assert counts["co_executions"] < 0.1 * counts["calls"], counts


def test_interpreted_programs(interpreted, folder):
    ways = Ways()

    @quick(120)
    @given(programs())
    def fuzz(program: Program) -> None:
        ways.add(check_program(program, folder))

    fuzz()
    ways.check()
    assert Interpreted.runs >= ways.counts["replays"]
    assert ways.launches() == 0


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_many_interpreted_programs(interpreted, folder):
    ways = Ways()

    @settings(quick(3000), derandomize=False)
    @given(programs(length=14))
    def fuzz(program: Program) -> None:
        ways.add(check_program(program, folder))

    fuzz()
    ways.check()


# Compiled -----------------------------------------------------------------------------------


def test_compiled_programs(folder):
    ways = Ways()

    @quick(25)
    @given(programs(length=12))
    def fuzz(program: Program) -> None:
        ways.add(check_program(program, folder))

    fuzz()
    ways.check()
    assert ways.launches() >= ways.counts["replays"]


def test_compiled_programs_of_exact_operations_have_the_same_bits(folder):
    ways = Ways()

    @quick(20)
    @given(programs(inexact=False, length=12))
    def fuzz(program: Program) -> None:
        assert program.names <= program.exact
        ways.add(check_program(program, folder, bits=True))

    fuzz()
    ways.check()
    assert ways.launches() >= ways.counts["replays"]


def test_exact_numerics_compute_as_eager_does(folder):
    """NumPy itself rounds otherwise where operands lie otherwise, so a few bits are let pass."""
    ways = Ways()

    @quick(20)
    @given(programs(length=12))
    def fuzz(program: Program) -> None:
        ways.add(check_program(program, folder, closer=1e-3))

    with df.config(numerics="exact"):
        fuzz()
    ways.check()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_many_compiled_programs(folder):
    ways = Ways()

    @settings(quick(400), derandomize=False)
    @given(programs(length=14))
    def fuzz(program: Program) -> None:
        ways.add(check_program(program, folder))

    fuzz()
    ways.check()


# Programs that were wrong once, or that draws meet too seldom ----------------------------------


def transcendental(x: df.Tensor) -> df.Tensor:
    near = df.tanh(x) + df.sin(x) * df.cos(x) + df.tan(x / 4) + df.erf(x) + df.exp(-x * x)
    return near + df.log(x * x + 1) + df.expm1(x / 9) + df.asin(x / 9) + df.sinh(x / 3)


@pytest.mark.parametrize("dtype", [df.float32, df.float64])
def test_every_transcendental_function_in_one_kernel(dtype):
    compiled = df.compile(transcendental, wait=True)
    for high in (3.0, 8.0):
        x = df.linspace(-high, high, 101).astype(dtype)
        found, wanted = compiled(x).numpy(), transcendental(x).numpy()
        assert near(found, wanted, 1e-6 if dtype == df.float32 else 1e-15)
    assert compiled.stats()["replays"] == 1
    assert compiled.report().sections[0].kernels == 1


def large_angles(x: df.Tensor) -> df.Tensor:
    return df.sin(x) + df.cos(x)


def test_the_rare_ways_of_two_functions_in_one_kernel():
    compiled = df.compile(large_angles, wait=True)
    for scale in (1.0, 1e20, 1e300):
        x = df.linspace(1.0, 2.0, 37).astype(df.float64) * scale
        assert near(compiled(x).numpy(), large_angles(x).numpy(), 1e-15)
    assert compiled.stats()["replays"] == 2
