"""CUDA graphs of whole programs: captured once addresses repeat, launched by one call.

A graph holds the addresses of its launches, so it is kept under all of them: what does not lie
where it lay is launched kernel by kernel, and captured in turn when it comes a second time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from dualflow.base.counters import count

from .libraries import cupy

#: Graphs of one program; the one used longest ago goes first.
MOST = 8
#: Sets of addresses that are remembered as seen once.
SEEN = 64


class Graphs:
    """The graphs of one program."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._seen: OrderedDict[tuple[int, ...], None] = OrderedDict()

    def run(
        self, key: tuple[int, ...], stream: Any, steps: Sequence[Any], pointers: Sequence[int]
    ) -> bool:
        """Whether the steps ran as a graph; `key` is the stream and all addresses."""
        graph = self._kept.get(key)
        if graph is None:
            if key not in self._seen:
                self._seen[key] = None
                if len(self._seen) > SEEN:
                    self._seen.popitem(last=False)
                return False
            graph = self._kept[key] = _captured(steps, pointers)
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        graph.launch(stream)
        count("graph_launches")
        return True


def _captured(steps: Sequence[Any], pointers: Sequence[int]) -> Any:
    """The launches as a graph; on a stream of their own, as the default one cannot be captured."""
    stream = cupy().cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        try:
            for step in steps:
                step.launch(stream.ptr, pointers, 0)
        finally:
            graph = stream.end_capture()
    return graph
