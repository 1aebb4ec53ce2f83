"""Operators and items of objects of classes written in Python: the methods that Python asks."""

from __future__ import annotations

import operator

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, 2.0, 3.0)


def items_stored_and_deleted(compile, see):
    class Table:
        def __init__(self):
            self.rows, self.log = {}, []

        def __setitem__(self, key, value):
            self.log.append(key)
            if value is None:
                raise ValueError(f"nothing for {key!r}")
            self.rows[key] = value

        def __getitem__(self, key):
            return self.rows[key]

        def __delitem__(self, key):
            del self.rows[key]

        def __contains__(self, key):
            return key in self.rows

    table = Table()

    @compile
    def f(x, key, value):
        table[key] = x * value if value is not None else None
        table[key] += 1.0
        mine = Table()
        mine[key, 0] = 2.0
        mine["gone"] = 3.0
        del mine["gone"]
        return table[key] * mine[key, 0], "gone" in mine, len(mine.log)

    @compile
    def drop(x, key):
        del table[key]
        return x * len(table.rows)

    for key, value in (("a", 2.0), ("b", 3.0), ("a", 4.0), ("b", None), ("b", 5.0), ("a", 6.0)):
        see(f, tensor(*X), key, value)
        see.that((table.rows, table.log))
    for key in ("a", "a", "b", "b"):
        see(drop, tensor(*X), key)
        see.that(table.rows)


def slices_of_objects(compile, see):
    class Window:
        def __setitem__(self, key, value):
            self.last = (key.start if isinstance(key, slice) else key, value)

    window = Window()

    @compile
    def f(x, i):
        window[i : i + 2] = x
        first = window.last
        window[i, ...] = x + 1
        return first[0], first[1] + window.last[1]

    for i in (1, 2, 3, 1):
        see(f, tensor(*X), i)


def operators_in_place(compile, see):
    class Tally:
        def __init__(self, n):
            self.n = n

        def __iadd__(self, other):
            if isinstance(other, str):
                return NotImplemented
            self.n += other
            return self

        def __add__(self, other):
            return Tally(-1) if other == "add" else NotImplemented

        def __imul__(self, other):
            return other

        def __sub__(self, other):
            return Tally(self.n - other)

        def __ior__(self, other):
            return NotImplemented

    tally = Tally(0)

    @compile
    def f(x, other):
        mine, kept = tally, tally
        mine += other
        less = Tally(5)
        less -= 1
        whole = Tally(1)
        whole *= x
        return whole * mine.n, mine is kept, less.n

    @compile
    def unfit(x):
        mine = Tally(1)
        try:
            mine |= 1
        except TypeError as error:
            return x, str(error)

    for other in (1, 2, 3.5, "add", "other", 1, 2):
        see(f, tensor(*X), other)
        see.that(tally.n)
    for _ in range(3):
        see(unfit, tensor(*X))


def operators_of_bits(compile, see):
    class Mask:
        def __init__(self, bits):
            self.bits = bits

        def __and__(self, other):
            return Mask(self.bits & other.bits)

        def __or__(self, other):
            return Mask(self.bits | other.bits)

        def __xor__(self, other):
            return Mask(self.bits ^ other.bits)

        def __lshift__(self, n):
            return Mask(self.bits << n)

        def __rrshift__(self, n):
            return n + self.bits

    @compile
    def f(x, a, b):
        a, b = Mask(a), Mask(b)
        return x * (a & b).bits, (a | b).bits, (a ^ b).bits, (a << 2).bits, 10 >> b

    for a, b in ((1, 3), (5, 6), (7, 2), (0, 0)):
        see(f, tensor(*X), a, b)


def objects_beside_tensors(compile, see):
    class Gain:
        def __init__(self, k):
            self.k = k

        def __mul__(self, x):
            return x * self.k

        def __rmul__(self, x):
            return x * self.k + 1.0

        def __rsub__(self, x):
            return NotImplemented

        def __matmul__(self, x):
            return x @ x

    @compile
    def f(x, k):
        gain = Gain(k)
        try:
            return x - gain
        except TypeError as error:
            return gain * x + x * gain, gain @ x, str(error)

    for k in (2.0, 3, 2.5, 4):
        see(f, tensor(*X), k)


def powers_and_complex_numbers(compile, see):
    @compile
    def f(x, k, z):
        late = complex(float(x[0]), k)
        parts = (
            z.real + late.imag,
            abs(late),
            -z,
            z.conjugate(),
            late.conjugate(),
            (2.5).is_integer(),
        )
        return pow(x, 2) * z.imag, pow(2.0, x[1]), operator.pow(x, 3), parts

    for k, z in ((2, 1 + 2j), (3, 2j), (4, -1 - 1j), (5, 3 + 0j)):
        see(f, tensor(*X), k, z)
        see(f, tensor(4.0, 5.0), k + 1, -z)


def methods_of_text_that_changes(compile, see):
    names = []

    @compile
    def f(x, word):
        text = f"{float(x.sum()):.2f}"
        whole, part = text.split(".")
        names.append(f"call {len(names)}".title())
        return (
            x * len(whole),
            part.rjust(4, "0"),
            text.replace(".", ","),
            text.endswith("0"),
            names[-1],
        )

    for i in range(7):
        see(f, tensor(i, 0.25), "a")
        see.that(names)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
