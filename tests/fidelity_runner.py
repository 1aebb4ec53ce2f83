"""Programs that run twice, eagerly and compiled; everything that a user can see must be the same.

A program is a function `program(compile, see)`. It makes its own functions and objects, compiles
with `compile` (eagerly: the function itself) and calls through `see(f, *args)`, which notes the
result or exception (type, message, line), printed text, warnings, the arguments afterwards, and
which of all these objects are one object or share memory; `see.that(value)` notes anything else.
"""

from __future__ import annotations

import contextlib
import io
import traceback
import types
import warnings
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dualflow as df
from dualflow.array.arrays import on_host
from dualflow.array.storage import may_share
from dualflow.capture.compiled import CompiledFunction
from dualflow.capture.reasons import Reason
from dualflow.capture.values import Unchanging

Program = Callable[..., None]
PLAIN = frozenset((str, bytes, int, float, complex, bool, type(None), type(...)))
NAMED = frozenset((types.FunctionType, types.BuiltinFunctionType, type, types.ModuleType))
#: objects that are told apart
MET = frozenset((df.Tensor, np.ndarray, list, dict, set, deque))

#: how the calls of each program ran, by its name and way: "replay", "co-execute", "record"...
WAYS: dict[tuple[str, str], Counter[str]] = {}

#: Known gaps: what is wrong, and the programs that show it where calls are replayed (with a star:
#: in co-execution too). Strict: one that is mended turns the suite red until it is removed here.
KNOWN_GAPS: dict[str, str] = {}

#: programs of which no call is replayed: right, but slower than it could be
NOT_REPLAYED = frozenset(
    """

    iterators_returned generator_argument not_entered_in_the_middle
    property_raises_and_getattr_answers
    dict_read_before_a_value enum_with_code
    lru_cache_inside
    named_tuple_with_its_own_new weak_references versions indexing numpy_in_the_function
    adam_with_a_changing_rate seeded_inside output_sees_tensors
    function_without_source order_of_effects object_dies_by_a_store object_dies_by_a_pop
    object_dies_with_a_variable death_told_by_a_weak_reference output_written_in_python
    death_asked_of_a_weak_reference a_tensor_dies_by_a_store
    key_compared_in_c greatest_of_many abstract_class_with_a_hook nan_as_a_key
    masks_of_long_tensors objects_given_to_itertools assertion
    object_dies_when_it_is_matched truths_that_are_kept pretenders_are_asked_nothing what_iter_gives
    a_name_that_the_call_takes_away
    files_left_open locals_asked_twice filters_for_good classes_from_outside_see_them
    instances_kept_outside lists_that_change cycle_of_a_generator
    an_iterator_asked_in_two_ways metaclasses_of_ones_own variables_that_printing_may_see
    stores_of_ones_own
    names_of_what_is_missing managers_called_with_any_names method_of_an_iterator_taken_away
    keys_that_are_heard nan_in_a_key integers_with_methods generators_made_in_the_call
    a_context_of_the_caller
    containers_that_hold_themselves copies_of_objects_that_answer_for_all
    arguments_by_name frames_looked_at iterators_copied_and_pickled
    a_group_asked_while_it_is_asked
    generators_left_by_break views_that_want_gradients values_sent_into_iterators
    """.split()  # noqa: SIM905
)


def tensor(*values: float, dtype: Any = df.float32) -> df.Tensor:
    """A tensor of one axis."""
    return df.tensor(list(values), dtype=dtype)


class See:
    """The notes of one run of a program, which is in files whose names begin with `file`."""

    def __init__(self, file: str, replay: bool = True) -> None:
        self.file, self.replay = file, replay
        self.notes: list[Any] = []
        self.compiled: list[CompiledFunction] = []
        self.ways: Counter[str] = Counter()

    def compile(self, fn: Any) -> CompiledFunction:
        made = df.compile(fn, wait=True)
        if not self.replay:
            made._stop = Reason("only co-execution is under test", None)
        self.compiled.append(made)
        return made

    def __call__(self, f: Any, *args: Any, **kwargs: Any) -> Any:
        """Call `f`; its result, or None if it raised."""
        before = self._counts()
        text, result = io.StringIO(), None
        with contextlib.redirect_stdout(text), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", RuntimeWarning)  # of floating point: not promised
            try:
                result = f(*args, **kwargs)
            except Exception as error:
                self.notes.append(self._error(error))
        self.ways[_way(before, self._counts())] += 1
        self.notes.append(_Snapshot().of((result, args, kwargs)))
        self.notes.append(text.getvalue())
        self.notes.append([(w.category.__name__, str(w.message)) for w in told])
        return result

    def that(self, value: Any) -> None:
        """Note a value."""
        self.notes.append(_Snapshot().of(value))

    def _counts(self) -> Counter[str]:
        return sum((Counter(f.stats()) for f in self.compiled), Counter())

    def _error(self, error: BaseException | None, depth: int = 0) -> Any:
        if error is None or depth > 5:
            return None
        lines = [(frame.f_code.co_name, line)
                 for frame, line in traceback.walk_tb(error.__traceback__)
                 if frame.f_code.co_filename.startswith(self.file)]  # fmt: skip
        if isinstance(error, UnboundLocalError):  # CPython 3.11 tells another line once f is warm
            lines = []
        chain = [self._error(one, depth + 1) for one in (error.__cause__, error.__context__)]
        told = getattr(error, "__notes__", None), error.__suppress_context__
        return "raised", type(error).__name__, str(error), lines, chain, told


