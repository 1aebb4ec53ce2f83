"""Known callables: clocks, which a replay asks anew, each read once in a call and in order.

Comes in: a `Call`. Goes out: its plan.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..provenance import CONSTANT, Node
from ..tables import known

if TYPE_CHECKING:
    from ..plans import Call, Plan


@known(time.time, time.time_ns, time.perf_counter, time.perf_counter_ns, time.monotonic,
       time.monotonic_ns, time.process_time, time.process_time_ns)  # fmt: skip
def _clock(call: Call) -> Plan | None:
    """What is read after an operation is read after the program that does it."""
    recorder = call.recorder
    if call.args or call.kwargs:
        return None
    before: tuple[Node, ...] = tuple(recorder.clocks[-1:])
    late = bool(recorder.notes.builder.nodes)
    constants = read, len(recorder.clocks), call.function
    node = recorder.nodes("{k0}(T, {k1}, {k2})", before, constants, late)
    recorder.clocks.append(node)
    recorder.needs(node)
    return call.plan(lambda out: node)


def read(known: dict[Any, Any], number: int, clock: Any) -> Any:
    """The time of read `number` of a call, which keeps what it has read in `known`."""
    key = "clock", number
    if key not in known:
        known[key] = clock()
    return known[key]


@known(time.sleep)
def _sleep(call: Call) -> Plan | None:
    recorder = call.recorder
    if call.kwargs or len(call.args) != 1 or type(call.args[0]) not in (int, float, bool):
        call.refuse()
        return None
    pairs = [(call.args[0], call.origins[0])]
    recorder.effects.append(("call", time.sleep, pairs, recorder.effect_line()))
    return call.plan(lambda out: CONSTANT)
