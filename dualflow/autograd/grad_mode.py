"""Grad mode: whether operations are noted for gradients, by thread.

Comes in: `with no_grad():` or a decorated function. Goes out: `door.state.grad_enabled`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ClassVar, ParamSpec, TypeVar, final

from dualflow.ops import door

P = ParamSpec("P")
R = TypeVar("R")


class GradMode:
    """A grad mode for a `with` block, or for the calls of a decorated function."""

    enabled: ClassVar[bool]

    def __init__(self) -> None:
        self._before: list[tuple[bool, bool | None]] = []

    def __enter__(self) -> None:
        state = door.state
        self._before.append((state.grad_enabled, state.grad_asked))
        state.grad_enabled = state.grad_asked = self.enabled

    def __exit__(self, *raised: object) -> None:
        door.state.grad_enabled, door.state.grad_asked = self._before.pop()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """`function`, run in this grad mode."""

        @wraps(function)
        def in_grad_mode(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)():
                return function(*args, **kwargs)

        return in_grad_mode


@final
class no_grad(GradMode):  # noqa: N801 - reads as a statement
    """Operations within are not noted: their results require no gradient.

    A context manager and a decorator, as in PyTorch.

    >>> import dualflow as df
    >>> x = df.tensor([1.0], requires_grad=True)
    >>> with df.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    enabled = False


@final
class enable_grad(GradMode):  # noqa: N801 - reads as a statement
    """Operations within are noted, also inside `no_grad`.

    >>> import dualflow as df
    >>> x = df.tensor([1.0], requires_grad=True)
    >>> with df.no_grad(), df.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """

    enabled = True


@final
class taping:  # noqa: N801 - reads as a statement
    """Whether the tape takes notes within, for the active mode alone: what this room needs itself,
    which says nothing of what the user asked for."""

    __slots__ = ("_before", "_enabled")

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled

    def __enter__(self) -> None:
        state = door.state
        self._before, state.grad_enabled = state.grad_enabled, self._enabled

    def __exit__(self, *raised: object) -> None:
        door.state.grad_enabled = self._before


def is_grad_enabled() -> bool:
    """Whether operations of this thread are noted for gradients now.

    >>> import dualflow as df
    >>> with df.no_grad():
    ...     df.is_grad_enabled()
    False
    """
    return door.state.grad_enabled