def _way(before: Counter[str], after: Counter[str]) -> str:
    """How a call ran: the slowest of what happened in it."""
    for name, way in (("recordings", "record"), ("co_executions", "co-execute"),
                      ("eager_calls", "eager"), ("replays", "replay")):  # fmt: skip
        if after[name] > before[name]:
            return way
    return "plain"


class _Snapshot:
    """Text of everything in a value, with numbers for objects that are met again."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.arrays: list[Any] = []

    def of(self, x: Any) -> Any:
        kind = type(x)
        if kind in PLAIN or isinstance(x, np.generic):
            return kind.__name__, repr(x)
        if id(x) in self.seen:
            return "again", self.seen[id(x)]
        if kind is tuple:
            return "tuple", [self.of(part) for part in x]
        if kind in NAMED:
            return kind.__name__, x.__name__
        if kind not in MET and isinstance(x, (type, Unchanging)):
            return kind.__name__, x.__name__ if isinstance(x, type) else repr(x)
        self.seen[id(x)] = len(self.seen)
        if kind is df.Tensor:
            return self.tensor(x)
        if isinstance(x, np.ndarray):
            return "ndarray", *self.array(x)
        if isinstance(x, (list, tuple, deque)):
            return kind.__name__, [self.of(part) for part in x], getattr(x, "maxlen", None)
        if isinstance(x, dict):
            return kind.__name__, [(self.of(key), self.of(x[key])) for key in x]
        if isinstance(x, (set, frozenset)):
            return kind.__name__, sorted(map(repr, x))
        if hasattr(x, "__dict__") and not isinstance(x, CompiledFunction):
            return kind.__name__, [(key, self.of(value)) for key, value in vars(x).items()]
        return "function" if isinstance(x, CompiledFunction) else kind.__name__

    def tensor(self, x: df.Tensor) -> Any:
        made = self.array(x.array) if x.device == "cpu" else self.array_there(x.array)
        grad = None if x.grad is None else self.of(x.grad)
        return "Tensor", *made, x.requires_grad, x._tape is None, grad

    def array(self, x: np.ndarray) -> Any:
        shared = [i for i, other in enumerate(self.arrays)
                  if isinstance(other, np.ndarray) and np.shares_memory(x, other)]  # fmt: skip
        self.arrays.append(x)
        plain = np.array(x)
        if plain.dtype.kind in "fc":
            plain[np.isnan(plain)] = np.nan
        values = repr(plain.tolist())  # the sign of a zero included, NaN equal to NaN
        return x.dtype, x.shape, values, shared

    def array_there(self, x: Any) -> tuple[Any, ...]:
        """Of a GPU, where kernels round in other ways than single operations."""
        shared = [i for i, other in enumerate(self.arrays) if may_share(x, other)]
        self.arrays.append(x)
        values = [f"{value:.3g}" for value in on_host(x).ravel().tolist()]
        return "on a GPU", x.dtype.name, x.shape, values, shared


def run(program: Program, way: str) -> See:
    """One run of a program: "eager", "replay" (wherever that is proven right) or "co-execute"."""
    see = See(program.__code__.co_filename, way == "replay")
    df.random.seed(5)
    program((lambda fn: fn) if way == "eager" else see.compile, see)
    return see


def check(program: Program, way: str) -> None:
    """Run a program eagerly and compiled, and compare, bits of numbers included; those of programs
    of co-executed calls under numerics="exact"."""
    expected = run(program, "eager")
    with df.config(numerics="exact" if way == "co-execute" else "strict"):
        found = run(program, way)
    WAYS[program.__name__, way] = found.ways
    assert expected.notes
    assert len(found.notes) == len(expected.notes)
    for i, (got, want) in enumerate(zip(found.notes, expected.notes, strict=True)):
        assert got == want, f"note {i}; calls ran {dict(found.ways)}"
    if way == "co-execute":
        assert found.ways["replay"] == found.ways["record"] == 0
    elif program.__name__ in NOT_REPLAYED:
        assert found.ways["replay"] == 0, f"{program.__name__} is replayed: take it off the list"
    else:
        assert found.ways["replay"] > 0, f"no call was replayed: {_reasons(found)}"


def _reasons(see: See) -> list[str]:
    return [str(f.report().reasons) for f in see.compiled]


def parameters(module: dict[str, Any]) -> list[Any]:
    """The programs of a module, in order, each both ways; gaps are strict xfails."""
    gaps = {name: why for why, names in KNOWN_GAPS.items() for name in names.split()}
    found = []
    for name, value in list(module.items()):
        if not isinstance(value, types.FunctionType):
            continue
        if value.__code__.co_varnames[: value.__code__.co_argcount] != ("compile", "see"):
            continue
        for way in ("replay", "co-execute"):
            gap = gaps.get(name + "*") or (gaps.get(name) if way == "replay" else None)
            marks = []
            if gap is not None:
                ends = "never ends" not in gap
                marks = [pytest.mark.xfail(reason=gap, strict=True, run=ends)]
            found.append(pytest.param(value, way, id=f"{name}-{way}", marks=marks))
    return found
