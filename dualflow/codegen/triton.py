"""Kernel -> Triton source: one text a kernel, for any size; what depends on sizes is a constexpr.

    map     no loop axis                full tiles without masks (16-byte accesses), the rest masked
    row     lanes = the last loop axis  WHOLE: a row is one tile, every value stays in registers;
                                        else tile after tile, kept values computed again
    column  lanes = the last grid axis, tile after tile of rows, reduced at the end
            with folds

A program instance computes a tile of one or two axes; `triton_variants.py` says which one, and
which compilations of the text serve a launch. Names are numbered as in `numba.py`.
"""

from __future__ import annotations

from dualflow.ir.kernel import Check, Fold, Keep, Kernel, Stage, Store
from dualflow.ir.text import KernelText

from .triton_folds import SUM, Folds
from .triton_online import Online, online
from .triton_variants import can_be_whole


def emit(kernel: Kernel) -> KernelText:
    """The text of `kernel`: a Triton function `kernel(pointers, scalars, integers, constexprs)`.

    Raises:
        NotImplementedError: an op of the kernel has no spelling for this backend, or the kernel has
            totals, which a schedule for this backend makes kernels of their own.
    """
    return _Emitter(_checked(kernel)).text()


def emit_part(kernel: Kernel, name: str) -> list[str]:
    """The functions of a text that launches `kernel` among others: `name(block, ...)`, which is
    told the number of its program instance, behind those that it calls.

    Raises:
        NotImplementedError: see `emit`.
    """
    return _Emitter(_checked(kernel), name).functions()


def emit_rows(kernel: Kernel, name: str, held: str) -> list[str]:
    """As `emit_part`, of a kernel over rows whose operand `held` is not in memory: the function is
    given the tile of it behind the number of its program instance.

    Raises:
        NotImplementedError: see `emit`.
    """
    return _Emitter(_checked(kernel), name, held).functions()


def _checked(kernel: Kernel) -> Kernel:
    if kernel.totals:
        raise NotImplementedError("program instances share no totals")
    return kernel


