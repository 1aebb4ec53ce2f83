"""A whole call in one native call: what the machine (`machine.py`) needs from Python.

Comes in: blocks as instructions, forks of them, addresses. Goes out: `WholeCall`, a built-in that
takes the arguments of a call and gives its result, or `miss`, and then nothing has happened; it is
tried before it is used.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import machine, native
from .machine import ARRAY_INPUT, FIELDS, HEAD, WRITEABLE_BIT, Do
from .native import FIRST_ARRAY
from .once import once, trial

_DICT = sys.intern("__dict__")
_WORD = struct.calcsize("P")
#: `PyArray_Empty` in the table of NumPy's C functions.
_EMPTY = 184


def function(name: str) -> int:
    """The address of a C function of Python's."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


@once
def _empty() -> int:
    """The address of NumPy's `PyArray_Empty`."""
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    found = prototype(function("PyCapsule_GetPointer"))(capsule, None)
    return ctypes.c_int64.from_address(found + _EMPTY * _WORD).value


def words_of_block(constants: list[int], locals: int, code: list[int]) -> np.ndarray:
    """A block of so many registers for variables, beside its constants."""
    head = [1, 0, len(constants), len(constants) + locals]
    return np.array([*head, *constants, *code], np.int64)


def words_of_layout(layout: tuple[tuple[int, ...], np.dtype, tuple[int, ...]]) -> np.ndarray:
    """What LAYOUT asks an array for: shape, dtype, strides."""
    shape, dtype, strides = layout
    return np.array([len(shape), id(dtype), *shape, *strides], np.int64)


class WholeCall:
    """The words of a built-in, which must live as long as it does.

    Args:
        head: the words of `HEAD` that this room does not know.
    """

    def __init__(self, head: dict[str, int]) -> None:
        own = {
            "run_code": native.address_of_run(), "array": id(np.ndarray), "empty": _empty(),
            "none": id(None), "true": id(True), "float_type": id(float), "int_type": id(int),
            "exception": id(Exception), "key_error": id(KeyError), "str_type": id(str),
            "dict_name": id(_DICT),
        }  # fmt: skip
        own = dict.fromkeys(HEAD, 0) | head | own
        self.words = np.array([own[name] for name in HEAD], np.int64)
        self._error_state: Any = None
        self._taken = self.words[HEAD.index("taken") :][:2]
        self._seen, self._lock = (0, 0), threading.Lock()

    def built_in(self, keep: Any) -> Callable[..., Any]:
        """The built-in; `keep` must live as long as it, too."""
        return native.built_in(machine.library()["dualflow_whole_call"], self.words, (self, keep))

    def allow(self, calls: int, error_state: Any) -> None:
        """Take so many calls before it gives `miss` again, while NumPy's error state is this."""
        with self._lock:  # the state before lives until its address is no longer there
            before, self._error_state = self._error_state, error_state
            self.words[HEAD.index("error_state")] = id(error_state)
            self.words[HEAD.index("left")] = calls
        del before

    @property
    def last(self) -> int:
        """The address of the leaf that the last call took; 0 if there is none."""
        return int(self.words[HEAD.index("last")])

    def taken(self) -> tuple[int, int]:
        """How many calls it took since this was asked, and how many ended with exceptions."""
        with self._lock:
            (taken, failed), before = map(int, self._taken), self._seen
            self._seen = taken, failed
        return taken - before[0], failed - before[1]


@trial
def works() -> bool:
    """Whether this Python and NumPy lay out objects as the machine reads them."""
    if not native.builtin_works() or "t" in getattr(sys, "abiflags", ""):
        return False
    probes = [np.zeros((2, 3), np.float32)[:, 1:], np.array(1.0), np.zeros((3, 0, 2), np.int8)]
    return all(map(_fields_are_right, probes)) and _takes_calls()


def _fields_are_right(array: np.ndarray) -> bool:
    def word(name: str, of: Any = array) -> int:
        return ctypes.c_int64.from_address(id(of) + FIELDS[name]).value

    def number(name: str, of: Any = array) -> int:
        return ctypes.c_int.from_address(id(of) + FIELDS[name]).value

    sizes, strides, ndim = word("SIZES"), word("STRIDES"), array.ndim
    still, pair = array.view(), ("a", "b")
    writeable = number("FLAGS", still)
    still.flags.writeable = False
    plain = (
        word("TYPE") == id(np.ndarray)
        and word("DATA") == array.ctypes.data
        and number("AXES") == ndim
        and word("DTYPE") == id(array.dtype)
        and writeable - number("FLAGS", still) == 1 << WRITEABLE_BIT
        and word("FLOAT", -1.5) == struct.unpack("q", struct.pack("d", -1.5))[0]
        and (word("LENGTH", pair), word("ITEMS", pair)) == (2, id(pair[0]))
    )
    if not plain or strides - sizes != ndim * _WORD:  # one block of memory, as NumPy obtains it
        return False
    found = (ctypes.c_int64 * (2 * ndim)).from_address(sizes) if ndim else ()
    return tuple(found) == (*array.shape, *array.strides)


class _Probe:
    """Stands for the state of a thread, for its mode, and for a tensor."""

    mode: _Probe


def _takes_calls() -> bool:
    """Run a program that stores the memory of its argument, and takes no other argument."""
    state, miss, array = _Probe(), object(), np.zeros((2, 3), np.float32)
    state.mode = _Probe()
    variable: ContextVar[Any] = ContextVar("probe", default=miss)
    code = native.encode([(native.copy_word(), ((FIRST_ARRAY + 1, 0), (FIRST_ARRAY, 0)))])
    key, space, names, sizes = sys.intern("wanted"), {"wanted": miss}, ("x",), np.array([1, 0])
    layout = words_of_layout((array.shape, array.dtype, array.strides))

    def instructions(missed: int) -> list[int]:
        test = False, missed
        return [
            Do.GIVEN, *test, 1, id(names), Do.IN_SPACE, *test, id(space), id(key), id(miss),
            Do.ARGUMENT, 0, 0, Do.LAYOUT, *test, 0, layout.ctypes.data,
            Do.RUN, 13, code.ctypes.data, 0, 1, 1, 0, ARRAY_INPUT, 0,
            1, sizes.ctypes.data, id(np.dtype(np.int64)), 1, Do.RETURN, 1, Do.GIVE_MISS,
        ]  # fmt: skip

    block = words_of_block([], 2, instructions(len(instructions(0)) - 1))
    fork = np.array([1, block.ctypes.data, 0])
    words = dict.fromkeys(HEAD, 0) | {
        "frame": 2, "fork": fork.ctypes.data, "miss_object": id(miss), "active": id(space),
        "active_name": id(key), "settings": id(miss), "state": id(state),
        "mode_name": id(sys.intern("mode")), "mode": id(_Probe), "variable": id(variable),
    }  # fmt: skip
    whole = WholeCall(words)
    call = whole.built_in((block, fork))
    whole.allow(3, miss)
    found = call(x=array)
    right = found is not miss and found[0] == array.ctypes.data and whole.taken() == (1, 0)
    others = (array[:1], array.T, array.astype(np.int32), array[0])
    return bool(right and all(call(x=other) is miss for other in others)
                and call(array) is call(y=array) is miss)  # fmt: skip
