"""Attributes of objects: patched, shadowed, computed, stored in slots and in descriptors."""

import functools
import types

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)
GAIN = 2.0


def set_gain(value):
    global GAIN
    GAIN = value


class Plain:
    """A plain object; its class stays as it is."""

    def __init__(self, **values):
        vars(self).update(values)


def class_attribute_patched(compile, see):
    class Base:
        gain = 2.0

    class Child(Base):
        pass

    c = Child()

    @compile
    def f(x):
        return x * c.gain

    see(f, tensor(*X))
    see(f, tensor(*X))
    Base.gain = 3.0
    see(f, tensor(*X))
    Child.gain = 4.0
    see(f, tensor(*X))
    c.gain = 5.0
    see(f, tensor(*X))
    del c.gain, Child.gain
    see(f, tensor(*X))


def bases_replaced(compile, see):
    class One:
        gain = 1.0

    class Two:
        gain = 5.0

    class Child(One):
        pass

    c = Child()

    @compile
    def f(x):
        return x * c.gain

    see(f, tensor(*X))
    see(f, tensor(*X))
    Child.__bases__ = (Two,)
    see(f, tensor(*X))


def class_of_object_replaced(compile, see):
    class One:
        def apply(self, x):
            return x + 1

    class Two:
        def apply(self, x):
            return x + 2

    o = One()

    @compile
    def f(x):
        return o.apply(x), type(o).__name__, isinstance(o, One)

    see(f, tensor(*X))
    see(f, tensor(*X))
    o.__class__ = Two
    see(f, tensor(*X))


def method_shadowed_by_instance(compile, see):
    class Model:
        def apply(self, x):
            return x * 2

    m = Model()

    @compile
    def f(x):
        return m.apply(x)

    see(f, tensor(*X))
    see(f, tensor(*X))
    m.apply = lambda x: x * 3
    see(f, tensor(*X))
    del m.apply
    see(f, tensor(*X))
    Model.apply = lambda self, x: x * 4
    see(f, tensor(*X))


def property_and_setter(compile, see):
    class Model:
        def __init__(self):
            self._gain, self.asked = 1.0, 0

        @property
        def gain(self):
            self.asked += 1
            return self._gain

        @gain.setter
        def gain(self, value):
            self._gain = value * 2

    m = Model()

    @compile
    def f(x):
        return x * m.gain

    @compile
    def g(x, v):
        m.gain = v
        return x + m._gain

    for v in (1.0, 1.0, 3.0):
        see(f, tensor(*X))
        see(g, tensor(*X), v)
        see.that(vars(m))
    Model.gain = property(lambda self: 50.0)
    see(f, tensor(*X))


def property_raises_and_getattr_answers(compile, see):
    class Model:
        def __getattr__(self, name):
            return 9.0

        @property
        def gain(self):
            raise AttributeError("gain")

    m = Model()

    @compile
    def f(x):
        return x * m.gain

    for _ in range(3):
        see(f, tensor(*X))


def getattr_of_the_class(compile, see):
    class Model:
        def __init__(self):
            self.table = {"gain": 2.0}

        def __getattr__(self, name):
            try:
                return self.__dict__["table"][name]
            except KeyError:
                raise AttributeError(name) from None

    m = Model()

    @compile
    def f(x):
        return x * m.gain, hasattr(m, "bias"), getattr(m, "bias", 1.0)

    see(f, tensor(*X))
    see(f, tensor(*X))
    m.table["gain"] = 3.0
    see(f, tensor(*X))
    m.table["bias"] = 4.0
    see(f, tensor(*X))
    m.gain = 5.0
    see(f, tensor(*X))


def getattr_added_to_the_class(compile, see):
    class Model:
        pass

    m = Model()

    @compile
    def f(x):
        return x * getattr(m, "gain", 1.0)

    see(f, tensor(*X))
    see(f, tensor(*X))
    Model.__getattr__ = lambda self, name: 7.0
    see(f, tensor(*X))
    del Model.__getattr__
    see(f, tensor(*X))


def getattribute_added_to_the_class(compile, see):
    class Model:
        def __init__(self):
            self.gain = 2.0

    m = Model()

    @compile
    def f(x):
        return x * m.gain

    see(f, tensor(*X))
    see(f, tensor(*X))
    Model.__getattribute__ = lambda self, name: 7.0
    see(f, tensor(*X))


def setattr_of_the_class(compile, see):
    log = []

    class Model:
        def __setattr__(self, name, value):
            log.append(name)
            object.__setattr__(self, name, value)

    m = Model()
    m.n = 0

    @compile
    def f(x):
        m.n = m.n + 1
        return x * m.n

    for _ in range(3):
        see(f, tensor(*X))
        see.that((log, vars(m)))


def data_descriptor(compile, see):
    class Scaled:
        def __set_name__(self, owner, name):
            self.name = "_" + name

        def __get__(self, owner, kind=None):
            return self if owner is None else getattr(owner, self.name) * GAIN

        def __set__(self, owner, value):
            setattr(owner, self.name, value)

    class Model:
        k = Scaled()

    m = Model()
    m.k = 3.0

    @compile
    def f(x):
        m.k = m.k + 1
        return x * m.k

    for gain in (2.0, 2.0, 1.0):
        set_gain(gain)
        see(f, tensor(*X))
        see.that(vars(m))
    set_gain(2.0)


