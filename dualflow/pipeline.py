"""The whole compiler: Graph in, something to call out. The first file to read.

roll       Graph -> Graph       passes/     repeated stretches are loops
simplify   Graph -> Graph       passes/
plan       Graph -> Program     schedule/   which nodes share a kernel, which memory they use
emit       Kernel -> text       codegen/    (both by `planning`)
prepare    texts -> machine code, loaded from the cache or compiled beside; runtime/
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from dualflow.base import collection, config
from dualflow.base.digest import hashed
from dualflow.ir.graph import Graph
from dualflow.ir.types import View
from dualflow.ops import primitives as primitives  # which graphs that are sent name
from dualflow.runtime import cache
from dualflow.runtime.behind import Behind, Planned, Unplanned, answer, kept, on_cpu

Layouts = Sequence[View] | None
Into = Mapping[int, int] | None
_ROOMS = ("base", "ir", "ops", "passes", "schedule", "codegen", "runtime", "pipeline.py",
          "planning.py")  # fmt: skip
#: the files that decide what is planned
_COMPILER = [os.path.join(os.path.dirname(__file__), name) for name in _ROOMS]

#: Whether plans that are made in this process are kept, and read, as those of the helper are.
KEEPS = True


def compile_graph(
    graph: Graph,
    layouts: Layouts = None,
    into: Into = None,
    behind: bool = False,
    most: int | None = None,
    device: str = "cpu",
) -> Any:
    """Start compiling `graph` for inputs that lie as `layouts` say (default: contiguous); outputs
    named in `into` may be stored in the memory of the input of that number (see `plan`). With
    `behind`, the helper process plans too.

    Raises:
        Unplanned: with loops made of its repeated stretches, it has more than `most` nodes.
        DeviceError: there is no such device.
    """
    name = digest(graph, layouts, into, device) if KEEPS or behind or device != "cpu" else None
    prepare = on_cpu if device == "cpu" else _gpu().on(device)
    if behind:
        return Behind(
            f"{__name__}:plan_pickled",
            lambda: pickle.dumps((graph, layouts, into, most, str(device), name, _settings())),
            name,
            lambda: plan(graph, layouts, into, most, device),
            prepare,
        )
    return prepare(kept(name, lambda: plan(graph, layouts, into, most, device)), {})


def _gpu() -> Any:
    """The part for GPUs, which no program of the CPU pays for."""
    return import_module("dualflow.pipeline_gpu")


@collection.put_off
def plan(
    graph: Graph, layouts: Layouts = None, into: Into = None, most: int | None = None,
    device: str = "cpu",
) -> Planned:  # fmt: skip
    """All that is made of a graph before there is machine code; raises as `compile_graph` does."""
    passes = import_module("dualflow.passes")  # a program on disk saves its import too
    rolled = passes.roll(graph)
    if most is not None and len(rolled.nodes) > most:
        why = f"more than {most} operations, in which no loop was found"
        raise Unplanned(why, rolled.nodes[0].line)
    planning = import_module("dualflow.planning")
    program, texts, reasons = planning.planned(passes.simplify(rolled), layouts, into, device)
    return Planned(None if rolled is graph else rolled, program, texts, reasons)


def plan_pickled(given: bytes) -> bytes:
    """What the helper does with a graph that `compile_graph` sent: plan and compile it."""
    graph, layouts, into, most, device, name, settings = pickle.loads(given)
    with config.config(**settings):
        try:
            return answer(plan(graph, layouts, into, most, device), name, device)
        except Unplanned as why:
            return answer(why, name, device)


def digest(
    graph: Graph, layouts: Layouts = None, into: Into = None, device: str = "cpu"
) -> str | None:
    """Equal for what is compiled to equal programs, now and by later processes with this compiler;
    None for graphs that have no name outside this process."""
    if graph.digest is None:
        return None
    views = None if layouts is None else [tuple(view) for view in layouts]
    kind = device.partition(":")[0]
    given = (graph.digest, views, sorted((into or {}).items()), config.active().numerics, kind)
    return hashed(repr((given, cache.stamp(*_COMPILER))).encode()).hexdigest()


def _settings() -> dict[str, object]:
    """The settings that decide what is planned, and where machine code is kept."""
    settings = config.active()
    return {"numerics": settings.numerics, "cache": settings.cache}
