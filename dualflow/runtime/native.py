"""The native dispatcher: walks a table of steps; and the way into it from Python.

    code  = steps, most arguments of a step, then for each step: function, count, (base, offset)*
    bases = 0, address of the status word, then the data pointers of the arrays given

An argument is `bases[base] + offset`, so a number is (0, number). Each function takes its arguments
as one table of 64-bit words. `bind` gives a callable that takes ndarrays and returns the status:
a METH_FASTCALL built-in that reads their data pointers natively where a check at start shows that
it reads them right, else the same through ctypes.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import cache
from .loader import Native
from .native_chain import CHAIN
from .native_loop import LOOP
from .native_text import Part
from .once import once, trial

#: bases[STATUS] is the address of the status word; arrays follow from FIRST_ARRAY on.
STATUS, FIRST_ARRAY = 1, 2
#: An argument that is a plain number counts from this base, which is 0.
NUMBER = 0

#: A native call as a whole obtains arenas of at most so many bytes itself.
MOST_ARENA = 1 << 20
METH_FASTCALL, METH_KEYWORDS = 0x80, 0x02
WRONG_ARRAYS = -1

Argument = tuple[int, int]
Binding = Callable[..., int]

_DISPATCH = """
@noinline
def dualflow_run(bases, code):
    status = room(1)
    status[0] = 0
    bases[1] = status
    steps = code[0]
    table = room(code[1])
    at = code + 16
    while steps > 0:
        count = at[1]
        k = 0
        while k < count:
            table[k] = bases[at[2 * k + 2]] + at[2 * k + 3]
            k += 1
        call(at[0], table)
        if status[0] != 0: return status[0]
        at += 16 * count + 16
        steps -= 1
    return 0

def dualflow_call(self, given, count):
    state = self + PAYLOAD
    if count != state[1]: return call(state[3], WRONG)
    bases = room(count + 2)
    bases[0] = 0
    k = 0
    while k < count:
        if given[k].TYPE != state[2]: return call(state[3], WRONG)
        bases[k + 2] = given[k].DATA
        k += 1
    if state[4] == 0: return call(state[3], dualflow_run(bases, state[0]))
    thread = call(state[4])
    status = dualflow_run(bases, state[0])
    call(state[5], thread)
    return call(state[3], status)

def dualflow_copy_word(table):
    table[0][0] = table[1]
