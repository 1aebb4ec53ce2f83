"""Classes that a compiled function makes: their bodies, instances, and what leaves the call."""

# ruff: noqa: RUF012 - the programs are what users write

import abc
import collections
import contextlib
import dataclasses
import functools

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)
SCALE = 2.0


def set_scale(value):
    global SCALE
    SCALE = value


def body_of_a_class(compile, see):
    @compile
    def f(x, k):
        class Local:
            """A class."""

            gain = k
            twice = gain * 2
            scale: float = SCALE
            names = [f"n{i}" for i in range(3)]

            def apply(self, y, by=k + 1, *, shift=SCALE):
                return y * self.gain * self.scale + by + shift

            @property
            def total(self):
                return self.twice + k

            @total.setter
            def total(self, value):
                self.gain = value

            @staticmethod
            def fixed(y):
                return y - k

            @classmethod
            def make(cls):
                return cls()

            @functools.cached_property
            def kept(self):
                return self.twice * 3

        made = Local.make()
        total = made.total
        made.total = 7
        named = Local.__name__, Local.__qualname__, Local.__doc__, type(made).__name__
        return made.apply(Local.fixed(x)), total, made.kept, made.kept, named, Local.names

    for k, scale in ((1.0, 2.0), (1.0, 2.0), (2.0, 2.0), (2.0, 3.0), (2.0, 3.0), (2, 3.0)):
        set_scale(scale)
        see(f, tensor(*X), k)
    set_scale(2.0)


def bodies_of_tensors(compile, see):
    @compile
    def f(x):
        class Holder:
            whole = x * 2
            parts = [whole, x + 1]

            def both(self):
                return self.whole + self.parts[1] + x

        return Holder().both(), Holder.whole

    for k in (1, 1, 2, 3):
        see(f, tensor(*X) * k)


def classes_of_classes(compile, see):
    class Outer:
        def __init__(self, k):
            self.k = k

        def apply(self, x):
            return x * self.k

    @compile
    def f(x, k):
        class Middle(Outer):
            def __init__(self, k, n):
                super().__init__(k)
                self.n = n

            def apply(self, x):
                return super().apply(x) + self.n

        class Inner(Middle):
            def apply(self, x):
                return super().apply(x) * 2

            class Deep:
                n = 4

        made = Inner(k, 3)
        return made.apply(x), isinstance(made, Outer), issubclass(Inner, Middle), Inner.Deep.n

    for k in (1.0, 1.0, 2.0, 2.0):
        see(f, tensor(*X), k)
    Outer.apply = lambda self, x: x - self.k
    see(f, tensor(*X), 2.0)
    see(f, tensor(*X), 2.0)


def classes_that_count(compile, see):
    @compile
    def f(x, n):
        class Counted:
            made = 0
            log = []

            def __init__(self, i):
                Counted.made += 1
                self.log.append(i)

        for i in range(n):
            Counted(i)
        return x * Counted.made, Counted.log

    for n in (2, 2, 3, 3, 2):
        see(f, tensor(*X), n)


def instances_that_leave(compile, see):
    @compile
    def f(x, leaves):
        class Local:
            def __init__(self, x):
                self.x = x

        if leaves == "instance":
            return Local(x)
        if leaves == "class":
            return x, Local
        if leaves == "type":
            return x, type(Local(x))
        if leaves == "method":
            return x, Local(x).__init__.__name__
        return Local(x).x + 1

    made = []
    for leaves in ("instance", "instance", "class", "class", "type", "type", None, None):
        made.append(see(f, tensor(*X), leaves))
    see.that([type(made[0]) is type(made[1]), made[2][1] is made[3][1], made[4][1] is made[5][1]])


def errors_of_ones_own(compile, see):
    @compile
    def f(x, n):
        class LocalError(ValueError):
            def __init__(self, n):
                super().__init__(f"over {n}")
                self.n = n

        try:
            if n > 2:
                raise LocalError(n)
        except LocalError as error:
            if n > 3:
                raise
            return x * error.n, str(error)
        return x, None

    for n in (1, 1, 3, 3, 4, 4):
        see(f, tensor(*X), n)


def dataclasses_in_the_call(compile, see):
    @compile
    def f(x, n):
        @dataclasses.dataclass(order=True)
        class Job:
            rank: int
            tags: list = dataclasses.field(default_factory=list, compare=False)
            scale: float = 2.0

            def __post_init__(self):
                self.tags.append(self.rank)

        @dataclasses.dataclass
        class Pair:
            a: object
            b: object

        jobs = sorted([Job(n), Job(1, [5]), Job(2)])
        pair = Pair(x.sum(), x.max())
        named = [job.tags for job in jobs], repr(jobs[0])[-40:], Job(1) == Job(1, [7])
        return x * jobs[-1].rank * jobs[0].scale, named, pair.a + pair.b

    for n in (3, 3, 0, 0):
        see(f, tensor(*X), n)


