"""The machine that replays calls: each text does there what it does in Python."""

from __future__ import annotations

import gc
import sys
import threading
import types
from contextlib import suppress
from ctypes import addressof, c_int64
from textwrap import indent
from typing import Any
from weakref import ref

import numpy as np
import pytest

import dualflow as df
from dualflow.base import config
from dualflow.capture import whole
from dualflow.capture.assembly import Assembler, Other
from dualflow.capture.emit import FITS, MISS, PYTHON, RAISED
from dualflow.capture.error_state import error_state
from dualflow.capture.redoing import apart, store
from dualflow.ops import door
from dualflow.runtime import machine, native
from dualflow.runtime.machine import ALIVE, REGISTERS


class Box:
    """Something with attributes; `log` notes what is done to it."""

    kind = "box"

    def __init__(self) -> None:
        self.value, self.log, self.items = 3, [], {"a": 1, "b": [2, 3]}

    def add(self, *values: Any, by: int = 1) -> Any:
        self.log.append((values, by))
        return sum(values) * by

    @property
    def fails(self) -> Any:
        raise KeyError("property")

    @property
    def stops(self) -> Any:
        raise KeyboardInterrupt

    def __eq__(self, other: Any) -> Any:
        self.log.append("eq")
        return NotImplemented

    __hash__ = object.__hash__


class Text:
    """A text as a block: `portable` runs it as Python, `native` in the machine."""

    def __init__(self, lines: str, **names: Any) -> None:
        self.weak = names.pop("weak", {})
        self.names = {
            "MISS": MISS, "RAISED": RAISED, "PYTHON": PYTHON, "FITS": FITS, "Tensor": df.Tensor,
            "new": object.__new__, "state": door.state, "settings": config.active, "store": store,
            "apart": apart, "GuardErrors": Exception, "np_array": np.array, **names,
        }  # fmt: skip
        self.names |= {f"weak_{name}": ref(value) for name, value in self.weak.items()}
        heads = [line for name in self.weak for line in
                 (f"{name} = weak_{name}()", f"if {name} is None: return MISS")]  # fmt: skip
        body = "\n    ".join([*heads, *lines.strip().split("\n")])
        self.text = f"def block(args, kwargs, T, X, check=False):\n    {body}\n"
        exec(self.text, self.names)
        made = Assembler(self.text, self.names, None, (-1, ()), True, config.active())
        self.words = made.words()
        self._fork = np.array([1, self.words.ctypes.data, 0], np.int64)
        call = whole.machine(self._fork, int(self.words[REGISTERS]), made.late,
                             config.active())  # fmt: skip
        call.allow(1 << 40, error_state.get())
        self.native = call.built_in((self._fork, self.words, made.keep, self.names))

    def portable(self, *args: Any, **kwargs: Any) -> Any:
        return self.names["block"](args, kwargs, {}, {})


