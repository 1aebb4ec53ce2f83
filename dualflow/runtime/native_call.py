"""A whole call in one native call: guards, memory for the result, the program, the result.

    words = the head (see `HEAD`), checks: (kind, object, key, wanted)*,
            inputs: (number of the argument, its type, axes, dtype, sizes, strides)*

Comes in: addresses of objects that the caller keeps alive, or else sets the word `alive` to 0. Goes
out: `bind`, a built-in that takes the arguments and gives the result, or `miss` where any check
fails, and then nothing has happened. Fields of arrays are read where a test finds them.
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

from . import cache, native
from .loader import Native
from .native import FIRST_ARRAY
from .once import once, trial

#: The words of the head, in order.
HEAD = (
    "arguments", "alive", "left", "hits", "checks", "inputs", "run", "code", "make", "arena",
    "tensor", "array", "array_name", "grad_name", "grad", "miss", "state", "mode_name", "mode",
    "enabled_name", "enabled", "device_name", "device", "variable",
    "error_state", "item",
)  # fmt: skip
#: Kinds of checks of what is in the dict `object` under `key`, or of `object` itself where `key` is
#: 0: it is `wanted` (0: nothing is there); it is there; the code, the globals of that function, the
#: type of it is `wanted`.
IS, HELD, CODE, GLOBALS, TYPE = range(5)
#: Arenas of at most so many bytes are made on the stack.
MOST_ARENA = 1 << 14

_CALL = """
declare ptr @PyDict_GetItem(ptr, ptr)
declare ptr @PyFunction_GetCode(ptr)
declare ptr @PyFunction_GetGlobals(ptr)
declare ptr @PyObject_GetItem(ptr, ptr)
declare ptr @PyObject_GetAttr(ptr, ptr)
declare i32 @PyObject_SetAttr(ptr, ptr, ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare ptr @PyType_GenericAlloc(ptr, i64)
declare i32 @PyContextVar_Get(ptr, ptr, ptr)
declare void @PyErr_Clear()
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)

define internal i1 @attribute(ptr %object, ptr %name, ptr %wanted, i1 %by_type) nounwind {
entry:
  %found = call ptr @PyObject_GetAttr(ptr %object, ptr %name)
  %none = icmp eq ptr %found, null
  br i1 %none, label %failed, label %compare
failed:
  call void @PyErr_Clear()
  ret i1 false
compare:
  %type_at = getelementptr i8, ptr %found, i64 TYPE
  %type = load ptr, ptr %type_at
  %seen = select i1 %by_type, ptr %type, ptr %found
  %same = icmp eq ptr %seen, %wanted
  call void @Py_DecRef(ptr %found)
  ret i1 %same
}

define internal i1 @check(ptr %at) nounwind {
entry:
  %kind = load i64, ptr %at
  %object_at = getelementptr i64, ptr %at, i64 1
  %object = load ptr, ptr %object_at
  %key_at = getelementptr i64, ptr %at, i64 2
  %key = load ptr, ptr %key_at
  %wanted_at = getelementptr i64, ptr %at, i64 3
  %wanted = load ptr, ptr %wanted_at
  %itself = icmp eq ptr %key, null
  br i1 %itself, label %found, label %look
look:
  %item = call ptr @PyDict_GetItem(ptr %object, ptr %key)
  %none = icmp eq ptr %item, null
  br i1 %none, label %absent, label %found
absent:
  %is = icmp eq i64 %kind, IS
  %nothing = icmp eq ptr %wanted, null
  %rightly = and i1 %is, %nothing
  ret i1 %rightly
found:
  %x = phi ptr [%object, %entry], [%item, %look]
  switch i64 %kind, label %right [i64 IS, label %self
                                  i64 CODE, label %code
                                  i64 GLOBALS, label %globals
                                  i64 OF_TYPE, label %type]
self:
  br label %compare
code:
  %its_code = call ptr @PyFunction_GetCode(ptr %x)
  br label %compare
globals:
  %its_globals = call ptr @PyFunction_GetGlobals(ptr %x)
  br label %compare
type:
  %type_at = getelementptr i8, ptr %x, i64 TYPE
  %its_type = load ptr, ptr %type_at
  br label %compare
compare:
  %seen = phi ptr [%x, %self], [%its_code, %code], [%its_globals, %globals], [%its_type, %type]
  %failed = icmp eq ptr %seen, null
  br i1 %failed, label %clear, label %same
clear:
  call void @PyErr_Clear()
  ret i1 false
same:
  %equal = icmp eq ptr %seen, %wanted
  ret i1 %equal
right:
  ret i1 true
}

