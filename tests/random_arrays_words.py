"""What random functions of arrays are made of: places that change, views and writes, NumPy's arrays
beside tensors, draws, objects that die, and inputs whose shapes, dtypes and memory change.

In a template `{t}` stands for an expression of tensors, `{n}` for one of NumPy's arrays, and so on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from random_python_words import ERRORS

import dualflow as df

__all__ = ["ERRORS"]

IMPORTS = """
import collections, contextlib, functools, gc, itertools, math, operator, random, weakref
import numpy as np
import dualflow as df
"""

PROLOGUE = """
GAIN, TABLE, LOG, COUNTS = 2.0, {"a": 1, "b": 0.5}, [], collections.Counter()

class Box:
    alive = 0
    def __init__(self, v, t=None):
        self.v, self.t = v, t
    def __repr__(self):
        return "Box"
    def step(self, by=1):
        self.v = (self.v + by) % 5
        return self.v
    def __enter__(self):
        self.v += 1
        return self
    def __exit__(self, kind, error, trace):
        LOG.append(kind and kind.__name__)
        return kind is IndexError

class Oops(ValueError):
    pass

class Mortal(Box):
    def __del__(self):
        LOG.append("died")

class Net:
    def __init__(self):
        self.layers = [df.tensor([0.5, -1.0, 2.0]), df.tensor([1.0, 0.25, -0.5])]
        self.kept = {}
    def __call__(self, x):
        for layer in self.layers:
            x = df.maximum(x * layer, -1.0)
        return x

def rows(x, n):
    for q in range(min(n, 3)):
        yield x[q]

def running(x):
    total = x * 0
    while True:
        told = yield total
        if told is None:
            return
        total = total + told

def summed(x, *parts):
    run = running(x)
    out = next(run)
    for part in parts:
        out = run.send(part)
    run.close()
    return out

@contextlib.contextmanager
def swapped(box, value):
    before, box.v = box.v, value
    try:
        yield box
    finally:
        box.v = before

def asked(ref):
    found = ref()
    return 0 if found is None else 1

def updated(t, value):
    t += value
    return t

def fit(t):
    flat = df.reshape(t, (-1,))
    return flat[:3] if flat.shape[0] > 2 else weighted(flat)

def weighted(flat):
    return df.concat([flat, df.ones(3, dtype=flat.dtype)])[:3]

def window(t, at, width=2):
    return t[at : at + width]

def best(values):
    return max(range(len(values)), key=lambda q: values[q])

def born():
    made = Mortal(1)
    return weakref.ref(made)

def bisected(t, level):
    low, high = 0, t.shape[0]
    while low < high:
        middle = (low + high) // 2
        if t[middle] < level:
            low = middle + 1
        else:
            high = middle
    return low

def shuffled(values):
    values = list(values)
    random.shuffle(values)
    return values
"""

MAKE = """
def make(compile):
    box, mortal, net, dice = Box(2), Mortal(1), Net(), random.Random(3)
    tuned = df.tensor([1.0, 2.0, -0.5])
    tuned.requires_grad = True
    weight, grid = df.tensor([0.5, -1.0, 2.0]), df.reshape(df.arange(12.0), (4, 3))
    log, memory, names, held = LOG, np.arange(6.0), [1, 2, 3], [df.ones(3)]
    ref, shared = weakref.ref(box), df.asarray(memory[:3])
    generator = np.random.default_rng(4)
    random.seed(7)
    def f(x, y, k=1, a=None, b=None, *xs, flag=False):
"""

EPILOGUE = """
    return compile(f), lambda: [box, net, weight, tuned, grid, memory, names, held, LOG, TABLE,
        COUNTS, shared, dice.getstate()[1][-1], generator.bit_generator.state["state"], asked(ref),
        random.random(), df.random.get_state()], locals()