GIVEN = "if not (len(args) == 1 and tuple(kwargs) == K0): return MISS\nv0 = args[0]\n"
VALUES = [
    "v0.value", "v0.items['a']", "v0.items['b'][1]", "v0.add(1, 2)", "v0.add(1, 2, by=3)",
    "v0.add(*v0.items['b'])", "(v0, v0.value)", "[v0.value, 2]", "{'a': v0, 'b': v0.value}",
    "v0.value + 2", "v0.value - 2.5", "v0.value ** 2", "-v0.value", "~v0.value", "v0.value % 2",
    "v0.value / 2", "v0.value // 2", "v0.value << 2", "v0.value >> 1", "v0.value & 1",
    "v0.value | 4", "v0.value ^ 1", "not v0.value", "v0.value == 3", "v0.value != 3",
    "v0.value < 4", "v0.value >= 4", "v0.value is None", "v0.value is not None", "v0 is v0",
    "'a' in v0.items", "'c' not in v0.items", "v0.value if v0.items else None",
    "1 < v0.value < 5", "v0.value and v0.items", "v0.value or 2", "f'{v0.value:03d}'",
    "[x * 2 for x in v0.items['b']]", "{**v0.items}", "v0.items['b'][0:1]",
    "v0.items['b'][v0.value - 2:]", "type(v0)", "K1['x']",
    "len(v0.items)", "max(v0.items['b'], key=lambda x: -x)", "{1, 2, v0.value}", "(*v0.items, 1)",
    "v0.nothing", "v0.fails", "v0.items['no']", "v0 + 1", "K1['no']", "v0.add(None)", "v0 == 3",
    "float('nan') == float('nan')", "K2 == K2", "K2 is K2", "-K2", "1 << 100", "v0.stops",
]  # fmt: skip
TESTS = [
    "type(v0) is K3", "type(v0) is not K3", "type(v0) is int", "v0.value is None",
    "v0.kind is K4", "len(v0.log) == 0", "len(v0.log) != 0", "len({id(v0), id(v0.log)}) == 2",
    "len({id(v0), id(v0)}) == 2", "'x' in K1", "'x' not in K1", "'y' not in K1", "K1['x'] is K2",
    "v0.value == 3 and v0.items", "v0.value == 4 and v0.fails", "v0.value == 3 or v0.fails",
    "v0.value == 4 or not v0.items", "not (v0.value and v0.log)", "v0.nothing", "v0 == 3",
    "state.grad_enabled is True", "state.grad_enabled", "state.device is not None",
    "state.autocast != ''", "state.autocast == 'float16'", "v0.kind <= 'box'", "v0.kind < v0.kind",
    "v0.items['b'] == [2, 3]", "v0.value in v0.items['b']", "v0 < 3", "v0.log < v0.items['b']",
    *(f"{a} {how} {b}" for how in ("<", "<=", "==", "!=", ">", ">=")
      for a, b in (("K1['x']", "2.5"), ("v0.value", "2.5"), ("K1['x']", "3.5"), ("K2", "K2"),
                   ("-0.0", "0.0"), ("K1['x']", "v0.value"), ("1 << 60", "v0.value"))),
]  # fmt: skip
EFFECTS = [
    "v0.value = 7", "v0.items['c'] = 8", "v0.value += 2", "v0.items['a'] += 2", "del v0.value",
    "del v0.items['a']", "v0.log.append(v0.items)", "v0.items['b'] += [1]", "v0.items['no'] += 1",
    "v0.fails = 1", "T[0] = v0.value\nv0.items['t'] = T[0] + 1",
    "X[(1, 2)] = 5\nv0.value = X[(1, 2)]",
    "X[3] = 5\nv0.value = X.pop(3)", "v1 = v0.value\nv1 = v1 + 1\nv0.items['v'] = v1",
]  # fmt: skip


def text_of(lines: str) -> Text:
    return Text(GIVEN + lines, K0=(), K1={"x": 2.5}, K2=float("nan"), K3=Box, K4="box")


def told(call: Any, box: Any) -> Any:
    """What a call gives or raises, and what it does."""
    try:
        out = call(box)
    except BaseException as error:
        out = type(error), str(error)
    if isinstance(out, types.MethodType) or out is box:
        out = "the box"
    shown = repr(out).replace(repr(box), "box")
    return shown, repr({**vars(box)}).replace(repr(box), "box")


@pytest.mark.parametrize("value", VALUES)
def test_values(value):
    text = text_of(f"return {value}")
    assert told(text.native, Box()) == told(text.portable, Box())


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("form", ["if {}: return MISS", "if not ({}): return MISS",
                                  "if {}: return 1\nelse: v0.value = 9"])  # fmt: skip
def test_tests(test, form, guarded):
    lines = form.format(test)
    if guarded:
        lines = "try:\n" + indent(lines, "    ") + "\nexcept GuardErrors: return MISS"
    text = text_of(f"{lines}\nreturn 5")
    assert told(text.native, Box()) == told(text.portable, Box())


