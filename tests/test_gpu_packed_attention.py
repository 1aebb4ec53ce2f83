"""packed_attention on a GPU: one template for any lengths, which Python does not read."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from test_gpu_compiled import counted
from test_packed_attention import one_by_one, operands

import dualflow as df

pytestmark = pytest.mark.usefixtures("gpu")


def attended(q, k, v, starts, key_starts, causal=True):
    def made(q, k, v):
        return df.packed_attention(q, k, v, starts, key_starts, is_causal=causal)

    gradients = df.grad(lambda *xs: (made(*xs) ** 2).sum(), argnums=(0, 1, 2))(q, k, v)
    return made(q, k, v), *gradients


@pytest.mark.parametrize(("name", "causal"), [
    ("several", True), ("grouped", False), ("tokens behind", True),
])  # fmt: skip
def test_forward_and_backward_are_the_cpus(name, causal):
    given, starts = operands(name, 16, "float32")
    there = [x.to("cuda") for x in (*given, *starts)]
    wanted = attended(*given, *starts, causal=causal)
    np.testing.assert_allclose(wanted[0].numpy(), one_by_one(*given, *starts, causal), atol=1e-6)
    for one, other in zip(attended(*there, causal=causal), wanted, strict=True):
        assert one.device == "cuda:0"
        np.testing.assert_allclose(one.tolist(), other.tolist(), atol=2e-5)


def test_other_lengths_are_replayed(gpu, monkeypatch):  # noqa: F811
    (q, k, v), _ = operands("several", 16, "float32")
    there = [x.to("cuda") for x in (q, k, v)]
    f = df.compile(attended, wait=True)
    for sums in ([0, 3, 4, 8], [0, 1, 7, 8]):
        starts = df.asarray(sums).to("cuda")
        f(*there, starts, starts)
    starts, sums = df.asarray([0, 0, 6, 7]).to("cuda"), df.asarray([0, 0, 6, 7])
    found = []
    with monkeypatch.context() as patch:
        patch.setattr(gpu, "asnumpy", None, raising=False)  # nothing comes to the host
        names = "replays recordings library_calls"
        moved = counted(names, lambda: found.extend(f(*there, starts, starts)))
    assert moved[:2] == [1, 0]
    for one, other in zip(found, attended(q, k, v, sums, sums), strict=True):
        np.testing.assert_allclose(one.tolist(), other.tolist(), atol=2e-5)
    assert "attention in one pass: run by a template" in f.explain(*there, starts, starts)


@pytest.mark.parametrize("sums", [[-3, 5, 40], [5, 2, 8, 1 << 40]])
def test_sums_that_are_none_touch_no_other_memory(sums):
    (q, k, v), _ = operands("several", 16, "float32")
    there = [x.to("cuda") for x in (q, k, v)]
    starts = df.asarray(np.asarray(sums)).to("cuda")
    made, *gradients = attended(*there, starts, starts)
    assert made.shape == q.shape
    assert [g.shape for g in gradients] == [q.shape, k.shape, v.shape]


def test_widths_without_a_template_go_sequence_by_sequence():
    given, starts = operands("grouped", 6)
    there = [x.to("cuda") for x in (*given, *starts)]
    found = df.packed_attention(*there, is_causal=True)
    np.testing.assert_allclose(found.tolist(), one_by_one(*given, *starts, True), atol=1e-12)
