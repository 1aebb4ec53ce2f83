"""Gradients: a tape of how tensors were made, and the way back along it, in every mode.

Comes in: operations on tensors that require gradients, through `ops.door`. Goes out: `.grad` of
leaves by `backward`; derivatives of functions: `grad`, `vjp`, and, in files that are loaded when
they are used, `jvp`, Jacobians, `vmap`, checkpoints, gradients that users give.

Complex numbers: the gradient of a real value L with respect to z is dL/dRe(z) + i dL/dIm(z), the
direction of steepest ascent, as in PyTorch (JAX gives its conjugate). So a holomorphic function
multiplies gradients by the conjugate of its derivative, and tangents by the derivative.
"""

from importlib import import_module

from dualflow.array.tensor import autograd_slot
from dualflow.ops import door

from .backward import backward
from .functional import grad, value_and_grad, vjp
from .grad_mode import enable_grad, is_grad_enabled, no_grad
from .hooks import Hook, register_hook
from .tape import Tape, retain_grad

door.install_tape(Tape())
autograd_slot.update(backward=backward, retain_grad=retain_grad, register_hook=register_hook)
autograd_slot["moved"] = lambda x, place: import_module("dualflow.autograd.moving").moved(x, place)

__all__ = [
    "Hook",
    "Tape",
    "backward",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "no_grad",
    "register_hook",
    "retain_grad",
    "value_and_grad",
    "vjp",
]
