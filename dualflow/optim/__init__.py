"""Optimizers: they change parameters in place from their `.grad`; and schedules of learning rates.

Comes in: parameters with gradients. Goes out: the same tensors, changed. State is tensors only, the
count of steps included, so a recorded step can be replayed as it is.
"""

from .adam import Adam, AdamW
from .optimizer import Optimizer, clip_gradients
from .scaling import GradScaler
from .schedule import Schedule, cosine, exponential, steps
from .sgd import SGD

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "GradScaler",
    "Optimizer",
    "Schedule",
    "clip_gradients",
    "cosine",
    "exponential",
    "steps",
]
