"""The functions of vectors that NumPy's wheels bring for AVX-512 (Intel's SVML, BSD licence).

Comes in: nothing. Out: which of them serve kernels, for being faster than those of `cpu_math`; and
whether this machine has them all. They give the bits of NumPy's own loops.
"""

from __future__ import annotations

from . import linker, processor
from .once import once

PREFIX = "__svml_"
#: Functions of `cpu_math`, by width, that are faster there and within 2 ulp: what NumPy has.
NAMES = {
    ("power", 32): "powf16", ("power", 64): "pow8_ha", ("cbrt", 32): "cbrtf16",
    ("cbrt", 64): "cbrt8_ha", ("asinh", 32): "asinhf16", ("asinh", 64): "asinh8_ha",
    ("acosh", 32): "acoshf16", ("log2", 64): "log28_ha", ("log10", 64): "log108_ha",
}  # fmt: skip
_NEEDED = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


@once
def usable() -> bool:
    """Whether all of them are there, on a machine that runs them and links code itself."""
    if not linker.usable() or not processor.features() >= _NEEDED:
        return False
    return all(linker.outside(PREFIX + name) for name in NAMES.values())
