"""The machine that replays calls: instructions over Python objects, walked in native code.

    block = alive, hits, constants, registers, constant*, instruction*
    fork  = count, (block or 0, outcomes or 0)*;  outcomes = count, (object, fork)*

Registers hold objects; the first ones are the constants. An instruction is its number and its
operands; tests jump to a place in the code (`target`) where what they ask has the truth `when`, or
else go on. What fails goes to the place that HANDLER named last, or leaves the call as an
exception. A block gives the outcome of a test, which has a fork below it, or the result of the
call; MISS tries the next block of its fork, STOP gives the call back to Python: nothing has
happened then. Comes in: words, with addresses of objects that the caller keeps alive, or else sets
the word `alive` of the block to 0. Goes out: `library`, a built-in function in machine code.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from . import cache
from .loader import Native
from .native import payload
from .native_text import Part
from .once import once

#: The words of a call, in order. `left`: so many calls are taken yet; `taken`, `failed`: so many
#: were, and so many of these ended with an exception that no block makes; `last`: the leaf that
#: the last one took; `marker`: the type of what a leaf gives in place of an exception.
HEAD = (
    "left", "taken", "failed_calls", "last", "frame", "fork", "late_wanted", "miss_object",
    "exception", "key_error", "active", "active_name", "settings", "state", "mode_name", "mode",
    "variable", "error_state", "run_code", "array", "empty", "none", "true", "float_type",
    "int_type", "tensor_type", "array_name", "storage_name", "exposed_name",
    "marker", "error_name",
)  # fmt: skip
#: The words of a block before its constants.
ALIVE, HITS, CONSTANTS, REGISTERS, BLOCK = range(5)
#: What a block gives that is no object: an exception, see above.
FAILED, MISS, STOP = range(3)
#: Of an array's flags the one that says that it can be written.
WRITEABLE_BIT = 10
#: Larger arenas are not made on the stack.
MOST_STACK = 1 << 14
#: What an input of a program is: an array, or a number that becomes an element of such a dtype.
ARRAY_INPUT, FLOAT64, FLOAT32, INT64 = range(4)


class Do(IntEnum):
    """Instructions, with their operands: d, a, b, ... are registers, `x` an object."""

    #: to places
    HANDLER = 1  # target, or 0
    JUMP = 2  # target
    GIVE_MISS = 3
    GIVE_STOP = 4
    RETURN = 5  # a
    ALIVE_STILL = 6
    #: tests: when, target, ...
    IS = 10  # a, x
    SAME = 11  # a, b
    TYPE_IS = 12  # a, x
    TRUE_IS = 13  # a
    HOLDS = 14  # a: what `in` asks of, b
    LENGTH_IS = 15  # a, n
    IN_SPACE = 16  # dict x, key x, object x, or 0: nothing is there
    CODE = 17  # function x, object x: its code
    ATTRIBUTE = 18  # a, name x, object x
    LAYOUT = 19  # a, words of the layout
    WRITEABLE = 20  # a
    GIVEN = 21  # count of arguments, tuple x of the names of the last of them
    APART = 22  # count of tensors, how many of them are written, a*
    DIFFERENT = 23  # count, a*
    #: what makes d
    ARGUMENT = 30  # d, number
    SPACE = 31  # d, dict x, key x
    LATE = 32  # d: where values of tensors are kept
    MOVE = 33  # d, a
    UNARY = 34  # d, function, a
    BINARY = 35  # d, function, a, b
    RICH = 36  # d, a, b, number of the comparison
    NEW_TENSOR = 37  # d, a
    CALL = 38  # d, a, tuple x of names or 0, count, a*
    METHOD = 39  # d, name x, count, a*
    TUPLE = 40  # d, count, a*
    LIST = 41  # d, count, a*
    DICT = 42  # d, count, (a, b)*
    #: what does something
    TERNARY = 50  # function, a, b, c or 0
    RUN = 51  # words, code, arena, inputs, outputs, release, (kind, a)*, (axes, sizes, dtype, d)*


_MACHINE = """
PyObject_SetAttr: int
PyObject_SetItem: int
PyObject_IsTrue: int
PySequence_Contains: int
PyErr_ExceptionMatches: int
PyContextVar_Get: int
PyDict_SetItem: int

def put(r, d, made):
    before = r[d]
    r[d] = made
    if before != 0: Py_DecRef(before)
    return 0

