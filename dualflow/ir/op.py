"""The record of an op: all that the rest of the package knows of it.

Comes in: one entry in `ops/`. Goes out: `Op`, which rooms read by *kind*; no room but `ops/` names
an op. Primitives are strict: no broadcasting, no promotion, no defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from dualflow.base.dtypes import compute_dtype, float16, is_added, kind
from dualflow.base.records import entity

from .types import TensorType


class Kind(Enum):
    """How an op uses the elements of its inputs. Few and closed: backends implement kinds."""

    ELEMENTWISE = "elementwise"  # element i of the output from element i of each input
    MOVEMENT = "movement"  # each output element is an input element (or a fill): no arithmetic
    REDUCTION = "reduction"  # `axes` folded with an associative combination
    SCAN = "scan"  # running combination along an axis
    CONTRACTION = "contraction"  # sums of products: matmul
    INDEXING = "indexing"  # positions come from values of an input
    CREATION = "creation"  # no inputs: full, iota
    RANDOM = "random"  # counter-based bits
    LIBRARY = "library"  # called, never fused: sort, fft, linalg
    LOOP = "loop"  # attribute `body` is a Graph, run `count` times
    BRANCH = "branch"  # attributes `true` and `false` are Graphs


Rule = Callable[..., TensorType | tuple[TensorType, ...]]
#: kinds of ops that compute with values; the others move or make them, and scans round at each step
_COMPUTING = frozenset({Kind.ELEMENTWISE, Kind.REDUCTION, Kind.CONTRACTION, Kind.LIBRARY})


@entity
class Op:
    """One primitive.

    Attributes:
        name: the name in printed graphs; also the name of the public function where there is one.
        kind: how rooms treat it.
        rule: `rule(*types, **attributes)` gives the type of the output (a tuple of types where
            `outputs` is not 1), or raises a ShapeError or DTypeError.
        numpy: `numpy(*arrays, **attributes)` computes it on arrays of the rule's dtypes.
        gradient: `gradient(g, out, *inputs, **attributes)` gives a tuple, the gradient for each
            input (None for none), as tensors, written with public functions; None if there is none.
            An op of several outputs gets `g` and `out` as tuples, zeros where nothing arrived.
            Complex: `g` is dL/dRe + i dL/dIm, so a holomorphic op multiplies by conj(derivative).
        forward: `forward(tangents, out, *inputs, **attributes)` gives the tangent of the output (a
            tuple for several outputs) from those of the inputs (None: zero). Elementwise ops,
            movements, indexing and contractions need none: it follows from the kind.
        no_gradient: why there is none; empty when there is a gradient.
        spelling: scalar code by backend, for example {"numba": "{0} + {1}", "triton": ...}, with
            `{dtype}` for the name of the output's dtype. A value may be a dict by dtype kind
            letter (see `base.dtypes.kind`) of the first input; only an entry with a 'c' serves
            complex inputs or outputs. Reductions spell the combination of two values; a backend
            that lacks an op's spelling runs it by `numpy`.
        identity: reductions and scans: the value for no elements, by dtype; None if there is none.
        combine: reductions and scans: the elementwise op that joins two values of the result's
            dtype.
        position_of: reductions that give a position: the reduction that gives the value there. They
            spell whether one value is better than another (Triton: the name of a function).
        view: movements that only reinterpret: `view(View, **attributes)` gives the View of the
            output in the input's buffer, or None where that input's strides do not allow it.
        update: the inverse of `view`: `update(apply, base, value, **attributes)` gives `base` with
            `value` in the place of what the view shows, by `apply(op, *operands, **attributes)`
            on anything with a shape and a dtype; None where the view is read-only.
        placement: movements that assemble: `placement(types, **attributes)` gives, for each input,
            the View it fills in the (contiguous) output; later inputs overwrite earlier ones.
            `fill` in the attributes, if any, is the value of elements that no input fills.
        lookup: indexing ops that read: `lookup(View of x, shape of indices, **attributes)` gives
            `Lookup`: where each element of the output looks in x and in its indices.
        scatter: indexing ops that write along `axis`: the op that combines the old element with
            the value; "" where the value replaces it.
        turns: comparisons of numbers that turn once while the first grows by ones: how far after
            the second; None for all other ops.
        chooses: whether it gives the second operand where the first holds, else the third.
        may_raise: whether it may raise on values (an index out of bounds).
        as_given: whether `numpy` takes the floats that NumPy lacks as they are; elementwise ops,
            reductions, contractions and library ops that do not say so get them as float32.
        exact: whether every backend gives NumPy's bits; a string: for these dtype kind letters.
        domain: where tests draw inputs: see `ops/domains.py`; None for the whole line.
        outputs: how many outputs; 0 for a number that depends on the attributes.
        doc: one line.
    """

    name: str
    kind: Kind
    rule: Rule
    numpy: Callable[..., Any]
    gradient: Callable[..., tuple[Any, ...]] | None = None
    no_gradient: str = ""
    forward: Callable[..., Any] | None = None
    spelling: Mapping[str, Any] = MappingProxyType({})
    identity: Callable[[Any], Any] | None = None
    combine: str = ""
    position_of: str = ""
    view: Callable[..., Any] | None = None
    update: Callable[..., Any] | None = None
    placement: Callable[..., Any] | None = None
    lookup: Callable[..., Any] | None = None
    scatter: str | None = None
    turns: int | None = None
    chooses: bool = False
    may_raise: bool = False
    as_given: bool = False
    exact: bool | str = True
    domain: Any = None
    outputs: int = 1
    doc: str = ""

    def infer(
        self, types: tuple[TensorType, ...], attributes: Mapping[str, Any]
    ) -> tuple[TensorType, ...]:
        """The types of the outputs, always as a tuple."""
        found = self.rule(*types, **attributes)
        return (found,) if isinstance(found, TensorType) else found

    def is_exact(self, dtype: Any) -> bool:
        """Whether every backend gives NumPy's bits for a first input of `dtype`."""
        return kind(dtype) in self.exact if isinstance(self.exact, str) else self.exact

    def widens(self, dtype: Any) -> bool:
        """Whether NumPy computes operands of `dtype` as float32, and the result is rounded once:
        floats that NumPy lacks, and in products float16, which no BLAS takes."""
        if self.as_given or self.kind not in _COMPUTING:
            return False
        narrow = self.kind is Kind.CONTRACTION or "products" in self.spelling
        return is_added(dtype) or (narrow and dtype == float16)

    def compute(self, *arrays: Any, **attributes: Any) -> Any:
        """`numpy` on arrays of any dtypes: see `widens`. It raises of floats that NumPy lacks what
        the rule raises, where NumPy would take them."""
        for array in arrays:
            dtype = array.dtype
            if dtype.itemsize < 4 and (is_added(dtype) or self.widens(dtype)):
                return self._widened(arrays, attributes)
        return self.numpy(*arrays, **attributes)

    def _widened(self, arrays: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
        types = self.infer(tuple(TensorType(x.shape, x.dtype) for x in arrays), attributes)
        if not any(self.widens(array.dtype) for array in arrays):
            return self.numpy(*arrays, **attributes)
        wide = (array.astype(compute_dtype(array.dtype), copy=False) for array in arrays)
        made = self.numpy(*wide, **attributes)
        if type(made) is not tuple:
            return made.astype(types[0].dtype, copy=False)
        return tuple(x.astype(t.dtype, copy=False) for x, t in zip(made, types, strict=True))

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (self.name,)


#: every op by name, filled by the entries in `ops/`.
CATALOGUE: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Put `op` into the catalogue; a name is taken once."""
    if op.name in CATALOGUE:
        raise ValueError(f"op {op.name} has two records")
    CATALOGUE[op.name] = op
    return op


def _find(name: str) -> Op:
    return CATALOGUE[name]
