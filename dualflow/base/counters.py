"""What happened, counted: traces, branches, kernels, fallbacks. The package resets nothing here.

Comes in: `count(name)` from any room. Goes out: `stats()`, a plain dict of the whole process.
"""

from __future__ import annotations

from collections.abc import Callable

from .thread import RLock

#: a collection that begins while it is held may end what counts in the end
_lock = RLock()

#: name -> what it counts. A counter that is not in this table is a mistake.
COUNTERS: dict[str, str] = {
    "calls": "calls of compiled functions",
    "replays": "calls that skipped Python: guards, then the program",
    "co_executions": "calls that ran Python with fused array operations",
    "operations_fused": "array operations of co-executed calls that ran in programs",
    "operations_eager": "array operations of co-executed calls that ran one by one",
    "eager_calls": "calls that ran eagerly",
    "recordings": "eager runs that took notes",
    "traces": "paths recorded, one a shape and outcome of branches",
    "branches": "side exits met and recorded",
    "guard_misses": "calls whose guards fitted no recorded path",
    "kernels_compiled": "kernels compiled to machine code",
    "kernels_by_numba": "of these by Numba: texts that the translator refused",
    "kernels_loaded": "kernels loaded from the disk cache",
    "plans_loaded": "plans of whole programs loaded from the disk cache",
    "kernel_launches": "kernel launches",
    "library_calls": "ops run by a library (BLAS, NumPy) inside a compiled program",
    "host_fallbacks": "ops on tensors of a GPU that NumPy computed on the host",
    "device_errors": "programs that a GPU refused or broke off: Python ran the call from the start",
    "graph_launches": "programs that the GPU ran as one captured graph",
    "numpy_fallbacks": "functions of NumPy for which dualflow has no operation, computed by NumPy",
    "cache_rebuilds": "cache entries found damaged and made anew",
    "cache_errors": "times the cache folder could not be read or written",
    "helper_failures": "jobs done in this process because the helper process failed",
    "portable_blocks": "stretches of replays with a step that the native call lacks",
    "portable_parts": "native parts that do not work on this machine: portable code serves",
    "audits": "calls and co-executed segments checked against eager results",
    "audit_mismatches": "audits that found a difference",
    "compiler_errors": "functions the compiler failed on",
}

_counts: dict[str, int] = dict.fromkeys(COUNTERS, 0)
#: called before the counters are told: what was counted elsewhere joins them
before_stats: list[Callable[[], None]] = []


def count(name: str, by: int = 1, also: str = "") -> None:
    """Add `by` to the counter `name`, and to `also`."""
    with _lock:
        _counts[name] += by
        if also:
            _counts[also] += by


def stats() -> dict[str, int]:
    """The counters of this process, by name (see `COUNTERS` for what each counts).

    >>> import dualflow as df
    >>> before = df.stats()["recordings"]
    >>> double = df.compile(lambda x: x * 2, wait=True)
    >>> double(double(df.ones(2))).tolist()
    [4.0, 4.0]
    >>> df.stats()["recordings"] - before
    1
    """
    for settle in before_stats:
        settle()
    with _lock:
        return dict(_counts)
