"""Random programs for co-execution: views, writes, reads, exports, exceptions, deviations.

`trace(seed, wrap)` runs one program five times, each call through `wrap`, and returns all that a
user could see: results, what was logged, memory from outside, handles kept. With order="F" some
memory from outside does not lie row by row; sums of it then round differently when it was written.
"""

import random

import numpy as np

from dualflow.array import asarray, tensor
from dualflow.autograd import no_grad
from dualflow.base.errors import DualflowError
from dualflow.ops import devices, door
from dualflow.ops import primitives as p


class Generator:
    """A random generator as `door.state.mode.draw` wants it."""

    def __init__(self):
        self.key, self.counter = 11, 0


class Env:
    """What a program finds outside: tensors, an adopted buffer, lists that outlive the call."""

    def __init__(self, seed, order="C", device="cpu"):
        rng = np.random.default_rng(seed)
        self.buffer = rng.standard_normal((3, 3))
        big = tensor(rng.standard_normal((12, 3)))
        self.tensors = [
            asarray(self.buffer),
            tensor(rng.standard_normal((3, 3))),
            tensor(rng.standard_normal((3, 3))),
            tensor(np.asarray(rng.standard_normal((3, 3)), order=order)),
            tensor(rng.standard_normal(3)),
            big[2:5],
            big[4:7],
            big[9:12] if order == "C" else big[9:12].T,
            tensor(rng.integers(-4, 5, (3, 3))),
            tensor(rng.standard_normal((3, 3)).astype(np.float32)),
            tensor(rng.standard_normal(3) > 0),
        ]
        self.tensors = [t.to(device) for t in self.tensors]
        self.weight = tensor(rng.standard_normal((3, 3))).to(device).requires_grad_()
        self.log, self.kept, self.arrays = [], [], []
        self.generator = Generator()


class UserError(Exception):
    """Raised by a program in the middle."""


def bounded(t):
    """`t` without growth over many steps."""
    return p.minimum.of(p.maximum.of(t, -4.0), 4.0)


def write(target, value):
    """`target[...] = value`, or nothing where the memory is read-only."""
    try:
        target[...] = value
    except RuntimeError:
        return


def program(seed, length=25):
    """A function of an Env and the number of the call."""

    def run(env, call):
        same, other = random.Random(seed), random.Random(seed * 7 + call)
        deviates = call in (2, 4)
        pool = list(env.tensors)
        views = []
        for _ in range(length):
            if deviates and other.random() < 0.05:
                same.random()  # from here on another program
            try:
                one_step(env, call, same, other if deviates else same, pool, views)
            except DualflowError as error:  # dtypes or shapes that do not fit
                env.log.append(str(error).splitlines()[0])
        if seed % 5 == 0:
            learn(env, pool)
        return pool[-2:]

    return run


def pick(r, tensors):
    return tensors[r.randrange(len(tensors))]


def one_step(env, call, r, other, pool, views):
    t, u, c = pick(r, pool), pick(r, pool), r.random()
    matrix = t.shape == (3, 3)
    if c < 0.28:
        kind = r.randrange(6)
        scale = 0.1 * call if r.random() < 0.2 else 0.5
        made = [
            lambda: t + u, lambda: bounded(t * u), lambda: t * scale - u,
            lambda: p.where.of(t > u, t, 0.25), lambda: p.tanh.of(u), lambda: t * 2 + call % 2,
        ][kind]()  # fmt: skip
        pool.append(made)
    elif c < 0.36:
        pool.append(t.T if matrix else t + 1)
    elif c < 0.44:
        views.append([lambda: t[r.randrange(3)], lambda: t[1:], lambda: t[::-1],
                      lambda: t.reshape((t.size,))][r.randrange(4)]())  # fmt: skip
    elif c < 0.50 and views:
        v = pick(r, views)
        v += 0.25
    elif c < 0.55 and views:
        write(pick(r, views), 1.5 if r.random() < 0.5 else float(call))
    elif c < 0.60:
        t -= bounded(u if u.ndim <= t.ndim else u[0]) * 0.125
    elif c < 0.63:
        door.write(t, u) if u.shape == t.shape and u.dtype == t.dtype else write(t, u[0])
    elif c < 0.66 and matrix:
        pool.append(bounded(t @ (u if u.ndim == 2 else u.reshape((3, 1)) * t)))
    elif c < 0.70:
        pool.append(bounded(t.sum(axis=0) if matrix else t * t.sum()))
    elif c < 0.75:
        env.log.append(t.sum().item())
    elif c < 0.78 and views:
        env.log.append((pick(r, views) * 2.0).sum().item())
    elif c < 0.80:
        env.kept.append(pick(r, pool + views))
    elif c < 0.83 and env.kept:
        kept = pick(r, env.kept)
        if kept.shape in ((3, 3), (3,)):
            pool.append(kept)
    elif c < 0.86:
        array = t.numpy()  # refused on a GPU
        if array.flags.writeable:
            array[(0,) * array.ndim] = 1
        env.log.append(array.tolist())
        if r.random() < 0.3:
            env.arrays.append(array)
    elif c < 0.88:
        env.buffer[1] = call
        if env.arrays and env.arrays[-1].flags.writeable:
            env.arrays[-1][...] = 0
    elif c < 0.90:
        env.log.append(door.state.mode.draw(env.generator).tolist())
    elif c < 0.93:
        risky(env, call, r, t, pool)
    elif c < 0.95:
        pool.append(t.detach())
    elif c < 0.96 and other is not r:
        env.log.append(repr(u))
    elif c < 0.965 and call == 3:
        raise UserError
    elif len(pool) > 13:
        pool.pop(r.randrange(11, len(pool)))
    elif views:
        views.pop()


def risky(env, call, r, t, pool):
    """An index that is out of bounds in some calls."""
    index = tensor([0, 2, 1 if call != 1 or r.random() < 0.5 else 7])
    try:
        pool.append(p.take(t, index, axis=0))
    except IndexError as error:
        env.log.append(str(error).splitlines()[0])


def learn(env, pool):
    """A step of gradient descent."""
    target = next(t for t in reversed(pool) if t.shape == (3, 3) and t.dtype == np.float64)
    error = p.tanh.of(env.weight @ env.weight.T) - bounded(target.detach())
    if target.requires_grad or len(pool) % 2:
        row, turned = error[0], error.T
        error[1] = row * 0.5
        turned[2] += env.weight[0]
        row *= 2.0
    loss = (error * error).sum()
    env.weight.grad = None
    loss.backward()
    env.log.append(loss.item())
    with no_grad():
        env.weight -= env.weight.grad * 0.01


def host(t):
    """The values of a tensor, wherever it lies."""
    return t.array if t.device == "cpu" else door.state.mode.values(t)


def trace(seed, wrap, calls=5, order="C", device="cpu"):
    """Everything to be seen of five calls: lists of arrays, Python values and texts."""
    env, run, seen = Env(seed, order, device), program(seed), []
    for call in range(calls):
        try:
            with np.errstate(all="ignore"), devices.device(device):
                results = wrap(lambda call=call: run(env, call))
        except UserError:
            results = []
        export = call % 2 and device == "cpu"
        seen += [t.numpy().copy() if export else t for t in results]
        seen += [host(t).copy() for t in env.tensors]
        if call == 3:
            seen.append([repr(t) for t in env.kept[:3]])
    seen = [t if isinstance(t, (np.ndarray, list)) else host(t) for t in seen]
    return [*seen, *env.log, *map(host, env.kept), host(env.weight)]