@pytest.mark.parametrize("effect", EFFECTS)
def test_effects(effect):
    text = text_of(f"{effect}\nreturn v0.items")
    assert told(text.native, Box()) == told(text.portable, Box())


def test_names_and_numbers_of_arguments():
    text = Text("if not (len(args) == 1 and tuple(kwargs) == K0): return MISS\n"
                "return (args[0], kwargs['a'], kwargs['b'])", K0=("a", "b"))  # fmt: skip
    assert text.native(1, a=2, b=3) == text.portable(1, a=2, b=3) == (1, 2, 3)
    for args, kwargs in (((1,), {"b": 2, "a": 3}), ((1,), {"a": 2}), ((1, 2), {"a": 3, "b": 4}),
                         ((), {"a": 2, "b": 3}), ((1, 2, 3), {})):  # fmt: skip
        assert text.native(*args, **kwargs) is text.portable(*args, **kwargs) is MISS


def test_errors_go_where_the_text_says():
    lines = """try:
    try: v1 = v0.nothing
    except Exception: v0.value = 'undone';return RAISED
except GuardErrors: return MISS
return 1"""
    text, first, second = text_of(lines), Box(), Box()
    assert text.portable(first) is RAISED
    assert text.native(second) is MISS  # which has Python do it
    assert first.value == second.value == "undone"


def test_what_is_referred_to_weakly_may_die():
    class Gone:
        size = 4

    names = {"W0": Gone}
    text = Text(GIVEN + "if not (type(v0) is W0): return MISS\nreturn W0.size", weak=names, K0=())
    assert text.native(Gone()) == text.portable(Gone()) == 4
    text.words[ALIVE] = 0
    assert text.native(Gone()) is MISS
    names.clear()
    dead = ref(Gone)
    del Gone
    text.weak.clear()
    gc.collect()
    assert dead() is None
    with pytest.raises(Other):
        Assembler(text.text, text.names, None, (-1, ()), True, config.active())


def test_what_has_no_instruction_is_refused():
    for line in ("for x in (): pass", "v1 = (v2 := 3)", "raise ValueError", "import sys",
                 "return args", "v1, v2 = 1, 2"):  # fmt: skip
        try:
            made = text_of(line)
        except Other:
            continue
        pytest.fail(f"{made.text} is not refused")


@pytest.mark.parametrize("lines", [f"return {value}" for value in VALUES] + EFFECTS)
def test_nothing_is_kept_and_nothing_lost(lines):
    text, box = text_of(lines), Box()
    watched = [box, box.items, box.log, *text.names.values(), None, True, False, MISS, Box]

    def call() -> None:
        with suppress(BaseException):
            text.native(box)
        vars(box).update(value=3, items=watched[1])
        box.items.update(a=1, b=[2, 3])
        box.log.clear()

    call()
    before = [sys.getrefcount(x) for x in watched]
    for _ in range(300):
        call()
    after = [sys.getrefcount(x) for x in watched]
    assert all(abs(b - a) < 30 for a, b in zip(before, after, strict=True))


