"""Classes, objects, descriptors, enums, decorators around compiled functions."""

import collections
import copy
import dataclasses
import enum
import functools
import gc
import inspect
import pickle
import sys
import types
import typing
import weakref

import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)
GAIN = 2.0
THIS = sys.modules[__name__]


def set_gain(value):
    global GAIN
    GAIN = value


class Plain:
    """A plain object; its class stays as it is."""

    def __init__(self, **values):
        vars(self).update(values)


# Attributes -------------------------------------------------------------------------------------


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


# Special methods --------------------------------------------------------------------------------


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


# Kinds of classes -------------------------------------------------------------------------------


class Mode(enum.Enum):
    ADD = 1
    MUL = 2

    @property
    def gain(self):
        return GAIN * self.value

    def apply(self, x):
        return x * self.gain

    def __str__(self):
        return f"mode {GAIN}"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Flags(enum.Flag):
    A = enum.auto()
    B = enum.auto()


def enum_arguments(compile, see):
    @compile
    def f(x, mode, other):
        if mode is Mode.ADD:
            return x + mode.value, mode.name
        return x * mode.value, mode == other, mode

    for mode, other in (
        (Mode.ADD, Mode.ADD),
        (Mode.ADD, Mode.MUL),
        (Mode.MUL, Mode.MUL),
        (Mode.MUL, Mode.ADD),
        (Mode.MUL, Mode.MUL),
        (Mode.ADD, Mode.ADD),
    ):
        see(f, tensor(*X), mode, other)


def enum_with_code(compile, see):
    @compile
    def f(x):
        return x * Mode.MUL.gain, Mode.ADD.apply(x), f"{Mode.ADD}", str(Mode.MUL)

    for gain in (2.0, 2.0, 3.0):
        set_gain(gain)
        see(f, tensor(*X))
    set_gain(2.0)


def enum_with_state(compile, see):
    class Unit(enum.Enum):
        ONE = 1

    Unit.ONE.weight = 2.0

    @compile
    def f(x):
        return x * Unit.ONE.weight

    see(f, tensor(*X))
    see(f, tensor(*X))
    Unit.ONE.weight = 3.0
    see(f, tensor(*X))


def int_enum_and_flags(compile, see):
    @compile
    def f(x, level, flags):
        if flags & Flags.A:
            x = x + 1
        if level > 1:
            x = x * level
        return x, level + 1, Flags.A in flags, level == Level.LOW

    for level, flags in (
        (Level.LOW, Flags.A),
        (Level.LOW, Flags.A),
        (Level.HIGH, Flags.B),
        (Level.HIGH, Flags.A | Flags.B),
        (2, Flags.B),
    ):
        see(f, tensor(*X), level, flags)


Pair = collections.namedtuple("Pair", "a b", defaults=[2.0])


class Shifted(collections.namedtuple("ShiftedBase", "a b")):
    __slots__ = ()

    def __new__(cls, a, b):
        return super().__new__(cls, a + 1, b)

    @property
    def total(self):
        return self.a + self.b


class Typed(typing.NamedTuple):
    a: float
    b: float = 3.0

    def scaled(self, k):
        return self._replace(a=self.a * k)


def named_tuples(compile, see):
    @compile
    def f(x, p):
        q = Pair(x, p.a)
        a, b = q
        return q, Pair(b=x, a=p), a * b, p._replace(b=x), q == (x, p.a) if p.a is None else q[1]

    for a in (1.0, 1.0, 2.0, 3):
        see(f, tensor(*X), Pair(a))


def named_tuple_with_its_own_new(compile, see):
    @compile
    def f(x, k):
        p = Shifted(k, 2.0)
        return x * p.a, p, p.total

    for k in (1.0, 1.0, 5.0):
        see(f, tensor(*X), k)


def typed_named_tuple(compile, see):
    @compile
    def f(x, p, k):
        q = p.scaled(k)
        return x * q.a + q.b, q, Typed(k), p._asdict()

    for k in (1.0, 1.0, 5.0):
        see(f, tensor(*X), Typed(2.0), k)


@dataclasses.dataclass
class Options:
    gain: float = 1.0
    parts: list = dataclasses.field(default_factory=list)
    bias: float = dataclasses.field(default=0.5, kw_only=True)


