"""Ops that an array module lacks, as compiled kernels of one node.

Comes in: an op and arrays of a GPU. Goes out: an array. A kernel is compiled when its op is first
used on such dtypes and layouts, and waited for; after that it is found by one look-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dualflow import pipeline
from dualflow.base import config
from dualflow.base.dtypes import kind
from dualflow.ir.graph import Graph, GraphBuilder, attribute_key
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType, View
from dualflow.ops.devices import Device

_programs: dict[Any, Any] = {}


def can_hold(op: Op, arrays: Sequence[Any]) -> bool:
    """Whether a kernel holds `op` of such operands."""
    spelled = op.spelling.get("triton")
    kinds = {kind(array.dtype) for array in arrays}
    if isinstance(spelled, Mapping):
        return any(kinds <= set(letters) for letters in spelled)
    return spelled is not None and "c" not in kinds


def run(op: Op, arrays: Sequence[Any], attributes: Mapping[str, Any], where: Device) -> Any:
    """`op` of the arrays; waits until the kernel is compiled.

    Raises:
        CompileError: the kernel could not be compiled.
    """
    return _compilation(op, arrays, attributes, where).result().run(arrays)[0]


def run_if_compiled(
    op: Op, arrays: Sequence[Any], attributes: Mapping[str, Any], where: Device
) -> tuple[Any, ...] | None:
    """The results of `op` by its template; None while that is being compiled.

    Raises:
        CompileError: it could not be compiled.
    """
    compilation = _compilation(op, arrays, attributes, where)
    return tuple(compilation.result().run(arrays)) if compilation.done else None


def _compilation(
    op: Op, arrays: Sequence[Any], attributes: Mapping[str, Any], where: Device
) -> Any:
    """The program of this one node, begun when it is asked for first."""
    types = tuple(TensorType(a.shape, a.dtype) for a in arrays)
    layouts = tuple(View(a.shape, tuple(s // a.itemsize for s in a.strides)) for a in arrays)
    names = tuple((name, attribute_key(value)) for name, value in attributes.items())
    key = op, types, layouts, names, where, config.active().numerics
    program = _programs.get(key)
    if program is None:
        graph = _graph(op, types, attributes)
        program = _programs[key] = pipeline.compile_graph(graph, layouts, device=where)
    return program


def _graph(op: Op, types: Sequence[TensorType], attributes: Mapping[str, Any]) -> Graph:
    builder = GraphBuilder()
    node = builder.add(op, [builder.input(type_) for type_ in types], attributes)
    return builder.build(node.results)