def held(made):
    Py_IncRef(made)
    return made

def next(base, pc, length, found):
    if found == pc[1]: return base + 8 * pc[2]
    return pc + 8 * length

def is_attribute(object, name, wanted):
    found = PyObject_GetAttr(object, name)
    if found == 0: return -1
    Py_DecRef(found)
    return found == wanted

def equal_words(a, b, n):
    k = 0
    while k < n:
        if a[k] != b[k]: return 0
        k += 1
    return 1

def has_layout(a, array, layout):
    if a.TYPE != array: return 0
    axes = int32(a + AXES)
    if axes != layout[0] or a.DTYPE != layout[1]: return 0
    if not equal_words(a.SIZES, layout + 16, axes): return 0
    return equal_words(a.STRIDES, layout + 16 + 8 * axes, axes)

def is_writeable(a, array):
    if a.TYPE != array: return 0
    return int32(a + FLAGS) >> WRITEABLE_BIT & 1

def given_as(given, count, names, wanted, wanted_names):
    if count != wanted: return 0
    n = 0
    if names != 0: n = names.LENGTH
    if n != wanted_names.LENGTH: return 0
    return equal_words(names + ITEMS, wanted_names + ITEMS, n)

def reach(array, edges):
    axes = int32(array + AXES)
    sizes = array.SIZES
    strides = array.STRIDES
    low = array.DATA
    high = low + MOST_ITEMSIZE
    k = 0
    while k < axes:
        if sizes[k] == 0: return 0
        span = (sizes[k] - 1) * strides[k]
        if span < 0: low += span
        else: high += span
        k += 1
    edges[0] = low
    edges[1] = high
    return 0

@noinline
def are_apart(w, r, count, written, numbers):
    keys = room(count)
    edges = room(2 * count)
    clear(edges, 16 * count)
    k = 0
    while k < count:
        tensor = r[numbers[k]]
        if tensor.TYPE != w[TENSOR_TYPE]: return 0
        keys[k] = tensor
        storage = PyObject_GetAttr(tensor, w[STORAGE_NAME])
        if storage == 0: return -1
        Py_DecRef(storage)
        if storage != w[NONE]:
            keys[k] = storage
            exposed = is_attribute(storage, w[EXPOSED_NAME], w[TRUE])
            if exposed < 0: return -1
            if exposed:
                array = PyObject_GetAttr(tensor, w[ARRAY_NAME])
                if array == 0: return -1
                Py_DecRef(array)
                if array.TYPE != w[ARRAY]: return 0
                reach(array, edges + 16 * k)
        k += 1
    k = 0
    while k < written:
        j = k + 1
        while j < count:
            if edges[2 * k] < edges[2 * j + 1] and edges[2 * j] < edges[2 * k + 1]: return 0
            j += 1
        k += 1
    return all_differ(keys, count, written)

def all_differ(keys, count, first):
    k = 0
    while k < first:
        j = k + 1
        while j < count:
            if keys[j] == keys[k]: return 0
            j += 1
        k += 1
    return 1

@noinline
def different(r, count, numbers):
    keys = room(count)
    k = 0
    while k < count:
        keys[k] = r[numbers[k]]
        k += 1
    return all_differ(keys, count, count)

@noinline
def called(r, function, names, count, numbers):
    given = room(count + 1)
    k = 0
    while k < count:
        given[k + 1] = r[numbers[k]]
        k += 1
    n = count
    if names != 0: n -= names.LENGTH
    return PyObject_Vectorcall(function, given + 8, n | 1 << 63, names)

@noinline
def called_method(r, name, count, numbers):
    given = room(count + 1)
    k = 0
    while k < count:
        given[k + 1] = r[numbers[k]]
        k += 1
    return PyObject_VectorcallMethod(name, given + 8, count | 1 << 63, 0)

def tuple_of(r, count, numbers):
    made = PyTuple_New(count)
    k = 0
    while made != 0 and k < count:
        PyTuple_SetItem(made, k, held(r[numbers[k]]))
        k += 1
    return made

def list_of(r, count, numbers):
    made = PyList_New(count)
    k = 0
    while made != 0 and k < count:
        PyList_SetItem(made, k, held(r[numbers[k]]))
        k += 1
    return made

@noinline
def dict_of(r, count, numbers):
    made = PyDict_New()
    k = 0
    while made != 0 and k < count:
        if PyDict_SetItem(made, r[numbers[2 * k]], r[numbers[2 * k + 1]]) < 0:
            Py_DecRef(made)
            return 0
        k += 1
    return made

