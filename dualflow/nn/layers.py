"""Layers: modules of one step each.

Comes in: tensors, checked with the layer's name in the error. Goes out: tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, final

from dualflow import api as df
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.base.shapes import as_number
from dualflow.ops.autocast import mixes
from dualflow.ops.functions.movement import as_shape
from dualflow.ops.generator import Generator

from . import init
from .module import Module


@final
class Linear(Module):
    """x @ weight.T + bias.

    Args:
        inputs, outputs: sizes of the last axis of x and of the result.
        bias: whether there is one.
        dtype: of weight (outputs, inputs) and bias (outputs,).
        generator: of the first values, which are even within 1 / sqrt(inputs).

    >>> Linear(3, 2)(df.zeros((5, 3))).shape
    (5, 2)
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.inputs, self.outputs = _size("inputs", inputs), _size("outputs", outputs)
        bound = 1.0 / math.sqrt(inputs)
        self.weight = init.uniform((outputs, inputs), bound, dtype, generator)
        self.bias = init.uniform((outputs,), bound, dtype, generator) if bias else None

    def forward(self, x: df.Tensor) -> df.Tensor:
        """(..., inputs) -> (..., outputs)."""
        _check_last(self, x, (self.inputs,))
        _check_dtype(self, x, self.weight)
        out = df.matmul(x, self.weight.mT)
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        return f"{self.inputs}, {self.outputs}" + ("" if self.bias is not None else ", bias=False")


