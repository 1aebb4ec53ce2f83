"""The part of the pipeline that only programs of a GPU take; loaded when there is one.

Comes in: what `pipeline.plan` made for a device. Goes out: its compilation.
"""

from __future__ import annotations

from dualflow.codegen.triton import emit
from dualflow.codegen.triton_forms import forms
from dualflow.codegen.triton_groups import ordered
from dualflow.codegen.triton_variants import choose
from dualflow.ir.backend import TRITON
from dualflow.runtime.behind import Images, Planned, Prepare
from dualflow.runtime.gpu.libraries import capability
from dualflow.runtime.gpu.program import Compilation, Ways, prepare

__all__ = ["TRITON", "Compilation", "emit", "on", "ordered"]

WAYS = Ways(choose, forms)


def on(device: str) -> Prepare:
    """What starts compiling a program for a device such as "cuda:0".

    Raises:
        DeviceError: there is no such device, or kernels do not run on it.
    """
    number = int(device.partition(":")[2])
    capability(number)

    def start(planned: Planned, images: Images) -> Compilation:
        compilation = prepare(planned.program, planned.texts, WAYS, number, planned.reasons)
        compilation.rolled = planned.rolled
        return compilation

    return start
