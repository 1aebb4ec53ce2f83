"""Random Python functions over tensors, as source text, and inputs for them.

`Program` grows line by line: a line that fails for one of its shapes is left out again. A value is
*exact* if only bit-exact ops led to it; only such values decide (compare, round, branch, index).
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import dualflow as df

PARAMETERS = "x, y, c, s, k, q, idx, a, r"
SHAPES = ((3, 4), (0, 3), (1, 1), (5, 2), (2, 7), (17, 3), (4, 0), (33, 5), (1, 6))
LAYOUTS = ("packed", "strided", "reversed", "transposed", "aliased", "adopted")
SPECIALS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0)
#: ways to use what a line may use: f float, e exact float, i integer, b bool, z complex, v any
KINDS = {"f": "f", "e": "f", "i": "iu", "b": "b", "z": "c", "v": "fiubc"}

EXACT = (
    "{f} + {f}", "{f} - {f}", "{f} * {f}", "{e} / {e}", "-{f}", "abs({f})", "{f} * 0.5 + {f}",
    "2.0 - {f}", "{f} * a", "{f} + r", "1.0 / {e}", "{e} // 0.75", "{e} % 1.5", "{e} % {e}",
    "df.where({b}, {f}, {f})", "df.where({b}, {f}, 0.25)", "df.where({e} > {e}, {f}, -0.0)",
    "df.maximum({f}, {f}) + 0.0", "df.clip({f}, -1.0, 1.5) + 0.0", "df.sqrt(abs({f}))",
    "df.square({f})", "df.relu({f}) + 0.0", "df.floor({e})", "df.sign({e})", "df.round({e})",
    "df.trunc({e})", "df.isnan({e})", "df.isfinite({e})", "{e} > {e}", "{e} <= 0.5", "{e} == {e}",
    "{e} != {e}", "{b} & {b}", "{b} | {b}", "{b} ^ {b}", "~{b}", "{b}.astype(df.float32)",
    "{f}.astype(df.float64)", "{i}.astype(df.int32)", "{i}.astype(df.float32)",
    "whole({e})",
    "{i} + {i}", "{i} - {i}", "{i} * {i}", "{i} * 3 + r", "{i} // 7", "{i} % 5", "{i} // {i}",
    "{i} % {i}", "{i} << 2", "{i} >> 1", "{i} ^ {i}", "{i} & 6", "{i} > {i}", "{i} == {i}",
    "abs({i})", "{i} ** 2", "df.where({b}, {i}, -1)", "{f} + {i}", "{f} * {b}", "{b} * 1.5",
    "{f} + 0.5j", "{f} * 1j", "df.conj({z})", "{z}.real", "df.imag({z})", "-{z}", "{z} == {z}",
    "{z} + {f}", "df.where({b}, {z}, 1j)", "df.nan_to_num({e})", "divmod({e}, 0.75)[1]",
)  # fmt: skip
MOVEMENT = (
    "{v}.T", "{v}[::-1]", "{v}[1:]", "{v}[..., ::2]", "{v}[:, 0]", "{v}[0]", "{v}[-1]",
    "{v}[:, ::-2]", "{v}[None]", "df.flip({v})", "df.roll({v}, 1)", "df.concat([{v}, {v}])",
    "df.stack([{v}, {v}], axis=-1)", "df.expand_dims({v}, 0)", "{v}.reshape((-1,))",
    "{v}.reshape((-1, 1))", "df.pad({v}, 1)", "df.repeat({v}, 2, axis=0)", "df.tile({v}, (2,))",
    "df.broadcast_to({v}, (2, *{v}.shape))", "df.take({v}, idx, axis=0)", "{v}[idx]",
    "df.split({v}, 2)[1]", "df.sort({e}, axis=-1)", "df.moveaxis({v}, 0, -1)", "df.tril({v})",
    "df.scatter_add({e}, idx, {e}[idx], axis=0)", "{v}.copy()", "{v}.detach()",
    "{v}[idx + r]", "df.diff({f}, axis=-1)", "df.swapaxes({v}, 0, -1)", "df.isin({i}, idx)",
    "df.searchsorted(df.sort({e}.reshape((-1,))), {e})", "df.median({e}, axis=0)",
)  # fmt: skip
REDUCTIONS = (
    "df.max({e}, axis=-1) + 0.0", "df.min({e}) + 0.0", "df.sum({i})", "df.sum({i}, axis=0)",
    "df.sum({b})", "df.any({b}, axis=-1)", "df.all({b})", "df.argmax({e}, axis=-1)",
    "df.argmin({i})", "df.cumsum({i}, axis=0)", "df.prod({i}, axis=-1)",
    "df.max({i}, axis=0, keepdims=True)", "df.count_nonzero({b})", "df.max({e}) * {e}",
)  # fmt: skip
RANDOM = (
    "df.random.uniform({v}.shape)", "df.random.normal({v}.shape)",
    "df.random.integers(-5, 20, {v}.shape)", "df.random.permutation(len({v}))",
)  # fmt: skip
INEXACT = (
    "df.tanh({f})", "df.sigmoid({f})", "df.exp(-abs({f}))", "df.log1p(abs({f}))", "df.sin({f})",
    "df.mean({f}, axis=-1, keepdims=True)", "df.mean({f}, axis=0)", "df.mean({f})",
    "df.softmax({f}, axis=-1)", "df.logsumexp({f}, axis=-1)", "df.gelu({f})", "df.silu({f})",
    "df.tanh({f}) @ df.tanh({f}).T", "df.tanh({f}) @ df.sin({f})", "df.var({f}, axis=-1)",
    "{f} / (2.0 + df.tanh({f}))", "df.layer_norm(df.tanh({e}) + x * 0.1)", "df.erf({f})",
    "{z} * {z}", "{z} * {f}", "{z} / (2.0 + {z} * {z}.conj())", "abs({z})", "df.exp(1j * {f})",
    "df.sum({z}, axis=0)", "df.mean({z}, axis=-1)", "{z}.mT @ {z}.conj()", "df.angle({z})",
    "df.hypot({e}, {e})", "df.logaddexp({f}, {f})", "df.quantile({e}, 0.3, axis=-1)",
    "df.sum(df.tanh({f}), axis=0)", "df.cumsum(df.tanh({f}), axis=-1)", "df.atan2({e}, {e})",
)  # fmt: skip
GRADIENTS = (
    "df.grad(lambda t: df.sum(df.tanh(t * {f})))({f})",
    "df.grad(lambda t: df.mean(df.sigmoid(t) * {f}))({f})",
    "df.vjp(lambda t: t * {f}, {f})[1](x * 0.5)",
    "df.grad(df.grad(lambda t: df.sum(t * t * t)))(df.tanh({f})[0, 0])",
    "slope({f})",
    "df.grad(lambda t: df.sum(df.abs(t * {z} + {f})))({f})",
    "df.grad(lambda t: df.sum((t * t.conj()).real))({z})",
)
WRITES = (
    "{v} += 1", "{v} *= 2", "{v} -= {v}", "{v}[1:] = 0.5", "{v}[::2] += 1", "{v}[0] = {v}[-1]",
    "{v}[...] = {v}", "{v}.T[...] = 1", "{v}[:, 1:] *= -1", "{v}[::-1] = {v}",
    "{f} /= 4.0", "{v}.reshape((-1,))[1::3] = 2",
)  # fmt: skip
TESTS = (
    "df.any({b})", "bool(df.all({b}))", "df.max({e}) > 1.0", "int(df.sum({i})) % 2 == 0",
    "df.count_nonzero({b}) > 2", "{e}.shape[0] > 2", "r > 2", "df.max({e}).item() > a",
    "not df.isnan({e}).any() and {b}.all()",
)  # fmt: skip
BLOCKS = (
    "if {test}:\n    {new} = {first}\nelse:\n    {new} = {second}",
    "{new} = {first}\nif {test}:\n    {new} = {new} * 2",
    "{new} = {first}\nfor number in range(r):\n    {new} = {new} * 0.5 + number",
    "{new} = {first}\nfor _ in range(2):\n    {new} = {new} + {second}",
    "{new} = sum([{first} * number for number in range(3)])",
    "{new} = 0\nfor row in {first}:\n    {new} = {new} + row",
    "parts = dict(one={first}, two=({second}, r))\n{new} = parts['one'] + parts['two'][1]",
    "count = 0\nwhile count < 3 and {test}:\n    count += 1\n{new} = {first} + count",
    "try:\n    {new} = {first}[r + 1]\nexcept IndexError:\n    {new} = {first}",
    "with df.no_grad():\n    {new} = {first}",
    "step = lambda t, by=r: t + by\n{new} = step({first})",
)
PRELUDE = '''"""A random program."""
import dualflow as df


def whole(t):
    return df.clip(df.where(df.isfinite(t), t, 0.0), -99.0, 99.0).astype(df.int64)


def slope(t):
    w = df.tanh(t).detach().requires_grad_()
    df.sum(w * w * t.detach() + df.sin(w)).backward()
    return w.grad


'''


def ignoring() -> Any:
    """Settings in which NumPy does not warn of NaN and infinity."""
    return np.errstate(all="ignore")


def is_name(text: str) -> bool:
    """Whether it names a value that a program made."""
    return text[0] == "v" and text[1:].isdigit()


def bearable(value: Any) -> bool:
    """Whether a value may be used further."""
    return isinstance(value, df.Tensor) and value.size <= 3000 and value.ndim <= 4


@dataclass(repr=False)
class Program:
    """A function as text, and what its values are for two shapes.

    Attributes:
        choose: gives one of a sequence.
        names: of the tensors that lines may use.
        exact: those that only bit-exact ops led to.
    """

    choose: Callable[[Sequence[Any]], Any]
    float_name: str
    shapes: tuple[tuple[int, int], ...]
    seed: int
    inexact: bool = True
    lines: list[str] = field(default_factory=list)
    exact: set[str] = field(default_factory=lambda: {"x", "y", "c", "s", "k", "q", "idx"})
    worlds: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, shape in enumerate(self.shapes):
            given = inputs(self.seed + number, shape, self.float_name, "packed")
            world = dict(zip(PARAMETERS.split(", "), given.arguments, strict=True))
            exec(PRELUDE, world)
            self.worlds.append(world)

    def grow(self, length: int) -> Program:
        """Add `length` lines, less those that fail."""
        for number in range(length):
            self._add(f"v{number}")
        return self

    def _add(self, new: str) -> None:
        kind = self.choose(("exact",) * 4 + ("inexact",) * 3 * self.inexact + (
            "movement", "movement", "reduction", "random", "write", "write", "block", "block",
            *("gradient",) * self.inexact,
        ))  # fmt: skip
        used: set[str] = set()
        if kind == "write":
            text = self._fill(self.choose(WRITES), used, exact=True)
        elif kind == "block":
            first, second = (self._expression(used) for _ in range(2))
            test = self._fill(self.choose(TESTS), used)
            text = self.choose(BLOCKS).format(new=new, first=first, second=second, test=test)
        else:
            table = {"exact": EXACT, "inexact": INEXACT, "movement": MOVEMENT, "random": RANDOM,
                     "reduction": REDUCTIONS, "gradient": GRADIENTS}[kind]  # fmt: skip
            text = f"{new} = {self._fill(self.choose(table), used)}"
        if not self._runs(text):
            return
        self.lines += text.splitlines()
        if kind not in ("inexact", "gradient", "write") and used <= self.exact:
            self.exact.add(new)

    def _expression(self, used: set[str]) -> str:
        """A line's right side, simple enough to be one of several."""
        return "(" + self._fill(self.choose(EXACT + MOVEMENT), used) + ")"

    def _fill(self, text: str, used: set[str], exact: bool = False) -> str:
        """`text` with names of values in the places of {f}, {e}, {i}, {b}, {v}."""
        for kind, kinds in KINDS.items():
            while "{" + kind + "}" in text:
                names = [
                    name
                    for name, value in self.worlds[0].items()
                    if isinstance(value, df.Tensor)
                    and value.dtype.kind in kinds
                    and (name in self.exact or (kind != "e" and kinds != "b" and not exact))
                ]
                if names:
                    name = self.choose(names + 2 * names[-4:])  # newer ones more often
                    used.add(name)
                else:  # no complex numbers yet
                    name = "(x + 0.5j)"
                text = text.replace("{" + kind + "}", name, 1)
        return text

    def _runs(self, text: str) -> bool:
        """Run a line for both shapes; whether it ends, with tensors of a bearable size."""
        before = [dict(world) for world in self.worlds]
        try:
            for world in self.worlds:
                with ignoring():
                    exec(text, world)
            good = all(bearable(v) for w in self.worlds for n, v in w.items() if is_name(n))
        except (df.errors.DualflowError, TypeError, ValueError, IndexError, NameError):
            good = False
        if not good:
            self.worlds = before
        return good

    def __repr__(self) -> str:
        return f"Program of seed {self.seed}, {self.float_name}, {self.shapes}:\n{self.text}"

    @property
    def names(self) -> set[str]:
        """The values that the program makes and returns."""
        return set(filter(is_name, self.worlds[0]))

    @property
    def text(self) -> str:
        """The whole module."""
        pairs = "".join(f"{n!r}: {n}, " for n in sorted(self.names))
        body = [*self.lines, f"return {{'x': x - 0.5, {pairs}}}"]
        inner = "".join(f"    {line}\n" for line in body)
        return f"{PRELUDE}def program({PARAMETERS}):\n{inner}"


