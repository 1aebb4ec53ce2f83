"""Results as one page that needs nothing else: a table and plots, drawn as SVG.

Comes in: `Results`. Goes out: HTML.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from dualflow.inspect.show import seconds

from .running import Results, Row, behind, best_peer, mean, ratios
from .table import PEERS

COLOURS = {
    "dualflow": "#c0392b", "dualflow eager": "#e59866", "numpy": "#2e86c1", "numexpr": "#17a589",
    "numba": "#7d3c98", "torch": "#d68910", "torch.compile": "#7e5109", "jax.jit": "#229954",
}  # fmt: skip
_STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1200px;color:#222}
table{border-collapse:collapse;font-size:12px}td,th{padding:2px 8px;text-align:right}
td:first-child,th:first-child{text-align:left}tr:nth-child(even){background:#f4f4f4}
.behind{color:#b03a2e;font-weight:bold}.plots{display:flex;flex-wrap:wrap;gap:12px}
svg text{font:10px system-ui,sans-serif}h2{margin-top:2em}
"""


def html(found: Results, machine: str) -> str:
    """The whole page."""
    parts = [
        "<!doctype html><meta charset=utf-8><title>dualflow: benchmarks</title>",
        f"<style>{_STYLE}</style><h1>dualflow beside its peers</h1><p>{escape(machine)}. Times are "
        "those of one run in which the libraries took turns; a ratio is the time of another "
        "library through dualflow's, above 1 dualflow is faster.</p>",
    ]
    for ceiling in found.ceilings:
        rows = [row for row in found.rows if row["threads"] == ceiling["threads"]]
        parts += [f"<h2>{ceiling['threads']} threads</h2>", _summary(rows, ceiling)]
        parts.append(_overview(rows))
        parts += [f"<details><summary>Figures</summary>{_table(rows)}</details>"]
        parts += [f"<h3>Time by size</h3>{_legend(rows)}<div class=plots>", *_plots(rows), "</div>"]
    if found.facts:
        lines = "".join(f"<tr><td>{escape(name)}<td>{seconds(value)}"
                        for name, value in found.facts.items())  # fmt: skip
        parts.append(f"<h2>Start-up, calls</h2><table>{lines}</table>")
    return "\n".join(parts) + "\n"


def _summary(rows: list[Row], ceiling: Row) -> str:
    groups = dict.fromkeys(row["group"] for row in rows)
    means = "; ".join(
        f"{group} {mean([row for row in rows if row['group'] == group]):.2f}" for group in groups
    )
    speeds = ", ".join(f"{rate / 1e9:.0f} G/s in {name}" for name, rate in ceiling["rate"].items())
    most, least = max(ceiling["bandwidth"]) / 1e9, min(ceiling["bandwidth"]) / 1e9
    return (
        f"<p>Geometric mean of the ratios to the best peer: <b>{mean(rows):.2f}</b> ({means}). "
        f"{len(behind(rows))} of {len(ratios(rows))} are below 1. Ceilings: copies of {least:.0f} "
        f"to {most:.0f} GB/s, multiply-adds {speeds}.</p>"
    )


