"""Folds and totals: how they start, take values in, join blocks, and end.

A float sum adds SUM_BLOCK elements in its own dtype, reordered, into f; blocks join a float64 total
t, compensated by e where the sum itself is float64 (Neumaier 1974). So do totals, by blocks of one
value where the values come one by one. Extremes of floats are found among integers of their order.
"""

from __future__ import annotations

from dualflow.base.dtypes import is_float
from dualflow.ir.kernel import Fold, Stage, Total
from dualflow.ir.op import CATALOGUE

from .numba_values import (
    BOOL,
    FLOAT64,
    INT64,
    RANKED,
    REORDERED,
    converted,
    held_as,
    is_narrow,
    literal,
    narrow,
    spelling,
    worst,
)
from .numba_writer import Writer

#: Elements of a float sum that are added in their own dtype before they join the wide total. With
#: 128 the error is that of NumPy's pairwise sum or less; 1024 is 5 % faster and twice as wrong.
SUM_BLOCK = 128
#: Elements whose extreme is found first, and only if it is better than before, its position.
POSITION_BLOCK = 1024


class FoldWriter(Writer):
    """What any form of kernel does for its folds."""

    def _in_blocks(self, fold: Fold | Total) -> bool:
        return is_float(fold.dtype) and spelling(fold.op, fold.dtype) in REORDERED

    def _rank(self, fold: Fold | Total) -> str | None:
        """How a value becomes what an extreme of floats is found among; None for other folds."""
        return RANKED.get(spelling(fold.op, fold.dtype)) if is_float(fold.dtype) else None

    def _start(self, fold: Fold | Total, blocked: bool) -> None:
        name, value = self.names[fold.name], self._value_dtype(fold)
        self.dtypes[fold.name] = fold.dtype
        if blocked:
            self.put(f"t{name} = {literal(0, FLOAT64)}")
            if fold.dtype == FLOAT64:
                self.put(f"e{name} = {literal(0, FLOAT64)}")
        elif CATALOGUE[fold.op].position_of:
            self.put(f"{name} = {literal(-1, INT64)}")
            self.put(f"best{name} = {literal(0, value)}")
        else:
            identity = CATALOGUE[fold.op].identity
            assert identity is not None, f"{fold.op} has no identity to start from"
            start = literal(identity(fold.dtype), fold.dtype)
            rank = self._rank(fold)
            self.put(f"{name} = {rank.format(start) if rank else start}")

    def _add_to_total(self, total: Total, stage: Stage) -> None:
        """One value more for a total."""
        if not self._in_blocks(total):
            self._accumulate(total, self.kernel.totals)
            return
        value = converted(self.names[total.value], self.dtypes[total.value], held_as(total.dtype))
        self.put(f"{self.names[total.name]} = {value}")
        self._join(total)

    def _accumulate(self, fold: Fold | Total, over: tuple[str, ...]) -> None:
        name, value = self.names[fold.name], self.names[fold.value]
        given = self.dtypes[fold.value]
        if CATALOGUE[fold.op].position_of:
            self._accumulate_position(fold, over)
            return
        value = converted(value, given, fold.dtype)
        combine = spelling(fold.op, fold.dtype)
        rank = self._rank(fold)
        if rank:
            self.put(f"{name} = {combine.format(name, rank.format(value))}")
            return
        if self._in_blocks(fold):
            combine = REORDERED[combine]
        self.put(f"{name} = {narrow(combine.format(name, value), held_as(fold.dtype))}")

    def _accumulate_position(self, fold: Fold | Total, over: tuple[str, ...]) -> None:
        name, value = self.names[fold.name], self.names[fold.value]
        position = self._position(over)
        better = spelling(fold.op, self.dtypes[fold.value])
        self.put(f"better = ({name} < 0) | {better.format(value, f'best{name}')}")
        self.put(f"{name} = select(better, {position}, {name})")
        self.put(f"best{name} = select(better, {value}, best{name})")

    def _join(self, fold: Fold | Total) -> None:
        name = self.names[fold.name]
        if fold.dtype != FLOAT64:
            self.put(f"t{name} += {name}")
            return
        self.put(f"u{name} = t{name} + {name}")
        self.put(f"z{name} = u{name} - t{name}")
        self.put(f"e{name} += (t{name} - (u{name} - z{name})) + ({name} - z{name})")
        self.put(f"t{name} = u{name}")

    def _finish(self, fold: Fold | Total, blocked: bool) -> None:
        name = self.names[fold.name]
        if blocked and fold.dtype == FLOAT64:
            self.put(f"{name} = select(e{name} == e{name}, t{name} + e{name}, t{name})")
        elif blocked:
            self.put(f"{name} = {converted(f't{name}', FLOAT64, fold.dtype)}")
        elif self._rank(fold):
            self.put(f"{name} = of_rank({name})")
        elif is_narrow(fold.dtype):
            self.put(f"{name} = {narrow(name, fold.dtype)}")

    def _is_position(self, stage: Stage) -> bool:
        """Whether the stage does nothing but look for the position of an extreme."""
        if len(stage.sinks) != 1 or not isinstance(fold := stage.sinks[0], Fold):
            return False
        return bool(CATALOGUE[fold.op].position_of) and self._value_dtype(fold) != BOOL

    def _start_search(self, fold: Fold) -> None:
        name, dtype = self.names[fold.name], self._value_dtype(fold)
        self.dtypes[fold.name] = fold.dtype
        worst_rank = self._search_rank(fold).format(worst(CATALOGUE[fold.op].position_of, dtype))
        self.put(f"{name} = {literal(-1, INT64)}")
        self.put(f"best{name} = {worst_rank}")

    def _search_rank(self, fold: Fold) -> str:
        """How a value becomes what the extreme is looked for among: floats integers of the same
        order, in which zeros of both signs are one."""
        dtype = self._value_dtype(fold)
        extreme = spelling(CATALOGUE[fold.op].position_of, dtype)
        if not is_float(dtype):
            return "{0}"
        return RANKED[extreme].format("{0} + " + literal(0, dtype))

    def _find_in_blocks(self, stage: Stage, i: str, fold: Fold) -> None:
        """The extreme of each block, and its position only where it is better than before."""
        name, dtype, rank = self.names[fold.name], self._value_dtype(fold), self._search_rank(fold)
        best = CATALOGUE[fold.op].position_of
        extreme = spelling(best, dtype)
        blocks, inside = self._blocks(i, POSITION_BLOCK)

        def seen() -> str:
            self._read_keeps(stage)
            self._lets(stage)
            return rank.format(self.names[fold.value])

        with self.block(blocks):
            self.put(f"top{name} = {rank.format(worst(best, dtype))}")
            with self.block(inside):
                self.put(f"top{name} = {extreme.format(f'top{name}', seen())}")
            better = spelling(fold.op, dtype).format(f"top{name}", f"best{name}")
            with self.block(f"if {name} < 0 or {better}:"):
                none = f"np.int32({POSITION_BLOCK})"
                self.put(f"first = {none}")
                with self.block(inside):
                    found, here = f"{seen()} == top{name}", f"np.int32({i} - b{i[1:]})"
                    self.put(f"first = minimum(first, select({found}, {here}, {none}))")
                place = f"b{i[1:]} + np.int64(first)"
                self.put(f"{name} = {self._position(stage.over, f'({place})')}")
                self.put(f"best{name} = top{name}")