"""
#: A batch of matrix products by a CBLAS function with 64-bit integers. Its table: the function;
#: a, b, c; m, n, k; which of a and b are transposed (111 no, 112 yes); their leading dimensions;
#: the number of products, and the bytes from one to the next in a, b and c.
_GEMM = """
define void @dualflow_gemm_KIND(ptr %table) nounwind {
entry:
WORDS
  %fn = inttoptr i64 %w0 to ptr
  %ta = trunc i64 %w7 to i32
  %tb = trunc i64 %w8 to i32
  br label %next
next:
  %i = phi i64 [0, %entry], [%i1, %one]
  %a = phi i64 [%w1, %entry], [%a1, %one]
  %b = phi i64 [%w2, %entry], [%b1, %one]
  %c = phi i64 [%w3, %entry], [%c1, %one]
  %more = icmp slt i64 %i, %w12
  br i1 %more, label %one, label %done
one:
  %pa = inttoptr i64 %a to ptr
  %pb = inttoptr i64 %b to ptr
  %pc = inttoptr i64 %c to ptr
  call void %fn(i32 101, i32 %ta, i32 %tb, i64 %w4, i64 %w5, i64 %w6, KIND 1.0, ptr %pa, i64 %w9,
                ptr %pb, i64 %w10, KIND 0.0, ptr %pc, i64 %w11)
  %i1 = add i64 %i, 1
  %a1 = add i64 %a, %w13
  %b1 = add i64 %b, %w14
  %c1 = add i64 %c, %w15
  br label %next
done:
  ret void
}
"""
_GEMM_WORDS = 16
_SYMBOLS = (
    "dualflow_run", "dualflow_call", "dualflow_copy_word",
    "dualflow_gemm_float", "dualflow_gemm_double", "dualflow_loop", "dualflow_chain",
)  # fmt: skip


class _MethodDefinition(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("method", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class NativeProgram(NamedTuple):
    """A program that is one native call, with what it needs besides.

    Attributes:
        code: for the dispatcher.
        buffers: shape and dtype of what it makes, and what makes it if it is large.
        arena: bytes that it works in.
        release: whether other Python threads may run meanwhile.
        outputs: for each the "output" among the buffers, or the "input", that it is.
    """

    code: np.ndarray
    buffers: tuple[tuple[tuple[int, ...], np.dtype, Callable[[], np.ndarray] | None], ...]
    arena: int
    release: bool
    outputs: tuple[tuple[str, int], ...]


def encode(steps: Sequence[tuple[int, Sequence[Argument]]]) -> np.ndarray:
    """The code of `steps`: (address of the function, its arguments)."""
    words = [len(steps), max((len(arguments) for _, arguments in steps), default=0)]
    for address, arguments in steps:
        words += [address, len(arguments)]
        for base, offset in arguments:
            words += [base, offset]
    return np.array([_signed(word) for word in words], np.int64)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


def bind(code: np.ndarray, arrays: int, release: bool = False, portable: bool = False) -> Binding:
    """A function of `arrays` ndarrays that runs `code` on them and returns the status.

    Args:
        code: what `encode` made; it stays alive with the function.
        arrays: how many arrays it takes.
        release: whether other Python threads may run meanwhile.
        portable: use ctypes even where the built-in works.

    The built-in returns WRONG_ARRAYS for anything but `arrays` objects of type ndarray.
    """
    if portable or not builtin_works():
        return through_ctypes(code, release)
    return _builtin(code, arrays, release)


def through_ctypes(code: np.ndarray, release: bool) -> Binding:
    """`bind` by ctypes alone."""
    kind = ctypes.CFUNCTYPE if release else ctypes.PYFUNCTYPE
    run = kind(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(_library()["dualflow_run"])

    def call(*arrays: np.ndarray) -> int:
        bases = (ctypes.c_int64 * (FIRST_ARRAY + len(arrays)))(
            0, 0, *(array.ctypes.data for array in arrays)
        )
        return run(ctypes.addressof(bases), code.ctypes.data)

    call.code = code  # type: ignore[attr-defined]
    return call


def _builtin(code: np.ndarray, arrays: int, release: bool) -> Binding:
    api = ctypes.pythonapi
    words = [code.ctypes.data, arrays, id(np.ndarray), _address(api.PyLong_FromLongLong)]
    locks = (api.PyEval_SaveThread, api.PyEval_RestoreThread)
    words += [_address(lock) for lock in locks] if release else [0, 0]
    definition = _definition(b"run", _library()["dualflow_call"], METH_FASTCALL)
    return _function(definition, struct.pack("6q", *words), code)


def built_in(address: int, words: np.ndarray, keep: Any) -> Callable[..., Any]:
    """The function at `address`, which takes names, as a built-in; its `self` holds the address of
    `words`, which live as long, as does `keep`."""
    definition = _definition(b"call", address, METH_FASTCALL | METH_KEYWORDS)
    return _function(definition, struct.pack("q", words.ctypes.data), (words, keep))


def _function(definition: _MethodDefinition, words: bytes, keep: Any) -> Callable[..., Any]:
    state = _State(words)
    state.keep = keep
    return _new_function()(ctypes.addressof(definition), state, None)


class _State(bytes):
    """The words that the built-in reads, and what must live as long as it does."""

    keep: Any


def _address(function: object) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0  # type: ignore[arg-type]


def _definition(name: bytes, address: int, flags: int) -> _MethodDefinition:
    """The definition of the built-in at `address`. It never dies: a built-in reads its own while it
    dies, when the collector may have cleared what it keeps."""
    found = _definitions.get(address)
    if found is None:
        found = _definitions.setdefault(address, _MethodDefinition(name, address, flags, None))
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(found))
    return found


_definitions: dict[int, _MethodDefinition] = {}


@once
def _new_function() -> Callable[..., Binding]:
    make = ctypes.pythonapi.PyCFunction_NewEx
    prototype = ctypes.PYFUNCTYPE(
        ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.py_object
    )
    return prototype(_address(make))


def part() -> Part:
    """What the dispatcher is made of."""
    words = "\n".join(
        f"  %at{n} = getelementptr i64, ptr %table, i64 {n}\n  %w{n} = load i64, ptr %at{n}"
        for n in range(_GEMM_WORDS)
    )
    products = [_GEMM.replace("KIND", kind).replace("WORDS", words) for kind in ("float", "double")]
    numbers = {"PAYLOAD": payload(), "TYPE": object.__basicsize__ - struct.calcsize("P"),
               "DATA": object.__basicsize__, "WRONG": WRONG_ARRAYS}  # fmt: skip
    return Part(_DISPATCH + LOOP + CHAIN, numbers, "".join(products))


@once
def _library() -> Native:
    """The dispatcher, loaded; from the disk cache where it is there."""
    return cache.native_part(part(), _SYMBOLS)


def address_of_run() -> int:
    """Where the dispatcher is: a function of bases and code that returns the status."""
    return _library()["dualflow_run"]


def copy_word() -> int:
    """The address of a step that stores its second word where its first one points."""
    return _library()["dualflow_copy_word"]


def gemm(dtype: np.dtype) -> int:
    """The address of the step that multiplies batches of matrices (see `_GEMM`)."""
    return _library()[f"dualflow_gemm_{'float' if dtype.itemsize == 4 else 'double'}"]


def loop() -> int:
    """The address of the step that runs code many times (see `native_loop`)."""
    return _library()["dualflow_loop"]


def chain() -> int:
    """The address of the step that runs steps block by block (see `native_chain`)."""
    return _library()["dualflow_chain"]


def payload() -> int:
    """Where the items of a bytes object begin."""
    return bytes.__basicsize__ - 1


@trial
def builtin_works() -> bool:
    """Whether this Python lays out arrays and bytes as the built-in reads them."""
    if sys.implementation.name != "cpython":
        return False
    probe = np.arange(3.0)
    field = ctypes.c_void_p.from_address(id(probe) + object.__basicsize__).value
    kind = object.__basicsize__ - struct.calcsize("P")
    its_type = ctypes.c_void_p.from_address(id(probe) + kind).value
    text = ctypes.string_at(id(b"dualflow") + payload(), 8)
    if field != probe.ctypes.data or its_type != id(np.ndarray) or text != b"dualflow":
        return False
    return _finds_pointers()


def _finds_pointers() -> bool:
    """Run the built-in on arrays of several kinds: it must hand over their data pointers."""
    found = np.zeros(1, np.int64)
    kinds = [np.zeros(0), np.ones((2, 3), np.float32)[:, 1], np.array(1, np.uint8), np.arange(9)]
    for array in kinds:
        code = encode([(copy_word(), ((FIRST_ARRAY, 0), (FIRST_ARRAY + 1, 0)))])
        if _builtin(code, 2, release=False)(found, array) != 0:
            return False
        if found[0] != array.ctypes.data:
            return False
    return True
