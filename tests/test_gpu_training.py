"""Training on a GPU gives the CPU's losses: all of the way but the hardware (`gpu_stand_in`)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("triton")

from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from gpu_training import NETWORKS

import dualflow as df
from dualflow.inspect import demonstration

pytestmark = pytest.mark.usefixtures("gpu")


@pytest.mark.parametrize(("name", "mixed"), [
    ("language model", False), ("language model", True), ("convolutions", True)])  # fmt: skip
def test_a_network_learns_as_on_the_cpu(name, mixed):
    there, here = (NETWORKS[name](device, 2, mixed) for device in ("cuda", "cpu"))
    np.testing.assert_allclose(there, here, rtol=5e-3 if mixed else 2e-5)
    assert there[-1] < there[0]


def test_the_digits_are_learned_as_on_the_cpu(monkeypatch):
    (images, labels), held_out = demonstration.split_digits()
    few = (images[:96], labels[:96]), tuple(x[:64] for x in held_out)
    monkeypatch.setattr(demonstration, "split_digits", lambda dtype: few)
    monkeypatch.setattr(demonstration, "BATCH", 32)  # three steps

    def losses(device: str) -> demonstration.Training:
        return demonstration.train(
            lambda step: df.compile(step, wait=True), epochs=1, device=device
        )

    there, here = losses("cuda"), losses("cpu")
    np.testing.assert_allclose(there.losses, here.losses, rtol=1e-5)
    assert there.accuracy == pytest.approx(here.accuracy, abs=0.02)
