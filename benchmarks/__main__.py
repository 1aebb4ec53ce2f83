"""The command: run the workloads beside their peers, print the ratios, keep and draw the results.

python -m benchmarks                  everything, with the peers that are installed
python -m benchmarks --only softmax   workloads whose name has a word in it (several: softmax,MLP)
python -m benchmarks --group rows     those of a file of benchmarks/workloads/
python -m benchmarks --html a.html    a page with plots as well
python -m benchmarks --short          no peers but NumPy; fails on a ratio that fell by a third

Everything takes most of an hour, for torch.compile's compiler; `--peers torch,jax,numexpr,numba
--threads 1` some minutes; `--minutes` bounds each process.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.threads import one_thread

one_thread()

from benchmarks import page, regressions, startup, table  # noqa: E402
from benchmarks.keeping import machine, save  # noqa: E402
from benchmarks.running import Wanted, run  # noqa: E402
from benchmarks.workloads import WORKLOADS  # noqa: E402

SIZES = ("small", "middle", "large")


def main() -> int:
    """Run what the command line asks for."""
    options = parser().parse_args()
    only, groups = _words(options.only.lower()), _words(options.group)
    picked = [
        each for each in WORKLOADS
        if (not only or any(word in each.name.lower() for word in only))
        and (not groups or each.group in groups)
    ]  # fmt: skip
    if options.list:
        print("\n".join(f"{each.group:12}{each.name}: {each.sizes}" for each in picked))
        return 0
    wanted = Wanted(
        [each.name for each in picked], _words(options.peers),
        [SIZES.index(name) for name in _words(options.sizes)],
        [int(count) for count in _words(options.threads)],
        options.seconds, options.busy, options.minutes,
    )  # fmt: skip
    if options.short:
        return regressions.check(wanted)
    if options.tiny:
        wanted = Wanted(wanted.workloads, [], [0], [1], 0.01)
    found = run(wanted)
    table.show(found)
    if not options.no_startup:
        found.facts.update(startup.measure(tiny=options.tiny))
        table.show_facts(found.facts)
    if options.save:
        save(found.as_json())
    if options.html:
        Path(options.html).write_text(page.html(found, machine()))
    return 1 if found.wrong else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m benchmarks")
    add = made.add_argument
    add("--only", default="", help="workloads in whose name one of these words stands")
    add("--group", default="", help="workloads of these files of benchmarks/workloads/")
    add("--sizes", default=",".join(SIZES), help="which of small, middle, large")
    add("--threads", default="1,2", help="numbers of threads, a process each")
    add("--peers", default="torch,torch.compile,jax,numexpr,numba", help="which peers take part")
    add("--seconds", type=float, default=0.4, help="time for the samples of each row")
    add("--minutes", type=float, default=1e6, help="begin no row after this long, a process")
    add("--busy", action="store_true", help="others use the machine: least processor times")
    add("--tiny", action="store_true", help="smallest sizes, no peers, shortest times")
    add("--short", action="store_true", help="compare with the committed results; 1 if one fell")
    add("--list", action="store_true", help="name the workloads and their sizes")
    add("--no-startup", action="store_true", help="leave start-up times out")
    add("--save", action="store_true", help="keep results in benchmarks/results/")
    add("--html", default="", metavar="FILE", help="write a page with plots")
    return made


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


if __name__ == "__main__":
    sys.exit(main())
