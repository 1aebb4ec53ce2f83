"""The number of threads of every library: set before any is imported, for most read it then.

Comes in: a number. Goes out: environment variables.
"""

from __future__ import annotations

import os
import sys

_NUMBERS = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA", "DUALFLOW")


def settings(count: int) -> dict[str, str]:
    """The variables for `count` threads; JAX takes `NPROC` for the number of processors."""
    eigen = "true" if count > 1 else "false"
    return {
        **{f"{name}_NUM_THREADS": str(count) for name in _NUMBERS},
        "NPROC": str(count),
        "XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={eigen}",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


def one_thread() -> None:
    """Set the variables; RuntimeError if NumPy, whose BLAS reads one, is imported already."""
    if "numpy" in sys.modules:
        raise RuntimeError("NumPy was imported before its threads were set")
    os.environ.update(settings(1))
