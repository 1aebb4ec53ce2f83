"""The short form: ratios to NumPy beside those of the committed results.

Comes in: what is wanted. Goes out: 1 if a ratio fell by a third, with the rows named; else 0.

Both times of a ratio are the least of many samples that took turns in one process, in processor
time, and a row that seems to have fallen is measured again: others on the machine slow samples.
"""

from __future__ import annotations

import dataclasses

from .keeping import machine, newest
from .running import Row, Wanted, run

#: what a ratio may fall to, of the committed one
KEPT = 2 / 3
TRIES = 3
Key = tuple[str, int]


def check(wanted: Wanted) -> int:
    """Measure small and middle sizes on one thread, and tell what fell."""
    kept = newest()
    before = ratios([row for row in kept["rows"] if row.get("threads", 1) == 1])
    wanted = dataclasses.replace(wanted, peers=[], sizes=[0, 1], threads=[1], seconds=0.1,
                                 busy=True)  # fmt: skip
    found: dict[Key, float] = {}
    fell: list[Key] = []
    wrong: list[str] = []
    for _ in range(TRIES):
        results = run(wanted, warm=False)
        wrong += results.wrong
        for key, ratio in ratios(results.rows).items():
            found[key] = max(ratio, found.get(key, 0.0))
        fell = [key for key in found if key in before and found[key] < KEPT * before[key]]
        names = {name for name, _ in fell}
        wanted = dataclasses.replace(wanted, workloads=[n for n in wanted.workloads if n in names])
        if not fell:
            break
    for name, size in fell:
        key = (name, size)
        print(f"{name}, {size}: {found[key]:.2f} times NumPy's speed, before {before[key]:.2f}")
    for line in wrong:
        print(f"WRONG: {line}")
    if wrong:
        return 1
    compared = len(found.keys() & before.keys())
    print(f"{compared} ratios compared, {len(fell)} fell by a third")
    if kept["machine"] != machine():
        print(f"the committed results are of another machine, {kept['machine']}: told, not failed")
        return 0
    return 1 if fell or not compared else 0


def ratios(rows: list[Row]) -> dict[Key, float]:
    """NumPy's time through dualflow's, by workload and size."""
    times = {(row["workload"], row["size"]): row.get("least", row["medians"]) for row in rows}
    return {
        key: least["numpy"] / least["dualflow"] for key, least in times.items() if "numpy" in least
    }
