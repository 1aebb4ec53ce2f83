"""The whole compiler: Graph in, something to call out. The first file to read.

simplify   Graph -> Graph       passes/
plan       Graph -> Program     schedule/   which nodes share a kernel, which memory they use
emit       Kernel -> text       codegen/
prepare    texts -> machine code, loaded from the cache or compiled beside; runtime/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dualflow.codegen import numba as numba_codegen
from dualflow.ir.graph import Graph
from dualflow.ir.types import View
from dualflow.passes import simplify
from dualflow.runtime import cpu
from dualflow.schedule import plan_with_reasons


def compile_graph(
    graph: Graph,
    layouts: Sequence[View] | None = None,
    into: Mapping[int, int] | None = None,
) -> cpu.Compilation:
    """Start compiling `graph` for inputs that lie as `layouts` say (default: contiguous); outputs
    named in `into` may be stored in the memory of the input of that number (see `plan`)."""
    found = plan_with_reasons(simplify(graph), layouts, into=into)
    launches = found.program.launches
    texts = {launch.kernel: numba_codegen.emit(launch.kernel) for launch in launches}
    return cpu.prepare(found.program, texts, found.lines())
