"""Random NumPy functions full of views, aliases, in-place writes and branches: compiled = plain."""

from __future__ import annotations

import linecache
import random

import numpy as np
import pytest
from test_numpy_functions import assert_same

import dualflow as df

SLICES = ("[1:]", "[:-1]", "[::-1]", "[0]", "[:, 1]", "[..., None, 0]", "[1:, ::2]", ".T", "[:]")
CALLS = (
    "np.tanh({a})", "np.maximum({a}, {b})", "np.where({a} > {b}, {a}, {k})", "{a}.copy()",
    "np.roll({a}, 1, axis=0)", "{a} * {k}", "{a} - {b}", "({a} + {b}) / 2", "np.abs({a})", "{a}.T",
    "np.clip({a}, -1, {k})", "{a}.reshape(9).reshape(3, 3)", "{a} @ {b} / 3", "-{a}", "{a}",
    "np.asarray({a})", "{a} - {a}.mean(axis=0)", "np.zeros_like({a})", "np.floor({a})",
    "np.linalg.inv({a} @ {a}.T + 5 * np.eye(3)) * 4", "{a} * {s}", "{a}[::-1]",
    "{a}.astype(int) / 2",
)  # fmt: skip


class Writer:
    """Writes a function of two matrices, a number and a list."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.lines = ["def program(a, b, k, kept):", "    s = a.sum()"]
        self.matrices, self.scalars = ["a", "b"], ["s"]

    def one(self, *choices: str) -> str:
        return self.draw.choice(choices)

    def matrix(self) -> str:
        return self.draw.choice(self.matrices)

    def value(self) -> str:
        text = self.draw.choice(CALLS)
        return text.format(
            a=self.matrix(), b=self.matrix(), k="k", s=self.draw.choice(self.scalars)
        )

    def statement(self, indent: str) -> list[str]:
        kind = self.draw.randrange(10)
        name = self.one("c", "d", "e")
        part = self.draw.choice(SLICES)
        if kind <= 2:
            made = f"{name} = {self.value()}"
            if indent == "    " and name not in self.matrices:
                self.matrices.append(name)
            return [indent + made]
        target = self.matrix()
        if kind == 3:
            operator, value = self.one("+=", "-=", "*="), self.one("0.5", "k", self.matrix())
            return [f"{indent}{target} {operator} {value}"]
        if kind == 4:
            value = f"{self.matrix()}{part} * 0.5 + {self.one('1', 'k', 's')}"
            return [f"{indent}{target}{part}[...] = {value}"]
        if kind == 5:
            mask = f"{target} > {self.one('0', 'k', 's / 9')}"
            stored = self.one("0", "k", f"{self.matrix()}[{mask}] / 2 + 1", "-1.5")
            return [f"{indent}{target}[{mask}] = {stored}"]
        if kind == 6:
            view = [f"{indent}v = {target}{part}", f"{indent}v {self.one('+=', '*=')} 0.5"]
            return [*view, f"{indent}{self.matrix()}[0] += v.sum()"]
        if kind == 7:
            operands = f"{self.matrix()}, {self.matrix()}, out={target}"
            return [f"{indent}np.{self.one('add', 'multiply')}({operands})"]
        if kind == 8:
            return [f"{indent}s = {target}.{self.one('max()', 'sum()', 'min()', 'mean()')} / 3"]
        return [f"{indent}kept.append({self.one(target, target + part, 's', target + '.copy()')})"]

    def text(self) -> str:
        for _ in range(self.draw.randint(4, 9)):
            if self.draw.random() < 0.15:
                test = self.one(
                    "s > 1", "k > 0.5", f"{self.matrix()}.any()", f"{self.matrix()}[0, 0] > s"
                )
                self.lines += [f"    if {test}:", *self.statement(" " * 8)]
            elif self.draw.random() < 0.15:
                self.lines += ["    for i in range(3):", *self.statement(" " * 8)]
            else:
                self.lines += self.statement("    ")
        results = ", ".join([*self.matrices, "s", f"{self.matrix()}[1]"])
        return "\n".join([*self.lines, f"    return {results}", ""])


def _program(seed: int):
    text = Writer(seed).text()
    file = f"<random numpy program {seed}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    names: dict = {"np": np}
    exec(compile(text, file, "exec"), names)
    return names["program"], text


def _arguments(seed: int, call: int):
    draw = np.random.default_rng(seed * 100 + call)
    a, b = draw.random((3, 3)) * 2 - 1, draw.random((3, 3)) * 2 - 1
    how = (seed + call // 3) % 6
    if how == 4:
        b = a
    elif how == 5:
        b = a.T
    return [a, b, 0.3 + 0.1 * call, []]


def _outcome(function, arguments):
    with np.errstate(all="ignore"):
        try:
            return function(*arguments)
        except Exception as error:
            return type(error).__name__, str(error)


def _graph(found, arguments):
    """Which arrays of results and arguments are one, and which share memory."""
    arrays = [x for x in (*found, *arguments, *arguments[-1]) if isinstance(x, np.ndarray)]
    return [(x is y, np.shares_memory(x, y)) for i, x in enumerate(arrays) for y in arrays[:i]]


@pytest.mark.parametrize("block", range(8))
def test_random_programs(block):
    ways = dict.fromkeys(("replays", "co_executions", "eager_calls"), 0)
    for seed in range(block * 12, block * 12 + 12):
        function, text = _program(seed)
        compiled = df.compile(function, wait=True)
        for call in range(6):
            mine = _arguments(seed, call)
            theirs = _arguments(seed, call)
            wanted, found = _outcome(function, theirs), _outcome(compiled, mine)
            try:
                assert_same(wanted, found, "result")
                assert_same(theirs, mine, "arguments")
                assert _graph(wanted, theirs) == _graph(found, mine)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, call {call}\n{text}\n{error}") from error
        for way in ways:
            ways[way] += compiled.stats()[way]
    assert ways["replays"] > sum(ways.values()) / 3, ways