@dataclasses.dataclass
class LateKeyword:
    a: float = dataclasses.field(default=1.0, kw_only=True)
    b: float = 2.0


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: float
    b: float = 2.0


@dataclasses.dataclass(slots=True)
class Slotted:
    a: float
    b: float = 2.0


@dataclasses.dataclass
class After:
    a: float

    def __post_init__(self):
        self.b = self.a * GAIN


def dataclass_arguments(compile, see):
    @compile
    def f(x, o):
        o.parts.append(o.gain)
        o.gain = o.gain + 1
        return x * o.gain + o.bias, dataclasses.replace(o, gain=9.0).gain

    o = Options()
    for i in range(4):
        see(f, tensor(*X), o)
        if i == 2:
            o.bias = 7.0
            o.parts = [1]


def dataclasses_made(compile, see):
    @compile
    def f(x, k):
        o = Options(k, bias=x)
        return o.gain, o.bias, Frozen(k), Frozen(b=k, a=x), After(k).b

    for k in (1.0, 1.0, 5.0, 2):
        see(f, tensor(*X), k)


def dataclass_returned(compile, see):
    @compile
    def f(x, k):
        return Frozen(x * k, b=k)

    for k in (1.0, 1.0, 5.0, 2):
        see(f, tensor(*X), k)


def dataclass_with_slots_made(compile, see):
    @compile
    def f(x, k):
        return Slotted(x, k).a * k

    for k in (1.0, 1.0, 5.0):
        see(f, tensor(*X), k)


def dataclass_with_keyword_only_fields(compile, see):
    @compile
    def f(x, k):
        p = LateKeyword(k)
        return x * p.a + p.b

    for k in (3.0, 3.0, 5.0):
        see(f, tensor(*X), k)


def frozen_dataclass_set(compile, see):
    @compile
    def f(x, o):
        try:
            o.a = 5.0
        except dataclasses.FrozenInstanceError:
            return x * o.a
        return x

    for a in (1.0, 1.0, 2.0):
        see(f, tensor(*X), Frozen(a))


def subclasses_of_builtins(compile, see):
    class Items(list):
        gain = 2.0

        def __getitem__(self, i):
            return super().__getitem__(i) * self.gain

    class Number(float):
        def __mul__(self, x):
            return x * 100

        __rmul__ = __mul__

    class Text(str):
        def upper(self):
            return "own"

    @compile
    def f(x, items, k, text):
        return x * items[0], x * float(k), k * 2, text.upper(), len(items)

    for items in ([1.0], Items([1.0]), Items([1.0]), [1.0]):
        see(f, tensor(*X), items, Number(3.0), Text("a"))
        see(f, tensor(*X), items, 3.0, "a")


def method_kinds(compile, see):
    class Model:
        gain = 2.0

        def __init__(self, k):
            self.k = k

        @compile
        def step(self, x):
            return x * self.k

        @staticmethod
        @compile
        def twice(x):
            return x * 2

        @classmethod
        def make(cls, k):
            return cls(k)

        @classmethod
        @compile
        def scaled(cls, x):
            return x * cls.gain

        @property
        @compile
        def doubled(self):
            return self.k * 2

        @compile
        def __call__(self, x):
            return self.step(x) + self.doubled

    class Child(Model):
        gain = 7.0

        @compile
        def step(self, x):
            return super().step(x) + 1

    for kind in (Model, Model, Child, Model, Child):
        m = kind.make(3.0)
        see(m.step, tensor(*X))
        see(m.twice, tensor(*X))
        see(kind.scaled, tensor(*X))
        see(m, tensor(*X))
        see.that(m.doubled)
        see(kind.step, m, tensor(*X))


def superclass_patched(compile, see):
    class Base:
        def step(self, x):
            return x + 1

    class Child(Base):
        def step(self, x):
            return super().step(x) * 2

    c = Child()

    @compile
    def f(x):
        return c.step(x)

    see(f, tensor(*X))
    see(f, tensor(*X))
    Base.step = lambda self, x: x + 100
    see(f, tensor(*X))


