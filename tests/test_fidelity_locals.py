"""`locals()` in compiled functions, and text formatted from names and parts of objects."""

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def local_names_as_text(compile, see):
    @compile
    def f(x, n, *rest, k=2, **more):
        scale = n * k
        if n > 2:
            extra = "there"
        text = "n={n} scale={scale:>6.2f} {x.ndim} {rest} {more[a]!r}".format(**locals())
        names = sorted(more)
        return x * scale, text, names

    for n in (1, 1, 2.5, 3, 3):
        see(f, tensor(*X), n, 7, a="b")


def order_and_values_of_locals(compile, see):
    gain = 3.0

    @compile
    def f(x, n):
        y = x * gain
        if n > 2:
            late = n

        def inner():
            return y

        found = locals()
        later = 5
        return list(found), found["y"], found["gain"], found.get("late"), inner() + later

    for n in (1, 1, 3, 3):
        see(f, tensor(*X), n)


def locals_that_are_changed(compile, see):
    @compile
    def f(x, n):
        found = locals()
        found["n"] = 100
        found["more"] = x + 1
        return x * n, found["n"], found["more"], len(found)

    for n in (1, 1, 3, 3):
        see(f, tensor(*X), n)


def locals_asked_twice(compile, see):
    @compile
    def f(x, n):
        first = locals()
        n = n + 1
        second = locals()
        return x, first["n"], second["n"], first is second, sorted(second)

    for n in (1, 1, 3):
        see(f, tensor(*X), n)


def locals_of_a_loop(compile, see):
    @compile
    def f(x, n):
        found = {}
        for i in range(n):
            square = i * i
            found = dict(locals())
        return x, sorted(found), found.get("square")

    for n in (1, 1, 0, 0):
        see(f, tensor(*X), n)


def locals_of_another_name(compile, see):
    @compile
    def f(x, n):
        locals = dict
        return x * n, locals(a=n)

    for n in (1, 1, 3):
        see(f, tensor(*X), n)


def fields_of_objects(compile, see):
    class Box:
        def __init__(self, n, items):
            self.n, self.items = n, items

        def __format__(self, spec):
            return f"<{self.n}{spec}>"

    @compile
    def f(x, n, width):
        box = Box(n, [n, n + 1])
        texts = [
            "{} {}".format(box, x.shape),  # noqa: UP032
            "{0.n:{1}} {0.items[1]:{1}d}|{0:!}".format(box, width),
            "{b.items} {x[0]:.2f} {{}}".format(b=box, x=x),  # noqa: UP032
            "{a} {b[c]}".format_map({"a": n, "b": {"c": x.ndim}}),
        ]
        try:
            texts.append("{a} {missing}".format(a=box))  # noqa: F524
        except KeyError as error:
            texts.append(str(error))
        return x * n, texts

    @compile
    def g(x, n):
        return x, "{.n}-{[k]}".format(Box(n, []), {"k": n * 2})

    for n, width in ((1, 5), (1, 5), (2, 5), (2, 6)):
        see(f, tensor(*X), n, width)
        see(g, tensor(*X), n)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