def tensor_of(w, array):
    made = PyType_GenericAlloc(w[TENSOR_TYPE], 0)
    if made == 0: return 0
    if PyObject_SetAttr(made, w[ARRAY_NAME], array) < 0:
        Py_DecRef(made)
        return 0
    return made

def number_word(w, kind, object, to):
    if object.TYPE == w[FLOAT_TYPE]:
        if kind == INT64: return 0
        bits = object.FLOAT
    else:
        if object.TYPE != w[INT_TYPE]: return 0
        bits = PyLong_AsLongLong(object)
        if bits == -1 and PyErr_Occurred() != 0: return 0
        if kind != INT64:
            if bits > EXACT or bits < -EXACT: return 0
            bits = float64(bits)
    to[0] = bits
    if kind == FLOAT32:
        to[0] = float32(bits)
        return bits & INFINITE == INFINITE or to[0] & INFINITE32 != INFINITE32
    return 1

def run_program(run, bases, code, release):
    if release == 0: return call(run, bases, code)
    thread = PyEval_SaveThread()
    status = call(run, bases, code)
    PyEval_RestoreThread(thread)
    return status

def obtain(w, r, at, bases, count):
    while count > 0:
        made = 0
        if at[0] < 0:
            made = PyObject_CallNoArgs(at[2])
        else:
            Py_IncRef(at[2])
            made = call(w[EMPTY], at[0], at[1], at[2], 0)
        if made == 0: return 1
        put(r, at[3], made)
        bases[0] = made.DATA
        bases += 8
        at += 32
        count -= 1
    return 0

@noinline
def compute(w, r, pc):
    inputs = pc[4]
    outputs = pc[5]
    bases = room(inputs + outputs + 3)
    numbers = room(inputs)
    bases[0] = 0
    at = pc + 56
    k = 0
    while k < inputs:
        object = r[at[1]]
        if at[0] == ARRAY_INPUT:
            if object.TYPE != w[ARRAY]: return 1
            bases[k + 2] = object.DATA
        else:
            if not number_word(w, at[0], object, numbers + 8 * k): return 1
            bases[k + 2] = numbers + 8 * k
        at += 16
        k += 1
    if obtain(w, r, at, bases + 8 * k + 16, outputs): return 1
    memory = 0
    arena = 0
    if pc[3] > MOST_STACK:
        memory = PyMem_RawMalloc(pc[3] + 64)
        if memory == 0: return 1
        arena = memory + 63 & -64
    elif pc[3] > 0: arena = room((pc[3] >> 3) + 8)
    bases[inputs + outputs + 2] = arena
    status = run_program(w[RUN_CODE], bases, pc[2], pc[6])
    if memory != 0: PyMem_RawFree(memory)
    return status

