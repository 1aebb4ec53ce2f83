"""Frozen records, whose methods are compiled when one is first called."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from dualflow.base.records import entity, record, replaced


@record
class Pair:
    x: int
    y: int = 2


@record
class Nothing:
    pass


def test_every_method_may_come_first():
    def fresh():
        @record
        class Named:
            a: int
            b: str = "b"

        return Named

    assert fresh()(1).b == "b"
    kind = fresh()
    one, other, third = kind(1), kind(1, "b"), kind(2)
    assert one == other
    assert one not in (third, 1)
    kind = fresh()
    assert len({kind(1), kind(1), kind(2)}) == 2
    kind = fresh()
    assert kind(3).__reduce__() == (kind, (3, "b"))


def test_a_wrong_call_says_what_is_missing_first_and_later():
    @record
    class Named:
        a: int

    for _ in range(2):
        with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required positional argument"):
            Named()  # type: ignore[call-arg]
    assert Named(1).a == 1


def test_own_methods_stay():
    @record
    class Folded:
        name: str

        def __eq__(self, other):
            return self.name.lower() == other.name.lower()

        def __hash__(self):
            return hash(self.name.lower())

    assert Folded("A") == Folded("a")
    assert hash(Folded("A")) == hash(Folded("a"))
    assert Folded("A").__reduce__() == (Folded, ("A",))
    assert Folded("A") == Folded("a")


def test_records_are_frozen_and_hold_no_dict():
    pair = Pair(1)
    with pytest.raises(AttributeError, match="Pair is frozen: x cannot be set"):
        pair.x = 2  # type: ignore[misc]
    assert not hasattr(pair, "__dict__")
    assert replaced(pair, x=7) == Pair(7)
    assert pickle.loads(pickle.dumps(pair)) == pair


def test_without_fields():
    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing()}) == 1


def test_entities_are_equal_to_themselves_alone():
    @entity
    class Place:
        x: int
        y: int = 4

    one = Place(1)
    assert (one.x, one.y) == (1, 4)
    assert one in (one,)
    assert one != Place(1)


def test_threads_that_come_first_together():
    for _ in range(20):

        @record
        class Named:
            a: int

        with ThreadPoolExecutor(4) as pool:
            found = set(pool.map(lambda n, kind=Named: kind(n % 2), range(16)))
        assert found == {Named(0), Named(1)}