def dataclasses_that_hold_themselves(compile, see):
    @dataclasses.dataclass
    class Node:
        value: int
        next: object = None

    @dataclasses.dataclass(slots=True)
    class Slotted:
        a: str
        b: str = dataclasses.field(default="b", init=False)

    @compile
    def f(x, n):
        node = Node(n)
        node.next = node
        slotted = Slotted("a")
        return x * n, repr(node), slotted.b

    for n in (1, 1, 2, 2):
        see(f, tensor(*X), n)


def method_of_an_iterator_taken_away(compile, see):
    @compile
    def f(x):
        class Odd:
            def __iter__(self):
                return self

            def __next__(self):
                del Odd.__next__
                return 1

        try:
            for i in Odd():
                x = x + i
        except TypeError as error:
            return x, str(error)
        return x, None

    for _ in range(3):
        see(f, tensor(*X))


def makers_that_return_something(compile, see):
    @compile
    def f(x, out):
        class Odd:
            def __init__(self, out):
                self.out = out
                return out

        try:
            Odd(out)
        except TypeError as error:
            return x, str(error)
        return x * 2, None

    for out in (None, None, 1, 1, "a", None):
        see(f, tensor(*X), out)


def named_tuples_in_the_call(compile, see):
    @compile
    def f(x, names):
        kind = collections.namedtuple("Point", names)
        point = kind(x[0], x[1])
        other = point._replace(b=point.b * 2)
        return other.b + other[0], len(point), kind._fields

    for names in ("a b", "a b", "b a", "b a", ("a", "b")):
        see(f, tensor(*X), names)


def abstract_classes_in_the_call(compile, see):
    @compile
    def f(x, whole):
        class Layer(abc.ABC):
            @abc.abstractmethod
            def forward(self, x): ...

            def __call__(self, x):
                return self.forward(x)

        class Double(Layer):
            if_called = True

            def forward(self, x):
                return x * 2

        try:
            made = Double() if whole else Layer()
        except TypeError:
            return x, "abstract"
        return made(x), made.if_called

    for whole in (True, True, True):
        see(f, tensor(*X), whole)


def methods_by_decorators(compile, see):
    def scaled(by):
        def decorate(fn):
            @functools.wraps(fn)
            def inner(self, x):
                return fn(self, x) * by

            return inner

        return decorate

    @compile
    def f(x, k):
        class Local:
            @scaled(k)
            def apply(self, x):
                return x + 1

            def __add__(self, other):
                return other * k

            def __iter__(self):
                yield from (x, k)

        first, second = Local()
        return Local().apply(x), Local() + x, first, second

    for k in (2.0, 2.0, 3.0, 3.0):
        see(f, tensor(*X), k)


def classes_from_outside_see_them(compile, see):
    log = []

    class Base:
        def __init_subclass__(cls, **more):
            log.append(cls.__name__)

    class Named:
        def __set_name__(self, owner, name):
            log.append(name)

    @compile
    def f(x, which):
        if which:

            class Local(Base):
                pass

            return x
        named = Named

        class Other:
            field = named()

        return x * 2

    for which in (True, True, False, False):
        see(f, tensor(*X), which)
        see.that(log)


def instances_kept_outside(compile, see):
    kept = []

    @compile
    def f(x, k):
        class Local:
            gain = k

        kept.append(Local())
        return x * kept[-1].gain

    for k in (1.0, 1.0, 2.0):
        see(f, tensor(*X), k)
        see.that([made.gain for made in kept])


def class_that_holds_the_function(compile, see):
    @compile
    def f(x, n):
        class Node:
            def __init__(self, value, rest=None):
                self.value, self.rest = value, rest

            def total(self):
                return self.value + (self.rest.total() if self.rest else 0)

            def push(self, value):
                return Node(value, self)

        chain = Node(x)
        for i in range(n):
            chain = chain.push(i)
        return chain.total()

    for n in (2, 2, 3, 3):
        see(f, tensor(*X), n)


def metaclasses_of_ones_own(compile, see):
    class Meta(type):
        def __new__(cls, name, bases, namespace):
            return (
                len(namespace) if name == "Number" else super().__new__(cls, name, bases, namespace)
            )

    @compile
    def f(x, number):
        if number:

            class Number(metaclass=Meta):
                gain = 2

            return x * Number

        class Local(metaclass=Meta):
            gain = 3

        return x * Local.gain

    for number in (True, True, False, False):
        see(f, tensor(*X), number)


def names_of_what_is_missing(compile, see):
    @compile
    def f(x):
        class Odd:
            def __getattr__(self, name):
                raise AttributeError

        try:
            return Odd().missing
        except AttributeError as error:
            return x, error.name, type(error.obj).__name__

    for _ in range(3):
        see(f, tensor(*X))


def managers_called_with_any_names(compile, see):
    @compile
    def f(x, n):
        @contextlib.contextmanager
        def managed(self, slot, args):
            yield x * self + slot + args

        with managed(self=n, slot=2, args=3) as y:
            return y

    for n in (1, 1, 2, 2):
        see(f, tensor(*X), n)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
