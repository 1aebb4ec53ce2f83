"""Containers as trees: take leaves out of nested containers and put others in.

Comes in: any nesting of dict, list, tuple, named tuple, dataclass and None. Goes out: a flat list
of leaves and a hashable description from which the same nesting is rebuilt. (optree does this
too, but importing it takes as long as the whole import budget of the package.)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from importlib import import_module
from typing import Any, NamedTuple


class Tree(NamedTuple):
    """The shape of a nesting: its container type, its keys or field names, its subtrees.

    `kind` is None for a leaf.
    """

    kind: type | None
    keys: tuple[Hashable, ...]
    children: tuple[Tree, ...]

    @property
    def leaves(self) -> int:
        """How many leaves the nesting has."""
        return 1 if self.kind is None else sum(child.leaves for child in self.children)


LEAF = Tree(None, (), ())


def parts(tree: Any) -> tuple[tuple[Hashable, ...], list[Any]] | None:
    """Keys and children of a container; None for a leaf."""
    kind = type(tree)
    if tree is None:
        return (), []
    if kind is list or kind is tuple:
        return (), list(tree)
    if kind is dict or kind is OrderedDict:
        return tuple(tree), list(tree.values())
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return kind._fields, list(tree)  # type: ignore[attr-defined]
    if hasattr(kind, "__dataclass_fields__"):
        fields = import_module("dataclasses").fields(kind)  # few programs have any
        names = tuple(field.name for field in fields if field.init)
        return names, [getattr(tree, name) for name in names]
    return None


def flatten(tree: Any) -> tuple[list[Any], Tree]:
    """The leaves of `tree`, depth first, and its description.

    >>> flatten({"a": 1, "b": (2, None)})[0]
    [1, 2]
    """
    found = parts(tree)
    if found is None:
        return [tree], LEAF
    keys, children = found
    leaves: list[Any] = []
    trees = []
    for child in children:
        below, description = flatten(child)
        leaves += below
        trees.append(description)
    return leaves, Tree(type(tree), keys, tuple(trees))


def unflatten(tree: Tree, leaves: Sequence[Any]) -> Any:
    """The nesting that `tree` describes, with `leaves` in it."""
    rest = iter(leaves)
    made = _build(tree, rest)
    if next(rest, LEAF) is not LEAF:
        raise ValueError(f"{len(leaves)} leaves for a tree of {tree.leaves}")
    return made


def _build(tree: Tree, rest: Any) -> Any:
    if tree.kind is None:
        return next(rest)
    children = [_build(child, rest) for child in tree.children]
    if tree.kind is type(None):
        return None
    if tree.kind is list or tree.kind is tuple:
        return tree.kind(children)
    if issubclass(tree.kind, dict):
        return tree.kind(zip(tree.keys, children, strict=True))
    if issubclass(tree.kind, tuple):
        return tree.kind(*children)
    return tree.kind(**dict(zip(tree.keys, children, strict=True)))  # type: ignore[arg-type]


def tree_map(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`function` applied to the leaves of `tree` (and of `rest`, of the same nesting)."""
    leaves, description = flatten(tree)
    others = [flatten(other)[0] for other in rest]
    return unflatten(description, [function(*args) for args in zip(leaves, *others, strict=True)])
