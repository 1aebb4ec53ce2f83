"""Special methods: truth, operators, calls and containers of classes written in Python."""

import dataclasses

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


class Plain:
    """A plain object; its class stays as it is."""

    def __init__(self, **values):
        vars(self).update(values)


def truth_of_objects(compile, see):
    class Yes:
        def __bool__(self):
            return True

    class No:
        def __bool__(self):
            return False

    class Sized:
        def __init__(self, n):
            self.n = n

        def __len__(self):
            return self.n

    @compile
    def f(x, flag):
        return x if flag else x * 10

    for flag in (Yes(), Yes(), No(), Sized(0), Sized(2), Sized(0), Plain(), Yes()):
        see(f, tensor(*X), flag)
    Yes.__bool__ = lambda self: False
    see(f, tensor(*X), Yes())


def operators_of_objects(compile, see):
    class Two:
        def __add__(self, other):
            return Two()

        def __mul__(self, x):
            return x * 2

    class Three(Two):
        def __mul__(self, x):
            return x * 3

    @compile
    def f(a, k):
        return a * k

    for a in (Two(), Two(), Three(), Three()):
        see(f, a, 5)
    Two.__mul__ = lambda self, x: x * 100
    see(f, Two(), 5)


def not_implemented(compile, see):
    class Left:
        def __add__(self, other):
            return NotImplemented

    class Right:
        def __radd__(self, other):
            return 42

    @compile
    def f(x):
        return Left() + Right(), x

    for _ in range(2):
        see(f, tensor(*X))


def callable_objects(compile, see):
    class Layer:
        def __init__(self, k):
            self.k = k

        def __call__(self, x):
            return x * self.k

    layers = [Layer(2.0), Layer(3.0)]

    @compile
    def f(x):
        for layer in layers:
            x = layer(x)
        return x, callable(layers[0])

    see(f, tensor(*X))
    see(f, tensor(*X))
    layers[0].k = 5.0
    see(f, tensor(*X))
    layers.append(Layer(-1.0))
    see(f, tensor(*X))
    layers[1] = lambda x: x + 1
    see(f, tensor(*X))
    Layer.__call__ = lambda self, x: x
    see(f, tensor(*X))


def becomes_callable(compile, see):
    class Model:
        pass

    m = Model()

    @compile
    def f(x):
        return x if callable(m) else x * 2

    see(f, tensor(*X))
    see(f, tensor(*X))
    Model.__call__ = lambda self: None
    see(f, tensor(*X))


def containers_of_ones_own(compile, see):
    class Bag:
        def __init__(self, items):
            self.items = items

        def __getitem__(self, i):
            return self.items[i]

        def __len__(self):
            return len(self.items)

        def __contains__(self, k):
            return k in self.items

        def __iter__(self):
            return iter(self.items[::-1])

    @compile
    def f(x, bag):
        total = x * bag[0] + len(bag)
        for item in bag:
            total = total * 2 + item
        return total, 2 in bag

    for items in ([1, 2], [1, 2], [2, 3, 4]):
        see(f, tensor(*X), Bag(items))


def comparison_of_objects(compile, see):
    @dataclasses.dataclass(order=True)
    class Version:
        n: int

    @compile
    def f(x, a, b):
        return x if a < b else x * 2, a == b, a != b, max(a, b).n

    for a, b in ((1, 2), (1, 2), (2, 1), (2, 2)):
        see(f, tensor(*X), Version(a), Version(b))


def tensor_method_patched(compile, see):
    @compile
    def f(x):
        return x.sum()

    see(f, tensor(*X))
    see(f, tensor(*X))
    before = df.Tensor.sum
    try:
        df.Tensor.sum = lambda self: 77
        see(f, tensor(*X))
    finally:
        df.Tensor.sum = before
    see(f, tensor(*X))


def tensor_operator_replaced(compile, see):
    @compile
    def f(x):
        return x * 2, -x

    see(f, tensor(*X))
    see(f, tensor(*X))
    before = df.Tensor.__mul__
    try:
        df.Tensor.__mul__ = lambda self, other: before(self, other) + 1
        see(f, tensor(*X))
    finally:
        df.Tensor.__mul__ = before
    see(f, tensor(*X))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