define internal i1 @numbers(ptr %a, ptr %b, i64 %count) nounwind {
entry:
  br label %next
next:
  %k = phi i64 [0, %entry], [%k1, %one]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %one, label %right
one:
  %a_at = getelementptr i64, ptr %a, i64 %k
  %x = load i64, ptr %a_at
  %b_at = getelementptr i64, ptr %b, i64 %k
  %y = load i64, ptr %b_at
  %same = icmp eq i64 %x, %y
  %k1 = add i64 %k, 1
  br i1 %same, label %next, label %wrong
right:
  ret i1 true
wrong:
  ret i1 false
}

define internal i64 @data(ptr %w, ptr %input, ptr %given) nounwind {
entry:
HEAD
  %number = load i64, ptr %input
  %object_at = getelementptr ptr, ptr %given, i64 %number
  %object = load ptr, ptr %object_at
  %wanted_at = getelementptr i64, ptr %input, i64 1
  %wanted = load ptr, ptr %wanted_at
  %type_at = getelementptr i8, ptr %object, i64 TYPE
  %type = load ptr, ptr %type_at
  %same = icmp eq ptr %type, %wanted
  br i1 %same, label %typed, label %wrong
typed:
  %is_array = icmp eq ptr %type, %array
  br i1 %is_array, label %layout, label %tensor_held
tensor_held:
  %same_grad = call i1 @attribute(ptr %object, ptr %grad_name, ptr %grad, i1 false)
  br i1 %same_grad, label %held, label %wrong
held:
  %its_array = call ptr @PyObject_GetAttr(ptr %object, ptr %array_name)
  %no_array = icmp eq ptr %its_array, null
  br i1 %no_array, label %failed, label %unwrap
failed:
  call void @PyErr_Clear()
  br label %wrong
unwrap:
  call void @Py_DecRef(ptr %its_array)
  %inner_at = getelementptr i8, ptr %its_array, i64 TYPE
  %inner = load ptr, ptr %inner_at
  %unwrapped = icmp eq ptr %inner, %array
  br i1 %unwrapped, label %layout, label %wrong
layout:
  %a = phi ptr [%object, %typed], [%its_array, %unwrap]
  %axes_at = getelementptr i8, ptr %a, i64 AXES
  %axes = load i32, ptr %axes_at
  %wanted_axes_at = getelementptr i64, ptr %input, i64 2
  %wanted_axes = load i64, ptr %wanted_axes_at
  %axes_wide = sext i32 %axes to i64
  %same_axes = icmp eq i64 %axes_wide, %wanted_axes
  br i1 %same_axes, label %dtype, label %wrong
dtype:
  %dtype_at = getelementptr i8, ptr %a, i64 DTYPE
  %its_dtype = load ptr, ptr %dtype_at
  %wanted_dtype_at = getelementptr i64, ptr %input, i64 3
  %wanted_dtype = load ptr, ptr %wanted_dtype_at
  %same_dtype = icmp eq ptr %its_dtype, %wanted_dtype
  br i1 %same_dtype, label %shape, label %wrong
shape:
  %sizes_at = getelementptr i8, ptr %a, i64 SIZES
  %sizes = load ptr, ptr %sizes_at
  %wanted_sizes = getelementptr i64, ptr %input, i64 4
  %same_sizes = call i1 @numbers(ptr %sizes, ptr %wanted_sizes, i64 %axes_wide)
  br i1 %same_sizes, label %lie, label %wrong
lie:
  %strides_at = getelementptr i8, ptr %a, i64 STRIDES
  %strides = load ptr, ptr %strides_at
  %wanted_strides = getelementptr i64, ptr %wanted_sizes, i64 %axes_wide
  %same_strides = call i1 @numbers(ptr %strides, ptr %wanted_strides, i64 %axes_wide)
  br i1 %same_strides, label %right, label %wrong
right:
  %data_at = getelementptr i8, ptr %a, i64 DATA
  %address = load i64, ptr %data_at
  ret i64 %address
wrong:
  ret i64 -1
}