def class_counter(compile, see):
    class Model:
        made = 0

        def __init__(self):
            Model.made += 1
            self.n = type(self).made

    @compile
    def f(x):
        return x * Model().n

    for _ in range(3):
        see(f, tensor(*X))
        see.that(Model.made)


def class_made_in_the_call(compile, see):
    @compile
    def f(x, k):
        class Local:
            gain = k

            def apply(self, y):
                return y * self.gain

        return Local().apply(x), Local.__name__

    for k in (1.0, 1.0, 2.0):
        see(f, tensor(*X), k)


# Functions around functions ---------------------------------------------------------------------


def wrapper_that_keeps_its_function(compile, see):
    def plus(fn):
        @functools.wraps(fn)
        def wrapper(x):
            return fn(x) + 100

        wrapper.fn = fn
        wrapper.wait = "own"
        return wrapper

    @compile
    @plus
    def f(x):
        return x * 2

    for _ in range(2):
        see(f, tensor(*X))
    see.that((f.wait, f.__name__))


def decorators_below_and_above(compile, see):
    log = []

    def logged(fn):
        @functools.wraps(fn)
        def wrapper(*args, **named):
            log.append(fn.__name__)
            return fn(*args, **named)

        return wrapper

    @logged
    @compile
    @logged
    def f(x, k=2.0):
        return x * k

    for k in (1.0, 1.0, 2.0):
        see(f, tensor(*X), k=k)
        see.that(log)
    see(f, tensor(*X))


def partials(compile, see):
    def base(a, x, *, k=1.0):
        return x * k + a

    p = functools.partial(base, 1.0, k=2.0)
    f = compile(p)

    @compile
    def g(x, a):
        return functools.partial(base, a)(x, k=3.0), p(x)

    for a in (1.0, 1.0, 4.0):
        see(f, tensor(*X))
        see(f, tensor(*X), k=a)
        see(g, tensor(*X), a)
    p.keywords["k"] = 9.0
    see(g, tensor(*X), 1.0)
    see(f, tensor(*X))


def lru_cache_inside(compile, see):
    asked = []

    @functools.lru_cache(maxsize=2)
    def table(n):
        asked.append(n)
        return tensor(*range(n))

    @compile
    def f(x, n):
        return x[:n] * table(n), table(n) is table(n)

    for n in (2, 2, 3, 1, 2):
        see(f, tensor(*X), n)
        see.that((asked, table.cache_info().hits))


def single_dispatch(compile, see):
    @functools.singledispatch
    def scale(k, x):
        return x

    @scale.register
    def _(k: int, x):
        return x * k

    @scale.register
    def _(k: list, x):
        return x + len(k)

    @compile
    def f(x, k):
        return scale(k, x)

    for k in (2, 2, [1], 2.0, 3):
        see(f, tensor(*X), k)
    scale.register(float, lambda k, x: x * 100)
    see(f, tensor(*X), 2.0)


def compiled_calls_compiled(compile, see):
    @compile
    def inner(x, k):
        if x[0] > 1:
            return x * k
        return x - k

    @compile
    def outer(x, k):
        return inner(inner(x, k), k + 1) + 1

    for v, k in ((1, 1), (1, 1), (2, 1), (1, 2), (5, 2), (1, 1)):
        see(outer, tensor(v, 1), k)
        see(inner, tensor(v, 1), k)


def compiled_function_rebound(compile, see):
    @compile
    def one(x):
        return x + 1

    @compile
    def two(x):
        return x + 2

    o = Plain(step=one)

    @compile
    def f(x):
        return o.step(x)

    for step in (one, one, two, two, lambda x: x * 5, one):
        o.step = step
        see(f, tensor(*X))


def function_as_argument(compile, see):
    @compile
    def f(g, x):
        return g(x) + g(x * 2)

    def scale(k):
        return lambda x: x * k

    for g in (scale(2.0), scale(2.0), scale(3.0), df.exp, abs, scale(2.0), tensor(*X).__add__):
        see(f, g, tensor(0, 1, 2))


