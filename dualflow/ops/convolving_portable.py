"""Convolutions by another array module than NumPy: one product for each element of a kernel.

    convolve    out += w[.., k] @ x seen from element k
    spread      x seen from element k += w[.., k]' @ g
    correlate   w[.., k] = sum over images of g @ (x seen from element k)'

Nothing is copied into windows, and each product is as large as all places together. Comes in: the
module, arrays as the records say. Goes out: an array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from dualflow.base.shapes import Shape

from .convolving import Moves


def in_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """Half precision is computed in single and rounded at the end."""

    def run(xp: Any, a: Any, b: Any, **how: Any) -> Any:
        if a.dtype != np.float16:
            return function(xp, a, b, **how)
        made = function(xp, a.astype(np.float32), b.astype(np.float32), **how)
        return made.astype(np.float16)

    return run


def _grouped(xp: Any, images: Any, groups: int, rank: int) -> tuple[Any, Shape]:
    """(*batch, n, c, *space) as (n, batch * groups, c / groups, *space); and the batch."""
    cut = images.ndim - rank - 2
    batch, n, space = images.shape[:cut], images.shape[cut], images.shape[cut + 2 :]
    parts = math.prod(batch) * groups
    moved = xp.moveaxis(images, cut, 0) if cut else images
    return moved.reshape((n, parts, images.shape[cut + 1] // groups, *space)), batch


def _ungrouped(xp: Any, images: Any, batch: Shape, groups: int) -> Any:
    n, _, c, *space = images.shape
    whole = images.reshape((n, *batch, groups * c, *space))
    return xp.moveaxis(whole, 0, len(batch)) if batch else whole


def _padded(xp: Any, x: Any, moves: Moves) -> Any:
    if not any(map(any, moves.padding)):
        return x
    space = x.shape[3:]
    whole = xp.zeros((*x.shape[:3], *moves.padded(space)), x.dtype)
    whole[(..., *moves.inside(space))] = x
    return whole


def _elements(kernel: Shape, places: Shape, moves: Moves) -> Iterator[tuple[Shape, tuple]]:
    """Each element of a kernel, and what it sees of padded images."""
    for element in product(*map(range, kernel)):
        yield element, (..., *moves.at(element, places))


def _flat(images: Any) -> Any:
    """(n, groups, c, *places) as matrices."""
    return images.reshape((*images.shape[:3], math.prod(images.shape[3:])))


@in_single
def convolve(xp: Any, x: Any, w: Any, **how: Any) -> Any:
    """The sums over c and k: (*batch, n, o, *places)."""
    moves = Moves(**how)
    rank = len(moves.strides)
    x, batch = _grouped(xp, x, moves.groups, rank)
    outputs, *size = w.shape[-rank - 2 :]
    kernels = w.reshape((x.shape[1], outputs // moves.groups, *size))
    kernel = kernels.shape[3:]
    places = moves.places(x.shape[3:], kernel)
    whole = _padded(xp, x, moves)
    out = xp.zeros((x.shape[0], *kernels.shape[:2], math.prod(places)), x.dtype)
    if out.size:
        for element, seen in _elements(kernel, places, moves):
            out += xp.matmul(kernels[(..., *element)], _flat(whole[seen]))
    made = out.reshape((x.shape[0], *kernels.shape[:2], *places))
    return _ungrouped(xp, made, batch, moves.groups)


@in_single
def spread(xp: Any, g: Any, w: Any, *, space: Shape, **how: Any) -> Any:
    """What x is multiplied with: the adjoint of `convolve` in x, for images of `space`."""
    moves = Moves(**how)
    rank = len(moves.strides)
    g, batch = _grouped(xp, g, moves.groups, rank)
    outputs, *size = w.shape[-rank - 2 :]
    kernels = w.reshape((g.shape[1], outputs // moves.groups, *size))
    kernel, places = kernels.shape[3:], g.shape[3:]
    whole = xp.zeros((g.shape[0], g.shape[1], kernels.shape[2], *moves.padded(space)), g.dtype)
    if g.size:
        flat = _flat(g)
        for element, seen in _elements(kernel, places, moves):
            turned = xp.swapaxes(kernels[(..., *element)], -1, -2)
            made = xp.matmul(turned, flat)
            whole[seen] += made.reshape((*made.shape[:3], *places))
    return _ungrouped(xp, whole[(..., *moves.inside(space))], batch, moves.groups)


@in_single
def correlate(xp: Any, x: Any, g: Any, *, kernel: Shape, **how: Any) -> Any:
    """What w is multiplied with: the adjoint of `convolve` in w, for kernels of that shape."""
    moves = Moves(**how)
    rank = len(moves.strides)
    g, batch = _grouped(xp, g, moves.groups, rank)
    x, _ = _grouped(xp, x, moves.groups, rank)
    groups, outputs, places = g.shape[1], g.shape[2], g.shape[3:]
    out = xp.zeros((groups, outputs, x.shape[2], *kernel), x.dtype)
    if g.size and x.size:
        whole, flat = _padded(xp, x, moves), _flat(g)
        for element, seen in _elements(kernel, places, moves):
            turned = xp.swapaxes(_flat(whole[seen]), -1, -2)
            out[(..., *element)] = xp.sum(xp.matmul(flat, turned), axis=0)
    return out.reshape((*batch, moves.groups * outputs, x.shape[2], *kernel))
