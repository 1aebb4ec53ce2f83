"""The part of the pipeline that a program found on disk does not need: fusion, memory, texts.

Comes in: a simplified graph. Goes out: its program, the texts of its kernels, and reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from dualflow.codegen import numba
from dualflow.ir.backend import NUMBA
from dualflow.ir.graph import Graph
from dualflow.ir.kernel import Kernel
from dualflow.ir.program import Program
from dualflow.ir.text import KernelText
from dualflow.ir.types import View
from dualflow.schedule import plan_with_reasons

Texts = Mapping[Kernel, KernelText]


def planned(
    graph: Graph, layouts: Sequence[View] | None, into: Mapping[int, int] | None, device: str
) -> tuple[Program, Texts, tuple[str, ...]]:
    """See the module; arguments as of `pipeline.compile_graph`."""
    backend, emit, gpu = NUMBA, numba.emit, None
    if device != "cpu":
        gpu = import_module("dualflow.pipeline_gpu")
        backend, emit = gpu.TRITON, gpu.emit
    found = plan_with_reasons(graph, layouts, backend, into)
    program = found.program if gpu is None else gpu.ordered(found.program)
    texts = {launch.kernel: emit(launch.kernel) for launch in program.launches}
    return program, texts, found.lines()
