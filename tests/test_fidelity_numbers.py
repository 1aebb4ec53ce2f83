"""Numbers of other classes than Python's own: members of enumerations, subclasses, NumPy's."""

import enum

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Steps(int):
    """An integer with a name of its own."""


class Rate(float):
    """A float that computes as floats do."""


class Loud(int):
    """An integer whose methods can be heard."""

    heard = 0

    def __add__(self, other):
        Loud.heard += 1
        return int(self) + other

    def __int__(self):
        Loud.heard += 1
        return 5


class Weight(enum.Enum):
    LIGHT = 1
    HEAVY = 2

    def __add__(self, other):
        print(f"{self.name} + {other}")
        return self.value + other


def members_beside_tensors(compile, see):
    @compile
    def f(x, level):
        y = x * level + level
        y[level] = level
        return level / y, x[level], x[: level + 1], df.maximum(x, level), df.full((2,), level)

    for level in (Level.LOW, Level.LOW, Level.HIGH, Level.LOW, Level.HIGH):
        see(f, tensor(*X), level)


def members_as_numbers(compile, see):
    @compile
    def f(x, level):
        k = int(level) + level * 2 if level > Level.LOW else float(level)
        return x * k, level + 1, level == 2, bool(level)

    for level in (Level.LOW, Level.HIGH, Level.LOW, Level.HIGH):
        see(f, tensor(*X), level)


def instances_of_subclasses(compile, see):
    @compile
    def f(x, n, rate):
        return x * n * rate, n + 1, -rate, n > 2, int(n), float(rate), type(n).__name__, x[n]

    for n, rate in ((1, 0.5), (1, 0.5), (2, -0.0), (1, 0.5), (2, 0.0), (2, -0.0)):
        see(f, tensor(*X), Steps(n), Rate(rate))
    see(f, tensor(*X), 1, 0.5)


def numbers_of_numpy(compile, see):
    @compile
    def f(x, n):
        return x * n, x + n, n + 1

    for n in (np.int64(2), np.int64(2), np.int64(3), np.uint8(3), np.float32(0.5), np.float64(0.5)):
        see(f, tensor(*X), n)
        see(f, tensor(*X), n)


def members_with_methods(compile, see):
    @compile
    def f(x, weight):
        return x * (weight + 1)

    for weight in (Weight.HEAVY, Weight.HEAVY, Weight.LIGHT):
        see(f, tensor(*X), weight)


def integers_with_methods(compile, see):
    Loud.heard = 0

    @compile
    def f(x, n):
        return x * int(n), n + 1, Loud.heard

    for n in (3, 3, 4):
        see(f, tensor(*X), Loud(n))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_numbers(program, way):
    check(program, way)


@pytest.mark.parametrize("number", [Level.HIGH, Steps(2), Rate(2.0)])
def test_an_instance_of_a_subclass_is_the_number(number):
    plain = float(number) if isinstance(number, float) else int(number)
    for dtype in (df.float32, df.int64):
        x = df.tensor([1, 2, 4], dtype=dtype)
        for f in (
            lambda x, k: x * k,
            lambda x, k: k - x,
            lambda x, k: x**k,
            lambda x, k: x < k,
            lambda x, k: df.where(x > 1, x, k),
            lambda x, k: df.clip(x, k, 5),
            lambda x, k: df.full((2,), k),
            lambda x, k: df.random.normal((2,), k, 1.0),
        ):
            results = []
            for k in (number, plain):
                df.random.seed(1)
                results.append(f(x, k))
            assert results[0].dtype == results[1].dtype
            assert results[0].tolist() == results[1].tolist()


def test_members_as_indices_and_stored():
    x = df.tensor([1, 2, 4], dtype=df.int8)
    assert x[Level.LOW].item() == 2
    x[Level.LOW] = Level.HIGH
    x += Level.LOW
    assert x.tolist() == [2, 3, 5]
    assert x.dtype == df.int8
