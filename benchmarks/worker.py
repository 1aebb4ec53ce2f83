"""A process with a fixed number of threads, which measures rows: JSON in, a line of JSON a row out.

Comes in: on the command line what to measure, as JSON; the threads in the environment. Goes out:
on standard output first the ceilings, then the rows.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import Any

from . import ceilings, libraries, measuring
from .task import Workload
from .workloads import WORKLOADS


def measure(wanted: dict[str, Any]) -> None:
    """Print the ceilings and a line for each row; `wanted` is a `running.Wanted`."""
    libraries.CHOSEN.clear()
    libraries.CHOSEN.update(wanted["peers"])
    end = time.monotonic() + 60 * wanted["minutes"]
    found = ceilings.measure(wanted["threads"], tiny=wanted["seconds"] < 0.1)
    tell({"bandwidth": found.bandwidth, "rate": found.rate, "threads": wanted["threads"]})
    for each, size in rows(wanted):
        if time.monotonic() > end:
            tell({"workload": each.name, "size": size, "left out": True})
        else:
            limits = wanted["seconds"], wanted["threads"], wanted["busy"]
            try:
                tell(measuring.row_of(each, size, found, *limits))
            except measuring.WrongError as wrong:
                tell({"workload": each.name, "size": size, "wrong": str(wrong)})


def warm(wanted: dict[str, Any]) -> None:
    """Print how long each first call takes; the kernels were compiled by an earlier process."""
    for each, size in rows(wanted):
        took = measuring.warm_start(each, size)
        tell({"workload": each.name, "size": size, "warm": took})


def rows(wanted: dict[str, Any]) -> list[tuple[Workload, int]]:
    """Each workload at each size that was asked for."""
    picked = [each for each in WORKLOADS if each.name in wanted["workloads"]]
    return [(each, each.sizes[i]) for each in picked for i in wanted["sizes"]]


def tell(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    given = json.loads(sys.argv[1])
    warm(given) if given["warm"] else measure(given)
