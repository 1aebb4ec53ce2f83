"""What all optimizers share: groups of parameters, steps, states that can be saved.

Comes in: parameters, or groups of them with settings of their own. Goes out: `groups`, a list of
dataclasses that hold parameters, settings (plain floats, read at each step) and state (lists of
tensors beside the parameters).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from dualflow import api as df
from dualflow.base.errors import ArgumentError, GradientError, ShapeError


class Optimizer:
    """The base of optimizers.

    Attributes:
        groups: one dataclass for each group of parameters. `optimizer.groups[0].lr = 0.1` changes
            a setting from the next step on.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Group:
    ...     parameters: list
    ...     lr: float
    >>> class SignDescent(Optimizer):
    ...     def __init__(self, parameters, lr):
    ...         self.groups = [Group(list(parameters), lr)]
    ...
    ...     def update(self, group, i, gradient):
    ...         group.parameters[i] -= df.sign(gradient) * group.lr
    >>> w = df.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = SignDescent([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.5, -1.5]
    >>> optimizer.zero_grad()
    >>> w.grad is None
    True
    >>> optimizer.load_state_dict({"groups": [{**optimizer.state_dict()["groups"][0], "lr": 0.25}]})
    >>> optimizer.lr
    0.25
    """

    groups: list[Any]

    def update(self, group: Any, i: int, gradient: df.Tensor) -> None:
        """Change `group.parameters[i]` in place; every optimizer writes its own."""
        raise NotImplementedError

    def step(self) -> None:
        """Change all parameters that have a gradient."""
        with df.no_grad():
            for group in self.groups:
                for i, parameter in enumerate(group.parameters):
                    if parameter.grad is not None:
                        self.update(group, i, parameter.grad)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.groups:
            for parameter in group.parameters:
                parameter.grad = None

    def __repr__(self) -> str:
        groups = (
            ", ".join(f"{name}={value!r}" for name, value in vars(group).items()
                      if not isinstance(value, list)) + f"; {len(group.parameters)} parameters"
            for group in self.groups
        )  # fmt: skip
        return f"{type(self).__name__}({' | '.join(groups)})"

    @property
    def lr(self) -> float:
        """The learning rate of the first group; setting it sets that of all groups."""
        return self.groups[0].lr

    @lr.setter
    def lr(self, rate: float) -> None:
        for group in self.groups:
            group.lr = rate

    def state_dict(self) -> dict[str, Any]:
        """Settings, and copies of the state, of all groups."""
        return {"groups": [_saved(group) for group in self.groups]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over settings and state that `state_dict` of such an optimizer gave.

        Raises:
            ArgumentError: groups or settings differ.
            ShapeError: the state belongs to other parameters.
        """
        saved = state["groups"]
        if len(saved) != len(self.groups):
            raise ArgumentError(
                f"a state of {len(saved)} groups for an optimizer of {len(self.groups)}"
            )
        for group, entry in zip(self.groups, saved, strict=True):
            _check_entry(group, entry)
        for group, entry in zip(self.groups, saved, strict=True):
            for name, value in entry.items():
                if isinstance(value, list):
                    with df.no_grad():
                        for tensor, new in zip(getattr(group, name), value, strict=True):
                            tensor[...] = new
                else:
                    setattr(group, name, value)


def grouped(parameters: Iterable[Any], **settings: Any) -> list[tuple[list[df.Tensor], dict]]:
    """Parameters and settings of each group.

    Args:
        parameters: tensors that require gradients, or dicts with such a list under "parameters" and
            settings that differ from `settings`.

    Raises:
        ArgumentError: there are none, or one occurs twice, or a setting is unknown.
        GradientError: one requires no gradient or was computed.
    """
    given = list(parameters) if isinstance(parameters, Iterable) else []
    if not given:
        raise ArgumentError("an optimizer without parameters",
                            instead="model.parameters()")  # fmt: skip
    entries = given if isinstance(given[0], dict) else [{"parameters": given}]
    groups = []
    seen: list[df.Tensor] = []
    for entry in entries:
        if not isinstance(entry, dict) or "parameters" not in entry:
            raise ArgumentError("a group without parameters",
                                instead='{"parameters": [...], "lr": ...}')  # fmt: skip
        tensors = list(entry["parameters"])
        own = {name: value for name, value in entry.items() if name != "parameters"}
        unknown = [name for name in own if name not in settings]
        if unknown:
            raise ArgumentError(f"unknown settings {unknown} of a group of parameters",
                                instead="one of " + ", ".join(settings))  # fmt: skip
        for tensor in tensors:
            _check_parameter(tensor, seen)
            seen.append(tensor)
        groups.append((tensors, {**settings, **own}))
    return groups


def _check_parameter(tensor: Any, seen: Sequence[df.Tensor]) -> None:
    if type(tensor) is not df.Tensor:
        raise ArgumentError(f"a parameter of type {type(tensor).__name__}",
                            instead="tensors, such as model.parameters()")  # fmt: skip
    if not tensor.requires_grad or tensor._tape is not None:
        raise GradientError(f"a parameter of shape {tensor.shape} that is no leaf with gradient",
                            why="an optimizer changes tensors whose .grad backward() sets",
                            instead="nn.Parameter(...), or requires_grad_()")  # fmt: skip
    for other in seen:
        if other is tensor:
            raise ArgumentError(f"a parameter of shape {tensor.shape} that was given twice")


def check_range(name: str, value: float, low: float, high: float | None = None) -> None:
    """ArgumentError unless low <= value (< high)."""
    if not low <= value or (high is not None and not value < high):
        upper = "" if high is None else f" and below {high}"
        raise ArgumentError(f"{name}={value!r}", instead=f"a number from {low} on{upper}")


def clip_gradients(parameters: Iterable[df.Tensor], longest: float) -> df.Tensor:
    """Scale all gradients together, in place, so that their norm is at most `longest`.

    Args:
        parameters: tensors; those without `.grad` count nothing.
        longest: the bound, above 0.

    Returns:
        The norm before: the root of the sum of all squares, of shape ().

    >>> w = df.tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2.0).sum().backward()
    >>> clip_gradients([w], 1.0).item()
    5.0
    >>> [round(x, 4) for x in w.grad.tolist()]
    [0.6, 0.8]
    """
    with df.no_grad():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        total = None
        for gradient in gradients:
            square = df.sum(gradient * gradient)
            total = square if total is None else total + square
        norm = df.sqrt(df.zeros(()) if total is None else total)
        scale = df.minimum(longest / df.maximum(norm, 1e-30), 1.0)
        for gradient in gradients:
            gradient *= scale.astype(gradient.dtype)
    return norm


def _saved(group: Any) -> dict[str, Any]:
    found = {}
    for field in fields(group):
        value = getattr(group, field.name)
        if field.name != "parameters":
            copies = isinstance(value, list)
            found[field.name] = [t.detach().copy() for t in value] if copies else value
    return found


def _check_entry(group: Any, entry: dict[str, Any]) -> None:
    names = [field.name for field in fields(group) if field.name != "parameters"]
    if sorted(names) != sorted(entry):
        raise ArgumentError(f"a state with {sorted(entry)} for an optimizer with {sorted(names)}")
    for name, value in entry.items():
        if isinstance(value, list):
            mine = [tensor.shape for tensor in getattr(group, name)]
            other = [tensor.shape for tensor in value]
            if mine != other:
                raise ShapeError(f"{name} of shapes {other} for parameters that need {mine}")
