"""Replays that are one native call: guards, programs, results and effects of all paths of a tree.

Comes in: the trace tree of a compiled function, whose blocks have their programs. Goes out:
`Whole`, a built-in that takes the arguments and gives the result, or MISS where a call is one that
Python replays: nothing has happened then. Each block is assembled once, from its own text.
"""

from __future__ import annotations

import sys
from typing import Any
from weakref import WeakSet

import numpy as np

from dualflow.array.eager import EagerMode
from dualflow.array.tensor import Tensor
from dualflow.base import config
from dualflow.base.counters import before_stats, count
from dualflow.ops import door
from dualflow.runtime import native_call
from dualflow.runtime.machine import ALIVE, HITS, REGISTERS
from dualflow.runtime.native_call import WholeCall

from .assembly import Assembler, Other
from .blocks import Block
from .emit import MISS, Marker
from .error_state import error_state, errors_are_quiet
from .tree import Alternative, Fork

#: After so many calls in a row that it gave back it is not asked again until the tree changes.
IDLE = 32
#: How many arguments a call has, and the names of the last of them.
Given = tuple[int, tuple[str, ...]]


class Native:
    """A block as the machine takes it.

    Attributes:
        words: see `runtime/native_call`.
        given: how many arguments a call has, and the names of the last of them.
        late: whether it keeps values for the blocks below.
        settings: those that it was made for.
    """

    def __init__(self, block: Block, given: Given, settings: Any) -> None:
        run = block.run
        executable: Any = getattr(run, "__self__", None)
        program = executable.parts_of_call() if hasattr(executable, "parts_of_call") else None
        made = Assembler(
            block.written.text, block.written.namespace, program, given, block.leaf, settings
        )
        self.words, self.given, self.late = made.words(), made.given, made.late
        self.settings = settings
        self._keep = made.keep, executable
        self._runs = executable.program.runs if program is not None else (0, 0)
        self._seen = 0

    def end(self) -> None:
        """Something that it looks at is no more."""
        self.words[ALIVE] = 0

    def settle(self) -> None:
        """Count what its program launched since."""
        hits = int(self.words[HITS])
        taken, self._seen = hits - self._seen, hits
        for name, each in zip(("kernel_launches", "library_calls"), self._runs, strict=True):
            if each and taken:
                count(name, each * taken)


class Tally:
    """Counts the calls that a built-in takes; it lives as long, for calls that are still under
    way."""

    def __init__(self, call: WholeCall, natives: list[Native], counts: dict[str, int]) -> None:
        self._call, self._natives, self._counts = call, natives, counts
        live.add(self)

    def settle(self) -> int:
        """Count the calls that were taken since; how many there were."""
        taken, failed = self._call.taken()
        if not taken:
            return 0
        self._counts["calls"] += taken
        self._counts["replays"] += taken - failed
        count("calls", taken)
        count("replays", taken - failed)
        for native in self._natives:
            native.settle()
        return taken

    def __del__(self) -> None:
        if count is not None:  # as it is while the interpreter ends
            self.settle()


#: those that may have calls to count
live: WeakSet[Tally] = WeakSet()


