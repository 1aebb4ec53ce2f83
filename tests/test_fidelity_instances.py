"""How instances come to be: by a `__new__` of the class, by its metaclass, or they are found."""

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def one_instance(compile, see):
    class Settings:
        one = None

        def __new__(cls):
            if cls.one is None:
                cls.one = super().__new__(cls)
                cls.one.scale = 2.0
            return cls.one

    @compile
    def f(x):
        Settings().scale += 1.0
        return x * Settings().scale, Settings() is Settings.one

    for scale in (None, None, 7.0, None):
        if scale:
            Settings().scale = scale
        see(f, tensor(*X))
        see.that(Settings().scale)


def one_instance_by_a_metaclass(compile, see):
    class Single(type):
        instances = {}  # noqa: RUF012

        def __call__(cls, *args, **kwargs):
            if cls not in cls.instances:
                cls.instances[cls] = super(Single, cls).__call__(*args, **kwargs)  # noqa: UP008
            return cls.instances[cls]

    class Log(metaclass=Single):
        def __init__(self, name="log"):
            self.name, self.lines = name, []

    class Table(Log):
        pass

    @compile
    def f(x, kind):
        made = kind(name=kind.__name__)
        made.lines.append(len(made.lines))
        return x * len(made.lines), made.name

    for kind in (Log, Log, Table, Log, Table, Table):
        see(f, tensor(*X), kind)
    see.that([made.lines for made in Single.instances.values()])


def an_instance_for_each_name(compile, see):
    class Unit:
        kept = {}  # noqa: RUF012
        started = 0

        def __new__(cls, name, *, factor=1.0):
            if name in cls.kept:
                return cls.kept[name]
            self = cls.kept[name] = super().__new__(cls)
            self.factor = factor
            return self

        def __init__(self, name, factor=0.0):
            self.name, self.given = name, factor
            Unit.started += 1

    @compile
    def f(x, name, factor):
        unit = Unit(name, factor=factor)
        return x * unit.factor + unit.given, unit.name

    for name, factor in (("m", 1.0), ("m", 2.0), ("km", 3.0), ("m", 4.0), ("km", 5.0)):
        see(f, tensor(*X), name, factor)
        see.that((Unit.started, [(u.name, u.given) for u in Unit.kept.values()]))


def instances_of_other_classes(compile, see):
    class Small:
        def __init__(self, n):
            self.n = n * 10

    class Number:
        def __new__(cls, n):
            if n < 0:
                raise ValueError(f"no {n}")
            if n < 5:
                return Small(n)  # not started a second time
            return object.__new__(cls if n < 10 else Large)

        def __init__(self, n):
            self.n = n

    class Large(Number):
        def __init__(self, n):
            super().__init__(n + 100)

    @compile
    def f(x, n):
        made = Number(n)
        return x * made.n, type(made).__name__

    for n in (1, 1, 7, 12, 7, 1, -1, 12):
        see(f, tensor(*X), n)


def makers_further_on(compile, see):
    class Base:
        made = 0

        def __new__(cls, *args):
            Base.made += 1
            self = super().__new__(cls)
            self.args = args
            return self

    class Point(Base):
        __slots__ = ("x",)

        def __new__(cls, x):
            self = super().__new__(cls, x, 2)
            self.x = x
            return self

    @compile
    def f(x):
        p = Point(x)
        return p.x * 2, p.args[1], p

    for _ in range(3):
        see(f, tensor(*X))
        see.that(Base.made)
    Point.__new__ = staticmethod(lambda cls, x: Base.__new__(cls, x, 5))
    with_another = f
    for _ in range(2):
        see(lambda x: type(with_another).__name__ and None, tensor(*X))
        see.that(Base.made)


def metaclasses_that_count(compile, see):
    class Counting(type):
        made = 0

        def __call__(cls, *args):
            Counting.made += 1
            self = super().__call__(*args)
            self.number = cls.made
            return self

    class Layer(metaclass=Counting):
        def __init__(self, width):
            self.width = width

    @compile
    def f(x, width):
        return x * Layer(width).number + Layer(width).width

    for width in (1.0, 2.0, 1.0):
        see(f, tensor(*X), width)
        see.that(Counting.made)
    Layer.__init__ = lambda self, width: setattr(self, "width", -width)
    see(f, tensor(*X), 1.0)
    see(f, tensor(*X), 1.0)


def makers_that_start_wrongly(compile, see):
    class Wrong:
        def __new__(cls):
            return super().__new__(cls)

        def __init__(self):
            return 5

    @compile
    def f(x):
        try:
            Wrong()
        except TypeError as error:
            return x * 2, str(error)
        return x

    for _ in range(3):
        see(f, tensor(*X))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_instances(program, way):
    check(program, way)
