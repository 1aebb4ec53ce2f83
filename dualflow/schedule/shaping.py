"""Terms over a domain as a Kernel: the order of axes, which are merged, stages, what is kept.

Comes in: a `Lowering`. Goes out: `Lowered`: the kernel and the numbers to launch it with. Sizes,
strides and constants are launch arguments, so one kernel serves every batch size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from dualflow.base.dtypes import int64
from dualflow.base.records import record
from dualflow.ir.backend import BY_NAME
from dualflow.ir.graph import Value
from dualflow.ir.kernel import (
    Access,
    Axis,
    Check,
    Fold,
    Keep,
    Kernel,
    Let,
    Scalar,
    Sink,
    Stage,
    Store,
    Total,
)
from dualflow.ir.op import CATALOGUE
from dualflow.ir.types import View
from dualflow.ops import primitives as p

from .lowering import Look, Lowering, Term

#: Fewer points of the grid or of the loop do not run side by side.
NARROW = 8
#: So many values of a kernel may be written out for the points of a short axis, all together.
MOST_WRITTEN = 100
OUT_OF_BOUNDS = 1  # the status of the only check there is


@record
class Lowered:
    """A kernel and what to launch it with, but for the buffers.

    Attributes:
        looks: for each access: the value, and its View over the kernel's axes.
        integers: for `kernel.integers()`.
        scalars: for `kernel.scalars`.
    """

    kernel: Kernel
    looks: tuple[tuple[Value, View], ...]
    integers: tuple[int, ...]
    scalars: tuple[bool | int | float, ...]

    @property
    def may_fail(self) -> bool:
        """Whether a check may set the status."""
        return any(isinstance(sink, Check) for sink in self.kernel.sinks)


def shape_kernel(lowering: Lowering) -> Lowered:
    """The kernel of a group. An axis of few points is written out in the text where all that folds
    runs along a loop and nothing is kept; else it is one of the grid as any other."""
    shaping = _Shaping(lowering)
    if shaping.short:
        found = shaping.lowered()
        if not found.kernel.folds_across_lanes and not found.kernel.keeps:
            return found
        shaping = _Shaping(lowering, written_out=False)
    return shaping.lowered()


def lanes_in_loop(lowering: Lowering) -> bool:
    """Whether memory lies along a loop, not along the grid."""
    return _Shaping(lowering).lies_along_loop()


class _Shaping:
    def __init__(self, lowering: Lowering, written_out: bool = True) -> None:
        self.lowering = lowering
        self.most = BY_NAME[lowering.fusion.facts.backend].short
        self.domain, self.loops = lowering.domain, lowering.loops
        every = [*lowering.stores, *lowering.closing]
        self.used = terms_under([*lowering.checks, *(term for _, term in every)])
        self.looks = [t.key for t in self.used if t.op in ("load", "gather")]
        stored = [look for look, _ in every]
        self.looks = _most_alike_first(list(dict.fromkeys([*self.looks, *stored])))
        self.vectors = [look.strides for look in self.looks]
        self.vectors += [t.key[0] for t in self.used if t.op == "place"]  # type: ignore[index]
        # kernel axes: runs of domain axes that lie one after the other in every access
        inside = self.loops | lowering.totalled
        self.kept = self._runs(self._ordered(k for k in range(len(self.domain)) if k not in inside))
        self.total = self._runs(self._ordered(lowering.totalled))
        self.loop = self._runs(self._ordered(self.loops))
        if lowering.closing and not self.total:
            self.total = [[]]
        if self.loops and not self.loop:
            self.loop = [[]]
        self.short = self._written_out() if written_out else []
        self.grid = [*self.kept, *self.total] or [[]]
        self.runs = [*self.grid, *self.short, *self.loop]
        self.names = [f"i{n}" for n in range(len(self.grid))]
        self.short_names = [f"m{n}" for n in range(len(self.short))]
        self.loop_names = tuple(f"j{n}" for n in range(len(self.loop)))
        self.lanes = self._lanes()
        self.scalars: dict[Term, str] = {}
        self.accesses = {look: f"a{n}" for n, look in enumerate(self.looks)}
        self.lasting: dict[Term, str] = {}
        self.count = 0
        self.indices = [Term("index", int64, (), n) for n in range(len(self.runs))]
        self.places: dict[Term, Term] = {}

    # Axes --------------------------------------------------------------------------------------

    def _ordered(self, axes: Iterable[int]) -> list[int]:
        """The axes, those with large strides in the access that moves most first."""
        real = [k for k in axes if self.domain[k] != 1]
        stores = [look for look, _ in self.lowering.stores]
        first = self.looks if self.loops else [*stores, *self.looks]
        main = max(first, key=lambda look: sum(map(bool, look.strides)))
        if all(main.strides[k] for k in real):
            real.sort(key=lambda k: -abs(main.strides[k]))
        return real

    def _runs(self, axes: list[int]) -> list[list[int]]:
        runs: list[list[int]] = []
        for k in axes:
            if runs and self._follow(runs[-1][-1], k):
                runs[-1].append(k)
            else:
                runs.append([k])
        return runs

    def _written_out(self) -> list[list[int]]:
        """The innermost axis of the grid, taken from it, if it has few points and there are other
        axes. The first axis of a domain may be a batch, on whose size no text depends."""
        if not self.kept or 0 in self.kept[-1] or self.total:
            return []
        if not 1 < self._size(self.kept[-1]) <= self.most:
            return []
        if any(t.op == "fold" and CATALOGUE[str(t.key)].position_of for t in self.used):
            return []
        differing = sum(1 for t in self.used if t.axes.intersection(self.kept[-1]))
        if len(self.used) + differing * (self._size(self.kept[-1]) - 1) > MOST_WRITTEN:
            return []
        return [self.kept.pop()]

    def _follow(self, outer: int, inner: int) -> bool:
        """Whether all accesses see two axes as one."""
        size = self.domain[inner]
        return all(strides[outer] == strides[inner] * size for strides in self.vectors)

    def _size(self, run: list[int]) -> int:
        size = 1
        for k in run:
            size *= self.domain[k]
        return size

    def _lanes(self) -> str:
        """The axis that memory lies along, unless it has few points. How many the other has is not
        asked: it is often a batch, and one text is to serve every batch."""
        if not self.loops:
            return self.names[-1]
        if self.short and self.loop[-1]:
            steps = [abs(look.strides[self.loop[-1][-1]]) for look in self.looks]
            return self.loop_names[-1] if max(steps) <= self.most else self.names[-1]
        points, folded = self._size(self.grid[-1]), self._size(self.loop[-1])
        along = self.lies_along_loop()
        if not along:
            along = points < NARROW
        elif folded < NARROW and self.kept and not self.total:
            along = False
        return self.loop_names[-1] if along else self.names[-1]

    def lies_along_loop(self) -> bool:
        """Whether most accesses have unit stride along the loop; of equals the loop."""
        if not self.loops:
            return False
        most = max(sum(map(bool, look.strides)) for look in self.looks)
        moving = [look for look in self.looks if sum(map(bool, look.strides)) == most]

        def units(runs: list[list[int]]) -> int:
            strides = [abs(look.strides[runs[-1][-1]]) for look in moving if runs[-1]]
            return sum(0 < stride <= max(self.most, 1) for stride in strides)

        return units(self.grid) <= units(self.loop)

    def _strides(self, look: Look) -> tuple[int, ...]:
        return tuple(look.strides[run[-1]] if run else 0 for run in self.runs)

    def _spelled(self, strides: Sequence[int]) -> tuple[int | str, ...]:
        """Strides as they stand in the kernel: literal ones make loads of vectors of what would
        else be taken element by element."""
        axes = [*self.names, *self.short_names, *self.loop_names]
        closest = {self.lanes, *self.short_names}
        return tuple(
            step if step in (0, 1, -1) or (axis in closest and 0 < step <= self.most) else "s"
            for axis, step in zip(axes, strides, strict=True)
        )

    def _near(self, look: Look, accesses: Sequence[Access]) -> tuple[str, int] | None:
        """An access before it that this one lies close to, between two steps along the lanes."""
        lane = [*self.names, *self.short_names, *self.loop_names].index(self.lanes)
        step = abs(self._strides(look)[lane]) or len(self.short) * self.most
        if look.mode != "in" or not 1 < step <= self.most:
            return None
        for other, access in zip(self.looks, accesses, strict=False):
            further = look.offset - other.offset
            free = other.mode == "in" and not access.near and abs(further) < step
            if free and other.value is look.value and self._is_part(look, other):
                return access.name, further
        return None

    def _is_part(self, look: Look, other: Look) -> bool:
        """Whether one moves as the other, but along short axes, on which it may stand still."""
        pairs = zip(self._strides(look), self._strides(other), strict=True)
        first = len(self.grid)
        return all(
            one == two or (not one and first <= n < first + len(self.short))
            for n, (one, two) in enumerate(pairs)
        )

    # Stages ------------------------------------------------------------------------------------

    def lowered(self) -> Lowered:
        stages, closing = self._stages(), self._closing()
        sizes = tuple(self._size(run) for run in self.runs)
        accesses: list[Access] = []
        looks, steps = [], []
        for look, name in self.accesses.items():
            strides = self._strides(look)
            spelled, near = self._spelled(strides), self._near(look, accesses)
            accesses.append(Access(name, look.value.dtype, look.mode, spelled, near))  # type: ignore[arg-type]
            looks.append((look.value, View(sizes, strides, look.offset)))
            steps += [s for s, text in zip(strides, spelled, strict=True) if text == "s"]
        first = len(self.grid) - len(self.total)
        axes = [Axis(name, "grid") for name in self.names[:first]]
        axes += [Axis(name, "total") for name in self.names[first:]]
        few = map(self._size, self.short)
        axes += [Axis(name, "short", n) for name, n in zip(self.short_names, few, strict=True)]
        axes += [Axis(name, "loop") for name in self.loop_names]
        scalars = tuple(Scalar(name, term.dtype) for term, name in self.scalars.items())
        kernel = Kernel(tuple(axes), tuple(accesses), scalars, stages, self.lanes, closing)
        ends = [end for n in sizes[: len(self.grid)] for end in (0, n)]
        integers = (*ends, *sizes[len(sizes) - len(self.loop) :], *steps)
        numbers = tuple(_number(term) for term in self.scalars)
        return Lowered(kernel.verify(), tuple(looks), integers, numbers)

    def _stages(self) -> tuple[Stage, ...]:
        folds = [t for t in self.used if t.op == "fold"]
        whole = [(look, t) for look, t in self.lowering.stores if self._in_loop(look)]
        once = [(look, t) for look, t in self.lowering.stores if not self._in_loop(look)]
        checks = list(self.lowering.checks)
        inner = [t for t in checks if t.axes & self.loops]
        depths = [t.arguments[0].depth for t in folds]
        depths += [t.depth for t in (*inner, *(t for _, t in whole))]
        needs: list[list[Term]] = []
        for depth in range(max(depths, default=-1) + 1):
            needs.append([t.arguments[0] for t in folds if t.arguments[0].depth == depth])
            needs[-1] += [t for t in (*inner, *(t for _, t in whole)) if t.depth == depth]
        copied, kept = self._kept(needs)
        stages = []
        if copied:
            stages.append(self._stage(self.loop_names, [], [], copied, []))
        for depth, _ in enumerate(needs):
            mine = [t for t in folds if t.arguments[0].depth == depth]
            stores = [(look, t) for look, t in whole if t.depth == depth]
            tests = [t for t in inner if t.depth == depth]
            if mine or stores or tests:
                keep = [t for t, first in kept.items() if first == depth]
                stages.append(self._stage(self.loop_names, mine, stores, keep, tests))
        outer = [t for t in checks if t not in inner]
        totals = [t for t in self.used if t.op == "total"]
        if once or outer or totals:
            stages.append(self._stage((), totals, once, [], outer))
        return tuple(stages)

    def _closing(self) -> tuple[Stage, ...]:
        stores = self.lowering.closing
        return (self._stage((), [], stores, [], []),) if stores else ()

    def _in_loop(self, look: Look) -> bool:
        return any(look.strides[k] for k in self.loops)

    def _kept(self, needs: list[list[Term]]) -> tuple[list[Term], dict[Term, int]]:
        """Loads to copy into the row scratch first, and terms to keep, by the stage they are in.

        Kept are dear terms that several stages want. Copied are loads across memory (not along
        it) that several stages want: no arithmetic stands in a strided loop.
        """
        if self.lanes not in self.loop_names:
            return [], {}
        first: dict[Term, int] = {}
        copied: dict[Term, None] = {}
        kept: dict[Term, int] = {}
        for depth, terms in enumerate(needs):
            todo, mine = list(terms), set()
            while todo:
                term = todo.pop()
                if term in mine or term in kept or term.op in ("fold", "scalar", "place"):
                    continue
                mine.add(term)
                if not term.axes & self.loops:
                    continue
                if term in first and _is_dear(term):
                    kept[term] = first[term]
                    continue
                if term in first and term.op == "load" and self._crosses(term.key):  # type: ignore[arg-type]
                    copied[term] = None
                todo += term.arguments
            for term in mine:
                first.setdefault(term, depth)
        return list(copied), kept

    def _crosses(self, look: Look) -> bool:
        most = max(self.most, 1)
        return abs(look.strides[self.loop[-1][-1]]) > most if self.loop[-1] else False

    def _stage(
        self, over: tuple[str, ...], folds: list[Term], stores: list[tuple[Look, Term]],
        kept: list[Term], checks: list[Term],
    ) -> Stage:  # fmt: skip
        lets: list[Let] = []
        known: dict[Term, str] = {}
        sinks: list[Sink] = []
        lasting: dict[Term, str] = {}
        for term in kept:
            value = self._name(term, lets, known)
            lasting[term] = f"k{len(self.lasting) + len(lasting)}"
            sinks.append(Keep(lasting[term], value, term.dtype))
        for term in folds:
            value = self._name(term.arguments[0], lets, known)
            lasting[term] = f"f{len(self.lasting) + len(lasting)}"
            made = Fold if term.op == "fold" else Total
            sinks.append(made(lasting[term], str(term.key), value, term.dtype))
        sinks += [Check(self._name(term, lets, known), OUT_OF_BOUNDS) for term in checks]
        for look, term in stores:
            sinks.append(Store(self.accesses[look], self._name(term, lets, known)))
        self.lasting |= lasting
        return Stage(over, tuple(lets), tuple(sinks))

    def _name(self, term: Term, lets: list[Let], known: dict[Term, str]) -> str:
        """The name of a term's value in a stage, after the lets that make it."""
        found = known.get(term) or self.lasting.get(term)
        if found is not None:
            return found
        if term.op == "scalar":
            return self.scalars.setdefault(term, f"c{len(self.scalars)}")
        if term.op == "place":
            return self._name(self._place(term), lets, known)
        if term.op == "index":
            axes = (*self.names, *self.short_names, *self.loop_names)
            arguments: tuple[str, ...] = (axes[term.key],)  # type: ignore[index]
        else:
            arguments = tuple(self._name(t, lets, known) for t in term.arguments)
        if term.op in ("load", "gather"):
            arguments = (self.accesses[term.key], *arguments)  # type: ignore[index]
        name = known[term] = f"v{self.count}"
        self.count += 1
        lets.append(Let(name, term.op, arguments, term.dtype))
        return name

    def _place(self, term: Term) -> Term:
        """A position, as arithmetic on the indices of the kernel's axes. Its numbers are scalars
        of their own: which of them are equal depends on sizes."""
        if term in self.places:
            return self.places[term]
        strides, offset = term.key  # type: ignore[misc]
        total: Term | None = None
        for index, run in zip(self.indices, self.runs, strict=True):
            step = strides[run[-1]] if run else 0
            if step:
                along = index
                if step != 1:
                    along = Term(p.multiply.op.name, int64, (along, _integer(step)))
                total = along if total is None else Term(p.add.op.name, int64, (total, along))
        if total is None:
            total = _integer(offset)
        elif offset:
            total = Term(p.add.op.name, int64, (total, _integer(offset)))
        self.places[term] = total
        return total


