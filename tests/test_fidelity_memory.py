"""The memory of tensors in compiled functions: writes, views, aliases, what is shared."""

import math
import weakref

import numpy as np
import pytest
from fidelity_runner import check, parameters, tensor

import dualflow as df

X = (1.0, -2.0, 3.0)


class Plain:
    """A plain object."""

    def __init__(self, **values):
        vars(self).update(values)


def grid(*shape, dtype=df.float32):
    """Small whole numbers."""
    return df.reshape(df.arange(math.prod(shape), dtype=dtype), shape)


def same_tensor_twice(compile, see):
    @compile
    def f(a, b):
        a += 1
        b *= 2
        return a + b

    for _ in range(2):
        see(f, tensor(*X), tensor(*X))
        x = tensor(*X)
        see(f, x, x)


def overlapping_arguments(compile, see):
    @compile
    def f(a, b):
        a[...] = b * 2
        return a + b, b

    for shift in (3, 3, 0, 1, 2, 1):
        x = grid(8)
        see(f, x[:3], x[shift : shift + 3])
        see.that(x)
        y = np.arange(8, dtype=np.float32)
        see(f, df.asarray(y)[:3], df.asarray(y)[shift : shift + 3])
        see.that(y)


def view_and_its_base(compile, see):
    @compile
    def f(x):
        v = x[1:]
        v += 10
        x[0] = v[0]
        w = v[::-1]
        w[0] = -1
        return v, x[2], w

    for n in (4, 4, 5):
        see(f, grid(n))


def returned_views(compile, see):
    @compile
    def f(x):
        return x[0], x.T, x[:, 1:], x.reshape((-1,)), x.expand_dims(0), x + 0, x

    for _ in range(3):
        x = grid(2, 3)
        parts = see(f, x)
        parts[0][...] = 100
        parts[2][0, 0] = -5
        see.that((x, parts))


def views_of_fresh_results(compile, see):
    @compile
    def f(x):
        y = x * 2
        z = y[1:]
        z[0] = 7
        return y, z, y.reshape((3, 1)), [z]

    for _ in range(3):
        found = see(f, tensor(*X))
        found[1][1] = 55
        see.that(found)


def result_is_kept_while_called_again(compile, see):
    @compile
    def f(x):
        return x * 2, x.sum()

    kept = []
    for i in range(5):
        kept.append(see(f, tensor(i, 1)))
        see.that(kept)


def write_into_a_kept_result(compile, see):
    state = Plain(last=tensor(0, 0, 0))

    @compile
    def f(x):
        state.last += x
        old = state.last
        state.last = x * 2
        return old

    for _ in range(4):
        see(f, tensor(*X))
        see.that(state.last)


def outside_tensor_rebound(compile, see):
    o = Plain(w=tensor(1, 1, 1))

    @compile
    def f(x):
        o.w[0] = x[0] + o.w[0]
        return x * o.w

    kept = o.w
    for i in range(6):
        if i == 3:
            o.w = tensor(5, 5, 5)
        if i == 4:
            o.w = kept
        if i == 5:
            o.w = df.ones((3,), dtype=df.float64)
        see(f, tensor(*X))
        see.that((kept, o.w))


def swapped_tensors(compile, see):
    o = Plain(a=tensor(1, 2), b=tensor(3, 4))

    @compile
    def f(x):
        o.a, o.b = o.b, o.a
        o.a += x
        return o.a - o.b

    for _ in range(4):
        see(f, tensor(1, 1))
        see.that((o.a, o.b))


def numpy_memory(compile, see):
    memory = np.arange(4, dtype=np.float32)

    @compile
    def f(x):
        return x * 2

    x = df.asarray(memory)
    for i in range(4):
        memory[0] = i * 10
        see(f, x)
        see.that(memory)


def write_into_numpy_memory(compile, see):
    memory = np.arange(6, dtype=np.float64)

    @compile
    def f(x, y):
        x += y
        y[0] = 1
        return x.sum()

    for pair in ((0, 3), (0, 3), (0, 0), (0, 1), (3, 0)):
        a, b = (df.asarray(memory[i : i + 3]) for i in pair)
        see(f, a, b)
        see.that(memory)


def exported_memory(compile, see):
    @compile
    def f(x):
        x += 1
        return x

    x = tensor(*X)
    for _ in range(2):
        see(f, x)
    seen = np.asarray(x)
    for _ in range(2):
        see(f, x)
        see.that(seen)
    held = memoryview(x.numpy())
    see(f, x)
    see.that((seen, held.tolist()))


def strided_arguments(compile, see):
    @compile
    def f(x):
        x[0] = x[1] * 2
        return x + 1, x.sum(), x * x.T if x.shape[0] == x.shape[-1] else x

    for _ in range(2):
        for make in (
            lambda b: b,
            lambda b: b.T,
            lambda b: b[::2, ::2],
            lambda b: b[::-1],
            lambda b: b[1:, 1:],
            lambda b: b[:, ::-2],
        ):
            base = grid(4, 4)
            see(f, make(base))
            see.that(base)


def expanded_argument_written(compile, see):
    @compile
    def f(x):
        x[0] = 5
        return x

    for _ in range(2):
        see(f, tensor(1, 2, 3))
        see(f, df.broadcast_to(tensor(1), (3,)))


def tensors_in_an_outside_list(compile, see):
    log = []

    @compile
    def f(x):
        y = x * 2
        log.append(y)
        y += 1
        log.append(y[0])
        x -= 1
        log.append(x)
        return y

    x = tensor(*X)
    for _ in range(3):
        see(f, x)
        see.that((log, x))


def deleted_names(compile, see):
    @compile
    def f(x):
        y = x * 2
        z = y + 1
        del y
        if x[0] > 1:
            del z
            return x
        return z

    for v in (1, 1, 2, 1):
        see(f, tensor(v, 1))


def deleted_name_used(compile, see):
    @compile
    def f(x, k):
        y = x * 2
        if k:
            del y
        return y

    for k in (0, 0, 1, 1, 0):
        see(f, tensor(*X), k)


def weak_references(compile, see):
    @compile
    def f(x):
        y = x * 2
        r = weakref.ref(y)
        z = r() + 1
        del y
        return z, r() is None

    for _ in range(3):
        see(f, tensor(*X))


def versions(compile, see):
    @compile
    def f(x):
        before = x._version
        x += 1
        x[0] = 2
        return before, x._version

    x = tensor(*X)
    for _ in range(4):
        see(f, x)


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
