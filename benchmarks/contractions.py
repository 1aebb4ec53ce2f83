"""Convolutions, attention and sums of products, forward and with gradients, beside PyTorch.

python -m benchmarks.contractions          compiled, medians of processor time, ratios
python -m benchmarks.contractions --eager  the same undecorated
python -m benchmarks.contractions --tiny   smallest sizes (the tests run this)
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.threads import one_thread

if __name__ == "__main__":
    one_thread()

import numpy as np

import dualflow as df
from benchmarks import libraries

Shape = tuple[int, ...]
Call = Callable[[], Any]
ATTENTION = "scaled_dot_product_attention"


@dataclass(frozen=True)
class Row:
    """One call, which dualflow and PyTorch spell alike.

    Attributes:
        name: of the row.
        function: its name, in `dualflow` and in `torch.nn.functional` or `torch`.
        shapes: of the float32 operands; with `text` they follow it.
        options: by name.
        text: what comes before the operands.
    """

    name: str
    function: str
    shapes: tuple[Shape, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    text: tuple[str, ...] = ()

    def arrays(self) -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        return [rng.standard_normal(shape).astype(np.float32) for shape in self.shapes]

    def of(self, library: Any) -> Callable[..., Any]:
        function = getattr(library, self.function)
        return lambda *xs: function(*self.text, *xs, **self.options)


def rows(tiny: bool) -> list[Row]:
    """LeNet's and ResNet's convolutions, attention of small and long sequences, einsum."""
    n = 1 if tiny else 8
    side = 8 if tiny else 56
    length = 8 if tiny else 1024
    heads = (n, 8, 16 * n, 64)
    alone = (1, 8, length, 64)
    return [
        Row("LeNet 5x5, 1 to 6", "conv2d", ((4 * n, 1, 28, 28), (6, 1, 5, 5)), {"padding": 2}),
        Row("LeNet 5x5, 6 to 16", "conv2d", ((4 * n, 6, 14, 14), (16, 6, 5, 5))),
        Row("ResNet 7x7 by 2, 3 to 64", "conv2d",
            ((n, 3, 4 * side, 4 * side), (64, 3, 7, 7)), {"stride": 2, "padding": 3}),
        Row("ResNet 3x3, 64 to 64", "conv2d",
            ((n, 64, side, side), (64, 64, 3, 3)), {"padding": 1}),
        Row("ResNet 1x1, 128 to 512", "conv2d",
            ((n, 128, side // 2, side // 2), (512, 128, 1, 1))),
        Row("ResNet 3x3 by 2, 128 to 128", "conv2d",
            ((n, 128, side, side), (128, 128, 3, 3)), {"stride": 2, "padding": 1}),
        Row("depthwise 3x3, 96", "conv2d",
            ((n, 96, side // 2, side // 2), (96, 1, 3, 3)), {"padding": 1, "groups": 96}),
        Row("3x3, 512 to 512 of 7 x 7", "conv2d",
            ((n, 512 // (1 + 15 * tiny), 7, 7), (512, 512 // (1 + 15 * tiny), 3, 3)),
            {"padding": 1}),
        Row("32 groups 3x3, 128", "conv2d",
            ((n, 128, side // 2, side // 2), (128, 4, 3, 3)), {"padding": 1, "groups": 32}),
        Row("dilated 3x3, 64 to 64", "conv2d",
            ((n, 64, side, side), (64, 64, 3, 3)), {"padding": 2, "dilation": 2}),
        Row("one axis, 9 by 2, 32 to 64", "conv1d",
            ((2 * n, 32, 16 * side), (64, 32, 9)), {"padding": 4, "stride": 2}),
        Row("three axes, 3x3x3, 16 to 32", "conv3d",
            ((2, 16, 8, side // 2, side // 2), (32, 16, 3, 3, 3)), {"padding": 1}),
        Row("transposed 4x4 by 2, 64 to 32", "conv_transpose2d",
            ((n, 64, side // 2, side // 2), (64, 32, 4, 4)), {"padding": 1, "stride": 2}),
        Row("attention of 128, causal", ATTENTION, (heads,) * 3, {"is_causal": True}),
        Row("attention of 1024, causal", ATTENTION, (alone,) * 3, {"is_causal": True}),
        Row("einsum bij,bjk,kl->bil", "einsum", ((n, 32, 64), (n, 64, 48), (48, 16)),
            text=("bij,bjk,kl->bil",)),
    ]  # fmt: skip


def in_dualflow(row: Row, eager: bool) -> dict[str, Call]:
    """The call, and its value with the gradients for all operands; compiled or not."""
    function, xs = row.of(df), [df.asarray(x) for x in row.arrays()]
    every = tuple(range(len(xs)))
    derived = df.grad(lambda *xs: (function(*xs) ** 2).sum(), every)
    calls = lambda *xs: function(*xs), lambda *xs: derived(*xs)
    forward, gradients = calls if eager else [df.compile(call, wait=True) for call in calls]
    return {"forward": lambda: forward(*xs), "gradients": lambda: gradients(*xs)}


def in_torch(row: Row) -> dict[str, Call]:
    """The same through PyTorch's eager mode."""
    import torch

    torch.set_num_threads(1)
    held = torch if row.function == "einsum" else torch.nn.functional
    function = row.of(held)
    xs = [torch.from_numpy(x) for x in row.arrays()]
    ys = [torch.from_numpy(x).requires_grad_() for x in row.arrays()]
    return {
        "forward": lambda: function(*xs),
        "gradients": lambda: torch.autograd.grad((function(*ys) ** 2).sum(), ys),
    }


def measure(calls: list[Call], seconds: float) -> list[float]:
    """Medians of this thread's time on a processor, in turns: others who wait do not count."""
    for call in calls:
        call()
        call()
    spent: list[list[float]] = [[] for _ in calls]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(spent[0]) < 3:
        for call, times in zip(calls, spent, strict=True):
            start = time.thread_time()
            call()
            times.append(time.thread_time() - start)
    return [statistics.median(times) for times in spent]


def main() -> int:
    """Print a line for each row."""
    tiny, eager = "--tiny" in sys.argv, "--eager" in sys.argv
    beside = not tiny and libraries.installed("torch")
    print(f"{platform.processor() or platform.machine()}; one thread; medians in us; torch's ratio")
    for row in rows(tiny):
        own, other = in_dualflow(row, eager), in_torch(row) if beside else {}
        parts = []
        for what, call in own.items():
            calls = [call, *([other[what]] if other else [])]
            mine, *theirs = measure(calls, 0.01 if tiny else 1.0)
            ratio = f" ({theirs[0] / mine:5.2f})" if theirs else ""
            parts.append(f"{what} {mine * 1e6:9.1f}{ratio}")
        print(f"{row.name:<30}{'   '.join(parts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
