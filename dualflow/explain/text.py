"""A Report as text: how the call ran, graphs with the user's lines, kernels, buffers, bytes."""

from __future__ import annotations

from collections.abc import Iterator

from dualflow.ir.graph import print_graph
from dualflow.ir.program import Chain, Launch, Loop, Program

from .report import Report, Section, step_bytes

_WAYS = {
    "record": "this call ran eagerly and was recorded",
    "replay": "Python is skipped: guards, then the program",
    "co-execute": "Python runs; its array operations are fused between the points that need values",
    "eager": "every operation runs at its own line",
}


def write(report: Report) -> str:
    """The whole report as plain text."""
    return "\n".join(_lines(report))


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.name}: {report.how} ({_WAYS[report.how]})"
    for reason in report.reasons:
        yield f"  because {reason}"
    for number, section in enumerate(report.sections):
        yield ""
        yield f"== part {number + 1} of {len(report.sections)}: graph"
        yield print_graph(section.graph)
        yield ""
        yield from _program_lines(section)
    if report.guards:
        yield ""
        yield "== guards"
        yield report.guards.rstrip()
    if report.effects:
        yield ""
        yield "== effects, after the program"
        yield from (f"  {effect}" for effect in report.effects)


def _program_lines(section: Section) -> Iterator[str]:
    program = section.program
    if program is None:
        yield "== no program: being compiled, or the compiler failed (see stats)"
        return
    kernels = len({launch.kernel for launch in program.launches})
    yield (
        f"== program: {section.kernels} kernel launches of {kernels} kernels, "
        f"{section.library_calls} library calls, {size(section.bytes_moved)} moved "
        f"(at least {size(section.bytes_least)}), arena {size(program.arena)}"
    )
    yield (
        f"  memory: {size(section.input_bytes)} given, {size(sum(section.output_bytes))} returned, "
        f"{size(section.arena)} between: {size(section.peak)} at the peak, of which at least "
        f"{size(section.peak_least)} live at once; {size(section.scratch)} scratch"
    )
    yield from (f"  {reason}" for reason in section.reasons)
    yield str(program)
    yield from _kernel_lines(section, program)


def _launches(program: Program, before: str = "") -> Iterator[tuple[str, Launch]]:
    """Every launch and the number of its step, those in the body of a loop after the loop's."""
    for number, step in enumerate(program.steps):
        if isinstance(step, Loop):
            yield from _launches(step.body, f"{before}{number}.")
        elif isinstance(step, Chain):
            inner = (part for part in step.steps if isinstance(part, Launch))
            yield from ((f"{before}{number}", part) for part in inner)
        elif isinstance(step, Launch):
            yield f"{before}{number}", step


def _kernel_lines(section: Section, program: Program) -> Iterator[str]:
    shown = set()
    for number, step in _launches(program):
        yield ""
        yield f"== step {number}: {size(step_bytes(step))}"
        yield from (f"  # {line.function}:{line.number} {line.text}" for line in step.covers)
        if step.kernel in shown:
            yield "  (the same kernel as above)"
            continue
        shown.add(step.kernel)
        yield str(step.kernel)
        text = section.texts.get(step.kernel)
        if text is not None:
            yield text.source.rstrip()


def size(count: int) -> str:
    """Bytes for people.

    >>> size(1536)
    '1.5 KiB'
    """
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
