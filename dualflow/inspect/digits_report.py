"""The demonstration's report: the digits learnt eagerly and compiled, side by side.

Comes in: options of the command line. Goes out: printed tables, JSON or a page; exit status 0.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dualflow import api as df
from dualflow.capture import compile as df_compile
from dualflow.data import Batches
from dualflow.ops.generator import Generator

from .compare import Comparison, compare
from .demonstration import (
    BATCH,
    EPOCHS,
    Step,
    Training,
    digits_model,
    digits_optimizer,
    make_step,
    split_digits,
    train,
)
from .page import page
from .show import seconds, show


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration found.

    Attributes:
        eager, compiled: the two trainings, from the same random bits.
        difference: the largest relative difference of their losses over the first epoch.
        difference64: the same in float64, over an epoch of its own.
        step: one training step compared.
    """

    eager: Training
    compiled: Training
    difference: float
    difference64: float
    step: Comparison


def compiled(step: Step) -> Step:
    """`step`, compiled before its first call returns."""
    return df_compile(step, wait=True)


def losses_apart(dtype: object, epochs: int = 1) -> float:
    """The largest relative difference of eager and compiled losses over `epochs` of `dtype`."""
    eager = train(None, epochs=epochs, dtype=dtype)
    fast = train(compiled, epochs=epochs, dtype=dtype)
    return relative_difference(eager.losses, fast.losses)


def relative_difference(a: list[float], b: list[float]) -> float:
    """The largest |a - b| / |a|."""
    x, y = np.asarray(a), np.asarray(b)
    return float(np.max(np.abs(x - y) / np.abs(x)))


def demonstrate(epochs: int = EPOCHS, progress: bool = True) -> Demonstration:
    """Train the digits in both modes and compare a step."""
    eager = train(None, epochs=epochs, progress=progress, title="eager   ")
    fast = train(compiled, epochs=epochs, progress=progress, title="compiled")
    per_epoch = len(eager.losses) // epochs
    model = digits_model()
    (images, labels), _ = split_digits()
    batch = next(iter(Batches(images, labels, size=BATCH, generator=Generator(1))))
    return Demonstration(
        eager,
        fast,
        relative_difference(eager.losses[:per_epoch], fast.losses[:per_epoch]),
        losses_apart(df.float64),
        compare(make_step(model, digits_optimizer(model)), *batch),
    )


def main(as_json: bool = False, html: Path | None = None) -> int:
    """Run the demonstration and report."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not as_json:
        console.print("1,797 handwritten digits, a network of 64-128-128-10, "
                      f"{EPOCHS} epochs: once eagerly, once with @df.compile.")  # fmt: skip
    found = demonstrate(progress=not as_json and console.is_terminal)
    if html is not None:
        html.write_text(page(found.step), encoding="utf-8")
    if as_json:
        print(json.dumps(_figures(found), indent=2))
        return 0
    table = Table(title="the whole training", title_justify="left")
    for heading in ("", "eager", "compiled"):
        table.add_column(heading)
    a, b = found.eager, found.compiled
    table.add_row("accuracy on the fifth held out", f"{a.accuracy:.1%}", f"{b.accuracy:.1%}")
    table.add_row("last loss", f"{a.losses[-1]:.6f}", f"{b.losses[-1]:.6f}")
    table.add_row("first step (records, compiles)", seconds(a.first_step), seconds(b.first_step))
    rest = f"the other {len(a.losses) - 1} steps"
    table.add_row(rest, seconds(a.seconds), seconds(b.seconds))
    console.print(table)
    console.print(
        f"Losses over an epoch differ by at most {found.difference:.1e} (float32) and "
        f"{found.difference64:.1e} (float64), relatively.\n"
    )
    show(found.step, console)
    console.print(
        f"One step is {found.step.speedup:.1f} times as fast because {found.step.fused_ops} array "
        f"operations became {found.step.kernels} kernels and {found.step.library_calls} matrix "
        "products, called without Python in between."
    )
    return 0


def _figures(found: Demonstration) -> dict[str, object]:
    return {
        "eager": asdict(found.eager),
        "compiled": asdict(found.compiled),
        "difference": found.difference,
        "difference64": found.difference64,
        "step": found.step.to_dict(),
    }
