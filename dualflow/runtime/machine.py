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
from .machine_steps import STEPS
from .machine_walk import WALK
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
    "marker", "error_name", "dict_name", "str_type",
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
    DISJOINT = 24  # dict x, frozenset x of keys: none of them is there
    COMPARES = 25  # a, b, number of the comparison
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
    OF_STATE = 43  # d, name x, object x: what the state of the thread has, or the object
    #: what does something
    TERNARY = 50  # function, a, b, c or 0
    RUN = 51  # words, code, arena, inputs, outputs, release, (kind, a)*, (axes, sizes, dtype, d)*


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
    "INFINITE32": 0xFF << 23, "EXACT": 1 << 53, "LT": 0, "LE": 1, "EQ": 2, "NE": 3, "GT": 4,
    "GE": 5,
}  # fmt: skip


def part() -> Part:
    """What the machine is made of."""
    head = {name.upper(): n for n, name in enumerate(HEAD)}
    groups = FIELDS, _NUMBERS, head, Do.__members__, {"PAYLOAD": payload()}
    numbers = {name: number for group in groups for name, number in group.items()}
    assert len(numbers) == sum(map(len, groups))  # no name stands for two
    return Part(STEPS + WALK, numbers)


@once
def library() -> Native:
    """The machine, loaded; from the disk cache where it is there."""
    return cache.native_part(part(), ("dualflow_whole_call",))
