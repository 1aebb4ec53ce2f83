"""One thread for every library: imported before any of them, for libraries read this at import.

Comes in: nothing. Goes out: environment variables.
"""

from __future__ import annotations

import os
import sys

_SETTINGS = {
    **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR")},
    "TORCHINDUCTOR_COMPILE_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def one_thread() -> None:
    """Set the variables; RuntimeError if NumPy, whose BLAS reads one, is imported already."""
    if "numpy" in sys.modules:
        raise RuntimeError("NumPy was imported before its threads were set")
    os.environ.update(_SETTINGS)
