"""What special methods give: Python tests it, asks once, and makes its own values of it."""

from dataclasses import dataclass
from typing import Any

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


class Telling:
    """Counts how often it was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    def told(self):
        self.asked += 1
        return self.answer


class Truth(Telling):
    def __bool__(self):
        return self.told()


class Length(Telling):
    def __len__(self):
        return self.told()


class Hash(Telling):
    def __hash__(self):
        return self.told()


class Holder(Telling):
    def __contains__(self, value):
        return self.told()


class Manager(Telling):
    def __enter__(self):
        return self.told()

    def __exit__(self, *error):
        return self.told()


@dataclass(frozen=True)
class Key:
    a: Any
    b: int = 2


def each(see, f, kind, answers):
    for answer in answers:
        for _ in range(2):
            asked = kind(answer)
            see(f, tensor(*X), asked)
            see.that(asked.asked)


def truths_that_are_none(compile, see):
    @compile
    def f(x, truth):
        if truth:
            x = x + 1
        while not truth:
            truth.answer = True
        return x * 2 if truth else x

    each(see, f, Truth, (True, False, True, 1, 0, None, "a", True))


def truths_that_are_kept(compile, see):
    @compile
    def f(x, truth):
        return x, truth and 1, truth or 2, not truth

    each(see, f, Truth, (True, False, True, 1, True))


def lengths_that_are_none(compile, see):
    @compile
    def f(x, length):
        return x * len(length), type(len(length))

    each(see, f, Length, (1, 2, True, -1, 1.0, 2**70, None, 1, -1))


def truths_by_length(compile, see):
    @compile
    def f(x, length):
        if length:
            return x
        return x * 2, not length

    each(see, f, Length, (1, 0, 2, True, -1, 1.0, 2**70, None, 1, False))


def hashes_beyond_the_largest(compile, see):
    @compile
    def f(x, key):
        return x + 1, hash(key)

    each(see, f, Hash, (1, 2**61, 2**61 - 1, -1, 2**64 + 3, True, 1.0, "a", 2**63 - 1, 1))


def hashes_of_data_classes(compile, see):
    @compile
    def f(x, n):
        return x * (hash(Key(3, 1)) % 7), hash(Key("a", n)) == hash(("a", n)), hash(Key(n, -1))

    for n in (1, 1, 1, 2, 5, 5):
        see(f, tensor(*X), n)


def answers_to_in(compile, see):
    @compile
    def f(x, holder):
        return x * 2, 3 in holder, 3 not in holder

    each(see, f, Holder, (1, 0, None, [], [0], True, "a", 1.0, -0.0, 1))


def answers_of_managers(compile, see):
    @compile
    def f(x, manager):
        with manager as found:
            x = x * 2
        with manager:
            if not manager.answer:
                x = x + 1
                raise KeyError(manager.asked)
        return x, found

    each(see, f, Manager, (0, 1, None, "a", 0.0, 1, True, False))


def called_objects_are_asked_nothing(compile, see):
    asked = []

    class Caller:
        def __call__(self, x):
            return x * 2

        def __hash__(self):
            asked.append("hash")
            return 1

        def __eq__(self, other):
            asked.append("eq")
            return self is other

        def __getattr__(self, name):
            asked.append(name)
            raise AttributeError(name)

    @compile
    def f(x, caller):
        return caller(x), list(map(caller, [x]))

    for _ in range(5):
        see(f, tensor(*X), Caller())
        see.that(asked)


def pretenders_are_asked_nothing(compile, see):
    asked = []

    class Lazy:
        @property
        def __class__(self):
            asked.append("class")
            return int

    class Watched:
        def __init__(self):
            self.scale = 2.0

        def __getattribute__(self, name):
            asked.append(name)
            return object.__getattribute__(self, name)

    @compile
    def f(x, lazy, watched):
        both = [lazy, watched]
        return x * watched.scale, both[0] is lazy, lazy is not None

    for _ in range(5):
        lazy, watched = Lazy(), Watched()
        f(tensor(*X), lazy, watched)
        see.that(asked)
        asked.clear()
    see(f, tensor(*X), None, None)


def numbers_that_have_no_inverse(compile, see):
    @compile
    def f(x, n):
        return x * ~n

    for n in (2.0, 2.0, 1, 1, 2.0, True, 3, 1.5, 2):
        see(f, tensor(*X), n)


def variables_of_what_has_none(compile, see):
    class Slots:
        __slots__ = ("a",)

    class Plain:
        def __init__(self):
            self.a = 1

    @compile
    def f(x, owner):
        try:
            return x * 2, list(vars(owner))
        except TypeError as error:
            return x, str(error)

    for kind in (Plain, Plain, Slots, Slots, int, list, Plain):
        see(f, tensor(*X), kind())


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