define internal i1 @world(ptr %w) nounwind {
entry:
HEAD
  %in_mode = call i1 @attribute(ptr %state, ptr %mode_name, ptr %mode, i1 true)
  br i1 %in_mode, label %gradients, label %wrong
gradients:
  %same = call i1 @attribute(ptr %state, ptr %enabled_name, ptr %enabled, i1 false)
  br i1 %same, label %place, label %wrong
place:
  %on_cpu = call i1 @attribute(ptr %state, ptr %device_name, ptr %device, i1 false)
  br i1 %on_cpu, label %errors, label %wrong
errors:
  %slot = alloca ptr
  store ptr null, ptr %slot
  %bad = call i32 @PyContextVar_Get(ptr %variable, ptr null, ptr %slot)
  %now = load ptr, ptr %slot
  %unset = icmp eq ptr %now, null
  br i1 %unset, label %wrong, label %compare
compare:
  call void @Py_DecRef(ptr %now)
  %quiet = icmp eq ptr %now, %error_state
  br i1 %quiet, label %begin, label %wrong
begin:
  %first = getelementptr i64, ptr %w, i64 WORDS
  br label %next
next:
  %k = phi i64 [0, %begin], [%k1, %one]
  %at = phi ptr [%first, %begin], [%after, %one]
  %more = icmp slt i64 %k, %checks
  br i1 %more, label %one, label %right
one:
  %fits = call i1 @check(ptr %at)
  %k1 = add i64 %k, 1
  %after = getelementptr i64, ptr %at, i64 4
  br i1 %fits, label %next, label %wrong
right:
  ret i1 true
wrong:
  ret i1 false
}

define internal i64 @compute(ptr %w, ptr %given, ptr %made) nounwind noinline {
entry:
HEAD
  %size = add i64 %inputs, 4
  %bases = alloca i64, i64 %size
  store i64 0, ptr %bases
  %room = add i64 %arena, 64
  %raw = alloca i8, i64 %room, align 64
  %skip = mul i64 %checks, 4
  %past = add i64 %skip, WORDS
  %first = getelementptr i64, ptr %w, i64 %past
  %to = getelementptr i64, ptr %bases, i64 2
  br label %next
next:
  %k = phi i64 [0, %entry], [%k1, %one]
  %at = phi ptr [%first, %entry], [%after, %one]
  %more = icmp slt i64 %k, %inputs
  br i1 %more, label %look, label %go
look:
  %address = call i64 @data(ptr %w, ptr %at, ptr %given)
  %wrong = icmp eq i64 %address, -1
  br i1 %wrong, label %out, label %one
one:
  %base = getelementptr i64, ptr %to, i64 %k
  store i64 %address, ptr %base
  %k1 = add i64 %k, 1
  %axes_at = getelementptr i64, ptr %at, i64 2
  %axes = load i64, ptr %axes_at
  %twice = shl i64 %axes, 1
  %length = add i64 %twice, 4
  %after = getelementptr i64, ptr %at, i64 %length
  br label %next
go:
  %data_at = getelementptr i8, ptr %made, i64 DATA
  %target = load i64, ptr %data_at
  %out_base = getelementptr i64, ptr %to, i64 %inputs
  store i64 %target, ptr %out_base
  %arena_base = getelementptr i64, ptr %out_base, i64 1
  store ptr %raw, ptr %arena_base
  %status = call i64 %run(ptr %bases, ptr %code)
  ret i64 %status
out:
  ret i64 -1
}

