"""The command: run the workloads, print the ratios, keep the results.

python -m benchmarks                 everything, peers included where they are installed
python -m benchmarks --only softmax  workloads whose name has a word in it
python -m benchmarks --tiny          smallest sizes, shortest times (the tests run this)
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.threads import one_thread

one_thread()

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks import loops as loops  # noqa: E402
from benchmarks import peers, startup, workloads  # noqa: E402
from benchmarks.keeping import machine, save  # noqa: E402
from dualflow.inspect.show import seconds  # noqa: E402
from dualflow.inspect.timing import interleave  # noqa: E402


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--only", default="", help="workloads whose name has this in it")
    parser.add_argument("--seconds", type=float, default=1.5, help="time for each row")
    parser.add_argument("--tiny", action="store_true", help="smallest sizes, no peers")
    parser.add_argument("--peers", default="torch,jax,numexpr", help="which peers take part")
    parser.add_argument("--no-startup", action="store_true", help="leave start-up times out")
    parser.add_argument("--save", action="store_true", help="keep results in benchmarks/results/")
    options = parser.parse_args()
    peers.CHOSEN.clear()
    if not options.tiny:
        peers.CHOSEN.update(options.peers.split(","))
    console = Console(width=150 if not sys.stdout.isatty() else None)
    console.print(f"{machine()}; one thread for every library; medians", style="dim")
    rows = [row for each in workloads.WORKLOADS if options.only in each.name
            for row in measure(each, options)]  # fmt: skip
    show_rows(console, rows)
    facts = {} if options.no_startup or options.only else startup.measure(tiny=options.tiny)
    if facts:
        show_facts(console, facts)
    if options.save:
        save(rows, facts)
    return 0


def measure(each: workloads.Workload, options: argparse.Namespace) -> list[dict[str, object]]:
    """Medians in seconds of one workload, a row a size."""
    rows = []
    for size in each.sizes[:1] if options.tiny else each.sizes:
        calls = each.make(size)
        for call in calls.values():
            call()
            call()
        budget = 0.02 if options.tiny else options.seconds
        timings = interleave(list(calls.values()), lambda: None, budget, most=2000)
        medians = {name: t.median for name, t in zip(calls, timings, strict=True)}
        rows.append({"workload": each.name, "size": size, "medians": medians})
        print(f"{each.name} {size}: " + ", ".join(f"{n} {seconds(m)}" for n, m in medians.items()),
              file=sys.stderr)  # fmt: skip
    return rows


def show_rows(console: Console, rows: list[dict[str, object]]) -> None:
    """Times of dualflow, and how many times longer the others take."""
    names: list[str] = []
    for row in rows:
        names += [n for n in row["medians"] if n not in names and n != "dualflow"]  # type: ignore[attr-defined]
    table = Table(title="dualflow's time; others: how many times as long", title_justify="left")
    for heading in ("workload", "size", "dualflow", *names):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    for row in rows:
        medians: dict[str, float] = row["medians"]  # type: ignore[assignment]
        own = medians["dualflow"]
        ratios = [f"{medians[n] / own:.2f}" if n in medians else "" for n in names]
        table.add_row(str(row["workload"]), str(row["size"]), seconds(own), *ratios)
    console.print(table)


def show_facts(console: Console, facts: dict[str, float]) -> None:
    table = Table(title="start-up, calls", title_justify="left")
    table.add_column("what")
    table.add_column("time", justify="right")
    for name, value in facts.items():
        table.add_row(name, seconds(value))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
