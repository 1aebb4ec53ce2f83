"""Results as tables in a terminal.

Comes in: `Results`. Goes out: printed text.
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from dualflow.inspect.show import seconds

from .keeping import machine
from .running import Results, Row, behind, best_peer, mean, ratios

PEERS = ("dualflow eager", "numpy", "numexpr", "numba", "torch", "torch.compile", "jax.jit")


def show(found: Results) -> None:
    """A table for each number of threads, then the means and what is behind."""
    console = Console(width=180 if not sys.stdout.isatty() else None)
    console.print(f"{machine()}; how many times as long as dualflow the others take", style="dim")
    for ceiling in found.ceilings:
        threads = ceiling["threads"]
        rows = [row for row in found.rows if row["threads"] == threads]
        speeds = ", ".join(f"{rate / 1e9:.0f} G/s {name}" for name, rate in ceiling["rate"].items())
        most, least = max(ceiling["bandwidth"]) / 1e9, min(ceiling["bandwidth"]) / 1e9
        console.print(f"copies {least:.0f} to {most:.0f} GB/s; multiply-adds {speeds}", style="dim")
        console.print(_table(rows, f"{threads} threads"))
        console.print(f"geometric mean to the best peer, {threads} threads: {mean(rows):.2f}; "
                      f"{len(behind(rows))} of {len(ratios(rows))} below 1")  # fmt: skip
    if len(found.ceilings) > 1:
        console.print(f"geometric mean of all: {mean(found.rows):.2f}")
    for wrong in found.wrong:
        console.print(f"WRONG: {wrong}", style="bold red")


def _table(rows: list[Row], title: str) -> Table:
    shown = [name for name in PEERS if any(name in row["times"] for row in rows)]
    table = Table(title=title, title_justify="left")
    for heading in ("workload", "size", "dualflow", "to best", "ceiling", *shown, "first", "warm"):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    for row in rows:
        times, best = row["times"], best_peer(row)
        own = times["dualflow"]
        others = [f"{times[name] / own:.2f}" if name in times else "" for name in shown]
        name = row["workload"] if row["runs"] == "replay" else f"{row['workload']} ({row['runs']})"
        table.add_row(
            name, str(row["size"]), seconds(own), f"{best[1]:.2f}" if best else "",
            f"{100 * row['share']:.0f} %", *others, seconds(row["first"]["dualflow"]),
            seconds(row["warm"]) if "warm" in row else "",
            style="red" if best and best[1] < 1 else None,
        )  # fmt: skip
    return table


def show_facts(facts: dict[str, float]) -> None:
    """Start-up, calls."""
    table = Table(title="start-up, calls", title_justify="left")
    table.add_column("what")
    table.add_column("time", justify="right")
    for name, value in facts.items():
        table.add_row(name, seconds(value))
    Console(width=150 if not sys.stdout.isatty() else None).print(table)
