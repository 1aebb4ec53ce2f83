"""Co-execution where memory is seen from outside, viewed and written."""

import numpy as np
import pytest
from coexecute_base import Env, both, square

from dualflow.array import asarray, tensor
from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments
from dualflow.ops import door
from dualflow.ops import primitives as p


def test_a_buffer_written_between_operations(interpreted):
    def function(env):
        x = asarray(env.buffer)
        env.buffer[:] = 1.0
        y = env.w + x
        env.buffer[:] = 7.0
        z = y * x
        env.buffer[0] = -1.0
        env.log.append((z + x).sum().item())
        env.buffer[:] = 0.0
        return z

    both(lambda: Env(w=square(), buffer=np.ones((3, 3))), function)


def test_writes_through_an_exported_array(interpreted):
    def function(env):
        a = env.w * 2.0
        array = env.w.numpy()
        b = env.w + a
        array[0] = 5.0
        c = b + env.w
        env.w += c
        env.log.append(array.tolist())
        d = a + 1.0
        e = d * 2.0
        d.numpy()[1] = 3.0
        return e + d

    both(lambda: Env(w=square()), function)


@pytest.mark.parametrize("hold", [lambda a: None, memoryview, lambda a: a[1:], lambda a: a])
def test_memory_is_exposed_as_long_as_somebody_holds_it(interpreted, hold):
    w = asarray(np.ones((3, 3)))
    held = hold(w.numpy())

    def function():
        w.__iadd__(1.0)
        seen = None if held is None else np.asarray(held).ravel()[0].item()
        return seen, w._storage.exposed

    assert coexecute(Segments(), function) == ((None, False) if held is None else (2.0, True))


def test_two_tensors_of_one_buffer(interpreted):
    def function(env):
        a, b = asarray(env.buffer), asarray(env.buffer)
        c = a * 2.0
        a += 1.0
        env.log.append(env.buffer.tolist())
        return b + c

    both(lambda: Env(buffer=np.ones((2, 2))), function)


# Views and writes ---------------------------------------------------------------------------


def views_and_writes(env):
    w = env.w
    x = w * 2.0
    row, turned = x[0], x.T
    before = row * 1.0
    x[1] = before
    x += w
    after = row + turned[:, 1]
    row[1:] = 9.0
    env.log.append(x.sum().item())
    row += 1.0
    w[0] = after
    w.T[2] = before
    env.count += 1
    if env.count > 2:
        env.kept += [row, turned]
    return x * turned.T + w


@pytest.mark.parametrize("exact", [True, False])
def test_views_made_before_a_write_see_it(exact, request):
    if exact:
        request.getfixturevalue("interpreted")
    both(lambda: Env(w=square()), views_and_writes, exact=exact)


def test_parts_of_a_large_memory_are_written_in_place(interpreted):
    def function(env):
        part = env.big[10:12]
        part += 1.0
        env.log.append((env.big[11] * 2.0).sum().item())
        env.big[500:, :2] *= 2.0
        total = env.big.sum()
        env.big[11:13] = 0.5
        return total

    found = both(lambda: Env(big=tensor(np.ones((1000, 8)))), function)
    steps = [step for record in found.records() for step in record.steps]
    shapes = {step.types[0].shape for step in steps if step.op is None}
    assert (2, 8) in shapes  # the part alone is an input


def test_a_reshape_is_a_view_where_it_is_one_eagerly(interpreted):
    def function(env):
        x = env.w * 2.0
        flat = x.reshape((9,))
        flat[0] = 5.0
        copied = (x.T).reshape((9,))
        copied += 1.0
        summed = (x.T + x.T).reshape((9,))
        summed[0] = 3.0
        return x + copied.reshape((3, 3)) + summed.reshape((3, 3))

    both(lambda: Env(w=square()), function)


def test_swapping_two_tensors(interpreted):
    def function(env):
        old = env.a * 1.0
        env.a[...] = env.b
        env.b[...] = old
        return env.a - env.b

    both(lambda: Env(a=square(), b=square() + 1.0), function)


def test_the_same_tensor_where_there_were_two(interpreted):
    def function(env):
        env.count += 1
        a, b = env.w, env.w if env.count in (2, 4) else env.v
        a += 1.0
        r = a + b
        b -= r
        return a * b

    both(lambda: Env(w=square(), v=square()), function, 6)


def test_results_never_share_memory(interpreted):
    def function(env):
        a = env.w * 2.0
        b = env.w * 3.0
        b[...] = a
        c = env.w * 0.0
        c[...] = env.w
        return a, b, c

    found = Segments()
    w = square()
    for _ in range(3):
        a, b, c = coexecute(found, lambda: function(Env(w=w)))
        a += 1.0
        c += 1.0
        assert b.tolist() == (w * 2.0).tolist()
        assert w.tolist() == square().tolist()


def test_a_copy_that_was_not_stored_is_no_alias(interpreted):
    def function(env):
        env.count += 1
        c = env.w * 0.0
        door.write(c, env.w)
        env.log.append((env.w + 1.0).sum().item())
        if env.count == 3:
            c += 1.0

    both(lambda: Env(w=square()), function)


def test_results_never_share_memory_compiled():
    def function(w):
        a = w * 2.0
        b = w * 2.0
        return a, b, p.full(shape=(3, 3), value=1.0, dtype=w.dtype)

    found, w = Segments(), square()
    for _ in range(4):
        a, b, ones = coexecute(found, lambda: function(w), wait=True)
        assert ones.tolist() == [[1.0] * 3] * 3
        a += 1.0
        ones += 1.0
        assert b.tolist() == (w * 2.0).tolist()
    assert found.stats.compiled == 4
