"""Neural networks: modules are plain objects that hold tensors, and functions that use them.

Comes in: tensors. Goes out: tensors; `parameters()` for an optimizer, `state_dict()` for a file.
Losses and activations as functions are `df.cross_entropy`, `df.gelu` and so on.
"""

from . import init
from .layers import (
    GELU,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    Linear,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Tanh,
)
from .module import Module, Parameter

__all__ = [
    "GELU",
    "Dropout",
    "Embedding",
    "Flatten",
    "LayerNorm",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "init",
]
