"""Co-execution on a GPU: operations are deferred, and run fused where Python needs a value."""

from __future__ import annotations

import sys
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("triton")

from coexecute_programs import trace
from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from test_coexecute_random import check_close, exact

import dualflow as df
from dualflow import errors
from dualflow.capture.coexecution.coexecute import coexecute
from dualflow.capture.coexecution.segments import Segments

pytestmark = pytest.mark.usefixtures("gpu")


def values(seed: int, *shape: int) -> df.Tensor:
    return df.asarray(np.random.default_rng(seed).standard_normal(shape, np.float32)).to("cuda")


class Stranger(list):
    """What a recording does not follow, so that Python runs."""

    log: ClassVar[list[float]] = []

    def append(self, value: float) -> None:
        assert sys._getframe().f_code.co_name == "append"
        self.log.append(value)


def program_with_a_stranger(x: df.Tensor, read: Stranger) -> df.Tensor:
    y = df.tanh(x * 2.0) + 1.0
    read.append((y * y).sum().item())
    return df.exp(-y) * x


def test_what_lies_between_two_values_is_one_program():
    f = df.compile(program_with_a_stranger, wait=True)
    x = values(0, 40)
    Stranger.log.clear()
    for _ in range(2):
        f(x, Stranger())
    before = df.stats()
    made = f(x, Stranger())
    after = df.stats()
    assert after["co_executions"] == before["co_executions"] + 1
    assert after["kernel_launches"] - before["kernel_launches"] <= 3
    assert f._segments.stats.compiled >= 2
    y = np.tanh(np.asarray(x.tolist()) * 2) + 1
    np.testing.assert_allclose(Stranger.log, [(y * y).sum()] * 3, rtol=1e-5)
    assert made.device == "cuda:0"
    np.testing.assert_allclose(made.tolist(), np.exp(-y) * np.asarray(x.tolist()), rtol=1e-5)


def check(seeds, **settings) -> list[Segments]:
    found = []
    for seed in seeds:
        found.append(Segments())
        seen = trace(seed, lambda call: coexecute(found[-1], call, **settings), device="cuda")
        expected = trace(seed, lambda call: call(), device="cuda")
        if settings.get("wait"):
            check_close(seen, expected)
        else:
            assert list(map(exact, seen)) == list(map(exact, expected)), f"seed {seed}"
    return found


def test_random_programs_run_by_the_eager_mode_are_exact(monkeypatch):
    monkeypatch.setattr("dualflow.capture.coexecution.segments.Record.program", lambda *_: None)
    found = check(range(25))
    assert sum(one.stats.segments for one in found) > 250
    assert sum(one.stats.recomputed for one in found) > 0


def test_random_programs_compiled():
    found = check(range(2), wait=True)
    assert sum(one.stats.compiled for one in found) > 8
    assert sum(one.stats.failures for one in found) == 0


def test_pending_values_say_where_they_will_lie():
    x, y = values(1, 3), values(2, 3).to("cpu")

    def call():
        a, b = x + 1, y + 1
        assert (a.device, a[1:].device, b.device) == ("cuda:0", "cuda:0", "cpu")
        with pytest.raises(errors.DeviceError, match="of tensors on"):
            a * b
        c = a * df.asarray(3.0)  # single numbers of the CPU are copied, pending ones too
        d = c + (b[0] * 0 + 1)
        with df.device("cuda:1"):
            e = df.zeros(3) + 2
        assert (d.device, e.device) == ("cuda:0", "cuda:1")
        return d, e

    found = Segments()
    for _ in range(3):
        d, e = coexecute(found, call, wait=True)
        np.testing.assert_allclose(d.tolist(), (np.asarray(x.tolist()) + 1) * 3 + 1, rtol=1e-6)
        assert e.tolist() == [2.0] * 3
        assert (d.device, e.device) == ("cuda:0", "cuda:1")
    assert found.stats.compiled > 0


def test_a_segment_runs_on_its_device_whatever_is_in_use_then():
    def call():
        x = df.ones(4) + 1
        with df.device("cuda"):
            return x.sum().item(), df.ones(4).device, x.device

    found = Segments()
    for _ in range(3):
        assert coexecute(found, call, wait=True) == (8.0, "cuda:0", "cpu")


def test_results_that_are_never_read_are_computed_when_they_are(gpu, monkeypatch):  # noqa: F811
    x, wanted = values(3, 5), (values(3, 5) * 2 + 1).tolist()
    found = Segments()
    kept = [coexecute(found, lambda: x * 2 + 1, wait=False) for _ in range(3)]
    x[:] = 0.0
    with monkeypatch.context() as patch:
        patch.setattr(gpu, "asnumpy", None, raising=False)  # nothing comes to the host for that
        made = [each + 0 for each in kept]
    for each in made:
        assert each.device == "cuda:0"
        assert each.tolist() == wanted


def test_vmap_knows_the_device_of_its_batch():
    x = values(4, 3, 4, 4)
    made = df.vmap(lambda m: df.tril(m) + df.eye(4, device=m.device))(x)
    assert made.device == "cuda:0"
    wanted = np.tril(np.asarray(x.tolist())) + np.eye(4)
    np.testing.assert_allclose(made.tolist(), wanted, rtol=1e-6)


def test_segments_are_audited_on_the_host(caplog):
    f = df.compile(program_with_a_stranger, wait=True, audit=1.0)
    for _ in range(2):
        f(values(5, 6), Stranger())
    before = df.stats()
    f(values(5, 6), Stranger())
    after = df.stats()
    assert after["audits"] > before["audits"]
    assert after["audit_mismatches"] == before["audit_mismatches"]
    assert caplog.records == []


def test_replays_are_audited_where_they_run(caplog):
    """With what they write in place, which is as it was before Python runs for the comparison."""
    state, before = values(7, 6), df.stats()

    def step(x: df.Tensor) -> df.Tensor:
        state[...] = state * 0.5 + x
        return df.tanh(state).sum()

    f = df.compile(step, wait=True, audit=1.0)
    wanted = np.asarray(state.tolist(), np.float32)
    for _ in range(3):
        f(values(5, 6))
        wanted = wanted * np.float32(0.5) + np.asarray(values(5, 6).tolist(), np.float32)
    assert f.stats()["replays"] >= 2
    after = df.stats()
    assert after["audits"] == before["audits"] + 2
    assert after["audit_mismatches"] == before["audit_mismatches"]
    assert caplog.records == []
    np.testing.assert_allclose(state.tolist(), wanted, rtol=1e-6)
