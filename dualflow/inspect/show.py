"""A Comparison for the terminal, with rich.

Comes in: a `Comparison`. Goes out: printed tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dualflow.explain.text import size

from .compare import Comparison

if TYPE_CHECKING:
    from rich.console import Console


def seconds(value: float) -> str:
    """A time for people.

    >>> seconds(0.00123)
    '1.23 ms'
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.0f} ns"


def rows(found: Comparison) -> list[tuple[str, str]]:
    """The figures as label and text, in reading order; both reports print these."""
    pays = "never: it is not faster" if found.pays_after is None else f"{found.pays_after:,} calls"
    moved = f"{size(found.bytes_moved)}, at least {size(found.bytes_least)}"
    ops = f"{found.fused_ops} ops"
    made = [
        ("eager", _timing(found.eager)),
        ("compiled", _timing(found.compiled)),
        ("speed-up", f"{found.speedup:.2f}x"),
        ("first compiled call", seconds(found.first_call)),
        ("paid for itself after", pays),
        ("how the calls run", found.how),
        ("kernels", f"{found.kernels} and {found.library_calls} library calls for {ops}"),
        ("bytes moved", moved if found.bytes_least else "unknown: nothing was compiled"),
        ("peak memory", f"eager {size(found.eager_peak)}, compiled {size(found.compiled_peak)}"),
    ]
    if found.outputs:
        worst = f"{found.worst_ulp:g} ulp in {len(found.outputs)} outputs"
        made.append(("largest difference", worst))
        first = found.first_deviation
        none = "none by itself" if found.worst_ulp else "none"
        made.append(("first op that differs", none if first is None else str(first)))
    if found.audit is not None:
        made.append(("bits that differ in exact mode", found.audit))
    made += [("why no replay", reason) for reason in found.reasons if found.how != "replay"]
    return made + [("note", note) for note in found.notes]


def _timing(timing: Any) -> str:
    spread = f"{seconds(timing.low)} to {seconds(timing.high)}"
    return f"{seconds(timing.median)}  (middle half {spread}, {timing.runs} runs)"


def output_rows(found: Comparison, most: int = 8) -> list[tuple[str, ...]]:
    """Name, type, ulp and both errors of the outputs that differ most."""
    ranked = sorted(found.outputs, key=lambda output: -output.ulp)[:most]
    return [
        (o.name, o.type, f"{o.ulp:g}", _error(o.eager_error), _error(o.compiled_error))
        for o in ranked
    ]


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def show(found: Comparison, console: Console | None = None) -> None:
    """Print the comparison."""
    import rich
    from rich.table import Table
    from rich.text import Text

    out = rich.get_console() if console is None else console
    title = f"{found.name}: eager and compiled"
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, text in rows(found):
        table.add_row(label, Text(text))  # as it is: a line of code has [...] in it
    out.print(table)
    if found.outputs:
        table = Table(title="outputs that differ most", title_justify="left")
        for heading in ("output", "type", "ulp", "eager's error", "compiled's error"):
            table.add_column(heading, overflow="fold")
        for row in output_rows(found):
            table.add_row(*row)
        out.print(table)
        out.print("Errors are relative to a run in float64.", style="dim")
