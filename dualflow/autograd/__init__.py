"""Gradients: a tape of how tensors were made, and the way back along it, in every mode.

Comes in: operations on tensors that require gradients, through `ops.door`. Goes out: `.grad` of
leaves by `backward`, gradients of functions by `grad`, `value_and_grad` and `vjp`.
"""

from dualflow.array.tensor import autograd_slot
from dualflow.ops import door

from .backward import backward
from .check import check_grads
from .functional import grad, value_and_grad, vjp
from .grad_mode import enable_grad, is_grad_enabled, no_grad
from .tape import Tape, retain_grad

door.install_tape(Tape())
autograd_slot.update(backward=backward, retain_grad=retain_grad)

__all__ = [
    "Tape",
    "backward",
    "check_grads",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "no_grad",
    "retain_grad",
    "value_and_grad",
    "vjp",
]
