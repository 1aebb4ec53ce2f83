"""References and samples of convolutions, for `references.py`: one product after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dualflow.base.dtypes import is_inexact, limits

Array = np.ndarray
Places = tuple[int, ...]


def _meetings(
    space: Places, kernel: Places, places: Places, how: dict[str, Any]
) -> Iterator[tuple[Places, Places, Places]]:
    """Each place of the kernel, each of its elements, and the place in space where they meet."""
    steps = list(zip(how["strides"], how["dilation"], how["padding"], strict=True))
    for p in itertools.product(*map(range, places)):
        for k in itertools.product(*map(range, kernel)):
            each = zip(p, k, steps, strict=True)
            x = tuple(s * i + d * j - pad[0] for i, j, (s, d, pad) in each)
            if all(0 <= at < n for at, n in zip(x, space, strict=True)):
                yield p, k, x


def _places(space: Places, kernel: Places, how: dict[str, Any]) -> Places:
    each = zip(space, kernel, how["strides"], how["dilation"], how["padding"], strict=True)
    return tuple((n + sum(pad) - (k - 1) * d - 1) // s + 1 for n, k, s, d, pad in each)


def _wide(x: Array) -> Array:
    if x.dtype.kind in "iu":
        return x.astype(object)
    return x.astype(np.clongdouble if x.dtype.kind == "c" else np.longdouble)


def _for_each_of_a_batch(function: Callable[..., Array]) -> Callable[..., Array]:
    def apply(a: Array, b: Array, **how: Any) -> Array:
        extra = a.ndim - len(how["strides"]) - 2
        if extra:
            return np.array([apply(*pair, **how) for pair in zip(a, b, strict=True)])
        out = function(_wide(a), _wide(b), **how)
        return out.astype(a.dtype) if a.dtype.kind in "iu" else out

    return apply


def _groups(o: int, c: int, groups: int) -> Iterator[tuple[int, int, int]]:
    """Output channels, input channels that they see, and the number of these in the kernel."""
    for i in range(o):
        first = i // (o // groups) * (c // groups)
        for j in range(c // groups):
            yield i, first + j, j


@_for_each_of_a_batch
def convolve(x: Array, w: Array, **how: Any) -> Array:
    kernel = w.shape[2:]
    places = _places(x.shape[2:], kernel, how)
    out = np.zeros((len(x), len(w), *places), x.dtype)
    for p, k, at in _meetings(x.shape[2:], kernel, places, how):
        for o, c, j in _groups(len(w), x.shape[1], how["groups"]):
            out[:, o][:, *p] += x[:, c][:, *at] * w[(o, j, *k)]
    return out


@_for_each_of_a_batch
def spread(g: Array, w: Array, *, space: Places, **how: Any) -> Array:
    channels = w.shape[1] * how["groups"]
    out = np.zeros((len(g), channels, *space), g.dtype)
    for p, k, at in _meetings(space, w.shape[2:], g.shape[2:], how):
        for o, c, j in _groups(len(w), channels, how["groups"]):
            out[:, c][:, *at] += g[:, o][:, *p] * w[(o, j, *k)]
    return out


@_for_each_of_a_batch
def correlate(x: Array, g: Array, *, kernel: Places, **how: Any) -> Array:
    out = np.zeros((g.shape[1], x.shape[1] // how["groups"], *kernel), x.dtype)
    for p, k, at in _meetings(x.shape[2:], kernel, g.shape[2:], how):
        for o, c, j in _groups(g.shape[1], x.shape[1], how["groups"]):
            out[(o, j, *k)] += (x[:, c][:, *at] * g[:, o][:, *p]).sum()
    return out


REFERENCES: dict[str, Callable[..., Any]] = {
    "convolve": convolve, "spread": spread, "correlate": correlate,
}  # fmt: skip

#: shapes of images, of the kernel, and how it moves
CALLS: list[tuple[Places, Places, dict[str, Any]]] = [
    ((2, 3, 5), (4, 3, 2), {"strides": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}),
    ((2, 4, 7), (2, 2, 3), {"strides": (2,), "padding": ((1, 2),), "dilation": (1,), "groups": 2}),
    ((1, 2, 5, 4), (3, 2, 2, 3),
     {"strides": (1, 2), "padding": ((1, 1), (0, 2)), "dilation": (2, 1), "groups": 1}),
    ((2, 3, 4, 4), (3, 1, 3, 3),
     {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 3}),
    ((2, 2, 2, 4, 4), (2, 2, 2, 3, 1),
     {"strides": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}),
    ((1, 1, 3, 3, 3), (2, 1, 2, 2, 2),
     {"strides": (1, 1, 1), "padding": ((0, 0),) * 3, "dilation": (1, 1, 1), "groups": 1}),
]  # fmt: skip


def _bound(arrays: tuple[Array, ...], attributes: Any, dtype: np.dtype) -> float:
    return 1e3 * float(limits(dtype).eps) if is_inexact(dtype) else 0.0


def _numbers(rng, shapes, dtype, attributes, draw, domain) -> list[Array]:
    found = []
    for shape in shapes:
        parts = rng.integers(-4, 5, (2, *shape)) / (4 if is_inexact(dtype) else 1)
        parts = np.abs(parts) if dtype.kind == "u" else parts
        found.append((parts[0] + (1j * parts[1] if dtype.kind == "c" else 0)).astype(dtype))
    return found


def samples(sample: Any) -> dict[str, Any]:
    """For each op, `sample(...)` with how it is called."""
    calls: dict[str, list[Any]] = {"convolve": [], "spread": [], "correlate": []}
    for x, w, how in CALLS:
        rank = len(how["strides"])
        places = _places(x[-rank:], w[-rank:], how)
        g = (*x[: -rank - 1], w[-rank - 2], *places)
        calls["convolve"].append(((x, w), how))
        calls["spread"].append(((g, w), {"space": x[-rank:], **how}))
        calls["correlate"].append(((x, g), {"kernel": w[-rank:], **how}))
    options = {"accepts": "iufc", "bound": _bound, "arrays": _numbers, "layouts": (0, 1)}
    return {name: sample(found, **options) for name, found in calls.items()}
