"""Iterators from before the call, of which a compiled function takes what comes."""

import itertools

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def counts_and_cycles(compile, see):
    signs, numbers = itertools.cycle([1, -1, 0.5]), itertools.count(10, 5)
    floats = itertools.count(0.1, 0.1)

    @compile
    def f(x):
        n = next(numbers)
        y = x * next(signs) + n
        return y, next(numbers) + n, next(floats) + next(floats)

    for _ in range(6):
        see(f, tensor(*X))
        see.that((next(signs), next(numbers)))


def cycles_of_tensors(compile, see):
    rates = itertools.cycle((tensor(1), tensor(2)))
    words = itertools.cycle("ab")

    @compile
    def f(x):
        return x * next(rates), next(words) + next(words)

    for _ in range(5):
        see(f, tensor(*X))


def lists_that_end(compile, see):
    items = [1.0, 2.0, 3.0, 4.0, 5.0]
    coming = iter(items)

    @compile
    def f(x):
        return x * next(coming)

    for _ in range(3):
        see(f, tensor(*X))
    items.append(6.0)
    for _ in range(5):
        see(f, tensor(*X))


def lists_that_change(compile, see):
    items = [1.0, 2.0]
    coming = iter(items)

    @compile
    def f(x, n):
        items.append(n)
        return x * next(coming)

    for n in (3.0, 4.0, 5.0, 6.0):
        see(f, tensor(*X), n)


def one_iterator_of_two_names(compile, see):
    class Holder:
        pass

    one, two = Holder(), Holder()
    one.coming = two.coming = itertools.count()

    @compile
    def f(x):
        return x * next(one.coming), next(two.coming), next(one.coming)

    for _ in range(3):
        see(f, tensor(*X))
    two.coming = itertools.count(100)
    for _ in range(3):
        see(f, tensor(*X))
    two.coming = iter([7, 8, 9])
    for _ in range(3):
        see(f, tensor(*X))


def iterators_before_an_error(compile, see):
    numbers = itertools.count()

    @compile
    def f(x):
        n = next(numbers)
        if n % 3 == 2:
            raise ValueError(n)
        return x * n

    for _ in range(9):
        see(f, tensor(*X))


def iterators_of_iterators(compile, see):
    names, rates = ["a", "b", "c", "d"], [1.0, 2.0, 3.0, 4.0, 5.0]
    coming = enumerate(zip(names, rates, strict=False), 3)
    alone = iter(rates)
    both = zip(alone, names, strict=False)

    @compile
    def f(x):
        i, (name, rate) = next(coming, (0, ("over", 0.0)))
        return x * rate + i, name, next(both, None)

    for _ in range(6):
        see(f, tensor(*X))
    see.that(next(alone, None))


def an_iterator_asked_in_two_ways(compile, see):
    numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    alone = iter(numbers)
    pairs = zip(alone, "abcdefgh", strict=False)
    same = zip(alone, alone, strict=False)

    @compile
    def f(x):
        return x * next(alone), next(pairs), next(same, None)

    for _ in range(3):
        see(f, tensor(*X))


def cycle_of_a_generator(compile, see):
    rates = itertools.cycle(i for i in range(2))

    @compile
    def f(x):
        return x * next(rates)

    for _ in range(5):
        see(f, tensor(*X))


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
