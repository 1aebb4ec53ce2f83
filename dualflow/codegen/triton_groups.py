"""Small kernels that do not need each other, as one launch: a text that holds all of them.

    kernel: pieces 0 to a are those of the first one, a to b of the second, ...

Where there are more pieces than fill a GPU, each program instance goes through some in turn.
Each alone leaves most of a GPU idle and costs a launch: the updates of a list of parameters, say.
Launches wait for the last of their group, where nothing between needs them or writes what they use.
Comes in: the steps of a program. Goes out: Forms, each of some of its launches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dualflow.base.records import record, replaced
from dualflow.ir.form import Form
from dualflow.ir.kernel import Check, Kernel
from dualflow.ir.program import Buffer, Call, Launch, Program, Step
from dualflow.ir.text import KernelText, Variant

from .triton import emit_part
from .triton_complex import memory_dtype
from .triton_frame import OPTIONS
from .triton_prelude import HEADER, used_by
from .triton_touched import meets, touched
from .triton_variants import launch_grid, variant

#: Program instances of a launch that leaves much of a GPU idle.
SMALL = 512
#: How far back a small launch looks for others to stand beside.
WINDOW = 64
#: Program instances that fill every GPU of today several times over: a group of more has so many,
#: each of which goes through the pieces in turn.
PERSISTENT = 2048
#: Parameters of a launch; CUDA takes 4 KiB of them.
PARAMETERS = 400


class _Step(NamedTuple):
    step: Step
    read: list[Buffer]
    written: list[Buffer]
    small: bool
    stays: bool


def ordered(program: Program) -> Program:
    """The program, with small launches beside earlier ones that they do not need:

        t1, m1 of t1, t2, m2 of t2   ->   t1, t2, m1, m2

    None is moved before a check, for which what replaces an input has to wait.
    """
    places: list[list[_Step]] = []
    for step in program.steps:
        is_launch = isinstance(step, Launch)
        stays = not isinstance(step, Call) if not is_launch else _has_checks(step)
        this = _Step(step, *touched(step), is_launch and _is_small(step), stays)
        home = _home(places, this) if this.small else None
        if home is None:
            places.append([this])
        else:
            home.append(this)
    return replaced(program, steps=tuple(one.step for place in places for one in place))


def _home(places: Sequence[list[_Step]], this: _Step) -> list[_Step] | None:
    """The earliest small launches beside which a small launch may stand."""
    home = None
    for place in reversed(places[-WINDOW:]):
        for other in place:
            waits = meets(this.written, [*other.read, *other.written])
            if other.stays or waits or meets(this.read, other.written):
                return home
        home = place if place[0].small else home
    return home


def group_forms(program: Program, taken: set[int]) -> Iterator[Form]:
    """The forms of small launches of `program` that are not `taken`."""
    group: list[int] = []
    for number, step in enumerate(program.steps):
        small = number not in taken and isinstance(step, Launch) and _is_small(step)
        needs = _meet(program, group, number)
        if needs or (small and not _fits(program, group, number)):
            yield from _made(program, group)
            group = []
        if small:
            group.append(number)
    yield from _made(program, group)


def _is_small(step: Launch) -> bool:
    return (not _has_checks(step)
            and 0 < launch_grid(step.kernel, step.integers, _alone(step)) <= SMALL)  # fmt: skip


def _has_checks(step: Launch) -> bool:
    return any(isinstance(sink, Check) for sink in step.kernel.sinks)


def _alone(step: Launch) -> Variant:
    """The compilation of the kernel alone; its tiles do not depend on how operands are aligned."""
    return variant(step.kernel, step.integers, [True] * len(step.operands))


def _meet(program: Program, group: Sequence[int], number: int) -> bool:
    """Whether a step has to come after some of the group, or they before it."""
    read, written = touched(program.steps[number])
    for member in group:
        theirs, made = touched(program.steps[member])
        if meets(written, [*theirs, *made]) or meets(read, made):
            return True
    return False


def _fits(program: Program, group: Sequence[int], number: int) -> bool:
    """Whether a launch may join: as many warps, and not too many parameters."""
    steps = [_launch(program, n) for n in (*group, number)]
    count = sum(len(s.operands) + len(s.scalars) + len(s.integers) + 1 for s in steps)
    return count <= PARAMETERS and len({_alone(step).warps for step in steps}) == 1


def _launch(program: Program, number: int) -> Launch:
    step = program.steps[number]
    assert isinstance(step, Launch)
    return step


def _made(program: Program, group: Sequence[int]) -> Iterator[Form]:
    """The form of a group; none for a launch alone."""
    if len(group) < 2:
        return
    steps = Group(tuple(_launch(program, number) for number in group))
    launches = steps.launches
    operands = tuple(operand for step in launches for operand in step.operands)
    modes = [access.mode for step in launches for access in step.kernel.accesses]
    yield Form(
        f"{len(group)} small kernels in one launch", tuple(group), steps.text(), operands,
        tuple(number for step in launches for number in step.scalars),
        (*(number for step in launches for number in step.integers), *steps.ends()),
        lambda aligned: [steps.variant(aligned)], lambda _: min(steps.ends()[-1], PERSISTENT),
        False, True,
        tuple(n for n, mode in enumerate(modes) if mode == "inout"),
    )  # fmt: skip


@record
class Group:
    """Launches whose kernels stand in one text."""

    launches: tuple[Launch, ...]

    def ends(self) -> list[int]:
        """The number of the program instance behind the last of each launch."""
        found = [0]
        for step in self.launches:
            found.append(found[-1] + launch_grid(step.kernel, step.integers, _alone(step)))
        return found[1:]

    def text(self) -> KernelText:
        """The text: `kernel(pointers, scalars, integers, ends, constexprs)`."""
        names: dict[Kernel, str] = {}
        functions: list[str] = []
        for step in self.launches:
            if step.kernel not in names:
                names[step.kernel] = f"part{len(names)}"
                functions += emit_part(step.kernel, names[step.kernel])
        rows = [self._parameters(n) for n in range(len(self.launches))]
        columns = [[name for row in rows for name in row[kind]] for kind in range(4)]
        ends = [f"e{n}" for n in range(len(rows))]
        parameters = [*columns[0], *columns[1], *columns[2], *ends]
        parameters += [f"{name}: tl.constexpr" for name in columns[3]]
        lines = [
            f"def kernel({', '.join(parameters)}):",
            f"    for piece in range(tl.program_id(0), {ends[-1]}, tl.num_programs(0)):",
            "        block = tl.cast(piece, tl.int32)",
        ]
        for n, (step, row) in enumerate(zip(self.launches, rows, strict=True)):
            first = f"block - e{n - 1}" if n else "block"
            given = ", ".join([first, *(name for kind in row for name in kind)])
            # one after the other and not nested, however many there are
            begins = f"(block >= e{n - 1}) & " if n else ""
            lines += [
                f"        if {begins}(block < e{n}):",
                f"            {names[step.kernel]}({given})",
            ]
        body = "\n".join(["@triton.jit", *lines]) + "\n"
        source = "\n\n".join([HEADER, *used_by("".join(functions)), *functions, body])
        pointers = [memory_dtype(a.dtype) for step in self.launches for a in step.kernel.accesses]
        scalars = [s.dtype for step in self.launches for s in step.kernel.scalars]
        integers = len(columns[2]) + len(ends)
        return KernelText(source, "kernel", tuple(pointers), tuple(scalars), integers, OPTIONS)

    def _parameters(self, n: int) -> list[list[str]]:
        """What the text calls the pointers, scalars, integers and constexprs of a launch."""
        step = self.launches[n]
        counts = (len(step.operands), len(step.scalars), len(step.integers),
                  len(_alone(step).constexprs))  # fmt: skip
        return [[f"{letter}{n}_{k}" for k in range(count)]
                for letter, count in zip("pcnB", counts, strict=True)]  # fmt: skip

    def variant(self, aligned: Sequence[bool]) -> Variant:
        """The compilation for pointers that are aligned so."""
        pointers, scalars, integers = [0], [0], [0]
        for step in self.launches:
            pointers.append(pointers[-1] + len(step.operands))
            scalars.append(scalars[-1] + len(step.scalars))
            integers.append(integers[-1] + len(step.integers))
        found = [
            variant(step.kernel, step.integers, aligned[start : start + len(step.operands)])
            for start, step in zip(pointers, self.launches, strict=False)
        ]
        divisible: list[tuple[int, int]] = []
        for n, (step, each) in enumerate(zip(self.launches, found, strict=True)):
            before = len(step.operands) + len(step.scalars)
            for parameter, divisor in each.divisible:
                place = pointers[n] + parameter
                if parameter >= before:
                    place = pointers[-1] + scalars[-1] + integers[n] + parameter - before
                divisible.append((place, divisor))
        indices = max(each.indices for each in found)
        constexprs = tuple(number for each in found for number in each.constexprs)
        return Variant(constexprs, indices, tuple(divisible), found[0].warps)