def _overview(rows: list[Row]) -> str:
    """A line for each workload, a dot for each size, at the ratio to the best peer."""
    names = list(dict.fromkeys(row["workload"] for row in rows))
    low, high, left, width, step = 0.125, 32.0, 300, 860, 15
    height = step * len(names) + 24

    def x(ratio: float) -> float:
        share = math.log(min(max(ratio, low), high) / low) / math.log(high / low)
        return left + share * (width - left - 20)

    marks = [f'<svg width="{width}" height="{height}" role="img">']
    for ratio in (0.25, 0.5, 1, 2, 4, 8, 16):
        colour = "#b03a2e" if ratio == 1 else "#ddd"
        marks.append(f'<path d="M{x(ratio):.1f} 14V{height}" stroke="{colour}"/>'
                     f'<text x="{x(ratio):.1f}" y="10" text-anchor="middle">{ratio}</text>'
                     )  # fmt: skip
    for i, name in enumerate(names):
        y = 24 + step * i
        marks.append(f'<text x="{left - 8}" y="{y + 3}" text-anchor="end">{escape(name)}</text>')
        same = [row for row in rows if row["workload"] == name]
        for radius, row in zip((2.5, 3.5, 4.5), same, strict=False):
            if best := best_peer(row):
                colour = "#b03a2e" if best[1] < 1 else "#2e86c1"
                told = escape(f"{name}, {row['size']}: {best[1]:.2f} to {best[0]}")
                marks.append(f'<circle cx="{x(best[1]):.1f}" cy="{y}" r="{radius}" fill="{colour}"'
                             f' fill-opacity=".7"><title>{told}</title></circle>')  # fmt: skip
    return "".join([*marks, "</svg>"])


def _table(rows: list[Row]) -> str:
    shown = _shown(rows)
    head = ["workload", "size", "dualflow", "to the best peer", "of the ceiling", *shown[1:],
            "first call", "warm start"]  # fmt: skip
    lines = ["<table><tr>" + "".join(f"<th>{escape(name)}" for name in head)]
    for row in rows:
        times, best = row["times"], best_peer(row)
        cells = [escape(row["workload"]), str(row["size"]), seconds(times["dualflow"])]
        cells += [f"{best[1]:.2f} ({best[0]})" if best else "", f"{100 * row['share']:.0f} %"]
        cells += [seconds(times[name]) if name in times else "" for name in shown[1:]]
        cells += [seconds(row["first"]["dualflow"]), seconds(row["warm"]) if "warm" in row else ""]
        marked = " class=behind" if best and best[1] < 1 else ""
        lines.append(f"<tr{marked}>" + "".join(f"<td>{cell}" for cell in cells))
    return "".join([*lines, "</table>"])


def _shown(rows: list[Row]) -> list[str]:
    return [name for name in ("dualflow", *PEERS) if any(name in row["times"] for row in rows)]


def _legend(rows: list[Row]) -> str:
    return "<p>" + " ".join(
        f'<span style="color:{COLOURS[name]}">&#9632; {name}</span>' for name in _shown(rows)
    )


def _plots(rows: list[Row]) -> Iterable[str]:
    """Time by size for each workload, both logarithmic."""
    for name in dict.fromkeys(row["workload"] for row in rows):
        same = [row for row in rows if row["workload"] == name]
        every = [took for row in same for took in row["times"].values()]
        sizes = [row["size"] for row in same]
        lines = ['<svg width="270" height="170" role="img">']
        lines.append(f'<text x="4" y="11">{escape(name)}</text>')
        for took in (min(every), max(every)):
            y = _place(took, min(every), max(every), 150, 24)
            lines.append(f'<text x="48" y="{y + 3:.1f}" text-anchor="end">{seconds(took)}</text>')
        for size in sizes:
            x = _place(size, min(sizes), max(sizes), 56, 250)
            lines.append(f'<text x="{x:.1f}" y="166" text-anchor="middle">{size}</text>')
        for library in _shown(same):
            points = [
                (_place(row["size"], min(sizes), max(sizes), 56, 250),
                 _place(row["times"][library], min(every), max(every), 150, 24))
                for row in same if library in row["times"]
            ]  # fmt: skip
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            thick = 2.5 if library == "dualflow" else 1.2
            lines.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[library]}" '
                         f'stroke-width="{thick}"><title>{library}</title></polyline>')  # fmt: skip
        yield "".join([*lines, "</svg>"])


def _place(value: float, low: float, high: float, start: float, end: float) -> float:
    """Where a value stands on a logarithmic axis."""
    if high <= low:
        return (start + end) / 2
    return start + math.log(value / low) / math.log(high / low) * (end - start)