def cached_property(compile, see):
    class Model:
        made = 0

        @functools.cached_property
        def table(self):
            Model.made += 1
            return tensor(1, 2, Model.made)

    m = Model()

    @compile
    def f(x):
        return x * m.table

    for i in range(4):
        if i == 2:
            del m.table
        see(f, tensor(*X))
        see.that(Model.made)


def slots(compile, see):
    class Point:
        __slots__ = ("x", "y")

        def __init__(self, x, y):
            self.x, self.y = x, y

    p = Point(tensor(*X), 1.0)

    @compile
    def f(x):
        p.y = p.y + 1
        return p.x * x + p.y

    for _ in range(3):
        see(f, tensor(*X))
        see.that((p.x, p.y))
    p.x = tensor(1)
    see(f, tensor(*X))
    del p.x
    see(f, tensor(*X))


def instance_with_slots_made(compile, see):
    class Point:
        __slots__ = ("x", "y")

        def __init__(self, x, y):
            self.x, self.y = x, y

    @compile
    def f(x, k):
        p = Point(x * 2, k)
        return p

    for k in (1, 1, 2):
        made = see(f, tensor(*X), k)
        see.that((made.x, made.y) if made is not None else None)


def instances_made_and_returned(compile, see):
    class Result:
        kind = "result"

        def __init__(self, value, k=1):
            self.value, self.k = value, k
            self.parts = [value, k]

        def more(self):
            self.k += 1
            return self

    @compile
    def f(x, k):
        r = Result(x * 2, k=k).more()
        s = Result(r)
        return r, s, s.value.k

    for k in (1, 1, 2, 1.5):
        see(f, tensor(*X), k)


def attribute_missing_on_none(compile, see):
    o = Plain(child=None)

    @compile
    def f(x):
        try:
            gain = o.child.gain
        except AttributeError:
            gain = 1.0
        return x * gain

    see(f, tensor(*X))
    see(f, tensor(*X))
    o.child = Plain(gain=5.0)
    see(f, tensor(*X))
    o.child = Plain()
    see(f, tensor(*X))


def duck_typing(compile, see):
    @compile
    def f(x, v):
        if hasattr(v, "shape"):
            return x + 1
        if hasattr(v, "gain"):
            return x * v.gain
        return x - getattr(v, "bias", 0.5)

    for v in ([1], [1], tensor(1), 2.0, Plain(gain=3.0), Plain(bias=1.0), Plain(), None, "s", [1]):
        see(f, tensor(*X), v)


def attribute_deleted(compile, see):
    o = Plain(gain=2.0)

    @compile
    def f(x):
        return x * o.gain if hasattr(o, "gain") else x

    see(f, tensor(*X))
    see(f, tensor(*X))
    del o.gain
    see(f, tensor(*X))
    o.gain = 3.0
    see(f, tensor(*X))


def one_object_under_two_names(compile, see):
    @compile
    def f(x, a, b):
        a.n = a.n + 1
        return x * b.n + a.n

    for _ in range(2):
        see(f, tensor(*X), Plain(n=1), Plain(n=10))
        one = Plain(n=1)
        see(f, tensor(*X), one, one)


def dict_read_before_a_value(compile, see):
    """A value read in between does not make it forgotten that an object's __dict__ was read."""
    box = types.SimpleNamespace(a=1.0, b=2.0)

    @compile
    def f(x):
        held = box.__dict__
        if x[0].item() > 0:
            box.a = box.a + 1
        return x + held["a"]

    for _ in range(4):
        see(f, tensor(*X))
    see.that(box.a)


def object_and_its_dict(compile, see):
    o = Plain(n=1)

    @compile
    def f(x):
        o.n = o.n + 1
        return x * o.__dict__["n"], vars(o)["n"]

    for _ in range(3):
        see(f, tensor(*X))


def attributes_of_attributes(compile, see):
    root = Plain(a=Plain(b=Plain(values=[1.0, {"k": 2.0}])))

    @compile
    def f(x):
        root.a.b.values[1]["k"] += 1
        return x * root.a.b.values[0] + root.a.b.values[1]["k"]

    for i in range(5):
        if i == 2:
            root.a = Plain(b=Plain(values=[3.0, {"k": 1.0}]))
        if i == 3:
            root.a.b.values = (4.0, {"k": 0})
        see(f, tensor(*X))


def simple_namespace(compile, see):
    o = types.SimpleNamespace(k=2.0, n=0)

    @compile
    def f(x):
        o.n += 1
        return x * o.k + o.n

    for k in (2.0, 2.0, 3.0):
        o.k = k
        see(f, tensor(*X))
        see.that(vars(o))


def property_set(compile, see):
    class Rate:
        def __init__(self):
            self.value, self.times = 1.0, 0

        @property
        def lr(self):
            return self.value

        @lr.setter
        def lr(self, value):
            self.value = value
            self.times += 1

    o = Rate()

    @compile
    def f(x):
        o.lr = o.lr * 0.5
        return x * o.lr

    for i in range(4):
        see(f, tensor(*X))
        see.that(vars(o))
        if i == 2:
            Rate.lr = property(lambda self: 3.0, lambda self, value: None)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