class _Emitter(Folds):
    """One kernel in the making."""

    def _body(self) -> None:
        starts = self._grid()
        if not self.kernel.loops:
            full = [f"{start} + {self._block(a)} <= {self._end(a)}" for a, start in starts.items()]
            self.masked = False
            with self.block(f"if {' and '.join(full)}:"):
                self._stages()
            self.masked = True
            with self.block("else:"):
                self._stages()
        elif can_be_whole(self.kernel):
            self.whole = True
            with self.block("if WHOLE:"):
                self._place(self.kernel.lanes, "")
                self._stages()
            self.whole = False
            with self.block("else:"):
                self._stages()
        else:
            self._stages()

    # One stage: folds start, loops, scalar code, sinks, folds end.

    def _stages(self) -> None:
        self.made, self.kept, self.written = {}, {}, set()
        stages = list(self.kernel.stages)
        while stages:
            stage = stages.pop(0)
            pair = None
            if stages and not self.whole and len(self.tile) == 2:
                pair = online(self.kernel, stage, stages[0])
            if pair is None:
                self._stage(stage)
            elif pair.squares:
                self._squares(pair, stage, stages.pop(0))
            else:
                self._exponentials(pair, stage, stages.pop(0))

    def _exponentials(self, pair: Online, stage: Stage, second: Stage) -> None:
        """A maximum and the sum of exponentials below it, tile after tile (`triton_online.py`)."""
        name, total = self.fold_names[pair.first.name], self.fold_names[pair.second.name]
        (lanes,) = stage.over
        rows = [self._block(axis) if axis in self.kernel.grid else "1" for axis in self.tile]
        lowest = self._identity(pair.first)
        self.put(f"{name} = tl.full([{', '.join(rows)}], {lowest}, tl.float32)")
        self.put(f"{name}b = {self._values(second, [pair.below])[pair.below]}")
        self._start(pair.second, second)
        head = f"for b{self.axes[lanes][1:]} in range(0, {self._end(lanes)}, {self._block(lanes)}):"
        join = self._join(self._template(pair.first))
        with self.block(head):
            self._place(lanes, f"b{self.axes[lanes][1:]} + ")
            value = self._values(stage, [pair.first.value])[pair.first.value]
            mask = self._mask(self._over(stage))
            seen = f"tl.where({mask}, {value}, {lowest})" if mask else value
            tile = f"tl.reduce({seen}, {self.tile.index(lanes)}, {join}, keep_dims=True)"
            self.put(f"{name}o = {name}b")
            self.put(f"{name} = {self._template(pair.first).format(name, tile)}")
            self._outdated(name)
            self.put(f"{name}b = {self._values(second, [pair.below])[pair.below]}")
            self.put(f"{total}t = scaled({total}t, {name}o, {name}b)")
            value = self._values(second, [pair.second.value])[pair.second.value]
            # nothing above -inf was seen yet: exp(-inf - -inf) is no part of the sum so far
            self.put(f"{name}e = tl.where({name}b == {lowest}, 0.0, {value})")
            self._accumulate(pair.second, f"{name}e", second)
        self.put(
            f"{total}t = no_number({total}t, ({name}b == {lowest}) & ({self._end(lanes)} > 0))"
        )
        self._outdated(name)
        self._finish(pair.second, second)

    def _squares(self, pair: Online, stage: Stage, second: Stage) -> None:
        """A sum and the sum of squares around what follows from it (`triton_online.py`)."""
        name, squares = self.fold_names[pair.first.name], self.fold_names[pair.second.name]
        (lanes,) = stage.over
        for fold, where in ((pair.first, stage), (pair.second, second)):
            self._start(fold, where)
        head = f"for b{self.axes[lanes][1:]} in range(0, {self._end(lanes)}, {self._block(lanes)}):"
        with self.block(head):
            self._place(lanes, f"b{self.axes[lanes][1:]} + ")
            value = self._values(stage, [pair.first.value])[pair.first.value]
            mask = self._mask(self._over(stage))
            value = f"tl.where({mask}, {value}, 0.0)" if mask else value
            self.put(f"{name}v = {value}.to(tl.float64)")
            self.put(f"{name}t += {name}v")
            self.put(f"{squares}t += {name}v * {name}v")
        join, along = self._join(SUM), self.tile.index(lanes)
        self.put(f"{name}s = tl.reduce({name}t, {along}, {join}, keep_dims=True)")
        self.put(f"{squares}s = tl.reduce({squares}t, {along}, {join}, keep_dims=True)")
        self.put(f"{name} = {name}s.to(tl.float32)")
        below = self._values(second, [pair.below])[pair.below]
        self.put(f"{squares} = around({squares}s, {name}s, {below}, {self._end(lanes)})")

    def _stage(self, stage: Stage) -> None:
        tiled = self.kernel.loops[-1:]
        walked = tuple(a for a in tiled if a in stage.over and not self.whole)
        heads = [
            f"for {self.axes[a]} in range({self._end(a)}):" for a in stage.over if a not in tiled
        ] + [f"for b{self.axes[a][1:]} in range(0, {self._end(a)}, {self._block(a)}):"
             for a in walked]  # fmt: skip
        folds = [sink for sink in stage.sinks if isinstance(sink, Fold)]
        if not heads:
            self._sinks(stage)
            for fold in folds:
                self._finish(fold, stage)
            return
        for fold in folds:
            self._start(fold, stage)
        with self.block(*heads):
            for axis in walked:
                self._place(axis, f"b{self.axes[axis][1:]} + ")
            self._sinks(stage)
        for fold in folds:
            self._finish(fold, stage)

    def _sinks(self, stage: Stage) -> None:
        names = self._values(stage, [sink.value for sink in stage.sinks])
        live = self._live(stage)
        for sink in stage.sinks:
            value = names[sink.value]
            if isinstance(sink, Store):
                self._store(sink, value, live)
            elif isinstance(sink, Check):
                mask = self._mask(live)
                bad = f"({value} == 0) & {mask}" if mask else f"{value} == 0"
                self.put(f"report(status, {bad}, {sink.code})")
            elif isinstance(sink, Keep):
                if self.whole:
                    self.kept[sink.name] = value
            elif isinstance(sink, Fold):
                self._accumulate(sink, value, stage)
