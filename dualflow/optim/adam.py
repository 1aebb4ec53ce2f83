"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

from dualflow import api as df

from .optimizer import Optimizer, check_range, grouped


@final
@dataclass(eq=False)
class AdamGroup:
    """Parameters that share settings; for each, its number of steps and its two moments."""

    parameters: list[df.Tensor]
    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    steps: list[df.Tensor]
    means: list[df.Tensor]
    squares: list[df.Tensor]


def _groups(parameters: Iterable[Any], **settings: float) -> list[AdamGroup]:
    groups = []
    for tensors, own in grouped(parameters, **settings):
        for name in ("lr", "eps", "weight_decay"):
            check_range(name, own[name], 0.0)
        for name in ("beta1", "beta2"):
            check_range(name, own[name], 0.0, 1.0)
        steps = [df.zeros((), df.float64, tensor.device) for tensor in tensors]
        means = [df.zeros_like(tensor) for tensor in tensors]
        squares = [df.zeros_like(tensor) for tensor in tensors]
        groups.append(
            AdamGroup(parameters=tensors, steps=steps, means=means, squares=squares, **own)
        )
    return groups


def _direction(group: AdamGroup, i: int, gradient: df.Tensor) -> df.Tensor:
    """m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + eps), after both moments moved on."""
    step, mean, square = group.steps[i], group.means[i], group.squares[i]
    df.write(step, step + 1.0)
    df.write(mean, mean * group.beta1 + gradient * (1.0 - group.beta1))
    df.write(square, square * group.beta2 + gradient * gradient * (1.0 - group.beta2))
    mean_left = (1.0 - group.beta1**step).astype(mean.dtype)
    square_left = (1.0 - group.beta2**step).astype(mean.dtype)
    return mean / mean_left / (df.sqrt(square / square_left) + group.eps)


@final
class Adam(Optimizer):
    """Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1); weight decay is added to the gradient.

    Args:
        parameters: tensors, or dicts of "parameters" and settings.
        lr: the learning rate.
        beta1, beta2: how much of the mean and of the mean square of gradients is kept.
        eps: added to the root of the mean square.
        weight_decay: the factor of the squared norm / 2 that is added to the loss.

    >>> w = df.tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    0.5
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.groups = _groups(
            parameters, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay
        )

    def update(self, group: AdamGroup, i: int, gradient: df.Tensor) -> None:
        parameter = group.parameters[i]
        if group.weight_decay != 0.0:
            gradient = gradient + parameter * group.weight_decay
        parameter -= _direction(group, i, gradient) * group.lr


@final
class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, arXiv:1711.05101).

    The decay of a step is lr * weight_decay * parameter, as in PyTorch. Arguments as for `Adam`.

    >>> w = df.tensor([1.0], requires_grad=True)
    >>> optimizer = AdamW([w], lr=0.5, weight_decay=0.1)
    >>> (w * 0.0).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 6)
    0.95
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        self.groups = _groups(
            parameters, lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay
        )

    def update(self, group: AdamGroup, i: int, gradient: df.Tensor) -> None:
        parameter = group.parameters[i]
        direction = _direction(group, i, gradient)
        if group.weight_decay != 0.0:
            direction = direction + parameter * group.weight_decay
        parameter -= direction * group.lr