@final
class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, then weight and bias; see `df.layer_norm`.

    Args:
        shape: the sizes of these axes (an int for one).
        eps: added to the variance.
        affine: whether there are weight and bias.
        dtype: of both.

    >>> LayerNorm(2, eps=0.0)(df.asarray([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = None,
    ) -> None:
        self.shape = as_shape(shape)
        self.eps = eps
        self.weight = init.ones(self.shape, dtype) if affine else None
        self.bias = init.zeros(self.shape, dtype) if affine else None

    def forward(self, x: df.Tensor) -> df.Tensor:
        """(..., *shape) -> the same."""
        _check_last(self, x, self.shape)
        if self.weight is not None:
            _check_dtype(self, x, self.weight)
        axes = tuple(range(-len(self.shape), 0))
        return df.layer_norm(x, self.weight, self.bias, axes, self.eps)

    def extra_repr(self) -> str:
        return f"{self.shape}, eps={self.eps}"


@final
class Dropout(Module):
    """In training, zeros in the place of a random part; see `df.dropout`.

    Args:
        probability: of an element to become 0.
        generator: by default that of the process.

    >>> Dropout(0.5).eval()(df.ones(2)).tolist()
    [1.0, 1.0]
    """

    def __init__(self, probability: float = 0.5, generator: Generator | None = None) -> None:
        if not 0.0 <= as_number(probability, "a probability") < 1.0:
            raise ArgumentError(f"Dropout({probability})", instead="0 <= probability < 1")
        self.probability = probability
        self.generator = generator

    def forward(self, x: df.Tensor) -> df.Tensor:
        return df.dropout(x, self.probability, self.training, self.generator)

    def extra_repr(self) -> str:
        return f"{self.probability}"


@final
class Embedding(Module):
    """A row of a table for each index.

    Args:
        rows: how many indices there are.
        size: the size of a row.
        dtype: of the table `weight` (rows, size), at first normally distributed.
        generator: by default that of the process.

    >>> Embedding(10, 4)(df.asarray([[1, 2, 3]])).shape
    (1, 3, 4)
    """

    def __init__(
        self, rows: int, size: int, dtype: Any = None, generator: Generator | None = None
    ) -> None:
        self.rows, self.size = _size("rows", rows), _size("size", size)
        self.weight = init.normal((rows, size), 1.0, dtype, generator)

    def forward(self, indices: df.Tensor) -> df.Tensor:
        """Integers (...) -> (..., size)."""
        if indices.dtype.kind not in "iu":
            raise DTypeError(f"Embedding of {indices.dtype.name}", instead="integer indices")
        return df.take(self.weight, indices, axis=0)

    def extra_repr(self) -> str:
        return f"{self.rows}, {self.size}"


@final
class Flatten(Module):
    """All axes from `start` on as one.

    >>> Flatten()(df.zeros((5, 2, 3))).shape
    (5, 6)
    """

    def __init__(self, start: int = 1) -> None:
        self.start = start

    def forward(self, x: df.Tensor) -> df.Tensor:
        if not 0 <= self.start < x.ndim:
            raise ShapeError(f"Flatten({self.start}) of a tensor of shape {x.shape}",
                             why="there is no such axis")  # fmt: skip
        kept = x.shape[: self.start]
        return df.reshape(x, (*kept, math.prod(x.shape[self.start :])))

    def extra_repr(self) -> str:
        return f"{self.start}"


@final
class ReLU(Module):
    """max(x, 0); see `df.relu`.

    >>> ReLU()(df.asarray([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, x: df.Tensor) -> df.Tensor:
        return df.relu(x)


@final
class GELU(Module):
    """See `df.gelu`.

    Args:
        approximate: "none" or "tanh".

    >>> GELU()(df.asarray([0.0])).tolist()
    [0.0]
    """

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: df.Tensor) -> df.Tensor:
        return df.gelu(x, self.approximate)


@final
class SiLU(Module):
    """x * sigmoid(x); see `df.silu`.

    >>> SiLU()(df.asarray([0.0])).tolist()
    [0.0]
    """

    def forward(self, x: df.Tensor) -> df.Tensor:
        return df.silu(x)


@final
class Sigmoid(Module):
    """See `df.sigmoid`.

    >>> Sigmoid()(df.asarray([0.0])).tolist()
    [0.5]
    """

    def forward(self, x: df.Tensor) -> df.Tensor:
        return df.sigmoid(x)


@final
class Tanh(Module):
    """See `df.tanh`.

    >>> Tanh()(df.asarray([0.0])).tolist()
    [0.0]
    """

    def forward(self, x: df.Tensor) -> df.Tensor:
        return df.tanh(x)


@final
class Sequential(Module):
    """Modules (or any functions) one after the other.

    Args:
        layers: called in this order, each with what the one before gave.

    >>> model = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    >>> model(df.zeros((5, 3))).shape
    (5, 2)
    >>> len(model.parameters())
    4
    """

    def __init__(self, *layers: Any) -> None:
        for layer in layers:
            if not callable(layer):
                raise ArgumentError(f"Sequential of a {type(layer).__name__}",
                                    instead="modules or functions")  # fmt: skip
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __getitem__(self, index: int) -> Any:
        return self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def __repr__(self) -> str:
        lines = [f"  {i}: " + repr(layer).replace("\n", "\n  ") for i, layer in enumerate(self)]
        return "\n".join(["Sequential(", *lines, ")"])


def _size(name: str, value: int) -> int:
    if not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name}={value!r}", instead="a positive integer")
    return value


def _check_last(layer: Module, x: df.Tensor, shape: tuple[int, ...]) -> None:
    if not hasattr(x, "shape"):
        raise ArgumentError(f"{layer!r} got a {type(x).__name__}",
                            instead="a tensor, such as df.asarray(...)")  # fmt: skip
    if x.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"{layer!r} got a tensor of shape {x.shape}",
            why="its last axes must have the sizes " + str(shape),
            instead="reshape or transpose it, or make the layer of another size",
        )


def _check_dtype(layer: Module, x: df.Tensor, weight: df.Tensor) -> None:
    if x.dtype != weight.dtype and not mixes(x, weight):
        raise DTypeError(
            f"{layer!r} of {weight.dtype.name} got a tensor of {x.dtype.name}",
            why="a layer computes in one dtype",
            instead=f"x.astype({weight.dtype.name}), or model.to({x.dtype.name})",
        )