"""

EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "t": (
        "fit({t}) + fit({t})", "{t} + {t}", "fit({t}) * fit({t})", "fit({t}) - {t}", "{t} - {i}",
        "{t} * k", "fit({t})", "fit({t})", "{t} * {r}", "{r} - {t}", "{t} / {r}", "-{t}",
        "{t}[{i}]", "{t}[{i}:]", "{t}[:{i}]", "{t}[{i}:{i}]", "{t}[..., {i}]", "{t}[{i} % 2, None]",
        "{t}[None]", "{t}[::-1]", "{t}[{i} % 2 :: 2]", "{t}[k]", "{t}[k:]", "x[k]", "y[k:]",
        "grid[k]", "grid[{i}]", "grid[{i} % 4, k:]", "grid[k:, {i} % 3]", "grid[k : k + 2]",
        "grid[..., k]", "window({t}, {i})", "window(grid, k)", "x[k - 1 : k + 1]",
        "grid[{i} % 4, {i} % 3]", "{t}[dice.randrange(3)]", "grid[dice.randrange(4)]",
        "grid[random.randrange(4)]", "{t}[slice(k, None)]", "{t}[[{i} % 2, {i} % 2]]",
        "{t}[{t} > {r}]", "{t}[df.argmax(x)]", "grid[int(df.argmax(weight))]",
        "{t}[int({t}.sum()) % 3]", "{t}[best({N} or [1])]", "grid.T", "{t}.reshape(-1)",
        "{t}.sum(axis=0)", "fit({t}).max(axis=-1)", "{t}.astype(df.float64)",
        "{t}.astype(df.int64)", "{t} // 2", "{t} // {r}", "{t} % 3", "{t} ** 2", "fit({t}) ** y",
        "abs({t})", "weight", "df.asarray({n})", "df.asarray({n}) * {t}",
        "df.where(x > {r}, x, {t})", "df.where(fit({t}) > {r}, fit({t}), {r})", "shared",
        "df.concat([fit({t}), {t}])", "df.stack([fit({t}), fit({t})])", "df.zeros_like({t})",
        "df.full((3,), {r})", "df.arange({i} % 4)", "df.nonzero({t})[0]", "{t}.copy()",
        "df.tensor({N})", "grid.copy()", "df.flip({t})", "df.cumulative_sum({t}, axis=0)",
        "df.expand_dims({t}, 0)", "updated({t}, {r})", "df.maximum(fit({t}), {t})",
        "({t} if {b} else {t})", "net({t})", "net.layers[{i} % 2]",
        "sum(rows(grid, {i} % 4), weight)", "summed(fit({t}), fit({t}), y)",
        "sum(q * {r} for q in {L})", "{L}[{i} % 2]", "held[0]",
        "max({L} or [y], key=lambda q: q.sum())", "box.t", "df.random.uniform((3,)) + {t}",
        "fit({t}) * grid[{i} % 4]", "({t} > {r})", "({t} == x)",
        "functools.reduce(operator.add, map(fit, {L}), y)", "grid[:, k].sum() * {t}",
        "sum(grid[k])", "df.matmul(grid, weight)[:3]", "df.sort({t}, axis=0)",
        "df.broadcast_to({t}, (3, 3))", "df.take(grid, df.asarray([{i} % 4, k % 4]), axis=0)",
        "{t}.astype(df.int64) << {i}", "~({t} > {r})", "next(rows(grid, 2))",
        "grid[k][k]", "grid[k:][k:]", "grid[k, k]", "df.sum({t} * {t})", "df.mean({t}, axis=0)",
        "df.exp({t} * 0.1)", "df.clip({t}, -1, {r})",
    ),
    "n": (
        "a", "b", "a + {n}", "{n} * {r}", "np.add({n}, {r})", "a[k]", "a[k:]", "a[{i}:{i}]",
        "{n}[::-1]", "np.where({n} > {r}, {n}, 0)", "np.asarray({t}.detach())", "memory[{i}:]",
        "np.concatenate([a, b])", "a.reshape(-1)", "a.T", "np.multiply(a, {r}, out=b)", "a.copy()",
        "np.zeros(3)", "np.cumsum({n})", "np.array({N})", "np.dot(a, a)", "np.abs({n})", "memory",
        "np.sort({n}, axis=0)", "a[a > {r}]", "np.linspace(0, {r}, 3)", "a.astype(np.int32)",
        "np.broadcast_to(memory[:3], (2, 3))", "np.array({N} + {N})", "b.sum(0)",
        "np.atleast_1d({n})[{i}:]", "memory[k : k + 3]", "np.negative(memory[:3])", "{t}.numpy()",
    ),
    "i": (
        "0", "1", "2", "-1", "-2", "k", "k", "k - 1", "-k", "{i} + {i}", "{i} - {i}", "{i} * {i}",
        "{i} // 2", "{i} % 3", "len({N})", "{t}.shape[0]", "{t}.ndim", "int({r})", "len({L})",
        "int({t}.sum())", "min({i}, {i})", "({i} if {b} else {i})", "box.v", "box.step()", "k % 3",
        "box.step({i})", "dice.randrange(3)", "random.randrange(2)", "len(LOG)", "{N}[-1]",
        "df.argmax(weight).item()", "int(np.argmax(a))", "bisected(weight, {r})", "asked(ref)",
        "sum(1 for q in {N} if q > {i})", "next((q for q in {N} if q > {i}), 1)",
        "best({N} or [1])", "len(list(rows(grid, {i})))", "COUNTS['a']", "int(x.size)", "{n}.ndim",
        "operator.index({i})", "range(3)[{i} % 3]", "dice.choice([3, 1])", "int({n}.size)",
    ),
    "r": (
        "0.5", "-1.25", "0.0", "2.0", "-0.0", "{r} + {r}", "{r} * {r}", "{r} / {r}", "{r} - {i}",
        "float({i})", "float({t}.sum())", "{t}[k].item()", "GAIN", "TABLE['b']", "dice.random()",
        "abs({r})", "-{r}", "float(a[k])", "{n}.sum()", "{t}.mean().item()", "max({r}, {i})", "k",
        "math.floor({r})", "float('nan')", "float('inf')", "round({r}, 1)", "dice.uniform(0, {r})",
        "weight[k].item()", "a.max()", "grid[{i} % 4, {i} % 3].item()", "float(memory[k])",
        "sum(dice.sample(range(5), 2))", "dice.choices([2, 0.5])[0]", "1e300 * {r}", "2**31 * {r}",
    ),
    "b": (
        "{i} < {i}", "{r} > {r}", "not {b}", "({b} and {b})", "({b} or {b})", "{i} in {N}", "flag",
        "({t} > {r}).any()", "({t}.sum() > {r})", "{t} is {t}", "k is True", "isinstance({?}, int)",
        "{t}.shape == (3,)", "a is b", "np.any({n} > {r})", "x[k] > {r}", "weight[{i}] < {r}",
        "box is ref()", "{r} == {r}", "bool({L})", "all(q > 0 for q in {N})", "{i} == k",
        "np.array_equal({n}, {n})", "{t}.dtype == {t}.dtype", "box.t is None", "any({N})",
        "{r} in {t}", "len(x) > 2", "np.isnan({r})", "mortal is not None",
    ),
    "N": (
        "[{i}, {i}]", "[q + {i} for q in range(3)]", "list(range(k))", "sorted({N})", "{N}[1:]",
        "[*{N}, {i}]", "dice.sample([3, 1, 2], 2)", "dice.choices([4, 5], k=2)", "names[:0]",
        "shuffled({N})", "list(x.shape)", "[int(q) for q in weight]", "random.sample(range(4), 2)",
        "[q % 3 for q in {N}]", "list(itertools.accumulate({N}))", "{t}.reshape(-1)[:3].tolist()",
    ),
    "L": (
        "[{t}, {t}]", "held", "list(xs)", "[q * {r} for q in {L}]", "list(rows(grid, {i}))",
        "[*xs]", "[grid[q] for q in range(k % 4)]", "[{t}]", "list({t}[:2])", "net.layers",
        "list(x)", "[window(grid, q) for q in {N}]", "(x, y)", "[q for q in rows({t}, k)]",
        "list(reversed({L}))", "list(map(net, {L}))", "[grid[q, {i} % 3] for q in range(2)]",
    ),
    "s": ("'a'", "str({i})", "f'{{{t0}}}'", "f'{{{r0}:.2f}}'", "type({?}).__name__", "repr({N})"),
    "o": ("box", "box", "Box({i})", "Box({i}, {t})", "ref()", "Box({i})"),
}  # fmt: skip
LEAVES = {
    "t": ("x", "y", "weight", "(x * 2)"), "n": ("a", "b"), "i": ("k", "1", "(-1)", "0"),
    "r": ("GAIN", "0.5", "(-2.0)", "k"), "b": ("flag", "(k > 1)"), "s": ("'a'", "'b'"),
    "N": ("[1, 2]", "[k, 0]"), "L": ("xs", "[x, y]", "held"), "o": ("box",),
}  # fmt: skip
KINDS = tuple(EXPRESSIONS)

SIMPLE = (
    "{tv} += {t}", "{tv} *= {r}", "{tv}[{i}] = {r}", "{tv}[k] = fit({t})[k]", "{tv}[k] = {r}",
    "{tv}[1:] -= {r}", "{tv}[{i}:] = {i}", "{tv}[{t} > {r}] = {i}", "{tv}[...] = {r}",
    "{tv}[::2] += {i}", "y = x", "grid[k] = fit({t})", "grid[{i} % 4] += {r}", "grid[k:, 0] *= {r}",
    "grid[:, k] = {r}", "weight[k] += {r}", "x = x[k:]", "y = grid[k]", "y = grid[{i} % 4, :]",
    "x = y[::-1]", "a += {r}", "a[k] = {r}", "a[{i}:] = {r}", "b[:] = a", "a[{i}:] = a[0]",
    "b = a[{i}:]", "memory[k] = {r}", "memory[{i}:] *= {r}", "np.add(a, b, out=a)",
    "np.sin(a, out=b)", "b = b[::-1]", "a = a.T", "held.append({t})", "held[0] = {t}",
    "del held[1:]", "held[:] = {L}[:2]", "net.layers[:1] = [{t}]", "net.kept[{i}] = {t}",
    "net.kept.clear()", "box.t = {t}", "box.t = x", "box.v = {i} % 5", "LOG.append({?})",
    "LOG.append(x.shape)", "LOG.append({t})", "TABLE['b'] = {r}", "print({?})", "COUNTS['a'] += 1",
    "k = {i}", "k += 1", "x, y = y, x", "a, b = b, a", "first, *rest = {N}",
    "LOG.append(asked(born()))", "held.append(Mortal({i}))", "LOG.append(asked(weakref.ref({o})))",
    "LOG.append(ref() is box)", "random.shuffle(names)", "dice.shuffle(names)",
    "LOG.append(dice.sample([0.5, 1.5, 2.5], 2))", "raise KeyError({s})",
    "assert {b} or k != 2, {i}", "return {t}", "return {?}, {?}", "{t}.sum()", "dice.seed(k)",
    "df.random.seed({i} % 3)", "{o}.v = {i} % 5", "(fit({t}) * tuned).sum().backward()",
    "(grid[k] * tuned).sum().backward()", "tuned.grad = None", "updated(shared, {r})",
    "updated({tv}, {r})", "x = x.detach()", "q, *_ = {t}", "LOG.append(best({N} or [1]))",
    "x = {t}", "y = {t}", "b = {n}", "grid[1:3] = grid[0:2]", "x[1:] = x[:-1]", "a[1:] = a[:-1]",
    "xs = [*xs, {t}]", "LOG.clear()", "LOG.append(np.array(a))", "LOG.append(a)",
)  # fmt: skip
BLOCKS = (
    "if {b}:", "if {t}.sum() > {r}:", "if x[k] > {r}:", "for q in range({i} % 4):", "while",
    "for q in {N}[:3]:", "for q in {L}[:3]:", "try:", "try:", "finally", "with {o} as q:",
    "with swapped(box, {i}):", "with df.no_grad():", "for q in rows(grid, {i}):",
    "for q, v in enumerate({L}[:3]):", "for q in (grid[z] for z in range(k % 3)):", "forever",
    "for q in list(x)[:3]:", "for q, v in zip({N}, rows({t}, 2)):", "for q in range(k):",
    "with contextlib.suppress(IndexError, TypeError):", "if (q := {i}) > 1:", "if weight[k] > {r}:",
    "with swapped(box, {i}), contextlib.ExitStack():", "for q in range(len({L})):",
)  # fmt: skip
#: what happens to the world between two calls
CHANGES = (
    "g['GAIN'] = 3.0", "g['TABLE']['b'] = 1.5", "s['box'].v = 1", "s['box'].t = df.ones(3)", "None",
    "s['weight'][0] = 4.0", "s['grid'][1] = -1.0", "s['memory'][:] = 1.5", "s['held'].clear()",
    "s['held'].append(df.zeros(3))", "s['net'].layers.reverse()", "del s['net'].layers[1:]", "None",
    "s['net'].layers.append(s['weight'])", "g['window'].__defaults__ = (1,)", "s['dice'].seed(2)",
    "g['rows'] = lambda x, n: [x, x]", "g['asked'] = lambda ref: 5", "s['tuned'].grad = None",
    "g['updated'] = lambda t, value: t * value", "s['box'].__class__ = g['Mortal']", "None",
    "s['tuned'].requires_grad = not s['tuned'].requires_grad", "g['best'] = lambda values: 0",
    "s['names'].append(4)", "s['held'][:] = [s['weight'], s['grid'][0]]", "s['shared'][0] = 7.0",
    "s['net'].layers[:1] = [s['grid'][2]]", "g['LOG'].clear()", "s['generator'].random()", "None",
)  # fmt: skip

KS = (1, 1, 1, 1, 2, 2, 2, 0, 0, 0, -1, -1, -2, 3, True, 1.5)

_VALUES = [1.0, -2.0, 0.5, float("nan"), -0.0, float("inf"), 3.0, 7.0, -1.0]


#: how many kinds of arguments there are: of tensors, and with arrays
PAIRS = 20
INPUTS = PAIRS * 9


def _inputs(kind: int) -> tuple[df.Tensor, df.Tensor]:
    """Two tensors of a kind: dtypes, shapes, views of one memory, the same twice."""
    x, y = df.tensor([1.0, -2.0, 0.5]), df.tensor([0.5, 4.0, -1.0])
    line = df.tensor([3.0, 1.0, -2.0, 0.5, 8.0, -4.0])
    pairs = (
        lambda: (x, y), lambda: (x, x), lambda: (line[1:4], line[:3]), lambda: (line, y),
        lambda: (line[::2], line[::-2]), lambda: (line[::-1][:3], line[3:]),
        lambda: (df.reshape(line, (2, 3)), y), lambda: (x.astype(df.float64), y),
        lambda: (x, y.astype(df.int64)), lambda: (df.tensor(_VALUES[3:6]), df.tensor(_VALUES[1:4])),
        lambda: (x[:0], y[:0]), lambda: (x[0], y), lambda: (x, y[:1]),
        lambda: (df.reshape(x, (3, 1)), df.reshape(y, (1, 3))),
        lambda: (df.tensor([1, -7, 2**62]), x),
        lambda: (df.tensor([250, 3, 0], dtype=df.uint8), df.tensor([7, 200, 1], dtype=df.uint8)),
        lambda: (df.tensor([True, False, True]), x), lambda: (line, line[2:5]),
        lambda: (df.reshape(line, (3, 2)).T, y),
        lambda: (x.astype(df.bfloat16), y.astype(df.bfloat16)),
    )  # fmt: skip
    return pairs[kind % len(pairs)]()


def _arrays(kind: int) -> tuple[np.ndarray, np.ndarray]:
    """Two of NumPy's arrays of a kind."""
    line = np.array([2.0, -1.0, 0.0, 4.0, 0.5, 3.0])
    pairs = (
        (line[:3].copy(), line[3:].copy()), (line[:3], line[1:4]), (line[:3], line[:3]),
        (line[::2], line[::-2]), (line.reshape(2, 3), line[:3].copy()),
        (line[:3].astype(np.float32), line[3:].astype(np.int16)), (line[:0], line[:1]),
        (np.array(_VALUES[:3]), np.array(_VALUES[3:6])), (line[:3] > 0, line[3:]),
    )  # fmt: skip
    one, other = pairs[kind % len(pairs)]
    return (one, one) if kind % 7 == 6 else (one, other)


def arguments(k: Any, flag: bool, kind: int, kept: df.Tensor) -> tuple[tuple[Any, ...], dict]:
    """What a call gets."""
    (x, y), (a, b) = _inputs(kind % PAIRS), _arrays(kind // PAIRS)
    y = kept if kind % 11 == 10 else y
    if kind % 13 == 12:
        b = x.numpy()
    return ((x, y, k, a, b, x, y), {"flag": flag}) if flag else ((x, y, k, a, b), {})
