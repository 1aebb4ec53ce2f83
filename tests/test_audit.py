"""Audits of compiled functions: right ones pass, planted differences are told, state is kept."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import numpy as np
import pytest

import dualflow as df
from dualflow.base.errors import ArgumentError
from dualflow.capture.coexecution import segments


def counts():
    stats = df.stats()
    return np.array([stats["audits"], stats["audit_mismatches"]])


def training(decorate):
    """Ten steps of a small model with dropout, momentum and a counter; all that they leave."""
    df.random.seed(3)
    model = df.nn.Sequential(df.nn.Linear(4, 8), df.nn.Dropout(0.5), df.nn.Linear(8, 1))
    optimizer = df.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    log = []

    def step(x):
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        log.append(loss)
        return loss

    step = decorate(step)
    losses = [step(df.ones((5, 4)) * k).item() for k in range(1, 11)]
    return losses, [loss.item() for loss in log], [p.tolist() for p in model.parameters()]


def test_an_audited_function_does_what_the_unaudited_does(caplog):
    before = counts()
    audited = training(df.compile(wait=True, audit=1.0))
    audits, mismatches = counts() - before
    assert audits >= 8
    assert mismatches == 0
    assert audited == training(df.compile(wait=True))
    assert caplog.records == []


def test_the_share_of_calls_is_audited():
    f = df.compile(lambda x: df.exp(x) * 2, wait=True, audit=0.25)
    before = counts()
    for _ in range(21):
        f(df.ones(3))
    assert (counts() - before).tolist() == [5, 0]
    assert f.stats()["calls"] == 21 + 5  # each audit replays once


def test_a_skipped_function_that_was_not_pure_is_found(caplog):
    numbers = itertools.count()
    draw = df.pure(lambda: next(numbers))
    f = df.compile(lambda x: x + draw(), wait=True, audit=1.0)
    before = counts()
    f(df.ones(2))
    f(df.ones(2))
    assert (counts() - before)[1] == 1
    assert "result 0 at [0] is" in caplog.text
    assert "eagerly" in caplog.text


def test_a_wrong_program_of_a_co_executed_call_is_found(caplog, monkeypatch):
    f = df.compile(lambda x, log: log.append(float((x * 2).sum())) or vars(), wait=True, audit=1.0)
    for _ in range(3):
        f(df.ones(2), [])
    before = counts()
    f(df.ones(2), [])
    assert f.stats()["co_executions"] >= 3
    assert (counts() - before).tolist() == [1, 0]
    run = segments.Program.run
    monkeypatch.setattr(segments.Program, "run", lambda self, arrays: {
        slot: np.asarray(array + 1) for slot, array in run(self, arrays).items()})  # fmt: skip
    f(df.ones(2), [])
    assert (counts() - before).tolist() == [2, 1]
    assert "a co-executed segment: result 0" in caplog.text


def test_effects_of_co_executed_calls_happen_once():
    log = []
    f = df.compile(lambda x: log.append(float(x.sum())) or vars(), wait=True, audit=1.0)
    for k in range(5):
        f(df.ones(2) * k)
    assert log == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_the_script_shows_the_difference(tmp_path, caplog, monkeypatch):
    (tmp_path / "audited.py").write_text(
        "import dualflow as df\nimport itertools\n\nnumbers = itertools.count(1)\n"
        "draw = df.pure(lambda: next(numbers) // 2)\n\n\n"
        "@df.compile(wait=True, audit=1.0)\ndef f(x, *, k):\n    return x * draw() * k\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    f = __import__("audited").f
    for _ in range(4):
        f(df.ones(2), k=3.0)
    script = re.search(r"run (\S+)", caplog.text).group(1)
    made = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "result 0 at [0]" in made.stdout


def test_paths_that_print_are_left_alone(capsys):
    @df.compile(wait=True, audit=1.0)
    def f(x):
        print("seen")
        return x * 2

    before = counts()
    for _ in range(3):
        f(df.ones(2))
    assert f.stats()["replays"] == 2
    assert (counts() - before).tolist() == [0, 0]
    assert capsys.readouterr().out == "seen\n" * 3


@pytest.mark.parametrize("share", [0, -1, 1.5])
def test_other_shares_are_named(share):
    with pytest.raises(ArgumentError, match="0 < audit <= 1"):
        df.compile(lambda x: x, audit=share)


def test_compare_audits():
    x = df.tensor(np.linspace(-3, 3, 100, dtype=np.float32))
    found = df.compare(lambda x: df.softmax(df.tanh(x) * 3), x, seconds=0.02, audit=True)
    assert found.audit == "none"
    assert df.compare(lambda x: x + 1, x, seconds=0.02).audit is None
