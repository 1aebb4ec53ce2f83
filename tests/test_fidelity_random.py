"""Random Python functions, called again and again while the world changes: compiled, they show what
they show eagerly.

By hand, for as long as one likes: `python tests/test_fidelity_random.py --count 100000`.
"""

from __future__ import annotations

import argparse
import gc
import random
import re
import sys
import time
from collections import Counter
from typing import Any
from zlib import crc32

import pytest
from fidelity_runner import See
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_python import Program, loaded, session
from test_programs import Interpreted

import dualflow as df
from dualflow import pipeline
from dualflow.capture import blocks, halves
from dualflow.capture.coexecution import segments
from dualflow.capture.reasons import Reason

#: what text tells of where objects lie
ADDRESS = re.compile(r"0x[0-9a-f]+")


#: what programs are made of, and how they run
RUNS = (
    ("python", "replay"), ("arrays", "replay"), ("python", "replay"), ("arrays", "halves"),
    ("arrays", "replay"), ("python", "co-execute"), ("arrays", "co-execute"),
)  # fmt: skip


def in_halves(made: Any, seed: int) -> Any:
    """A compiled function that runs in halves, cut at any statement where it can be."""
    first, *lines = sorted({line for *_, line in made._fn.__code__.co_lines() if line})
    random.Random(seed).shuffle(lines)
    found = (halves.halved(made._fn, line) for line in lines)
    parts = next((found for found in found if found is not None), None)
    if parts is not None:
        reason = Reason("only halves are under test", None, at=first)
        reason.halves = halves.Halves(made._fn, first, made._half, True)
        reason.halves.chosen = True
        reason.halves._halves = made._half(parts[0]), made._half(parts[1])
        made._stop = reason
    return made


def run(program: Program, way: str) -> See:
    """One run: "eager", "replay" (wherever that is proven right), "co-execute" or "halves"."""
    with loaded(program) as code:
        see = See("<random ", way != "co-execute")
        how = {
            "eager": lambda fn: fn,
            "halves": lambda fn: in_halves(see.compile(fn), crc32(program.text.encode())),
        }
        df.random.seed(5)
        session(program, code, how.get(way, see.compile), see)
    return see


def difference(program: Program, way: str = "replay") -> tuple[str, See]:
    """What a compiled run shows otherwise than the eager one; empty if nothing."""
    wanted, found = run(program, "eager"), run(program, way)
    for i, (one, other) in enumerate(zip(found.notes, wanted.notes, strict=True)):
        if one != other and ADDRESS.sub("", repr(one)) != ADDRESS.sub("", repr(other)):
            told = (
                f"{way}, note {i} of {program.plan}\nfound  {one}\nwanted {other}\n{program.text}"
            )
            return told, found
    return "", found


@pytest.fixture
def interpreted(monkeypatch):
    """Nothing is compiled: the graphs of compiled functions are interpreted."""
    monkeypatch.setattr(blocks, "compile_graph", Interpreted)
    monkeypatch.setattr(pipeline, "compile_graph", Interpreted)
    monkeypatch.setattr(segments, "_compilations", {})


@pytest.mark.parametrize(("words", "way"), sorted(set(RUNS)))
def test_random_functions(interpreted, words, way):
    ways: Counter[str] = Counter()
    cut = []

    @settings(max_examples=40, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def fuzz(data: Any) -> None:
        length = data.draw(st.sampled_from((4, 6, 9)))
        program = Program(lambda options: data.draw(st.sampled_from(options)), length, words=words)
        wrong, found = difference(program, way)
        ways.update(found.ways)
        cut.append(found.compiled[0]._stop is not None)
        assert not wrong, wrong

    fuzz()
    assert way != "halves" or sum(cut) > 10
    if way == "replay":
        assert ways["replay"] > 0.15 * ways.total(), ways


#: Programs that differed once, reduced: the statements, and the plan.
STORED = """
        v0 = x[[1, 1]]
        v0[k > 1] = 1
"""
PLACES = """
        v0 = x[dice.randrange(3)]
        y = grid[k % 4, :]
        x[k:] = 1
        for q in x:
            grid[:, k] = 1
            return fit(q) - y
"""
DIFFERED = [(STORED, [("None", 1, False, 107), ("None", 2, False, 107)]),
            (PLACES, [("None", 2, True, 53), ("None", 1, False, 133)])]  # fmt: skip


@pytest.mark.parametrize(("lines", "plan"), DIFFERED)
def test_that_differed_once(interpreted, lines, plan):
    program = Program.of("arrays", lines.strip("\n"), plan)
    for words, way in sorted(set(RUNS)):
        if words == "arrays":
            wrong, found = difference(program, way)
            assert not wrong, wrong
            assert found.ways.total() == len(plan)


def main() -> int:
    """Random programs from the command line; the seed of one that differs is printed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--length", type=int, default=9)
    options.add_argument("--run", type=int, help=f"one of {RUNS}; all in turn if not given")
    options.add_argument("--stop", type=int, default=1, help="after so many differences")
    options.add_argument("--reasons", action="store_true", help="why calls were not replayed")
    given_ = options.parse_args()
    for module in (blocks, pipeline):
        module.compile_graph = Interpreted  # type: ignore[attr-defined]
    ways: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    wrong, start = 0, time.monotonic()
    sys.set_int_max_str_digits(0)
    df.config(on_compiler_error="raise").__enter__()
    for seed in range(given_.seed, given_.seed + given_.count):
        draw = random.Random(seed)
        words, way = RUNS[seed % len(RUNS) if given_.run is None else given_.run]
        length = draw.choice((4, 6, given_.length))
        text, found = difference(Program(draw.choice, length, words=words), way)
        ways.update(found.ways)
        if given_.reasons:
            for f in found.compiled:
                reasons.update(reason.split(" (<")[0] for reason in f.report().reasons)
        if text:
            wrong += 1
            print(f"seed {seed}: {text}", flush=True)
        if seed == given_.seed + 100:  # what is imported and made once is never looked at again
            gc.collect()
            gc.freeze()
            gc.set_threshold(5000, 10, 30)
        if seed % 1000 == 999:
            rate = (seed + 1 - given_.seed) / (time.monotonic() - start)
            print(f"{seed + 1}: {wrong} differ, {rate:.0f} a second, {dict(ways)}", flush=True)
        if wrong >= given_.stop:
            break
    print(f"{wrong} differ; calls ran {dict(ways)}")
    for reason, times in reasons.most_common(60):
        print(f"{times:6d} {reason}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