@noinline
def execute(w, b, r, given, count, names, late):
    constants = b[CONSTANTS]
    copy(r, b + 8 * BLOCK, 8 * constants)
    clear(r + 8 * constants, 8 * (b[REGISTERS] - constants))
    base = b + 8 * (BLOCK + constants)
    pc = base
    handler = 0
    while True:
        match pc[0]:
            case IS:
                pc = next(base, pc, 5, r[pc[3]] == pc[4])
                continue
            case SAME:
                pc = next(base, pc, 5, r[pc[3]] == r[pc[4]])
                continue
            case TYPE_IS:
                pc = next(base, pc, 5, r[pc[3]].TYPE == pc[4])
                continue
            case TRUE_IS:
                found = PyObject_IsTrue(r[pc[3]])
                if found >= 0:
                    pc = next(base, pc, 4, found)
                    continue
            case HOLDS:
                found = PySequence_Contains(r[pc[3]], r[pc[4]])
                if found >= 0:
                    pc = next(base, pc, 5, found)
                    continue
            case LENGTH_IS:
                found = PyObject_Size(r[pc[3]])
                if found >= 0:
                    pc = next(base, pc, 5, found == pc[4])
                    continue
            case IN_SPACE:
                if b[ALIVE] != 0:
                    found = PyDict_GetItemWithError(pc[3], pc[4])
                    if found != 0 or PyErr_Occurred() == 0:
                        pc = next(base, pc, 6, found == pc[5])
                        continue
            case CODE:
                if b[ALIVE] != 0:
                    pc = next(base, pc, 5, PyFunction_GetCode(pc[3]) == pc[4])
                    continue
            case ATTRIBUTE:
                found = is_attribute(r[pc[3]], pc[4], pc[5])
                if found >= 0:
                    pc = next(base, pc, 6, found)
                    continue
            case LAYOUT:
                pc = next(base, pc, 5, has_layout(r[pc[3]], w[ARRAY], pc[4]))
                continue
            case WRITEABLE:
                pc = next(base, pc, 4, is_writeable(r[pc[3]], w[ARRAY]))
                continue
            case GIVEN:
                pc = next(base, pc, 5, given_as(given, count, names, pc[3], pc[4]))
                continue
            case APART:
                found = are_apart(w, r, pc[3], pc[4], pc + 40)
                if found >= 0:
                    pc = next(base, pc, pc[3] + 5, found)
                    continue
            case DIFFERENT:
                pc = next(base, pc, pc[3] + 4, different(r, pc[3], pc + 32))
                continue
            case HANDLER:
                handler = pc[1]
                pc += 16
                continue
            case ALIVE_STILL:
                if b[ALIVE] == 0: return MISS
                pc += 8
                continue
            case JUMP:
                pc = base + 8 * pc[1]
                continue
            case GIVE_MISS:
                return MISS
            case GIVE_STOP:
                return STOP
            case RETURN:
                b[HITS] += 1
                return held(r[pc[1]])
            case ARGUMENT:
                put(r, pc[1], held(given[pc[2]]))
                pc += 24
                continue
            case SPACE:
                if b[ALIVE] != 0:
                    found = PyDict_GetItemWithError(pc[2], pc[3])
                    if found != 0:
                        put(r, pc[1], held(found))
                        pc += 32
                        continue
                    if PyErr_Occurred() == 0: PyErr_SetObject(w[KEY_ERROR], pc[3])
            case LATE:
                put(r, pc[1], held(late))
                pc += 16
                continue
            case MOVE:
                put(r, pc[1], held(r[pc[2]]))
                pc += 24
                continue
            case UNARY:
                made = call(pc[2], r[pc[3]])
                if made != 0:
                    put(r, pc[1], made)
                    pc += 32
                    continue
            case BINARY:
                made = call(pc[2], r[pc[3]], r[pc[4]])
                if made != 0:
                    put(r, pc[1], made)
                    pc += 40
                    continue
            case RICH:
                made = PyObject_RichCompare(r[pc[2]], r[pc[3]], pc[4])
                if made != 0:
                    put(r, pc[1], made)
                    pc += 40
                    continue
            case NEW_TENSOR:
                made = tensor_of(w, r[pc[2]])
                if made != 0:
                    put(r, pc[1], made)
                    pc += 24
                    continue
            case CALL:
                made = called(r, r[pc[2]], pc[3], pc[4], pc + 40)
                if made != 0:
                    put(r, pc[1], made)
                    pc += 40 + 8 * pc[4]
                    continue
            case METHOD:
                made = called_method(r, pc[2], pc[3], pc + 32)
                if made != 0:
                    put(r, pc[1], made)
                    pc += 32 + 8 * pc[3]
                    continue
            case TUPLE:
                made = tuple_of(r, pc[2], pc + 24)
                if made != 0:
                    put(r, pc[1], made)
                    pc += 24 + 8 * pc[2]
                    continue
            case LIST:
                made = list_of(r, pc[2], pc + 24)
                if made != 0:
                    put(r, pc[1], made)
                    pc += 24 + 8 * pc[2]
                    continue
            case DICT:
                made = dict_of(r, pc[2], pc + 24)
                if made != 0:
                    put(r, pc[1], made)
                    pc += 24 + 16 * pc[2]
                    continue
            case TERNARY:
                third = 0
                if pc[4] >= 0: third = r[pc[4]]
                if int_of(call(pc[1], r[pc[2]], r[pc[3]], third)) >= 0:
                    pc += 40
                    continue
            case RUN:
                if compute(w, r, pc) == 0:
                    pc += 8 * pc[1]
                    continue
        if handler == 0: return FAILED
        if PyErr_Occurred() != 0:
            if not PyErr_ExceptionMatches(w[EXCEPTION]): return FAILED
            PyErr_Clear()
        pc = base + 8 * handler
    return FAILED

