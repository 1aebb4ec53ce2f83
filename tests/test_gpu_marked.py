"""Some of the tests that wait for a GPU, on the stand-in, so that they cannot rot before."""

from __future__ import annotations

import subprocess
from contextlib import nullcontext

import pytest

pytest.importorskip("triton")

import test_fidelity_memory
import test_gpu_device as marked
from gpu_stand_in import gpu, interpreter  # noqa: F401 - fixtures
from harness import ops

pytestmark = pytest.mark.usefixtures("gpu")
WAYS = ("replay", "co-execute")
CALLS = {
    **{name: (marked.test_an_op_eagerly, next(op for op in ops() if op.name == name))
       for name in ("qr", "svd", "eigh")},
    "compiled": (marked.test_an_op_compiled, next(op for op in ops() if op.name == "sign")),
    "form": (marked.test_a_form_of_kernel, next(iter(marked.GRAPHS)), 9),
    "product": (marked.test_products_with_an_epilogue, marked.bfloat16),
    "rows": (marked.test_rows_of_products, "layer_norm", "bfloat16"),
    "convolutions": (marked.test_convolutions, "dilated", "bfloat16"),
    "scatters": (marked.test_scatters, "columns", marked.SCATTERED[1]),
    "bytes": (marked.test_programs_of_bfloat16_and_float8, "bytes"),
    "conversions": (marked.test_conversions_by_instructions_are_those_of_ml_dtypes,
                    marked.BYTES[0]),
    "program": (marked.test_templates_in_programs, "bias and gelu", 0.0),
    "indices": (marked.test_indices_out_of_bounds_do_not_break_the_device,),
    "segments": (marked.test_random_programs_co_executed, True),
    "packed": (marked.test_packed_attention, "one", True),
    **{f"fidelity {name} {way}": (marked.test_a_program_runs_as_eagerly,
                                  getattr(test_fidelity_memory, name), way)
       for name in ("same_tensor_twice", "overlapping_arguments") for way in WAYS},
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_it_runs(name: str, monkeypatch):
    monkeypatch.setattr(marked, "SEEDS", 1)
    test, *arguments = CALLS[name]
    test(*arguments)


@pytest.mark.parametrize("found", [0, 9])
def test_the_sanitizer_is_asked_for_the_forms(found, monkeypatch):
    asked = []

    def run(command, **_):
        asked.extend(command)
        return subprocess.CompletedProcess(command, found, "")

    monkeypatch.setattr(marked.shutil, "which", lambda tool: tool)
    monkeypatch.setattr(marked.subprocess, "run", run)
    with pytest.raises(AssertionError) if found else nullcontext():
        marked.test_the_sanitizer_finds_nothing("memcheck")
    assert asked[:5] == ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9"]
    names = asked[-1]
    for test in ("form_of_kernel", "an_epilogue", "attention_and_its", "test_scatters"):
        assert test in names
        assert any(test in name for name in vars(marked))