@dataclass
class Inputs:
    """Arguments of a call, and the tensors whose memory they show."""

    arguments: tuple[Any, ...]
    bases: tuple[Any, ...]


def inputs(seed: int, shape: tuple[int, int], float_name: str, layout: str) -> Inputs:
    """New arguments; equal ones for equal arguments."""
    rng = np.random.default_rng(seed)
    n, m = shape
    number = float_name if layout != "mixed" else "float64"

    def floats(*size: int) -> np.ndarray:
        values = np.round(rng.uniform(-3, 3, size), 2)
        places = rng.random(size) < 0.12
        return np.where(places, rng.choice(SPECIALS, size), values).astype(number)

    wide = df.tensor(floats(2 * n, 2 * m))
    ways: dict[str, Callable[[], Any]] = {
        "packed": lambda: df.tensor(floats(n, m)),
        "strided": lambda: wide[::2, 1::2],
        "reversed": lambda: wide[n:, :m][::-1, ::-1],
        "transposed": lambda: df.tensor(floats(m, n)).T,
        "aliased": lambda: wide[:n, :m],
        "adopted": lambda: df.asarray(floats(n, m)),
    }
    x = ways[layout]()
    y = wide[0, :m] if layout == "aliased" and n else df.tensor(floats(m))
    extreme = rng.choice([-(2**63), 2**63 - 1, 0, -1], (n, m))
    k = np.where(rng.random((n, m)) < 0.05, extreme, rng.integers(-50, 50, (n, m)))
    index = rng.integers(-n, n, n) if n else np.zeros(0, np.int64)
    arguments = (
        x, y, df.tensor(floats(n, 1)), df.tensor(floats()), df.tensor(k),
        df.tensor(rng.random((n, m)) < 0.5), df.tensor(index),
        float(rng.integers(-2, 3)) / 2, int(rng.integers(0, 4)),
    )  # fmt: skip
    return Inputs(arguments, (wide, *arguments[:7]))


def load(text: str, folder: Path) -> ModuleType:
    """Import `text` from a file, so that its source can be found."""
    name = "program_" + hashlib.sha256(text.encode()).hexdigest()[:16]
    file = folder / f"{name}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
