"""Kinds of classes: enums, named tuples, dataclasses, subclasses, classes that are patched."""

import collections
import dataclasses
import enum
import typing

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


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
