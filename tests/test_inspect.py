"""df.compare, saved worlds, differences, reports, the command."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import dualflow as df
from dualflow import cli
from dualflow.capture.world import World
from dualflow.inspect.difference import relative, ulps
from dualflow.inspect.first_difference import first_difference
from dualflow.inspect.page import page
from dualflow.inspect.show import rows, show
from dualflow.inspect.timing import Timing, interleave


def test_ulps_counts_floats_between():
    one = np.float32([1.0, -0.0, np.nan, 3.0])
    assert ulps(one, np.float32([1.0, 0.0, np.nan, 3.0])) == 0
    assert ulps(one, np.float32([1.0, 0.0, 1.0, 3.0])) == np.inf
    tiny = np.float32([np.nextafter(np.float32(0), np.float32(1))])
    assert ulps(tiny, -tiny) == 2
    assert ulps(np.array([1]), np.array([2])) == np.inf
    assert ulps(np.zeros(2, np.float32), np.zeros(3, np.float32)) == np.inf


def test_ulps_of_bfloat16():
    x = df.asarray([1.0, -0.0]).astype(df.bfloat16).numpy()
    further = (x.view(np.int16) + np.int16([2, 0])).view(x.dtype)
    assert ulps(x, x) == 0
    assert ulps(x, further) == 2


def test_relative_is_against_the_largest():
    assert relative(np.float32([1.0, 100.0]), np.array([1.5, 100.0])) == 0.005
    assert relative(np.float32([np.nan]), np.array([np.nan])) == 0
    assert relative(np.float32([np.nan]), np.array([1.0])) == np.inf


class Counter:
    def __init__(self) -> None:
        self.calls = 0
        self.seen: list[int] = []


def test_a_world_puts_everything_back():
    counter, weight = Counter(), df.ones((3,)).requires_grad_()
    total = 0

    def change(x: df.Tensor) -> df.Tensor:
        nonlocal total
        total += 1
        counter.calls += 1
        counter.seen.append(total)
        (weight * x).sum().backward()
        with df.no_grad():
            weight[0] = 7.0
        x[1] = -1.0
        return df.random.uniform((2,))

    x = df.ones((3,))
    world = World(change, (x,), {})
    first = change(x).tolist()
    world.restore()
    assert (total, counter.calls, counter.seen) == (0, 0, [])
    assert weight.tolist() == [1.0] * 3
    assert weight.grad is None
    assert x.tolist() == [1.0] * 3
    assert change(x).tolist() == first


SEEN = [df.ones(1)]


def test_a_world_names_what_it_reaches():
    model = df.nn.Sequential(df.nn.Linear(2, 2, bias=False), df.nn.ReLU())
    state = {"seen": df.zeros(1)}
    same = df.ones(1)

    def step(batch, *rest):
        state["seen"] += 1.0
        return model(batch) * same

    model.layers[0].weight.grad = df.zeros((2, 2))
    world = World(step, (df.ones((1, 2)), (df.ones(1), same)), {"mask": df.ones(1)})
    assert set(world.names) == {
        "batch", "args[1][0]", "args[1][1]", "mask", "model.layers[0].weight", "state['seen']",
    }  # fmt: skip
    assert set(world.values()) == {*world.names, "model.layers[0].weight.grad"}
    assert world.values()["mask"].tolist() == [1.0]

    def both(given=SEEN):
        return given

    assert World(both, (), {}).names == ["given[0]"]
    twice = World(both, ([df.ones(2)],), {})
    assert sorted(twice.values()) == ["given[0]", "given[0] (2)"]


def test_interleave_counts_runs_and_runs_before():
    log = []
    timings = interleave([lambda: log.append("a"), lambda: log.append("b")],
                         lambda: log.append("-"), 0.0, least=3)  # fmt: skip
    assert log.count("a") == log.count("b") == log.count("-") / 2
    assert all(isinstance(t, Timing) and t.runs >= 3 for t in timings)


def affine(x: df.Tensor) -> df.Tensor:
    return df.tanh(x * 2.0 + 1.0)


def affine_inputs() -> tuple[df.Tensor, ...]:
    return (df.linspace(-3.0, 3.0, 100),)


def test_compare_measures_a_replay():
    found = df.compare(affine, *affine_inputs(), seconds=0.02)
    assert found.how == "replay"
    assert found.kernels == 1
    assert found.fused_ops >= 3
    assert 0 < found.bytes_least <= found.bytes_moved
    assert found.worst_ulp <= 4
    errors = [output.compiled_error for output in found.outputs]
    assert errors
    assert all(error is not None and error < 1e-6 for error in errors)
    assert found.first_deviation is None or found.first_deviation.op == "tanh"
    assert found.first_call > found.compiled.median
    json.dumps(found.to_dict())
    assert "affine" in page(found)
    show(found)
    assert dict(rows(found))["how the calls run"] == "replay"


def test_show_prints_lines_of_code_as_they_are():
    found = df.compare(lambda x: x * 2, df.ones(3), seconds=0.02)
    line = 'no row: return {"a": [x.sum(), 3], "b": "[bold]"}'
    text = io.StringIO()
    show(replace(found, how="co-execute", reasons=(line,)), Console(file=text, width=200))
    assert line in text.getvalue()


def test_a_difference_that_no_op_shows_by_itself_is_told():
    found = df.compare(lambda x: x * 2, df.ones(3), seconds=0.02)
    assert dict(rows(found))["first op that differs"] == "none"
    moved = replace(found, outputs=(replace(found.outputs[0], ulp=8.0),), first_deviation=None)
    assert dict(rows(moved))["first op that differs"] == "none by itself"


def test_compare_restores_state_before_every_run():
    model = df.nn.Linear(4, 1)
    optimizer = df.optim.SGD(model.parameters(), lr=0.1)
    before = [parameter.tolist() for parameter in model.parameters()]

    def step(x: df.Tensor) -> df.Tensor:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    found = df.compare(step, df.random.normal((8, 4)), seconds=0.02)
    assert [parameter.tolist() for parameter in model.parameters()] == before
    assert found.outputs
    assert all(o.compiled_error is None or o.compiled_error < 1e-5 for o in found.outputs)


def test_compare_of_what_does_not_repeat_is_for_time_only():
    found = df.compare(lambda x: x + random.random(), df.ones((3,)), seconds=0.02)
    assert found.outputs == ()
    assert any("time only" in note for note in found.notes)


def test_compare_with_setup():
    made = []

    def setup() -> tuple[df.Tensor]:
        made.append(1)
        return (df.ones((3,)),)

    def bump(x: df.Tensor) -> df.Tensor:
        x += 1
        return x * 2

    found = df.compare(bump, setup=setup, seconds=0.02)
    assert len(made) > 10
    assert found.worst_ulp == 0


def test_the_first_difference_names_op_and_line(monkeypatch):
    start = df.linspace(0.1, 2.0, 64)

    def call() -> df.Tensor:
        x = start + 1
        return df.exp(x)

    from dualflow.inspect import first_difference as module

    monkeypatch.setattr(module, "ulps", lambda a, b: 1.0 if a.max() > 5 else 0.0)
    found = first_difference(call)
    assert found is not None
    assert found.op == "exp"
    assert found.line is not None
    assert "df.exp(x)" in found.line.text


def test_the_command_compares_a_function_of_a_file(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        "import dualflow as df\n\ndef double(x):\n    return x * 2 + df.exp(x)\n\n"
        "def double_inputs():\n    return (df.ones((10,)),)\n"
    )
    html = tmp_path / "page.html"
    status = cli.main(
        ["compare", f"{file}:double", "--seconds", "0.02", "--json", "--html", str(html)]
    )
    assert status == 0
    assert json.loads(capsys.readouterr().out)["how"] == "replay"
    assert "<html" in html.read_text()
    assert cli.main(["explain", f"{file}:double", "--args", "df.zeros((4,))"]) == 0
    assert "p.multiply" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["nofile.py:f", "nocolon"])
def test_the_command_says_what_is_wrong(target, capsys):
    assert cli.main(["compare", target]) == 2
    assert "FILE.py:FUNCTION" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{file}"], "no function named after"),
        (["{file}:other"], "has no function 'other'; write instead: half"),
        (["{file}:half"], "half() cannot be called with 0 arguments: missing a required argument"),
        (["{file}:half", "--args", "(1, 2)"], "with 2 arguments: too many positional arguments"),
        (["{file}:half", "--args", "(1,"], "no Python expression"),
        (["{file}:half", "--args", "df.ones(3)"], "in half: return x.reshape(2, 2)"),
    ],
)
def test_the_command_says_what_is_wrong_with_a_function(words, told, tmp_path, capsys):
    file = tmp_path / "halves.py"
    file.write_text("import dualflow as df\n\ndef half(x):\n    return x.reshape(2, 2)\n")
    assert cli.main(["compare", *(word.format(file=file) for word in words)]) == 2
    assert told in capsys.readouterr().err
