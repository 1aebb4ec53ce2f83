"""Random programs with loops, unrolled into graphs as a recording would.

Comes in: a `random.Random`. Goes out: a Graph in which one or two loops of a few random
instructions were unrolled, and in which some of what their steps made is wanted later. Every op is
exact, so that all ways of running it give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
from schedule_graphs import Builder

from dualflow.base.dtypes import float32, float64, int64
from dualflow.ir.graph import Graph, Value
from dualflow.ops import primitives as p

N = 3  # elements of a row
EXTRA = 6  # rows of a table beyond those that steps name
Instruction = Callable[["State", int], Value | None]


@dataclass
class State:
    """What the instructions of a loop see.

    Attributes:
        outside: values from before the loop, of one row each.
        tables: values from before the loop, of many rows.
        carried: values of the step before; `past` those of all steps.
        now: what this step has made so far.
        buffer: a table that steps write into.
    """

    b: Builder
    outside: list[Value]
    tables: list[Value]
    carried: list[Value]
    past: list[list[Value]]
    buffer: Value
    now: list[Value] = field(default_factory=list)


def row(b: Builder, table: Value, at: int) -> Value:
    """A row of a table, by one of two ways."""
    if at % 2:
        return b(p.select, table, axis=0, index=at)
    part = b(p.slice, table, starts=(at, 0), stops=(at + 1, N), steps=(1, 1))
    return b(p.reshape, part, shape=(N,))


def select(b: Builder, table: Value, at: int) -> Value:
    return b(p.select, table, axis=0, index=at)


def instruction(random: Random, count: int) -> Instruction:
    """One instruction, with all of its choices made."""
    binary = random.choice([p.add, p.subtract, p.maximum, p.minimum, p.multiply])
    one, other = random.random(), random.random()
    back = random.choice([1, 1, 2, 3, 5])
    start, stride = random.randrange(EXTRA), random.choice([0, 1, 1, 1, -1])
    start = start if stride >= 0 else count + start
    which = random.randrange(8)

    def pick(state: State, chosen: float) -> Value:
        pool = [*state.outside, *state.carried, *state.now, *state.now]
        return pool[int(chosen * len(pool))]

    def arithmetic(state: State, k: int) -> Value:
        return halved(state.b, state.b(binary, pick(state, one), pick(state, other)))

    def history(state: State, k: int) -> Value:
        values = state.past[max(0, len(state.past) - back)]
        return state.b(p.minimum, values[int(one * len(values))], pick(state, other))

    def reads(state: State, k: int) -> Value:
        table = state.tables[int(one * len(state.tables))]
        return state.b(p.add, select(state.b, table, start + k * stride), pick(state, other))

    def slices(state: State, k: int) -> Value:
        table = state.tables[int(one * len(state.tables))]
        at = start + k * stride
        step = random_step
        part = state.b(p.slice, table, starts=(at, 0 if step > 0 else N - 1),
                       stops=(at + 1, N if step > 0 else -1), steps=(1, step))  # fmt: skip
        return state.b(p.reshape, part, shape=(N,))

    def writes(state: State, k: int) -> None:
        at = start + k * stride
        value = state.b(p.reshape, pick(state, one), shape=(1, N))
        state.buffer = state.b(p.slice_update, state.buffer, value, starts=(at, 0),
                               stops=(at + 1, N), steps=(1, 1))  # fmt: skip

    def looks(state: State, k: int) -> Value:
        at = start + k * stride + looks_off
        return select(state.b, state.buffer, min(max(at, 0), count + 2 * EXTRA - 1))

    def shifts(state: State, k: int) -> Value:
        x = pick(state, one)
        left = state.b(p.slice, x, starts=(0,), stops=(1,), steps=(1,))
        rest = state.b(p.slice, x, starts=(1,), stops=(N,), steps=(1,))
        return state.b(p.concat, rest, left, axis=0)

    def overwrites(state: State, k: int) -> Value:
        x, y = pick(state, one), pick(state, other)
        part = state.b(p.slice, y, starts=(0,), stops=(1,), steps=(1,))
        return state.b(p.slice_update, x, part, starts=(1,), stops=(2,), steps=(1,))

    random_step = random.choice([1, 1, -1])
    looks_off = random.choice([-2, -1, 0, 1])
    return [arithmetic, arithmetic, history, reads, slices, shifts, overwrites,
            random.choice([writes, looks])][which]  # fmt: skip


def halved(b: Builder, x: Value) -> Value:
    """Kept small, by exact arithmetic."""
    return b(p.multiply, x, b.full(x.shape, 0.5, x.dtype))


def unrolled(b: Builder, random: Random, outside: list[Value], tables: list[Value],
             count: int) -> tuple[list[list[Value]], Value]:  # fmt: skip
    """A loop: what each step made, and the buffer at the end."""
    instructions = [instruction(random, count) for _ in range(random.randint(1, 6))]
    if not any("writes" in i.__name__ for i in instructions) and random.random() < 0.4:
        instructions.append(instruction_named(random, count, "writes"))
    carried = [random.choice(outside) for _ in range(random.randint(1, 3))]
    kept = [random.random() for _ in carried]
    late = random.random() < 0.2  # what is carried is exchanged
    state = State(b, outside, tables, carried, [list(carried)], random.choice(tables))
    for k in range(count):
        state.now = []
        for run in instructions:
            made = run(state, k)
            if made is not None:
                state.now.append(made)
        pool = [*state.now, *state.carried] if late else state.now or state.carried
        state.carried = [pool[int(at * len(pool))] for at in kept]
        state.past.append([*state.carried, *state.now])
    return state.past[1:], state.buffer


def instruction_named(random: Random, count: int, name: str) -> Instruction:
    while True:
        found = instruction(random, count)
        if name in found.__name__:
            return found


def wanted(b: Builder, random: Random, past: list[list[Value]], buffer: Value) -> list[Value]:
    """Some of what a loop made."""
    found: list[Value] = [random.choice(past[-1])]
    for _ in range(random.randint(0, 3)):
        way = random.randrange(6)
        column = random.randrange(len(past[-1]))
        values = [step[column] for step in past]
        if way == 0:
            found.append(buffer)
        elif way == 1:
            found.append(random.choice(random.choice(past)))
        elif way in (2, 3):
            values = values[random.randrange(3) :: random.choice([1, 1, 2])]
            values = values[::-1] if way == 3 else values
            axis = random.randrange(2)
            shape = (1, N) if axis == 0 else (N, 1)
            rows = [b(p.reshape, value, shape=shape) for value in values]
            found.append(b(p.concat, *rows, axis=axis))
        elif way == 4:
            found.append(b(p.concat, *values, axis=0))
        else:
            total = values[0]
            for value in values[1:]:
                total = halved(b, b(p.add, total, value))
            found.append(total)
    return found


def backwards(b: Builder, random: Random, past: list[list[Value]]) -> list[Value]:
    """A loop over what the steps of another made, the last step first, as gradients are."""
    columns = [random.randrange(len(past[-1])) for _ in range(2)]
    g = past[-1][columns[0]]
    total = g
    for step in reversed(past):
        g = halved(b, b(p.subtract, g, step[columns[0]]))
        total = b(p.minimum, total, b(p.add, g, step[columns[1]]))
    return [g, total]


def program(random: Random) -> Graph:
    """A whole program."""
    b = Builder()
    dtype = random.choice([float64, float64, float32, int64])
    count = random.choice([4, 5, 7, 12, 20])
    rows = count + 2 * EXTRA
    tables = [b.tensor(rows, N, dtype=float64) for _ in range(2)]
    outside = [b.tensor(N, dtype=float64) for _ in range(random.randint(1, 3))]
    if dtype != float64:  # tested for what is cast on the way
        outside.append(b(p.cast, b(p.cast, outside[0], dtype=dtype), dtype=float64))
    if random.random() < 0.5:
        outside.append(b.full((N,), 1.5, float64))
    past, buffer = unrolled(b, random, outside, tables, count)
    outputs = wanted(b, random, past, buffer)
    if random.random() < 0.5:
        outputs += backwards(b, random, past)
    if random.random() < 0.4:
        more = [random.choice(past[-1]), *outside]
        again, second = unrolled(b, random, more, [*tables, buffer], count)
        outputs += wanted(b, random, again, second)
    return b.build(outputs).verify()


def arguments(graph: Graph, random: Random) -> list[Any]:
    """An array for each input, of whole numbers."""
    rng = np.random.default_rng(random.randrange(1 << 30))
    return [rng.integers(-8, 9, v.shape).astype(v.dtype) for v in graph.inputs]
