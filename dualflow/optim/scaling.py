"""Loss scaling: gradients of half precision are kept from vanishing, and steps that overflow are
left out.

Comes in: losses, and optimizers whose parameters have gradients. Goes out: steps.
"""

from __future__ import annotations

from typing import final

from dualflow import api as df
from dualflow.base.errors import ArgumentError

from .optimizer import Optimizer


@final
class GradScaler:
    """Scales losses up and gradients down; the factor grows as long as nothing overflows.

    Args:
        scale: the first factor.
        growth: the factor is multiplied by it after `interval` steps without an overflow,
        backoff: and by that after a step with one.
        interval: see `growth`.
        device: where the loss is computed.

    Raises:
        ArgumentError: numbers with which the factor would not grow or fall.

    >>> import dualflow as df
    >>> w = df.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = df.optim.SGD([w], 0.1), df.optim.GradScaler(scale=4.0)
    >>> scaler.scale((w * 2.0).sum()).backward()
    >>> w.grad.tolist(), scaler.step(optimizer), round(w.item(), 4)
    ([8.0], True, 0.8)
    >>> scaler.factor.item(), scaler.unscale(optimizer), w.grad.tolist()
    (4.0, True, [0.5])
    """

    def __init__(
        self, scale: float = 65536.0, growth: float = 2.0, backoff: float = 0.5,
        interval: int = 2000, device: str | None = None,
    ) -> None:  # fmt: skip
        if not (scale > 0.0 and growth > 1.0 and 0.0 < backoff < 1.0 and interval >= 1):
            raise ArgumentError(f"a scale of {scale}, growth {growth}, backoff {backoff}",
                                instead="growth above 1, backoff between 0 and 1")  # fmt: skip
        self.growth, self.backoff, self.interval = growth, backoff, interval
        self.factor = df.full((), scale, df.float32, device=device)
        self.steps = df.full((), 0, df.int64, device=device)

    def scale(self, loss: df.Tensor) -> df.Tensor:
        """The loss times the factor, to call `backward()` on."""
        return loss * self.factor.astype(loss.dtype)

    def unscale(self, optimizer: Optimizer) -> bool:
        """Divide all gradients by the factor, in place; whether all of them are finite."""
        with df.no_grad():
            finite = None
            for group in optimizer.groups:
                for parameter in group.parameters:
                    gradient = parameter.grad
                    if gradient is not None:
                        gradient /= self.factor.astype(gradient.dtype)
                        fine = df.all(df.isfinite(gradient))
                        finite = fine if finite is None else df.logical_and(finite, fine)
            return finite is None or bool(finite)

    def step(self, optimizer: Optimizer) -> bool:
        """Unscale the gradients and let the optimizer step, unless one is infinite or NaN; then
        the factor falls. Whether it stepped."""
        fine = self.unscale(optimizer)
        if fine:
            optimizer.step()
        with df.no_grad():
            steps = self.steps + 1 if fine else self.steps * 0
            grows = steps >= self.interval
            changed = self.factor * (self.growth if fine else self.backoff)
            df.write(self.factor, df.where(grows, changed, self.factor) if fine else changed)
            df.write(self.steps, df.where(grows, 0, steps))
        return fine
