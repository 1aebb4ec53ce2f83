"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from dualflow import api as df
from dualflow.base.errors import ArgumentError

from .optimizer import Optimizer, check_range, grouped


@final
@dataclass(eq=False)
class SGDGroup:
    """Parameters that share settings, and a velocity for each (none without momentum)."""

    parameters: list[df.Tensor]
    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float
    velocities: list[df.Tensor]


@final
class SGD(Optimizer):
    """v = momentum * v + g; parameter -= lr * v, where g is gradient + weight_decay * parameter.

    With `nesterov` the step is lr * (g + momentum * v) (Sutskever et al., ICML 2013, in the form
    that PyTorch uses).

    Args:
        parameters: tensors, or dicts of "parameters" and settings.
        lr: the learning rate.
        momentum: how much of the velocity is kept.
        nesterov: see above.
        weight_decay: the factor of the squared norm / 2 that is added to the loss.

    >>> w = df.tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.item()
    0.0
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        settings = {
            "lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay,
        }  # fmt: skip
        self.groups = []
        for tensors, own in grouped(parameters, **settings):
            check_range("lr", own["lr"], 0.0)
            check_range("momentum", own["momentum"], 0.0)
            check_range("weight_decay", own["weight_decay"], 0.0)
            if own["nesterov"] and own["momentum"] == 0.0:
                raise ArgumentError("nesterov without momentum", instead="momentum=0.9, say")
            moving = tensors if own["momentum"] != 0.0 else []
            velocities = [df.zeros_like(tensor) for tensor in moving]
            self.groups.append(SGDGroup(parameters=tensors, velocities=velocities, **own))

    def update(self, group: SGDGroup, i: int, gradient: df.Tensor) -> None:
        parameter = group.parameters[i]
        if group.weight_decay != 0.0:
            gradient = gradient + parameter * group.weight_decay
        if group.velocities:
            velocity = group.velocities[i]
            df.write(velocity, velocity * group.momentum + gradient)
            gradient = gradient + velocity * group.momentum if group.nesterov else velocity
        parameter -= gradient * group.lr