def bound_method_kept(compile, see):
    class Model:
        def __init__(self, k):
            self.k = k

        def step(self, x):
            return x * self.k

    a, b = Model(2.0), Model(3.0)
    o = Plain(callback=a.step)

    @compile
    def f(x):
        return o.callback(x)

    see(f, tensor(*X))
    see(f, tensor(*X))
    a.k = 5.0
    see(f, tensor(*X))
    o.callback = b.step
    see(f, tensor(*X))


def what_a_function_looks_like(compile, see):
    @compile
    def f(x: float, k: int = 2) -> float:
        """The docstring."""
        return x * k

    see(f, tensor(*X))
    see(f, tensor(*X))
    see.that((f.__name__, f.__doc__, f.__qualname__, f.__module__, str(inspect.signature(f))))
    see.that((f.__annotations__, callable(f), typing.get_type_hints(f), f.__defaults__))


def defaults_of_the_compiled_function_changed(compile, see):
    @compile
    def f(x, k=2.0):
        return x * k

    see(f, tensor(*X))
    see(f, tensor(*X))
    f.__defaults__ = (5.0,)
    see(f, tensor(*X))


def attribute_of_the_compiled_function(compile, see):
    @compile
    def f(x):
        f.calls += 1
        return x * f.calls

    f.calls = 0
    for _ in range(3):
        see(f, tensor(*X))
        see.that(f.calls)


def pickled_by_name(x):
    return x * 3


def pickled_function(compile, see):
    original = THIS.pickled_by_name
    THIS.pickled_by_name = compile(original)
    try:
        f = pickle.loads(pickle.dumps(THIS.pickled_by_name))
        see(f, tensor(*X))
        see(THIS.pickled_by_name, tensor(*X))
        see(THIS.pickled_by_name, tensor(*X))
        see.that(f is THIS.pickled_by_name)
    finally:
        THIS.pickled_by_name = original


def copied_function(compile, see):
    @compile
    def f(x, seen=[]):  # noqa: B006
        seen.append(1)
        return x * len(seen)

    g = copy.copy(f)
    h = copy.deepcopy(f)
    for each in (f, f, g, h, f):
        see(each, tensor(*X))


def objects_are_let_go(compile, see):
    class Model:
        def __init__(self):
            self.k = 2.0

    @compile
    def f(x, m):
        m.last = x * m.k
        return m.last + 1

    for _ in range(3):
        m, x = Model(), tensor(*X)
        kept, memory = weakref.ref(m), weakref.ref(x)
        out = f(x, m)
        see.that(out)
        del m, x, out
        gc.collect()
        see.that((kept() is None, memory() is None))
    see(f, tensor(*X), Model())


def modules_of_layers(compile, see):
    model = df.nn.Sequential(df.nn.Linear(3, 2), df.nn.ReLU(), df.nn.Linear(2, 1))
    with df.no_grad():
        for parameter in model.parameters():
            parameter[...] = 0.5

    @compile
    def f(x):
        return model(x)

    see(f, df.ones((2, 3)))
    see(f, df.ones((2, 3)))
    with df.no_grad():
        next(iter(model.parameters()))[0] = 3.0
    see(f, df.ones((2, 3)))
    model.eval()
    see(f, df.ones((2, 3)))


def type_tests(compile, see):
    @compile
    def f(x, v):
        if isinstance(v, bool):
            return "bool", x
        if isinstance(v, (int, float)):
            return x * v
        if type(v) is list and not isinstance(v, Plain):
            return x + len(v), type(x).__name__
        return issubclass(type(v), dict), v.__class__.__name__

    for v in (True, True, 2, 2.5, [1], [1, 2], {}, None, Plain(), False, 3):
        see(f, tensor(*X), v)


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


def enum_member_held_by_a_class(compile, see):
    class Settings:
        mode = Mode.ADD

    @compile
    def f(x):
        return x * Settings.mode.value, Settings.mode.name

    see(f, tensor(*X))
    see(f, tensor(*X))
    Settings.mode = Mode.MUL
    see(f, tensor(*X))


def starred_after_a_change(compile, see):
    def last(*args):
        return args[-1], len(args)

    @compile
    def f(x, xs):
        xs.append(5)
        return x + last(*xs)[0], last(*xs), [*xs, *xs]

    for xs in ([1, 2], [1, 2], [1, 2, 9], []):
        see(f, tensor(*X), xs)


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
