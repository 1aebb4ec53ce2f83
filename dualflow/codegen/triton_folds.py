"""Folds of a Triton text.

Over several tiles each element of the tile accumulates for itself; the tile is reduced at the end.
What rounds (a float sum) accumulates in a wider dtype; a float64 sum carries its error along
(Neumaier 1974). A position fold carries the best value and where it was, -1 for nowhere yet.

Comes in: Folds of a stage, and their values. Goes out: `Folds`: lines that start, join and finish.
"""

from __future__ import annotations

import numpy as np

from dualflow.base.dtypes import compute_dtype
from dualflow.ir.kernel import Fold, Stage
from dualflow.ir.op import CATALOGUE

from .spelling import spelling
from .triton_frame import BOOL, FLOAT32, FLOAT64, dtype_name, literal, number
from .triton_values import Values

#: The dtype in which a fold that rounds accumulates.
WIDER = {FLOAT32: FLOAT64}
#: How a sum is spelled: float64 sums over many tiles carry their rounding error along.
SUM = "{0} + {1}"


class Folds(Values):
    """The folds of stages."""

    def _value_dtype(self, fold: Fold) -> np.dtype:
        if fold.value in self.dtypes:
            return self.dtypes[fold.value]
        return next(let.dtype for stage in self.kernel.stages for let in stage.lets
                    if let.name == fold.value)  # fmt: skip

    def _template(self, fold: Fold) -> str:
        return spelling(fold.op, "triton", self._value_dtype(fold))

    def _is_position(self, fold: Fold) -> bool:
        return "{0}" not in self._template(fold)

    def _is_compensated(self, fold: Fold) -> bool:
        return fold.dtype == FLOAT64 and self._template(fold) == SUM

    def _accumulator(self, fold: Fold) -> np.dtype:
        if self._is_position(fold):
            value = self._value_dtype(fold)
            return np.dtype("int8") if value == BOOL else compute_dtype(value)
        rounds = not CATALOGUE[fold.op].exact
        wide = WIDER.get(fold.dtype, fold.dtype) if rounds else fold.dtype
        return compute_dtype(wide)

    def _start_value(self, fold: Fold) -> bool | int | float:
        identity = CATALOGUE[fold.op].identity
        assert identity is not None, f"{fold.op} has no identity to start from"
        return identity(fold.dtype)

    def _identity(self, fold: Fold) -> str:
        return number(self._start_value(fold), self._accumulator(fold))

    def _is_single(self, stage: Stage) -> bool:
        """Whether one tile holds all points of the stage."""
        return self.whole or not stage.over

    def _shape(self, stage: Stage) -> str:
        live = self._live(stage)
        return f"[{', '.join(self._block(a) if a in live else '1' for a in self.tile)}]"

    def _start(self, fold: Fold, stage: Stage) -> None:
        name, shape = self.fold_names[fold.name], self._shape(stage)
        dtype = dtype_name(self._accumulator(fold))
        if self._is_position(fold):
            self.put(f"{name}t = tl.zeros({shape}, {dtype})")
            self.put(f"{name}p = tl.full({shape}, -1, tl.int64)")
            return
        self.put(f"{name}t = tl.full({shape}, {self._identity(fold)}, {dtype})")
        if self._is_compensated(fold):
            self.put(f"{name}e = tl.zeros({shape}, {dtype})")

    def _accumulate(self, fold: Fold, value: str, stage: Stage) -> None:
        """Join this tile to the accumulators, or become them where there is one tile alone."""
        name, mask = self.fold_names[fold.name], self._mask(self._over(stage))
        if self._accumulator(fold) != self._value_dtype(fold):
            value = f"{value}.to({dtype_name(self._accumulator(fold))})"
        if self._is_position(fold):
            word, shape = self._template(fold), self._shape(stage)
            position = self._position(stage)
            position = f"tl.where({mask}, {position}, -1)" if mask else position
            self.put(f"{name}w = tl.broadcast_to({position}, {shape})")
            self.put(f"{name}v = tl.broadcast_to({value}, {shape})")
            pair = f"{name}v, {name}w"
            pair = pair if self._is_single(stage) else f"{word}({name}t, {name}p, {pair})"
            self.put(f"{name}t, {name}p = {pair}")
            return
        value = f"tl.where({mask}, {value}, {self._identity(fold)})" if mask else value
        if not stage.over:
            start = literal(self._start_value(fold), self._accumulator(fold))
            self.put(f"{name}t = {self._template(fold).format(start, value)}")
        elif self._is_single(stage):
            self.put(f"{name}t = {value}")
        elif self._is_compensated(fold):
            self.put(f"{name}t, {name}e = two_sum({name}t, {name}e, {value})")
        else:
            self.put(f"{name}t = {self._template(fold).format(f'{name}t', value)}")

    def _position(self, stage: Stage) -> str:
        """The position along the loops, counted row by row."""
        text = "tl.cast(0, tl.int64)"
        if stage.over:
            text = f"tl.cast({self.axes[stage.over[0]]}, tl.int64)"
        for axis in stage.over[1:]:
            text = f"({text} * {self._end(axis)} + {self.axes[axis]})"
        return text

    def _finish(self, fold: Fold, stage: Stage) -> None:
        """Reduce the accumulators along the loop axis of the tile."""
        name = self.fold_names[fold.name]
        over = self._over(stage)
        keep = ", keep_dims=True" if len(self.tile) == 2 else ""
        along = self.tile.index(over[0]) if over else None
        if self._is_position(fold):
            word = self._template(fold)
            if along is not None:
                pair = f"({name}t, {name}p), {along}, {word}{keep}"
                self.put(f"{name}v, {name} = tl.reduce({pair})")
            else:
                self.put(f"{name} = {name}p")
            return
        join = self._join(self._template(fold))
        total = f"{name}t" if along is None else f"tl.reduce({name}t, {along}, {join}{keep})"
        if self._is_compensated(fold) and not self._is_single(stage):
            error = f"{name}e" if along is None else f"tl.reduce({name}e, {along}, {join}{keep})"
            total = f"with_error({total}, {error})"
        narrow = self._accumulator(fold) != fold.dtype
        self.put(f"{name} = {total}" + (f".to({dtype_name(fold.dtype)})" if narrow else ""))