define ptr @dualflow_whole_call(ptr %self, ptr %given, i64 %count) nounwind {
entry:
  %words_at = getelementptr i8, ptr %self, i64 PAYLOAD
  %w = load ptr, ptr %words_at
HEAD
  %right = icmp eq i64 %count, %arguments
  %lives = icmp ne i64 %alive, 0
  %some = icmp sgt i64 %left, 0
  %both = and i1 %right, %lives
  %all = and i1 %both, %some
  br i1 %all, label %look, label %not
look:
  %fits = call i1 @world(ptr %w)
  br i1 %fits, label %obtain, label %not
obtain:
  %made = call ptr @PyObject_CallNoArgs(ptr %make)
  %none = icmp eq ptr %made, null
  br i1 %none, label %failed, label %compute
compute:
  %status = call i64 @compute(ptr %w, ptr %given, ptr %made)
  %done = icmp eq i64 %status, 0
  br i1 %done, label %count_it, label %drop
count_it:
  %fewer = sub i64 %left, 1
  store i64 %fewer, ptr %at_left
  %hits1 = add i64 %hits, 1
  store i64 %hits1, ptr %at_hits
  %plain = icmp eq ptr %tensor, null
  br i1 %plain, label %bare, label %wrap
bare:
  %whole = icmp eq ptr %item, null
  br i1 %whole, label %give, label %give_item
give:
  ret ptr %made
give_item:
  %scalar = call ptr @PyObject_GetItem(ptr %made, ptr %item)
  call void @Py_DecRef(ptr %made)
  ret ptr %scalar
wrap:
  %t = call ptr @PyType_GenericAlloc(ptr %tensor, i64 0)
  %no = icmp eq ptr %t, null
  br i1 %no, label %broke, label %put
put:
  %bad = call i32 @PyObject_SetAttr(ptr %t, ptr %array_name, ptr %made)
  %set = icmp eq i32 %bad, 0
  br i1 %set, label %give_tensor, label %unset
give_tensor:
  call void @Py_DecRef(ptr %made)
  ret ptr %t
unset:
  call void @Py_DecRef(ptr %t)
  br label %broke
broke:
  call void @Py_DecRef(ptr %made)
  ret ptr null
drop:
  call void @Py_DecRef(ptr %made)
  br label %not
failed:
  call void @PyErr_Clear()
  br label %not
not:
  call void @Py_IncRef(ptr %miss)
  ret ptr %miss
}
"""
_NUMBERS = {"arguments", "alive", "left", "hits", "checks", "inputs", "arena"}
_OBJECT, _WORD = object.__basicsize__, struct.calcsize("P")
#: Where CPython's objects and NumPy's arrays hold what is read; `works` tries it.
_FIELDS = {
    "TYPE": _OBJECT - _WORD, "DATA": _OBJECT, "AXES": _OBJECT + _WORD,
    "SIZES": _OBJECT + 2 * _WORD, "STRIDES": _OBJECT + 3 * _WORD, "DTYPE": _OBJECT + 5 * _WORD,
}  # fmt: skip


@once
def _library() -> Native:
    loads = "\n".join(
        f"  %at_{name} = getelementptr i64, ptr %w, i64 {n}\n"
        f"  %{name} = load {'i64' if name in _NUMBERS else 'ptr'}, ptr %at_{name}"
        for n, name in enumerate(HEAD)
    )
    values = {
        "HEAD": loads, "PAYLOAD": native.payload(), "WORDS": len(HEAD), "IS": IS, "CODE": CODE,
        "GLOBALS": GLOBALS, "OF_TYPE": TYPE, **_FIELDS,
    }  # fmt: skip
    return cache.native_part(native.fill(_CALL, values), ("dualflow_whole_call",))


class WholeCall:
    """A built-in, its words, and what must live as long.

    Attributes:
        call: the built-in.
    """

    def __init__(self, head: dict[str, int], tail: list[int], keep: Any) -> None:
        head["run"], head["array"] = native.address_of_run(), id(np.ndarray)
        self._words = np.array([head[name] for name in HEAD] + tail, np.int64)
        self._keep = keep
        self._seen, self._lock = 0, threading.Lock()
        self.call: Callable[..., Any] = native.built_in(_library()["dualflow_whole_call"],
                                                        self._words)  # fmt: skip

    def end(self) -> None:
        """Give `miss` from now on."""
        self._words[HEAD.index("alive")] = 0

    def allow(self, calls: int) -> None:
        """Take so many calls before it gives `miss` again."""
        self._words[HEAD.index("left")] = calls

    def taken(self) -> int:
        """How many calls it took since this was asked."""
        at = HEAD.index("hits")
        with self._lock:
            found = int(self._words[at]) - self._seen
            self._seen += found
        return found


@trial
def works() -> bool:
    """Whether this Python and NumPy lay out objects as the built-in reads them."""
    if not native.builtin_works() or "t" in getattr(sys, "abiflags", ""):
        return False
    probes = [np.zeros((2, 3), np.float32)[:, 1:], np.array(1.0), np.zeros((3, 0, 2), np.int8)]
    return all(map(_fields_are_right, probes)) and _takes_a_call()


class _Probe:
    """Stands for the state of a thread, and for its mode."""

    mode: _Probe
    grad_enabled, device = True, None


def _takes_a_call() -> bool:
    """Run the built-in: it must give the memory of its argument, and refuse another argument."""
    state, miss, name = _Probe(), object(), "wanted"
    state.mode = _Probe()
    variable: ContextVar[Any] = ContextVar("probe", default=miss)
    code = native.encode([(native.copy_word(), ((FIRST_ARRAY + 1, 0), (FIRST_ARRAY, 0)))])
    array, space = np.zeros((2, 3), np.float32), {name: miss}
    names = [sys.intern(x) for x in ("_array", "requires_grad", "mode", "grad_enabled", "device")]

    def make() -> np.ndarray:
        return np.zeros(1, np.int64)

    head = {
        "arguments": 1, "alive": 1, "left": 3, "hits": 0, "checks": 1, "inputs": 1,
        "code": code.ctypes.data, "make": id(make), "arena": 0, "tensor": 0,
        "array_name": id(names[0]), "grad_name": id(names[1]), "grad": id(False), "miss": id(miss),
        "state": id(state), "mode_name": id(names[2]), "mode": id(_Probe),
        "enabled_name": id(names[3]), "enabled": id(True), "device_name": id(names[4]),
        "device": id(None), "variable": id(variable), "error_state": id(miss), "item": 0,
    }  # fmt: skip
    like = [0, id(np.ndarray), 2, id(array.dtype), *array.shape, *array.strides]
    whole = WholeCall(head, [IS, id(space), id(name), id(miss), *like], (state, variable, make))
    found = whole.call(array)
    right = found is not miss and found[0] == array.ctypes.data and whole.taken() == 1
    others = (array[:1], array.T, array.astype(np.int32), array[0], None)
    return bool(right and all(whole.call(other) is miss for other in others))


def _fields_are_right(array: np.ndarray) -> bool:
    def word(name: str) -> int:
        return ctypes.c_int64.from_address(id(array) + _FIELDS[name]).value

    sizes, strides, ndim = word("SIZES"), word("STRIDES"), array.ndim
    plain = (
        word("TYPE") == id(np.ndarray)
        and word("DATA") == array.ctypes.data
        and ctypes.c_int.from_address(id(array) + _FIELDS["AXES"]).value == ndim
        and word("DTYPE") == id(array.dtype)
    )
    if not plain or strides - sizes != ndim * _WORD:  # one block of memory, as NumPy obtains it
        return False
    found = (ctypes.c_int64 * (2 * ndim)).from_address(sizes) if ndim else ()
    return tuple(found) == (*array.shape, *array.strides)