class Whole:
    """The built-in of one compiled function, for its tree as it is now.

    Attributes:
        call: the built-in; None if it would take no call.
    """

    def __init__(self, root: Fork, blocks: int, counts: dict[str, int]) -> None:
        self._blocks, self._settings = blocks, config.active()
        self._natives: list[Native] = []
        self._leaves: dict[int, Block] = {}
        self._waiting: list[Alternative] = []  # those that had no program
        self._forks: list[np.ndarray] = []
        self._late = False
        self._idle = 0
        first = self._fork(root)
        self._fill(root, first)
        registers = max((int(native.words[REGISTERS]) for native in self._natives), default=0)
        self._words = machine(first, registers, self._late, self._settings)
        self._tally = Tally(self._words, self._natives, counts)
        keep = self._forks, self._settings, self._tally
        self.call = self._words.built_in(keep) if self._leaves else None

    def stale(self, blocks: int) -> bool:
        """Whether the tree, which has so many blocks, or the settings are others now."""
        waiting = self._waiting and any(alternative.linked for alternative in self._waiting)
        return bool(waiting) or blocks != self._blocks or config.active() is not self._settings

    def allow(self, calls: int) -> Any:
        """The built-in, which takes so many calls now; None where it only loses time."""
        self._idle += 1
        if self._idle > IDLE or not errors_are_quiet():
            return None
        self._words.allow(calls, error_state.get())
        return self.call

    @property
    def last(self) -> Block | None:
        """The leaf that the last call took."""
        return self._leaves.get(self._words.last)

    def settle(self) -> int:
        """Count the calls that were taken since; how many there were."""
        taken = self._tally.settle()
        if taken:
            self._idle = 0
        return taken

    # Making ---------------------------------------------------------------------------------

    def _fork(self, fork: Fork) -> np.ndarray:
        words = np.zeros(1 + 2 * len(fork.alternatives), np.int64)
        words[0] = len(fork.alternatives)
        self._forks.append(words)
        return words

    def _fill(self, root: Fork, first: np.ndarray) -> None:
        """Enter the blocks of all forks; those behind one without a program are never reached."""
        todo: list[tuple[Fork, np.ndarray, Given]] = [(root, first, (-1, ()))]
        while todo:
            fork, words, given = todo.pop()
            for n, alternative in enumerate(fork.alternatives):
                native = self._native(alternative, given)
                if native is None:
                    break
                words[1 + 2 * n] = native.words.ctypes.data
                if alternative.block.leaf:
                    self._leaves[native.words.ctypes.data] = alternative.block
                    continue
                outcomes = [0]
                for key, below in alternative.below.items():
                    outcome = _object_of(key)
                    if outcome is not None and below.alternatives:
                        following = self._fork(below)
                        outcomes += [id(outcome[0]), following.ctypes.data]
                        todo.append((below, following, native.given))
                outcomes[0] = len(outcomes) // 2
                self._forks.append(np.array(outcomes, np.int64))
                words[2 + 2 * n] = self._forks[-1].ctypes.data

    def _native(self, alternative: Alternative, given: Given) -> Native | None:
        block = alternative.block
        if not alternative.linked or block.reason is not None:
            self._waiting.append(alternative)
            return None
        if block.device != "cpu" or block.drawn:
            return None  # Python launches, and sets generators back
        native = block.native
        if native is None or native.settings is not self._settings:
            if native is not None:
                native.end()
            key = block.written.key
            try:
                native = block.native = Native(block, given, self._settings)
            except Other:
                count("portable_blocks")
                return None
            if block.written.key is not key:  # something that it looks at has died meanwhile
                native.end()
        self._natives.append(native)
        self._late |= native.late
        return native


def machine(first: np.ndarray, registers: int, late: bool, settings: Any) -> WholeCall:
    """The words of a built-in for a tree: its first fork, the most registers of a block, whether
    one keeps values for others, the settings it is for."""
    names = sys.intern
    head = {
        "frame": registers + 1, "fork": first.ctypes.data, "late_wanted": late,
        "miss_object": id(MISS), "active": id(vars(config)), "active_name": id(names("_active")),
        "settings": id(settings), "state": id(door.state), "mode_name": id(names("mode")),
        "mode": id(EagerMode), "variable": id(error_state), "tensor_type": id(Tensor),
        "array_name": id(names("_array")), "storage_name": id(names("_storage")),
        "exposed_name": id(names("exposed")), "marker": id(Marker),
        "error_name": id(names("error")),
    }  # fmt: skip
    return WholeCall(head)


def settle_all() -> None:
    """Count what all have taken."""
    for each in list(live):
        each.settle()


before_stats.append(settle_all)


def whole(root: Fork, blocks: int, counts: dict[str, int]) -> Whole | None:
    """The built-in of a tree of so many blocks; None where the machine does not work."""
    if error_state is None or not native_call.works():
        return None
    if all(alternative.block.device != "cpu" for alternative in root.alternatives):
        return None  # on GPUs
    return Whole(root, blocks, counts)


def _object_of(key: Any) -> tuple[Any] | None:
    """The one object that has this key as an outcome, if there is only one."""
    if key is None:
        return (None,)
    if type(key) is not tuple or len(key) != 2:
        return None
    kind, value = key
    small = kind == "int" and -5 <= value <= 256
    return (value,) if kind == "bool" or small else None
