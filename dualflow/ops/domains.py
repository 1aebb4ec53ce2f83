"""Where tests draw the inputs of an op: intervals for each operand, in float and integer dtypes.

Comes in: named by records. Goes out: `Domain`, read by the test harness and by gradient checks.
Outside the interval an op is still defined (NaN, inf); those inputs are the harness's specials.
"""

from __future__ import annotations

from typing import NamedTuple


class Domain(NamedTuple):
    """Where inputs lie.

    Attributes:
        intervals: (low, high) of floats for each operand; the last one serves further operands.
        integers: (low, high), inclusive, of integers for each operand.
        specials: whether NaN, infinities and zeros of both signs may be mixed in.
        gap: gradients are checked only at floats at least this far from multiples of `period`
            (from 0 alone if the period is 0), where the op may jump or bend.
        period: see `gap`.
    """

    intervals: tuple[tuple[float, float], ...] = ((-8.0, 8.0),)
    integers: tuple[tuple[int, int], ...] = ((-9, 9),)
    specials: bool = True
    gap: float = 0.0
    period: float = 0.0

    def interval(self, operand: int) -> tuple[float, float]:
        """Where floats for the operand of that number lie."""
        return self.intervals[min(operand, len(self.intervals) - 1)]

    def integer_range(self, operand: int) -> tuple[int, int]:
        """Where integers for the operand of that number lie, both ends included."""
        return self.integers[min(operand, len(self.integers) - 1)]


LINE = Domain()
CASTABLE = Domain(((0.0, 100.0),), ((0, 100),), specials=False)
DIVISION = Domain(((-8.0, 8.0), (0.5, 8.0)), ((-9, 9), (-9, 9)))
POWER = Domain(((0.1, 8.0), (-3.0, 3.0)))
INTEGER_POWER = Domain(integers=((-5, 5), (0, 6)))
AWAY_FROM_ZERO = Domain(gap=0.1)
BETWEEN_HALVES = Domain(gap=0.1, period=0.5)
FEW_VALUES = Domain(((-2.0, 2.0),), ((-2, 2),))
SHIFT = Domain(integers=((-9, 9), (-3, 70)))
POSITIVE = Domain(((0.05, 8.0),))
ABOVE_MINUS_ONE = Domain(((-0.9, 8.0),))
ABOVE_ONE = Domain(((1.1, 8.0),))
UNIT = Domain(((-0.95, 0.95),))
