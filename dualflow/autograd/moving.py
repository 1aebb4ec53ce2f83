"""Tensors moved to another device, with the way back for their gradients.

Comes in: a tensor that requires a gradient. Goes out: its copy elsewhere; forward mode and second
derivatives move likewise.
"""

from __future__ import annotations

from typing import Any

from dualflow.array.tensor import Tensor

from .custom import custom_gradient


@custom_gradient
def moved(x: Tensor, place: str) -> Any:
    """`x` on the device `place`; its gradient goes back to where it was."""
    home = x.device
    value = x.detach().to_device(place)
    return value, lambda g: (g.to_device(home), None), lambda t, _: t.to_device(place)
