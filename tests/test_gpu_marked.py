"""Some of the tests that wait for a GPU, on the stand-in, so that they cannot rot before."""

from __future__ import annotations

import pytest

pytest.importorskip("triton")

import test_gpu_device as marked
from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from harness import ops

pytestmark = pytest.mark.usefixtures("gpu")
CALLS = {
    **{name: (marked.test_an_op_eagerly, next(op for op in ops() if op.name == name))
       for name in ("qr", "svd", "eigh")},
    "compiled": (marked.test_an_op_compiled, next(op for op in ops() if op.name == "sign")),
    "form": (marked.test_a_form_of_kernel, next(iter(marked.GRAPHS)), 9),
    "product": (marked.test_products_with_an_epilogue, marked.F32),
    "program": (marked.test_templates_in_programs, "bias and gelu", 0.0),
    "indices": (marked.test_indices_out_of_bounds_do_not_break_the_device,),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_it_runs(name: str):
    test, *arguments = CALLS[name]
    test(*arguments)
