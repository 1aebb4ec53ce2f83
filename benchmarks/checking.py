"""Whether a library computes what NumPy does in float64, over three calls.

Comes in: a task. Goes out: `Reference`; its `differs` says in words how results deviate.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .libraries import arrays_of, call_of
from .task import GRADIENT, TRAINING, Task

#: calls: the first records or traces, the third runs as all later ones do
CALLS = 3


class Reference:
    """What the first calls of a task have to give.

    NumPy's values in float64. Gradients and later losses are dualflow's eager ones in float64,
    after NumPy's own value and its difference along a random direction have confirmed them.
    """

    def __init__(self, task: Task) -> None:
        self.tolerance = task.tolerance
        self.exact = _in_float64(task)
        task = self.exact
        if task.mode not in (GRADIENT, TRAINING):
            self.wanted = [arrays_of(task.of("numpy")(np, *task.arrays))] * CALLS
            return
        call = call_of("dualflow eager", task)
        self.wanted = [arrays_of(call()) for _ in range(CALLS)]
        value = self._value(task.arrays)
        np.testing.assert_allclose(self.wanted[0][0], value, 1e-9, 1e-12)
        if task.mode == GRADIENT:
            self._confirm()

    def differs(self, results: list[Any]) -> str:
        """How the results of the first calls deviate; empty if they do not."""
        for turn, (result, wanted) in enumerate(zip(results, self.wanted, strict=True), 1):
            found = arrays_of(result)
            if len(found) != len(wanted):
                return f"call {turn} gives {len(found)} arrays in place of {len(wanted)}"
            for one, other in zip(found, wanted, strict=True):
                if one.shape != other.shape:
                    return f"call {turn} gives shape {one.shape} in place of {other.shape}"
                if one.size == 0:
                    continue
                most = float(np.max(np.abs(one - other.astype(np.result_type(other, float)))))
                bound = self.tolerance * float(np.max(np.abs(other))) + 1e-30
                if not most <= bound:
                    return f"call {turn} deviates by {most:.3g}, more than {bound:.3g}"
        return ""

    def _value(self, arrays: tuple[np.ndarray, ...]) -> float:
        return float(self.exact.of("numpy")(np, *arrays))

    def _confirm(self) -> None:
        """The gradients along a random direction beside NumPy's central difference."""
        rng, task = np.random.default_rng(9), self.exact
        toward = {i: rng.standard_normal(task.arrays[i].shape) for i in task.derived_by()}
        step = 1e-7  # of a million elements, hardly one passes a corner of abs or max

        def along(sign: float) -> float:
            return self._value(tuple(
                x + sign * step * toward[i] if i in toward else x
                for i, x in enumerate(task.arrays)
            ))  # fmt: skip

        _, *gradients = self.wanted[0]
        parts = zip(gradients, toward.values(), strict=True)
        told = [float((gradient * direction).sum()) for gradient, direction in parts]
        found = (along(1.0) - along(-1.0)) / (2 * step)
        scale = sum(float(np.linalg.norm(gradient)) for gradient in gradients)
        np.testing.assert_allclose(sum(told), found, 2e-4, 2e-4 * scale)


def _in_float64(task: Task) -> Task:
    wide = tuple(x.astype(np.float64) if x.dtype == np.float32 else x for x in task.arrays)
    return dataclasses.replace(task, arrays=wide)
