"""Records of convolutions: the three derivatives of one sum of products, closed under gradients.

With g[n, o, p] x[n, c, s p + d k - lo] w[o, c, k] summed over everything, `convolve` is what g is
multiplied with, `spread` what x is, and `correlate` what w is. n counts images, c and o channels,
p, k and s p + d k are places in space.
"""

from __future__ import annotations

from typing import Any

from dualflow.base.errors import DTypeError, ShapeError
from dualflow.base.shapes import Shape
from dualflow.ir.op import Kind
from dualflow.ir.types import TensorType

from .. import convolving, domains
from ..convolving import Moves
from ..record import primitive
from ..rules import check_kind


def _checked(name: str, a: TensorType, b: TensorType, moves: Moves) -> tuple[Shape, Shape]:
    """The shapes without batch axes, which must be equal; and that how kernels move makes sense."""
    rank = len(moves.strides)
    if len(moves.padding) != rank or len(moves.dilation) != rank or moves.groups < 1:
        raise ShapeError(f"{name} with {moves}", why="there is one of each for each axis")
    if min(moves.strides + moves.dilation) < 1 or min(map(min, moves.padding)) < 0:
        why = "strides and dilations are at least 1, paddings at least 0"
        raise ShapeError(f"{name} with {moves}", why=why)
    if a.dtype != b.dtype:
        raise DTypeError(f"{name} of {a.dtype.name} and {b.dtype.name}",
                         why="primitives do not promote", instead="cast first")  # fmt: skip
    check_kind(name, a.dtype, "iufc")
    cut = len(a.shape) - rank - 2
    if cut < 0 or len(b.shape) != len(a.shape) or a.shape[:cut] != b.shape[:cut]:
        raise ShapeError(f"{name} of {a.shape} and {b.shape} over {rank} axes",
                         why="both have two axes before these, and the same batch")  # fmt: skip
    return a.shape[cut:], b.shape[cut:]


def _fail(name: str, a: TensorType, b: TensorType, moves: Moves, why: str) -> ShapeError:
    return ShapeError(f"{name} of {a.shape} and {b.shape} with {moves}", why=why)


def _places(name: str, x: TensorType, w: TensorType, moves: Moves) -> Shape:
    places = moves.places(x.shape[-len(moves.strides) :], w.shape[-len(moves.strides) :])
    if min(places) < 1:
        raise _fail(name, x, w, moves, "the kernel is larger than the padded space")
    return places


def _convolve_rule(x: TensorType, w: TensorType, **how: Any) -> TensorType:
    moves = Moves(**how)
    (n, c, *_), (o, each, *_) = _checked("convolve", x, w, moves)
    if c != each * moves.groups or o % moves.groups:
        raise _fail("convolve", x, w, moves, "channels do not fit the kernel and the groups")
    batch = x.shape[: len(x.shape) - len(moves.strides) - 2]
    return TensorType((*batch, n, o, *_places("convolve", x, w, moves)), x.dtype)


def _spread_rule(g: TensorType, w: TensorType, *, space: Shape, **how: Any) -> TensorType:
    moves = Moves(**how)
    (n, o, *places), (outputs, each, *_) = _checked("spread", g, w, moves)
    batch = g.shape[: len(g.shape) - len(moves.strides) - 2]
    out = TensorType((*batch, n, each * moves.groups, *space), g.dtype)
    if o != outputs or o % moves.groups:
        raise _fail("spread", g, w, moves, "channels do not fit the kernel and the groups")
    if len(space) != len(places) or _places("spread", out, w, moves) != tuple(places):
        raise _fail("spread", g, w, moves, f"that is not what comes of {space}")
    return out


def _correlate_rule(x: TensorType, g: TensorType, *, kernel: Shape, **how: Any) -> TensorType:
    moves = Moves(**how)
    (n, c, *_), (count, o, *places) = _checked("correlate", x, g, moves)
    batch = x.shape[: len(x.shape) - len(moves.strides) - 2]
    if n != count or c % moves.groups or o % moves.groups:
        raise _fail("correlate", x, g, moves, "images or channels do not fit")
    out = TensorType((*batch, o, c // moves.groups, *kernel), x.dtype)
    if len(kernel) != len(places) or _places("correlate", x, out, moves) != tuple(places):
        raise _fail("correlate", x, g, moves, f"that does not come of a kernel of {kernel}")
    return out


def _space(x: Any, how: dict[str, Any]) -> Shape:
    return x.shape[-len(how["strides"]) :]


def _bilinear(op: Any, tangents: tuple[Any, Any], a: Any, b: Any, how: dict[str, Any]) -> Any:
    """The product rule."""
    to_a, to_b = tangents
    first = None if to_a is None else op(to_a, b, **how)
    second = None if to_b is None else op(a, to_b, **how)
    if first is None or second is None:
        return second if first is None else first
    return first + second


def _convolve_gradient(g, out, x, w, **how):
    return (
        lambda: spread(g, w.conjugate(), space=_space(x, how), **how),
        lambda: correlate(x.conjugate(), g, kernel=_space(w, how), **how),
    )


def _spread_gradient(g, out, x, w, space, **how):
    return (
        lambda: convolve(g, w.conjugate(), **how),
        lambda: correlate(g, x.conjugate(), kernel=_space(w, how), **how),
    )


def _correlate_gradient(g, out, x, y, kernel, **how):
    return (
        lambda: spread(y.conjugate(), g, space=_space(x, how), **how),
        lambda: convolve(x.conjugate(), g, **how),
    )


convolve = primitive(
    "convolve", Kind.LIBRARY, _convolve_rule, convolving.convolve,
    doc="a kernel (o, c / groups, *size) times the windows of images (n, c, *space), summed",
    gradient=_convolve_gradient,
    forward=lambda tangents, out, x, w, **how: _bilinear(convolve, tangents, x, w, how),
    exact=False, spelling={"products": "convolve", "templates": "convolution"},
    domain=domains.FEW_VALUES,
)  # fmt: skip
spread = primitive(
    "spread", Kind.LIBRARY, _spread_rule, convolving.spread,
    doc="the transposed convolution: each element of images adds a kernel to windows of the result",
    gradient=_spread_gradient,
    forward=lambda tangents, out, x, w, **how: _bilinear(spread, tangents, x, w, how),
    exact=False, spelling={"products": "spread", "templates": "convolution"},
    domain=domains.FEW_VALUES,
)  # fmt: skip
correlate = primitive(
    "correlate", Kind.LIBRARY, _correlate_rule, convolving.correlate,
    doc="the kernel whose elements are windows of images times the elements that see them, summed",
    gradient=_correlate_gradient,
    forward=lambda tangents, out, x, y, **how: _bilinear(correlate, tangents, x, y, how),
    exact=False, spelling={"products": "correlate", "templates": "convolution"},
    domain=domains.FEW_VALUES,
)  # fmt: skip
