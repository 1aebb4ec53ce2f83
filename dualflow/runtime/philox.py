"""The words of Philox4x32-10 as native text, eight counters at a time: for eager draws.

Comes in: a key, a counter, memory for words. Goes out: word 0 for (i, counter), i from 0 on, as
`ops.special.philox` computes it with NumPy alone. Source: Salmon, Moraes, Dror and Shaw, "Parallel
random numbers: as easy as 1, 2, 3", 2011.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dualflow.ops.special import portable_philox

from . import cache, native
from .loader import Native
from .native_text import Part
from .once import once, trial

#: counters in one vector
LANES = 8
ROUNDS = 10
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_STEPS = 0x9E3779B9, 0xBB67AE85
_SYMBOL = "dualflow_philox"
_VECTOR = f"<{LANES} x i64>"
_SPREAD = f"{_VECTOR} poison, <{LANES} x i32> zeroinitializer"


def _all(word: int | str) -> str:
    """The constant in all lanes."""
    return "<" + ", ".join(f"i64 {word}" for _ in range(LANES)) + ">"


def _spread(name: str, word: str) -> str:
    """Lines that put a word into all lanes."""
    one = f"{_VECTOR} poison, i64 {word}, i64 0"
    return (
        f"  %{name}.one = insertelement {one}\n"
        f"  %{name} = shufflevector {_VECTOR} %{name}.one, {_SPREAD}\n"
    )


def _rounds() -> str:
    """Lines that turn %c0.0, %c1.0, %c2.0, %c3.0 into those of the last round: 32 bits each."""
    low, half = _all(0xFFFFFFFF), _all(32)
    lines = []

    def line(name: str, operation: str, a: str, b: str) -> None:
        lines.append(f"  %{name} = {operation} {_VECTOR} {a}, {b}")

    for n in range(ROUNDS):
        m = n + 1
        for i, (high, other, key) in enumerate((("2", "1", "k0"), ("0", "3", "k1"))):
            product, out = f"p{high}.{n}", 2 * i
            line(product, "mul", f"%c{high}.{n}", _all(_MULTIPLIERS[high == "2"]))
            line(f"{product}.h", "lshr", f"%{product}", half)
            line(f"{product}.x", "xor", f"%{product}.h", f"%c{other}.{n}")
            line(f"c{out}.{m}", "xor", f"%{product}.x", f"%{key}.{n}")
            line(f"c{out + 1}.{m}", "and", f"%{product}", low)
        for i, key in enumerate(("k0", "k1")):
            line(f"{key}.{n}.s", "add", f"%{key}.{n}", _all(_STEPS[i]))
            line(f"{key}.{m}", "and", f"%{key}.{n}.s", low)
    return "\n".join(lines)


def _text() -> str:
    numbers = ", ".join(f"i64 {i}" for i in range(LANES))
    return f"""
define void @{_SYMBOL}(ptr %table) nounwind {{
entry:
  %given = getelementptr i64, ptr %table, i64 1
  %a0 = load i64, ptr %table
  %a1 = load i64, ptr %given
  %out = inttoptr i64 %a0 to ptr
  %words = inttoptr i64 %a1 to ptr
  %at1 = getelementptr i64, ptr %words, i64 1
  %at2 = getelementptr i64, ptr %words, i64 2
  %at3 = getelementptr i64, ptr %words, i64 3
  %key = load i64, ptr %words
  %counter = load i64, ptr %at1
  %first = load i64, ptr %at2
  %stop = load i64, ptr %at3
  %key.low = and i64 %key, 4294967295
  %key.high = lshr i64 %key, 32
  %counter.low = and i64 %counter, 4294967295
  %counter.high = lshr i64 %counter, 32
{_spread("k0.0", "%key.low")}{_spread("k1.0", "%key.high")}\
{_spread("c2.0", "%counter.low")}{_spread("c3.0", "%counter.high")}  br label %next
next:
  %i = phi i64 [%first, %entry], [%i.more, %one]
  %more = icmp ult i64 %i, %stop
  br i1 %more, label %one, label %done
one:
{_spread("start", "%i")}  %number = add {_VECTOR} %start, <{numbers}>
  %c0.0 = and {_VECTOR} %number, {_all(0xFFFFFFFF)}
  %c1.0 = lshr {_VECTOR} %number, {_all(32)}
{_rounds()}
  %made = trunc {_VECTOR} %c0.{ROUNDS} to <{LANES} x i32>
  %place = sub i64 %i, %first
  %to = getelementptr i32, ptr %out, i64 %place
  store <{LANES} x i32> %made, ptr %to, align 4
  %i.more = add i64 %i, {LANES}
  br label %next
done:
  ret void
}}
"""


@once
def _library() -> Native:
    return cache.native_part(Part("", {}, _text()), (_SYMBOL,))


@once
def _run() -> Callable[..., int]:
    arguments = ((native.FIRST_ARRAY, 0), (native.FIRST_ARRAY + 1, 0))
    return native.bind(native.encode([(_library()[_SYMBOL], arguments)]), 2, release=True)


def philox(key: int, counter: int, size: int) -> np.ndarray:
    """Word 0 of Philox4x32-10 for the counters (i, counter), i from 0 to size - 1, as uint32.

    >>> philox(1, 2, 3).tolist()
    [3878945999, 3082076531, 2481929813]
    """
    if not _works():
        return portable_philox(key, counter, size)
    return _natively(key, counter, size)


def _natively(key: int, counter: int, size: int) -> np.ndarray:
    out = np.empty(size, np.uint32)
    whole = size - size % LANES
    _run()(out, np.array([key, counter, 0, whole], np.uint64))
    if whole < size:
        rest = np.empty(LANES, np.uint32)
        _run()(rest, np.array([key, counter, whole, whole + LANES], np.uint64))
        out[whole:] = rest[: size - whole]
    return out


@trial
def _works() -> bool:
    """Whether native words are those of NumPy here."""
    key, counter, size = 0x9E3779B97F4A7C15, (7 << 32) + 5, 3 * LANES + 3
    found = _natively(key, counter, size)
    return np.array_equal(found, portable_philox(key, counter, size))
