"""CUDA graphs of whole programs: captured once addresses repeat, launched by one call.

A graph holds the addresses of its launches, so it is kept under all of them. Where only small
operands lie elsewhere at each call, the graph works on memory of its own for these: they are
copied there before it and from there after it, in the order of the stream. What else does not lie
where it lay is launched kernel by kernel, and captured in turn when it comes a second time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

from dualflow.base.counters import count

from .gemm import make_ready
from .libraries import cupy
from .memory import moved
from .narrow import words
from .places import Memory
from .steps import Work

#: Graphs of one stretch; the one captured longest ago goes first.
MOST = 8
#: Sets of addresses that are remembered as seen once.
SEEN = 64
#: Bytes of operands that are copied, at most, and calls without a graph before that is tried.
COPIED, PATIENCE = 4 << 20, 3


class _Staged(NamedTuple):
    """A graph on memory of its own: by number of the base, an array of that memory."""

    graph: Any
    own: dict[int, Any]
    fixed: tuple[tuple[int, int], ...]  # the bases that have to lie where they lay, and where


class Graphs:
    """The graphs of one stretch of a program."""

    def __init__(
        self, launch_all: Callable[[Work], None], memory: Memory, bases: list[int]
    ) -> None:  # fmt: skip
        """`bases`: the numbers of those that the stretch reads or writes."""
        self._launch_all, self._memory, self._bases = launch_all, memory, bases
        self._kept: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._seen: OrderedDict[tuple[int, ...], None] = OrderedDict()
        self._staged: dict[int, _Staged] = {}
        self._misses = 0
        self._lock = threading.Lock()

    def run(self, work: Work, stream: Any) -> bool:
        """Whether the program ran as a graph."""
        pointers = work.pointers
        key = (work.stream, *[pointers[n] for n in self._bases])
        graph = self._kept.get(key)
        if graph is not None:
            graph.launch(stream)
            count("graph_launches")
            return True
        with self._lock:
            return self._run_copied(work, stream) or self._run_new(key, work, stream)

    def _run_new(self, key: tuple[int, ...], work: Work, stream: Any) -> bool:
        """With a graph for these addresses, if they were seen before."""
        if key not in self._seen:
            self._seen[key] = None
            self._misses += 1
            if len(self._seen) > SEEN:
                self._seen.popitem(last=False)
            if self._misses < PATIENCE or not self._stage(work, key):
                return False
            return self._run_copied(work, stream)
        graph = self._kept[key] = self._captured(work)
        self._misses = 0
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        graph.launch(stream)
        count("graph_launches")
        return True

    def _stage(self, work: Work, key: tuple[int, ...]) -> bool:
        """Make a graph in which what lay elsewhere in the last calls has memory of its own."""
        last = islice(reversed(self._seen), PATIENCE)
        others = [seen[1:] for seen in last if seen[0] == work.stream]
        moving = [n for at, n in enumerate(self._bases)
                  if any(other[at] != key[at + 1] for other in others)]  # fmt: skip
        arrays = [work.arrays[n] for n in moving]
        small = sum(array.nbytes for array in arrays) <= COPIED
        packed = all(array.flags.c_contiguous for array in arrays)
        if not moving or not small or not packed or self._memory.replaced.intersection(moving):
            return False
        own = {n: cupy().empty_like(words(work.arrays[n])) for n in moving}
        bases = [own.get(n, array) for n, array in enumerate(work.arrays)]
        graph = self._captured(work._replace(
            arrays=bases, pointers=[base.data.ptr for base in bases]))  # fmt: skip
        fixed = tuple((n, work.pointers[n]) for n in self._bases if n not in own)
        self._staged[work.stream] = _Staged(graph, own, fixed)
        return True

    def _run_copied(self, work: Work, stream: Any) -> bool:
        """With the graph that has memory of its own, if all else lies where it lay."""
        staged = self._staged.get(work.stream)
        if staged is None or any(work.pointers[n] != p for n, p in staged.fixed):
            return False
        inputs, whole = self._memory.inputs, self._memory.whole
        for n, array in staged.own.items():
            if n < inputs or not whole:
                moved(array.data.ptr, work.pointers[n], array.nbytes, work.stream)
        staged.graph.launch(stream)
        for n, array in staged.own.items():
            if n >= inputs:
                moved(work.pointers[n], array.data.ptr, array.nbytes, work.stream)
        count("graph_launches")
        return True

    def _captured(self, work: Work) -> Any:
        """The launches as a graph."""
        return captured(self._launch_all, work)


#: Memory for cuBLAS, as much as it wants on the largest devices; by stream and device.
WORKSPACE = 32 << 20
_workspaces: dict[tuple[int, int], Any] = {}


def captured(launch: Callable[[Work], None], work: Work) -> Any:
    """What `launch(work)` launches, as a graph for the stream of the work; captured on a stream of
    its own, as the default one cannot be."""
    key = work.stream, cupy().cuda.runtime.getDevice()
    if key not in _workspaces:  # graphs of one stream run one after the other
        _workspaces[key] = cupy().empty(WORKSPACE, "uint8")
    stream = cupy().cuda.Stream(non_blocking=True)
    make_ready()
    with stream:
        stream.begin_capture()
        try:
            launch(work._replace(stream=stream.ptr, workspace=_workspaces[key]))
        except BaseException:
            _abandon(stream)
            raise
        return stream.end_capture()


def _abandon(stream: Any) -> None:
    """End a capture in which something was raised; what CUDA says of it is of no interest."""
    try:
        stream.end_capture()
    except Exception as error:
        if type(error).__name__ != "CUDARuntimeError":
            raise


def seconds_of(launch: Callable[[Work], None], work: Work, times: int, stream: Any) -> float:
    """The time that the GPU takes for one of `times` launches, as a graph."""

    def repeat(on: Work) -> None:
        for _ in range(times):
            launch(on)

    graph = captured(repeat, work)
    graph.launch(stream)
    start, end = (cupy().cuda.Event() for _ in range(2))
    start.record(stream)
    graph.launch(stream)
    end.record(stream)
    end.synchronize()
    return float(cupy().cuda.get_elapsed_time(start, end)) * 1e-3 / times
