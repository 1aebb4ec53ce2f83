"""Nodes -> Python text: the function that checks a block's guards, runs its program, and commits.

Comes in: guards, inputs, outputs, effects of one block of a recorded path. Goes out: a compiled
function `block(args, kwargs, T, X)`: T holds values of tensors by number, X arrays that earlier
programs of the path left. Every node is evaluated once.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any
from weakref import finalize, ref

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.interrupts import pass_on
from dualflow.ops import door

from .ndarrays.arrays import adopted
from .provenance import Namespace, Node, Weak, identity, upwards, weakly


class Marker:
    """What a block returns in place of a result; `error` is one that is to be raised."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return self.name


MISS = Marker("guards do not fit")
RAISED = Marker("the program raised")
PYTHON = Marker("this path runs in Python")
FITS = Marker("guards fit; no more was asked")

_numbers = count()
#: a name that a namespace must not hold
ABSENT = "{k1} not in {k0}"
#: how templates call their constants; the length of a class's order bounds their number
_KEYS = tuple(f"k{i}" for i in range(1000))


class Emitter:
    """The text of one block; `kept` gives the names under which blocks before kept values."""

    def __init__(self, kept: Callable[[Node], str | None] = lambda node: None) -> None:
        self._kept = kept
        self.lines: list[str] = []
        self.namespace: dict[str, Any] = {
            "MISS": MISS, "RAISED": RAISED, "PYTHON": PYTHON, "FITS": FITS, "Tensor": Tensor,
            "new": object.__new__, "state": door.state, "copyto": np.copyto, "pass_on": pass_on,
        }  # fmt: skip
        self.indent = 1
        self._names: dict[Node, str] = {}
        self._constants: dict[int, str] = {}
        self._values: list[Any] = []  # constants that have a name, in order
        self._weak: dict[int, str] = {}
        self.weak: list[tuple[str, ref[Any]]] = []  # weak references, by name
        self._heads: list[str] = []
        self._arrays: dict[Node, str] = {}
        self._fresh = count()

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def name(self) -> str:
        return f"v{next(self._fresh)}"

    def constant(self, value: Any) -> str:
        """The text of a constant: itself if it is plain, else a name."""
        if type(value) in (int, bool, str, type(None)):
            return f"({value!r})" if type(value) is int and value < 0 else repr(value)
        name = self._constants.get(id(value))
        if name is None:
            name = f"K{len(self._constants)}"
            self._constants[id(value)] = name
            self._values.append(value)
            self.namespace[name] = value
        return name

    def compared(self, value: Any) -> str:
        """The text of a constant that guards compare with: a class, function, code or module is
        referred to weakly, and once it is dead no guard fits."""
        kind = type(value)
        if kind is str or kind is int:
            return self.constant(value)
        number = value.number if kind is Weak else id(value)
        name = self._weak.get(number)
        if name is None:
            found = value if kind is Weak else weakly(value)
            if found is None:
                return self.constant(value)
            name = self._weak[number] = f"W{len(self._weak)}"
            self._values.append(value)
            self.weak.append((f"weak_{name}", found.held))
            self._heads.append(f"    {name} = weak_{name}()")
            self._heads.append(f"    if {name} is None: return MISS")
            if found.part:
                self._heads.append(f"    {name} = {name}{found.part}")
        return name

    def text(self, node: Node) -> str:
        """The text of a node over the variables of its parents."""
        names = self._names
        parents = [names.get(parent) or self.node(parent) for parent in node.parents]
        if not node.constants:
            return node.template.format(*parents)
        constants = map(self.compared, node.constants)
        return node.template.format(*parents, **dict(zip(_KEYS, constants, strict=False)))

    def node(self, node: Node) -> str:
        """The variable that holds a node's value; evaluated here if it is not yet."""
        found = self._names.get(node)
        if found is not None:
            return found
        for top in upwards(node, self._is_there):
            if not top.parents and len(top.constants) == 1 and top.template == "{k0}":
                self._names[top] = self.compared(top.constants[0])
            else:
                text, name = self.text(top), self.name()
                self.line(f"{name} = {text}")
                self._names[top] = name
        return self._names[node]

    def _is_there(self, node: Node) -> bool:
        """Whether a variable holds the value of a node; one does after this where a block before
        kept it."""
        if node in self._names:
            return True
        kept = self._kept(node)
        if kept is not None:
            self._names[node] = name = self.name()
            self.line(f"{name} = T[{kept!r}]")
        return kept is not None

    def guard(self, node: Node) -> None:
        self.line(f"if not ({self.text(node)}): return MISS")

    def absences(self, guards: Sequence[Node]) -> set[Node]:
        """Check at once, for each class, all names that it must not hold: before anything is read
        through it. The guards among `guards` that say so."""
        names: dict[Any, dict[str, Node]] = {}
        for node in guards:
            if node.template == ABSENT and type(node.constants[0]) is Namespace:
                space, name = node.constants
                names.setdefault(space, {})[name] = node
        found: set[Node] = set()
        for space, nodes in names.items():
            if len(nodes) > 1:
                wanted = self.constant(_set_of(tuple(nodes)))
                self.line(f"if not {self.compared(space)}.keys().isdisjoint({wanted}): return MISS")
                found.update(nodes.values())
        return found

    def key(self) -> int:
        """Equal for emitters whose lines so far say the same."""
        return hash((*self.lines, *map(identity, self._values)))

    def tensor(self, node: Node, layout: Any, requires: bool, taped: bool) -> None:
        """Check a tensor's type, layout and need of gradients."""
        array = self.array(node)
        shape, dtype, strides = map(self.constant, layout)
        tests = [
            f"{array}.shape != {shape}",
            f"{array}.dtype != {dtype}",
            f"{array}.strides != {strides}",
        ]
        if not is_array(node):
            name = self.node(node)
            tests.append(f"{name}.requires_grad is not {requires}")
            if requires:
                tests.append(f"{name}._tape is {'' if taped else 'not '}None")
        self.line(f"if {' or '.join(tests)}: return MISS")

    def array(self, node: Node) -> str:
        """The variable that holds the array of a tensor."""
        found = self._arrays.get(node)
        if found is None and is_array(node):  # somebody's ndarray: no tensor is needed
            found = self._arrays[node] = self.node(node.parents[0])
            self.namespace["ndarray"] = np.ndarray
            self.line(f"if type({found}) is not ndarray: return MISS")
        elif found is None:
            name = self.node(node)
            found = self._arrays[node] = self.name()
            self.line(f"if type({name}) is not Tensor: return MISS")
            self.line(f"{found} = {name}._array")
            self.line(f"if {found} is None: {found} = {name}.array")
        return found

    def finish(self, title: str) -> tuple[Callable[[], Callable[..., Any]], str]:
        """What compiles the function (which takes longer than to record it), and its text."""
        lines = ["def block(args, kwargs, T, X, check=False):", *self._heads, *self.lines, ""]
        text = "\n".join(lines)
        file, namespace = f"<dualflow {title} {next(_numbers)}>", self.namespace

        def compiled() -> Callable[..., Any]:
            exec(compile(text, file, "exec"), namespace)
            linecache.cache[file] = (len(text), None, text.splitlines(True), file)
            finalize(namespace["block"], linecache.cache.pop, file, None).atexit = False
            return namespace["block"]

        return compiled, text


@lru_cache
def _set_of(names: tuple[str, ...]) -> frozenset[str]:
    """One set for the same names, so that guards of two recordings are the same."""
    return frozenset(names)


def is_array(node: Node) -> bool:
    """Whether a node is the tensor over an ndarray that is found by a path."""
    return node.template == "{k0}({0})" and node.constants[0] is adopted
