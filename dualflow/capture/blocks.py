"""Blocks, the stretches of recorded paths: guards and a program that is compiled behind the caller.

Comes in: a generated function and the graph of what it runs. Goes out: a call of both, once the
program is there. Equal programs of different blocks are compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from dualflow import pipeline
from dualflow.array.tensor import Tensor
from dualflow.base import config
from dualflow.base.shapes import Shape
from dualflow.base.source import SourceLine
from dualflow.base.thread import RLock
from dualflow.ir.graph import Graph, attribute_key
from dualflow.ir.types import View
from dualflow.runtime import builds
from dualflow.runtime.behind import Unplanned

from .emit import MISS, PYTHON
from .reasons import Reason

if TYPE_CHECKING:
    from .wording import Written

Run = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


compile_graph = pipeline.compile_graph


#: A program of more nodes than this is given up: planning it would take too long.
MOST_NODES = 20_000


class Block:
    """A stretch of a path.

    Attributes:
        words: what its text is to be; None once it is written.
        call: `call(args, kwargs, T, X)` gives the outcome of the test; of a leaf the result; or a
            marker: MISS, RAISED, PYTHON. With `check=True` it only says whether the guards fit.
        arguments: number, shape and dtype of the arguments that its guards ask to be tensors.
        graph: what its program computes; None if it needs none.
        into: outputs that are stored in the memory of an input, by number.
        device: what runs its program.
        compilation: of the program, under way or done; None if it needs none.
        leaf: whether the path ends here.
        outcome: what the test gave when it was recorded, as a key of the tree.
        reason: of a leaf that runs in Python: why.
        exports: the numbers of the values that it leaves for later blocks.
        drops: the numbers of those of earlier blocks that it is the last to take.
        kept: names of Python numbers that it keeps for later blocks, by keys of nodes.
        drawn: so many draws of NumPy's it and the blocks before it have made.
        slow: of a first one: whether Python was measured to be faster; None while it was not.
        native: what the machine that replays calls has of it (`whole.py`).
        run: its program, once it is linked.
    """

    def __init__(
        self, words: Any, arguments: list[tuple[int, Shape, np.dtype]], leaf: bool = False
    ) -> None:
        self.arguments, self.leaf = arguments, leaf
        self.words: Any = words
        self.call: Callable[..., Any] = self._first
        self.graph: Graph | None = None
        self.layouts: list[View] = []
        self.into: dict[int, int] = {}
        self.device = "cpu"
        self.compilation: Any = None
        self.outcome: Any = None
        self.reason: Reason | None = None
        self.failed: Exception | None = None
        self.exports: list[Any] = []
        self.drops: list[Any] = []
        self.kept: dict[int, str] = {}
        self.drawn = 0
        self.slow: bool | None = None
        self.native: Any = None
        self.run: Run | None = None
        self._written: Written | None = None

    def say(self, words: Any) -> None:
        """Let its text be another one than was asked for so far."""
        self.words, self._written = words, None

    @property
    def written(self) -> Written:
        """Its text, written when it is first asked for."""
        found = self._written
        if found is None:
            with _writing:
                found = self._written or self._write()
        return found

    def _write(self) -> Written:
        found: Written = self.words.write()
        if self.run is not None:
            found.namespace["run"] = self.run
        found.watch(lambda _: self._gone(found))
        self._written, self.words = found, None
        return found

    def _gone(self, written: Written) -> None:
        written.key = object()  # ids in the key may come to mean something else
        if self.native is not None:
            self.native.end()

    def _first(self, *given: Any) -> Any:
        self.call = self.written.compile()
        return self.call(*given)

    def same(self, other: Block) -> bool:
        """Whether two blocks check and compute the same."""
        return self.arguments == other.arguments and self.written.key == other.written.key

    def alike(self, other: Block) -> bool:
        """Whether the guards of two blocks differ in Python values alone."""
        return self is other or (
            self.arguments == other.arguments and self.written.kinds == other.written.kinds
        )

    def is_for_others(self, args: tuple[Any, ...]) -> bool:
        """Whether one of `args` is a tensor of another shape or dtype than the guards ask: so the
        text of guards, which takes as long to compile as it took to record, can wait."""
        for i, shape, dtype in self.arguments:
            if i < len(args) and type(args[i]) is Tensor:
                array = args[i]._array
                if array is not None and (array.shape != shape or array.dtype != dtype):
                    return True
        return False

    @property
    def ready(self) -> bool:
        if self.compilation is None:
            return self.graph is None
        return self.compilation.done

    def start(self, behind: bool = False) -> None:
        """Start compiling the program; with `behind`, the helper process does all of it."""
        if self.graph is None or self.compilation is not None:
            return
        place = tuple(self.layouts), tuple(self.into.items())
        content = self.graph.digest or self.graph.key
        numerics = config.active().numerics
        key = compile_graph, builds.generation, content, place, numerics, str(self.device)
        self.compilation = _compilations.get(key)
        if self.compilation is None:
            given: dict[str, Any] = {"into": self.into} if self.into else {}
            if self.device != "cpu":
                given["device"] = self.device
            if behind:
                given["behind"] = True
            if len(self.graph.nodes) > MOST_NODES:
                given["most"] = MOST_NODES
            try:
                self.compilation = compile_graph(self.graph, self.layouts, **given)
            except Unplanned as why:
                self._give_up(*why.args)
                return
            _compilations[key] = self.compilation

    def link(self) -> None:
        """Give the function its program; waits for it.

        Raises:
            CompileError: it could not be compiled.
        """
        if self.compilation is not None and self.run is None:
            try:
                executable = self.compilation.result()
            except Unplanned as why:
                self._give_up(*why.args)
                return
            except Exception:  # the next block that wants it has it tried anew
                for key in [k for k, made in _compilations.items() if made is self.compilation]:
                    del _compilations[key]
                raise
            self.run = separate(executable, self.into)
            if self._written is not None:
                self._written.namespace["run"] = self.run
            self.graph = getattr(self.compilation, "rolled", None) or self.graph

    def _give_up(self, why: str, line: SourceLine | None) -> None:
        """No program will be made: where the guards fit, Python runs."""
        guards = self.written.compile()

        def call(args: Any, kwargs: Any, late: Any, arrays: Any, check: bool = False) -> Any:
            found = guards(args, kwargs, late, arrays, True)
            return found if check or found is MISS else PYTHON

        self.call, self.graph, self.compilation = call, None, None
        self.reason = Reason(why, line)


_writing = RLock()
#: the programs of all blocks that there are: those of the steps of a loop are mostly equal
_compilations: WeakValueDictionary[Any, Any] = WeakValueDictionary()


def separate(executable: Any, into: Mapping[int, int]) -> Run:
    """`executable.run`, whose outputs share no memory with each other or with inputs, but that
    those in `into` may be the input itself, which they replace."""
    run = executable.run
    program = getattr(executable, "program", None)
    if program is None:
        return run
    seen = set()
    copied, stored = [], []
    for i, output in enumerate(program.outputs):
        place = (output.buffer.place, output.buffer.index)
        packed = output.view.is_contiguous and output.view.offset == 0
        if place == ("input", into.get(i)):
            stored.append(place[1])
        elif place[0] != "output" or place in seen or not packed:
            copied.append(i)
        seen.add(place)
    if executable.native:  # nothing can fail once it writes
        stored = []
    if not copied and not stored:
        return run

    def run_and_copy(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        if stored:
            arrays = list(arrays)
            for i in stored:
                arrays[i] = arrays[i].copy()
        outputs = list(run(arrays))
        for i in copied:
            outputs[i] = outputs[i].copy()
        return outputs

    return run_and_copy


def outcome_key(value: Any) -> Any:
    """A key of an outcome in which 1, True, 1.0 and -0.0 differ."""
    return attribute_key(value) if value is not None else None
