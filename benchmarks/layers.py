"""What the libraries name differently: one function each, which takes the namespace first.

Comes in: `numpy`, `torch`, `jax.numpy` or `dualflow` and its arrays. Goes out: the same result,
made as users of that library write it; NumPy's is spelt out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_erfc = np.vectorize(math.erfc, otypes=[np.float64])
_ROOT = math.sqrt(0.5)


def library(xp: Any) -> str:
    """The name of a namespace's library: dualflow, numpy, torch or jax."""
    return xp.__name__.partition(".")[0]


def _jax() -> Any:
    import jax

    return jax


def amax(xp: Any, x: Any, axis: int = -1) -> Any:
    """The largest along an axis, which is kept."""
    return x.amax(axis, keepdim=True) if library(xp) == "torch" else x.max(axis, keepdims=True)


def total(xp: Any, x: Any, axis: Any = -1) -> Any:
    """The sum along an axis, which is kept."""
    if library(xp) == "torch":
        return x.sum(axis, keepdim=True)
    return x.sum(axis=axis, keepdims=True)


def erfc(xp: Any, x: Any) -> Any:
    """The complementary error function, which NumPy lacks."""
    if xp is np:
        return _erfc(x)
    return _jax().scipy.special.erfc(x) if library(xp) == "jax" else xp.erfc(x)


def relu(xp: Any, x: Any) -> Any:
    name = library(xp)
    if name == "numpy":
        return np.maximum(x, 0)
    return _jax().nn.relu(x) if name == "jax" else xp.relu(x)


def sigmoid(xp: Any, x: Any) -> Any:
    name = library(xp)
    if name == "numpy":
        return 1 / (1 + np.exp(-x))
    return _jax().nn.sigmoid(x) if name == "jax" else xp.sigmoid(x)


def gelu(xp: Any, x: Any) -> Any:
    """x times the normal distribution function of x."""
    name = library(xp)
    if name == "numpy":
        return 0.5 * x * _erfc(-_ROOT * x)
    if name == "jax":
        return _jax().nn.gelu(x, approximate=False)
    return xp.nn.functional.gelu(x) if name == "torch" else xp.gelu(x)


def softmax(xp: Any, x: Any) -> Any:
    """Over the last axis."""
    name = library(xp)
    if name == "numpy":
        e = np.exp(x - amax(np, x))
        return e / total(np, e)
    if name == "jax":
        return _jax().nn.softmax(x, axis=-1)
    return xp.softmax(x, -1)


def layer_norm(xp: Any, x: Any, weight: Any = None, bias: Any = None) -> Any:
    """Over the last axis."""
    name = library(xp)
    if name == "torch":
        return xp.nn.functional.layer_norm(x, x.shape[-1:], weight, bias)
    if name == "dualflow":
        return xp.layer_norm(x) if weight is None else xp.layer_norm(x, weight=weight, bias=bias)
    n = x.shape[-1]
    centred = x - total(xp, x) / n
    found = centred / xp.sqrt(total(xp, centred * centred) / n + 1e-5)
    return found if weight is None else found * weight + bias


def cross_entropy(xp: Any, x: Any, y: Any) -> Any:
    """The mean over rows, of logits."""
    name = library(xp)
    if name == "torch":
        return xp.nn.functional.cross_entropy(x, y)
    if name == "dualflow":
        return xp.cross_entropy(x, y)
    if name == "jax":
        return -_jax().nn.log_softmax(x)[xp.arange(len(y)), y].mean()
    shifted = x - x.max(axis=1, keepdims=True)
    return (np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(x)), y]).mean()


def conv2d(xp: Any, x: Any, w: Any, padding: int = 0, stride: int = 1) -> Any:
    """Images (n, channels, height, width) and a kernel (out, channels, height, width)."""
    name = library(xp)
    if name == "torch":
        return xp.nn.functional.conv2d(x, w, None, stride, padding)
    if name == "dualflow":
        return xp.conv2d(x, w, None, stride, padding)
    if name == "jax":
        pads = [(padding, padding)] * 2
        return _jax().lax.conv_general_dilated(x, w, (stride, stride), pads)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    windows = windows[:, :, ::stride, ::stride]
    return np.tensordot(windows, w, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)


def max_pool2d(xp: Any, x: Any) -> Any:
    """The largest of each two by two."""
    name = library(xp)
    if name == "torch":
        return xp.nn.functional.max_pool2d(x, 2)
    if name == "dualflow":
        return xp.max_pool2d(x, 2)
    if name == "jax":
        window = (1, 1, 2, 2)
        return _jax().lax.reduce_window(x, -np.inf, _jax().lax.max, window, window, "VALID")
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def attention(xp: Any, q: Any, k: Any, v: Any) -> Any:
    """Scaled dot products, each position with itself and those before, of (..., length, width)."""
    name = library(xp)
    if name == "torch":
        return xp.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    if name == "dualflow":
        return xp.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = q @ xp.swapaxes(k, -1, -2) / q.shape[-1] ** 0.5
    mask = np.tril(np.ones(scores.shape[-2:], bool))
    return softmax(xp, xp.where(mask, scores, -np.inf)) @ v


def padded(xp: Any, x: Any) -> Any:
    """With zeros all around."""
    if library(xp) == "torch":
        return xp.nn.functional.pad(x, (1, 1) * x.ndim)
    return xp.pad(x, 1)


def along(xp: Any, steps: int, step: Any, start: Any) -> Any:
    """`state = step(i, state)` from `start`: a Python loop, JAX's `fori_loop`."""
    if library(xp) == "jax":
        return _jax().lax.fori_loop(0, steps, step, start)
    for i in range(steps):
        start = step(i, start)
    return start