def _most_alike_first(looks: list[Look]) -> list[Look]:
    """First what lies as far along the lines of its value as most others: lines are walked from
    where it begins a line of the cache."""

    def along(look: Look) -> tuple[Value, int]:
        offset = look.offset
        for stride in sorted(map(abs, look.strides), reverse=True):
            offset = offset % stride if stride > 1 else offset
        return look.value, offset

    read = [look for look in looks if look.mode != "out"]
    counts = Counter(map(along, read))
    most = max(counts.values(), default=0)
    first = next((look for look in read if counts[along(look)] == most > 1), None)
    return looks if first is None else [first, *(look for look in looks if look is not first)]


def _integer(number: int) -> Term:
    return Term("scalar", int64, (), (np.int64(number).tobytes(), None))


def terms_under(roots: Iterable[Term]) -> list[Term]:
    """The terms under the roots, each after its arguments."""
    seen: dict[Term, None] = {}

    def visit(term: Term) -> None:
        if term not in seen:
            for argument in term.arguments:
                visit(argument)
            seen[term] = None

    for root in roots:
        visit(root)
    return list(seen)


def _is_dear(term: Term) -> bool:
    """Whether computing the term within its stage takes a dear op."""
    if term.op in ("fold", "scalar", "place", "load", "gather"):
        return False
    return term.dear or any(map(_is_dear, term.arguments))


def _number(term: Term) -> bool | int | float:
    bits, _ = term.key  # type: ignore[misc]
    return np.frombuffer(bits, term.dtype)[0].item()