class Clash:
    """A key with the hash of another one, which cannot be compared with it."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: Any) -> bool:
        raise RuntimeError(f"no comparison with {other}")


@pytest.mark.parametrize("line", ["if 'x' in K1: return 1", "if 'x' not in K1: return 1",
                                  "v1 = K1['x']", "if not (K1['x'] is K2): return 1",
                                  "if not W0.keys().isdisjoint(K3): return 1",
                                  "if not W0.keys().isdisjoint(K4): return 1"])  # fmt: skip
@pytest.mark.parametrize("guarded", [False, True])
def test_errors_of_a_lookup_in_a_namespace_are_seen(line, guarded):
    place = types.ModuleType("place")
    space: dict[Any, Any] = vars(place)
    space[Clash("x")] = 1
    if guarded:
        line = f"try:\n    {line}\nexcept GuardErrors: return MISS"
    names = {
        "K0": (),
        "K1": {Clash("x"): 1},
        "K2": Box,
        "K3": frozenset("x"),
        "K4": frozenset(f"x{i or ''}" for i in range(100)),
    }
    text = Text(f"W0 = W0.__dict__\n{GIVEN}{line}\nreturn 5", weak={"W0": place}, **names)
    wanted = told(text.portable, Box())
    assert "RuntimeError" in wanted[0] or guarded
    assert told(text.native, Box()) == wanted


def test_many_names_that_a_namespace_does_not_hold():
    place = types.ModuleType("place")
    line = "if not W0.keys().isdisjoint(K1): return MISS\nreturn 5"
    names = frozenset(f"x{i}" for i in range(100))
    text = Text(f"W0 = W0.__dict__\n{GIVEN}{line}", weak={"W0": place}, K0=(), K1=names)
    assert text.native(1) == text.portable(1) == 5
    vars(place)["x99"] = 0
    assert text.native(1) is text.portable(1) is MISS


def test_the_state_is_that_of_the_thread():
    text = text_of("return (state.grad_enabled, state.autocast, state.device)")
    found = []

    def look() -> None:
        found.append(text.native(0))
        with df.no_grad(), df.autocast("float16"):
            found.append(text.native(0))
        found.append(text.native(0))

    with df.no_grad():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert text.native(0) == text.portable(0) == (False, "", None)
    assert found == [(True, "", None), (False, "float16", None), (True, "", None)]


def test_a_comparison_that_the_next_line_asks_for():
    text = Text("if not (len(args) == 2 and tuple(kwargs) == K0): return MISS\nv0 = args[0]\n"
                "v1 = v0 > args[1]\nif not v1: return MISS\nv2 = v0 < args[1]\n"
                "if not (not v2): return MISS\nv3 = v0 == args[1]\nif not v3: return 1\nreturn v3",
                K0=())  # fmt: skip
    nan = float("nan")
    for pair in ((2.0, 1.0), (1.0, 2.0), (1.0, 1.0), (nan, 1.0), (1.0, nan), (2, 1.5), ("b", "a")):
        assert text.native(*pair) is text.portable(*pair)
    array = np.array([1])
    assert text.native(array, 0) is text.portable(array, 0) == 1


def test_what_is_referred_to_weakly_is_held_by_nothing_else():
    class Gone:
        pass

    text = Text(GIVEN + "if not (type(v0) is W0): return MISS\nreturn 1", weak={"W0": Gone}, K0=())
    watched = ref(Gone)
    text.weak.clear()
    gc.collect()
    gc.disable()
    try:
        before = sys.getrefcount(Gone)
        Assembler(text.text, text.names, None, (-1, ()), True, config.active())
        assert sys.getrefcount(Gone) == before
    finally:
        gc.enable()
    assert watched() is Gone


class Last:
    """Tells when it dies what the definition of a built-in is then."""

    __slots__ = ("seen", "where")

    def __init__(self, call: Any, seen: list[int]) -> None:
        self.seen, self.where = seen, c_int64.from_address(id(call) + object.__basicsize__).value

    def __del__(self) -> None:
        self.seen.append(c_int64.from_address(self.where + 8).value)


def test_the_definition_of_a_built_in_outlives_what_it_keeps():
    text, seen = text_of("return v0.value"), []
    call: Any = text.native
    state, definitions = call.__self__, native._definitions
    address = c_int64.from_address(id(call) + object.__basicsize__).value
    assert address in {addressof(one) for one in definitions.values()}
    assert not any(isinstance(one, native._MethodDefinition) for one in state.keep)
    state.call, state.last = call, Last(call, seen)  # a cycle: the state is cleared first
    assert call(Box()) == 3
    del text, call, state
    gc.collect()
    assert seen == [machine.library()["dualflow_whole_call"]]