def release(r, b):
    k = b[CONSTANTS]
    end = b[REGISTERS]
    while k < end:
        if r[k] != 0: Py_DecRef(r[k])
        k += 1
    return 0

def below(outcomes, found):
    k = outcomes[0]
    while k > 0:
        outcomes += 16
        k -= 1
        if outcomes[-1] == found: return outcomes[0]
    return 0

@noinline
def raised(w, marker):
    error = PyObject_GetAttr(marker, w[ERROR_NAME])
    Py_DecRef(marker)
    if error != 0:
        PyErr_SetObject(error.TYPE, error)
        Py_DecRef(error)
    return FAILED

@noinline
def walk(w, given, count, names, late):
    r = room(w[FRAME])
    fork = w[FORK]
    while fork != 0:
        left = fork[0]
        at = fork + 8
        found = MISS
        b = 0
        while left > 0 and found == MISS:
            found = STOP
            b = at[0]
            if b != 0:
                found = MISS
                if b[ALIVE] != 0:
                    found = execute(w, b, r, given, count, names, late)
                    release(r, b)
            left -= 1
            at += 16
        if found == FAILED: w[FAILED_CALLS] += 1
        if found == FAILED or found == MISS or found == STOP: return found
        outcomes = at[-1]
        if outcomes == 0:
            w[LAST] = b
            return raised(w, found) if found.TYPE == w[MARKER] else found
        fork = below(outcomes, found)
        Py_DecRef(found)
    return STOP

def fits(w):
    if PyDict_GetItemWithError(w[ACTIVE], w[ACTIVE_NAME]) != w[SETTINGS]: return 0
    found = PyObject_GetAttr(w[STATE], w[MODE_NAME])
    if found == 0: return 0
    Py_DecRef(found)
    if found.TYPE != w[MODE]: return 0
    slot = room(1)
    slot[0] = 0
    PyContextVar_Get(w[VARIABLE], 0, slot)
    if slot[0] == 0: return 0
    Py_DecRef(slot[0])
    return slot[0] == w[ERROR_STATE]

def dualflow_whole_call(self, given, count, names):
    w = self.PAYLOAD
    if names != 0: count += names.LENGTH
    if w[LEFT] > 0:
        found = STOP
        if fits(w):
            late = 0
            if w[LATE_WANTED] != 0:
                late = PyDict_New()
                if late == 0: return 0
            found = walk(w, given, count, names, late)
            if late != 0: Py_DecRef(late)
        elif PyErr_Occurred() != 0:
            PyErr_Clear()
        if found != MISS and found != STOP:
            w[LEFT] -= 1
            w[TAKEN] += 1
            return found
    return held(w[MISS_OBJECT])
"""

#: Where CPython's objects and NumPy's arrays hold what is read; `works` tries it.
_OBJECT, _WORD = object.__basicsize__, struct.calcsize("P")
FIELDS = {
    "TYPE": _OBJECT - _WORD, "DATA": _OBJECT, "AXES": _OBJECT + _WORD,
    "SIZES": _OBJECT + 2 * _WORD, "STRIDES": _OBJECT + 3 * _WORD, "DTYPE": _OBJECT + 5 * _WORD,
    "FLAGS": _OBJECT + 6 * _WORD, "FLOAT": _OBJECT, "LENGTH": _OBJECT, "ITEMS": _OBJECT + _WORD,
}  # fmt: skip
_NUMBERS = {
    "FAILED": FAILED, "MISS": MISS, "STOP": STOP, "ALIVE": ALIVE, "HITS": HITS,
    "CONSTANTS": CONSTANTS, "REGISTERS": REGISTERS, "BLOCK": BLOCK, "ARRAY_INPUT": ARRAY_INPUT,
    "FLOAT64": FLOAT64, "FLOAT32": FLOAT32, "INT64": INT64, "WRITEABLE_BIT": WRITEABLE_BIT,
    "MOST_ITEMSIZE": 16, "MOST_STACK": MOST_STACK, "INFINITE": 0x7FF << 52,
    "INFINITE32": 0xFF << 23, "EXACT": 1 << 53,
}  # fmt: skip


@once
def library() -> Native:
    """The machine, loaded; from the disk cache where it is there."""
    head = {name.upper(): n for n, name in enumerate(HEAD)}
    numbers = {**FIELDS, **_NUMBERS, **head, **Do.__members__, "PAYLOAD": payload()}
    return cache.native_part(Part(_MACHINE, numbers), ("dualflow_whole_call",))
