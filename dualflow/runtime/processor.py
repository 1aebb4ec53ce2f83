"""The processor that code is made for, told without LLVM where the system tells it.

Comes in: `/proc/cpuinfo`, else what LLVM finds. Goes out: `identity()`, which goes into the names
of cache entries, and `features()`.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping

from . import loader
from .once import once

#: What the first processor says of itself that decides which code it runs.
_TELLING = (
    "vendor_id", "cpu family", "model", "model name", "stepping", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features",
)  # fmt: skip
#: The first processor's lines are fewer bytes than that: a file of 256 takes ms to make.
_ENOUGH = 1 << 14


@once
def identity() -> tuple[str, ...]:
    """What tells processors apart: equal only where code of one runs on the other."""
    return identity_of(told())


def identity_of(found: Mapping[str, str]) -> tuple[str, ...]:
    """`identity` of a processor of which Linux says this, if it says anything."""
    if "flags" not in found and "Features" not in found:
        return loader.cpu()
    return (platform.system(), platform.machine(), *(f"{k}={found.get(k)}" for k in _TELLING))


@once
def features() -> frozenset[str]:
    """The names of its features, as Linux or LLVM call them (`avx512f`)."""
    found = told()
    if "flags" in found or "Features" in found:
        return frozenset((found.get("flags") or found["Features"]).split())
    return frozenset(f[1:] for f in loader.cpu()[2].split(",") if f.startswith("+"))


def told() -> dict[str, str]:
    """What Linux says of the first processor."""
    try:
        with open("/proc/cpuinfo", "rb", buffering=0) as file:
            text = file.read(_ENOUGH).decode(errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].split("\n"))
    return {name.strip(): value.strip() for name, _, value in pairs}
