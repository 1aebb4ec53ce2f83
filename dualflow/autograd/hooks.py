"""Hooks: functions that see the gradient of a tensor on its way, and may change it.

Comes in: a tensor and a function. Goes out: a `Hook` that can be removed; the way back calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from dualflow.array.tensor import Tensor
from dualflow.base.errors import GradientError

from .history import Argument, Node, count
from .tape import edge_of
from .users import call_user


@final
class Hook:
    """A registered hook; made by `register_hook`."""

    __slots__ = ("_hooks", "_number")

    def __init__(self, hooks: dict[int, Any], number: int) -> None:
        self._hooks, self._number = hooks, number

    def remove(self) -> None:
        """Do not call it any more; twice does no harm."""
        self._hooks.pop(self._number, None)


def register_hook(tensor: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Hook:
    """Call `hook(gradient)` whenever the whole gradient of `tensor` is known.

    What it returns, unless None, takes the gradient's place: in `.grad` and on the way on. Hooks
    of one tensor are called in the order in which they were registered.

    Args:
        tensor: requires a gradient.
        hook: gives None, or a tensor of the gradient's shape and dtype.

    Raises:
        GradientError: `tensor` requires no gradient. On the way back: a result that does not fit.

    >>> import dualflow as df
    >>> x = df.tensor([1.0, 2.0], requires_grad=True)
    >>> hook = x.register_hook(lambda g: g * 10.0)
    >>> x.sum().backward()
    >>> hook.remove()
    >>> x.grad.tolist()
    [10.0, 10.0]
    """
    edge = edge_of(tensor)
    if edge is None:
        raise GradientError("register_hook() of a tensor that requires no gradient",
                            instead="requires_grad_() first")  # fmt: skip
    if isinstance(edge, Node) and edge is not tensor._tape:
        tensor._tape = edge = Argument(edge)
    hooks = edge._hooks if type(edge) is Tensor else edge.hooks
    if hooks is None:
        hooks = {}
        if type(edge) is Tensor:
            edge._hooks = hooks
        else:
            edge.hooks = hooks
    number = count()
    hooks[number] = Checked(hook)
    return Hook(hooks, number)


@final
class Checked:
    """A hook of the user, of which the result is looked at.

    Attributes:
        hook: what is called.
    """

    __slots__ = ("hook",)

    def __init__(self, hook: Callable[[Tensor], Tensor | None]) -> None:
        self.hook = hook

    def __call__(self, g: Tensor) -> Tensor:
        found = call_user(self.hook, g)
        if found is None:
            return g
        if type(found) is not Tensor or found.shape != g.shape or found.dtype != g.dtype:
            is_a = (
                f"a tensor of shape {found.shape} and dtype {found.dtype.name}"
                if type(found) is Tensor else type(found).__name__
            )  # fmt: skip
            raise GradientError(
                f"a hook gave {is_a} for a gradient of shape {g.shape} and dtype {g.dtype.name}",
                instead="a tensor like the gradient, or None to leave it as it is",
            )
        return found
