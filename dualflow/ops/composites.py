"""Functions made of others: softmax, activations, normalisation, losses, dropout.

Plain Python over public functions: they never enter a graph themselves, and their gradients are
those of their parts.
"""

from __future__ import annotations

import math
from typing import Any

from dualflow.base.dtypes import floating, uint64
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.base.shapes import Axes, normal_axes, normal_axis

from . import primitives as p
from .autocast import wide
from .draws import bits
from .functions.elementwise import erf, exp, isfinite, log, sigmoid, sqrt, tanh, where
from .functions.indexing import take_along_axis
from .functions.movement import expand_dims, squeeze
from .functions.reduction import max, mean, sum
from .generator import Generator
from .operands import operand, tensor

Tensor = Any


def _floats(x: Any) -> Tensor:
    x = wide(tensor(x))
    dtype = floating(x.dtype)
    return x if x.dtype == dtype else p.cast(x, dtype=dtype)


def _shift(x: Tensor, axis: Axes) -> Tensor:
    """The largest element, kept as an axis, through which no gradient flows: whatever is
    subtracted and added again has none."""
    return max(x.detach(), axis, keepdims=True)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `axis`, computed from differences to the largest element.

    >>> import dualflow as df
    >>> df.softmax(df.asarray([1.0, 1.0])).tolist()
    [0.5, 0.5]
    """
    x = _floats(x)
    weights = exp(x - _shift(x, axis))
    return weights / sum(weights, axis, keepdims=True)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """log(softmax(x)), accurate where softmax is small.

    Arguments as for `softmax`.

    >>> import dualflow as df
    >>> df.log_softmax(df.asarray([0.0, 1000.0])).tolist()
    [-1000.0, 0.0]
    """
    x = _floats(x)
    shifted = x - _shift(x, axis)
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


def logsumexp(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) with no overflow; -inf where all elements are -inf.

    Args:
        x: floats.
        axis, keepdims: as for `sum`.

    >>> import dualflow as df
    >>> df.logsumexp(df.asarray([1000.0, -1000.0])).item()
    1000.0
    """
    x = _floats(x)
    largest = _shift(x, axis)
    largest = where(isfinite(largest), largest, 0.0)
    out = log(sum(exp(x - largest), axis, keepdims=True)) + largest
    return out if keepdims else squeeze(out, normal_axes(axis, x.ndim))


def relu(x: Tensor) -> Tensor:
    """x where it is positive, else 0; NaN stays. The gradient at 0 is 0.

    >>> import dualflow as df
    >>> df.relu(df.asarray([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    x = tensor(x)
    return where(x <= 0, 0, x)


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x) (also called swish).

    >>> import dualflow as df
    >>> df.silu(df.asarray([0.0])).tolist()
    [0.0]
    """
    x = _floats(x)
    return x * sigmoid(x)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x (Hendrycks and Gimpel, arXiv:1606.08415).

    Args:
        x: floats.
        approximate: "none" for the exact form, by erf; "tanh" for the paper's approximation.

    Raises:
        ArgumentError: another `approximate`.

    >>> import dualflow as df
    >>> df.gelu(df.asarray([0.0])).tolist()
    [0.0]
    """
    x = _floats(x)
    if approximate == "none":
        return x * 0.5 * (erf(x * math.sqrt(0.5)) + 1.0)
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * math.sqrt(2.0 / math.pi)
        return x * 0.5 * (tanh(inner) + 1.0)
    raise ArgumentError(f"approximate={approximate!r}", instead='"none" or "tanh"')


def layer_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    axis: Axes = -1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias (Ba et al., arXiv:1607.06450).

    Args:
        x: floats.
        weight, bias: broadcast with `x`; None for none.
        axis: over which mean and variance are taken.
        eps: added to the variance.

    >>> import dualflow as df
    >>> df.layer_norm(df.asarray([1.0, 3.0]), eps=0.0).tolist()
    [-1.0, 1.0]
    """
    x = _floats(x)
    centred = x - mean(x, axis, keepdims=True)
    variance = mean(centred * centred, axis, keepdims=True)
    out = centred / sqrt(variance + eps)
    if weight is not None:
        out = out * operand(weight, "a weight")
    return out if bias is None else out + operand(bias, "a bias")


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return mean(losses)
    if reduction == "sum":
        return sum(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(f"reduction={reduction!r}", instead='"mean", "sum" or "none"')


def cross_entropy(
    logits: Tensor, labels: Tensor, axis: int = -1, reduction: str = "mean"
) -> Tensor:
    """-log(softmax(logits)) at the labels.

    Args:
        logits: (..., classes) floats.
        labels: (...) integers: the right class of each row; negative ones count from the last.
        axis: where the classes are.
        reduction: "mean" or "sum" over all rows, or "none".

    Raises:
        IndexingError: a label that is no class.
        DTypeError: labels that are no integers.
        ShapeError: not one label for each row.

    >>> import dualflow as df
    >>> df.cross_entropy(df.asarray([[1000.0, 0.0]]), df.asarray([1])).item()
    1000.0
    """
    logits, labels = _floats(logits), tensor(labels)
    axis = normal_axis(axis, logits.ndim)
    rows = (*logits.shape[:axis], *logits.shape[axis + 1 :])
    if labels.shape != rows:
        raise ShapeError(f"cross_entropy of logits {logits.shape} and labels {labels.shape}",
                         why="there must be one label for each row of logits",
                         instead=f"labels of shape {rows}")  # fmt: skip
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"labels of {labels.dtype.name}", instead="integers")
    chosen = take_along_axis(log_softmax(logits, axis), expand_dims(labels, axis), axis)
    return _reduced(-squeeze(chosen, axis), reduction)


def mse_loss(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The squared difference of `x` and `target`.

    Args:
        x, target: floats of one shape.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError: the shapes differ.

    >>> import dualflow as df
    >>> df.mse_loss(df.asarray([1.0, 2.0]), df.asarray([1.0, 4.0])).item()
    2.0
    """
    x, target = _floats(x), tensor(target)
    if x.shape != target.shape:
        raise ShapeError(f"mse_loss of {x.shape} and {target.shape}",
                         why="broadcasting here is nearly always a mistake",
                         instead="reshape or broadcast_to one of them")  # fmt: skip
    gap = x - target
    return _reduced(gap * gap, reduction)


def dropout(
    x: Tensor,
    probability: float = 0.5,
    training: bool = True,
    generator: Generator | None = None,
) -> Tensor:
    """Zeros in the place of a random part of `x`; the rest is divided by 1 - probability.

    Args:
        x: floats.
        probability: of an element to become 0, from 0 up to, but not including, 1.
        training: if false, `x` itself is returned.
        generator: by default that of the process.

    Raises:
        ArgumentError: `probability` is outside.

    >>> import dualflow as df
    >>> df.dropout(df.ones(3), 0.5, training=False).tolist()
    [1.0, 1.0, 1.0]
    """
    if not 0.0 <= probability < 1.0:
        raise ArgumentError(f"dropout with probability {probability}", instead="0 <= p < 1")
    x = _floats(x)
    if not training or probability == 0.0:
        return x
    drawn = p.cast(bits(x.shape, generator), dtype=uint64)
    kept = drawn >= int(probability * 2.0**32)
    return where(kept, x / (1.0 - probability), 0.0)
