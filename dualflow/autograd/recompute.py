"""Checkpoints: what a function computed is dropped, and computed again on the way back.

Comes in: a function. Goes out: a function of the same values whose history is one node, which holds
the arguments alone. Random numbers are drawn once: the second run gets the states of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, final

from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError, InPlaceError
from dualflow.base.trees import flatten, tree_map
from dualflow.ops import door

from .arguments import name_of
from .grad_mode import taping
from .history import Edge, Node, Output, Parts, count
from .segment import made_in, outside
from .tape import edge_of
from .users import call_user
from .walk import push, walk

Function = Callable[..., Any]


def checkpoint(fn: Function) -> Function:
    """A function of the same value that keeps no intermediate results for gradients.

    They are computed again when a gradient (or tangent) passes: less memory for more time.
    Random draws within give the same numbers again; so a dropout mask is the same.

    Args:
        fn: a function of tensors (and anything else) that gives a tensor or a container of them
            and does the same when called again; it may use other tensors, such as parameters.

    Returns:
        A function of the same arguments.

    Raises:
        InPlaceError: on the way back, if an argument was written in place since.
        GradientError: on the way back, if `fn` does something else the second time.

    >>> import dualflow as df
    >>> block = df.checkpoint(lambda x: df.exp(df.sin(x)))
    >>> df.grad(lambda x: block(x).sum())(df.tensor([0.0])).tolist()
    [1.0]
    """

    @wraps(fn)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not door.state.grad_enabled:
            return fn(*args, **kwargs)
        given = tree_map(_held, (args, kwargs))
        start, before, draws = count(), door.state.draws, Drawn(door.state.draws)
        door.state.draws = draws
        try:
            value = fn(*args, **kwargs)
        finally:
            door.state.draws = before
        value, outs = _made(value, start)
        if not outs:
            return value
        edges = outside([edge_of(out) for out in outs], start)
        node = Recomputed(fn, given, tuple(edges), draws.states, len(outs))
        for i, out in enumerate(outs):
            out._tape = Output(node, i)
        return value

    return checkpointed


def _made(value: Any, start: int) -> tuple[Any, list[Tensor]]:
    """`value` with copies in the place of views that were made since `start`, and the tensors in it
    that were."""
    outs: list[Tensor] = []

    def take(x: Any) -> Any:
        if type(x) is not Tensor or not x.requires_grad:
            return x
        edge = edge_of(x)
        if x._view and isinstance(edge, Node) and edge.number > start:
            x = x.copy()
        if made_in(x, start):
            outs.append(x)
        return x

    return tree_map(take, value), outs


def _held(x: Any) -> Any:
    """Another handle of an argument, with the history that it has now."""
    if type(x) is not Tensor:
        return x
    edge = edge_of(x)
    held = x._alias()
    if edge is x:
        return x
    held._tape, held.requires_grad = edge, x.requires_grad
    return held


@final
class Drawn:
    """Random states as they are drawn, for `Again`."""

    __slots__ = ("below", "states")

    def __init__(self, below: Any) -> None:
        self.below = below
        self.states: list[Any] = []

    def draw(self, generator: Any) -> Any:
        draw = door.state.mode.draw if self.below is None else self.below.draw
        state = draw(generator)
        self.states.append(state)
        return state


@final
class Again:
    """Random states that were drawn before, once more; generators stay as they are."""

    __slots__ = ("states",)

    def __init__(self, states: Sequence[Any]) -> None:
        self.states = iter(states)

    def draw(self, generator: Any) -> Any:
        state = next(self.states, None)
        if state is None:
            raise GradientError("a checkpointed function drew more random numbers the second time",
                                why="it must do the same when called again")  # fmt: skip
        return state


@final
class Recomputed(Node):
    """A call of a checkpointed function.

    Attributes:
        fn: the function; `given` its positional and keyword arguments.
        versions: of the memory of each tensor among them.
        states: the random states that it drew.
        outs: how many tensors it made.
    """

    __slots__ = ("fn", "given", "outs", "states", "versions")

    def __init__(
        self, fn: Function, given: Any, edges: tuple[Edge, ...], states: list[Any], outs: int
    ) -> None:
        super().__init__(edges)
        self.fn, self.given, self.states, self.outs = fn, given, states, outs
        self.versions = self._now()

    def _now(self) -> list[int]:
        return [x._memory().version for x in flatten(self.given)[0] if type(x) is Tensor]

    def again(self) -> list[Edge]:
        """The histories of the results of another run of the function."""
        if self._now() != self.versions:
            raise InPlaceError(
                f"an argument of {name_of(self.fn)}, which is checkpointed, was written in place",
                why="its gradient computes it again, with the values from before",
                instead="write into a copy()",
            )
        args, kwargs = self.given
        start, before = count(), door.state.draws
        door.state.draws = Again(self.states)
        try:
            with taping():
                _, made = _made(call_user(self.fn, *args, **kwargs), start)
        finally:
            door.state.draws = before
        edges = [edge_of(out) for out in made]
        found = {id(edge) for edge in outside(edges, start)}
        if len(made) != self.outs or found != {id(edge) for edge in self.edges}:
            raise GradientError(
                f"{name_of(self.fn)}, which is checkpointed, did something else the second time",
                why="the tensors that it used, or their history, have changed",
                instead="checkpoint a function of its arguments and of parameters alone",
            )
        return edges

    def gradients(self, g: Parts, differentiable: bool) -> tuple[Any, ...]:
        outs = self.again()
        starts = [(outs[i], part) for i, part in g.found.items()]
        found = {id(edge): part for edge, part in walk(starts, self.edges, differentiable)[0]}
        return tuple(found.get(id(edge)) for edge in self.edges)

    def tangent(self, given: tuple[Any, ...], differentiable: bool) -> Any:
        pairs = [
            (edge, t) for edge, t in zip(self.edges, given, strict=True) if t is not None
        ]  # fmt: skip
        return tuple(push(self.again(), pairs, differentiable))
