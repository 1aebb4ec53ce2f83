"""Random Python functions, called again and again while the world changes: compiled, they show what
they show eagerly.

By hand, for as long as one likes: `python tests/test_fidelity_random.py --count 100000`.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections import Counter
from typing import Any

import pytest
from fidelity_runner import See
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_python import Program, loaded, session
from test_programs import Interpreted

import dualflow as df
from dualflow import pipeline
from dualflow.capture import blocks, segments

#: what text tells of where objects lie
ADDRESS = re.compile(r"0x[0-9a-f]+")


def run(program: Program, way: str) -> See:
    """One run: "eager", "replay" (wherever that is proven right) or "co-execute"."""
    with loaded(program.text) as code:
        see = See(code.make.__code__.co_filename, way == "replay")
        df.random.seed(5)
        session(program, code, (lambda fn: fn) if way == "eager" else see.compile, see)
    return see


def difference(program: Program, way: str = "replay") -> tuple[str, See]:
    """What a compiled run shows otherwise than the eager one; empty if nothing."""
    wanted, found = run(program, "eager"), run(program, way)
    for i, (one, other) in enumerate(zip(found.notes, wanted.notes, strict=True)):
        if one != other and ADDRESS.sub("", repr(one)) != ADDRESS.sub("", repr(other)):
            body = program.text.partition("        nonlocal total, nums\n")[2]
            told = f"note {i} of {program.plan}\nfound  {one}\nwanted {other}\n{body}"
            return told, found
    return "", found


@pytest.fixture
def interpreted(monkeypatch):
    """Nothing is compiled: the graphs of compiled functions are interpreted."""
    monkeypatch.setattr(blocks, "compile_graph", Interpreted)
    monkeypatch.setattr(pipeline, "compile_graph", Interpreted)
    monkeypatch.setattr(segments, "_compilations", {})


@pytest.mark.parametrize("way", ["replay", "co-execute"])
def test_random_functions(interpreted, way):
    ways: Counter[str] = Counter()

    @settings(max_examples=60, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def fuzz(data: Any) -> None:
        program = Program(lambda options: data.draw(st.sampled_from(options)))
        wrong, found = difference(program, way)
        ways.update(found.ways)
        assert not wrong, wrong

    fuzz()
    if way == "replay":
        assert ways["replay"] > 0.15 * ways.total(), ways


def main() -> int:
    """Random programs from the command line; the seed of one that differs is printed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--length", type=int, default=9)
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
        text, found = difference(Program(draw.choice, given_.length))
        ways.update(found.ways)
        if given_.reasons:
            for f in found.compiled:
                reasons.update(reason.split(" (<")[0] for reason in f.report().reasons)
        if text:
            wrong += 1
            print(f"seed {seed}: {text}", flush=True)
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
