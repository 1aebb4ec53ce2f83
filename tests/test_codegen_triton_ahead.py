"""Triton texts compiled ahead of time, which needs no GPU: machine code is as promised."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from triton_graphs import GRAPHS
from triton_kernels import (
    BOOL,
    C64,
    C128,
    F16,
    F32,
    F64,
    I32,
    I64,
    chain,
    cross_entropy,
    fold_kernel,
    layer_norm,
    load,
    map_kernel,
    op_kernel,
    softmax,
    spelled_ops,
)

import dualflow as df
from dualflow.base.records import replaced
from dualflow.codegen.spelling import spelling
from dualflow.codegen.triton import emit
from dualflow.codegen.triton_variants import can_be_whole, variant
from dualflow.ir.backend import TRITON
from dualflow.ir.kernel import Access, Kernel, Let
from dualflow.passes import simplify
from dualflow.runtime.gpu import images
from dualflow.runtime.gpu.compile import build
from dualflow.schedule import plan

pytest.importorskip("triton")


@pytest.fixture
def ahead_of_time():
    """Compiles the text of a kernel for a target."""
    return lambda kernel, chosen, target=("cuda", 90, 32): build(emit(kernel), chosen, target)


def accesses_in(ptx: str, kind: str) -> tuple[int, int]:
    """How many 16-byte and how many other accesses to global memory of `kind` (ld or st)."""
    found = re.findall(rf"{kind}\.global[.\w:]*", ptx)
    wide = [one for one in found if re.search(r"v4\.b32|v2\.b64", one)]
    return len(wide), len(found) - len(wide)


TARGETS = {80: "sm_80", 90: "sm_90a"}


def spilled(ptx: str, folder: Path, capability: int = 90) -> int:
    """Bytes that the assembler moved from registers to memory."""
    import triton

    assembler = sorted(Path(triton.__file__).parent.glob("backends/nvidia/bin/ptxas*"))[-1]
    (folder / "kernel.ptx").write_text(ptx)
    told = subprocess.run(
        [assembler, "-v", "--gpu-name", TARGETS[capability], "kernel.ptx", "-o", "kernel.cubin"],
        cwd=folder, capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    return sum(map(int, re.findall(r"(\d+) bytes spill", told)))


NAMED = {
    "chain": chain(),
    "softmax": softmax(),
    "column sum": fold_kernel("sum", F32, F32, "column"),
    "layer_norm": layer_norm(),
    "cross_entropy": cross_entropy(),
}
WIDE = [
    ("chain", (64, 1000)), ("softmax", (64, 1000)), ("softmax", (64, 8192)),
    ("softmax", (64, 40000)), ("column sum", (4096, 1000)), ("layer_norm", (64, 1000)),
    ("layer_norm", (64, 8192)), ("layer_norm", (64, 40000)),
]  # fmt: skip


def integers_for(kernel: Kernel, rows: int, width: int) -> list[int]:
    """The numbers of a launch on contiguous matrices of `rows` by `width`."""
    lanes_on_grid = kernel.lanes in kernel.grid and kernel.loops
    sizes = dict(zip("ij", (width, rows) if lanes_on_grid else (rows, width), strict=True))
    found = {f"lo_{axis}": 0 for axis in sizes}
    for axis, size in sizes.items():
        found |= {f"hi_{axis}": size, f"n_{axis}": size}
    return [found.get(name, width) for name in kernel.integers()]


@pytest.mark.parametrize(("name", "shape"), WIDE)
def test_machine_code_moves_16_bytes_at_a_time_and_spills_nothing(
    ahead_of_time, tmp_path, name, shape
):
    kernel = NAMED[name]
    chosen = variant(kernel, integers_for(kernel, *shape), [True] * len(kernel.accesses))
    built = ahead_of_time(kernel, chosen)
    assert len(built.asm["cubin"]) > 1000
    ptx = built.asm["ptx"]
    wide, narrow = accesses_in(ptx, "ld")
    assert wide > 0, ptx
    # the masked tile of a map and one value for each column may be narrow, the rest is not
    assert narrow == 0 or name == "chain", re.findall(r"ld\.global[.\w:]*", ptx)
    assert accesses_in(ptx, "st")[0] > 0 or name == "column sum"
    assert spilled(ptx, tmp_path) == 0
    assert "div.full" not in ptx
    assert "sqrt.approx" not in ptx


#: of graphs without contiguous reads worth the name
NARROW = {"moves", "random_bits"}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_kernels_of_graphs_compile(ahead_of_time, tmp_path, name):
    """As scheduled, for every target; where rows lie as they are read, they are loaded 16 bytes at
    a time, and nothing is moved from registers to memory."""
    wide = {80: 0, 90: 0}
    for step in plan(simplify(GRAPHS[name](64)), backend=TRITON).launches:
        chosen = variant(step.kernel, step.integers, [True] * len(step.operands))
        for capability in wide:
            built = ahead_of_time(step.kernel, chosen, ("cuda", capability, 32))
            assert len(built.asm["cubin"]) > 1000
            assert spilled(built.asm["ptx"], tmp_path, capability) == 0
            wide[capability] += accesses_in(built.asm["ptx"], "ld")[0]
        hip = ahead_of_time(step.kernel, chosen, ("hip", "gfx942", 64)).asm
        assert len(hip["hsaco"]) > 1000
        assert re.search(r"\.vgpr_spill_count:\s+0\b", hip["amdgcn"])
    assert name in NARROW or all(wide.values())


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm_backward"])
def test_the_longest_whole_rows_stay_in_registers(ahead_of_time, tmp_path, name):
    """8192 float32 with weights and folds, on every target."""
    launches = plan(simplify(GRAPHS[name](64)), backend=TRITON).launches
    (step,) = [step for step in launches if can_be_whole(step.kernel)]
    integers = [8192 if number == 72 else number for number in step.integers]
    chosen = variant(step.kernel, integers, [True] * len(step.operands))
    assert chosen.constexprs == (1, 8192, True)
    for capability in TARGETS:
        built = ahead_of_time(step.kernel, chosen, ("cuda", capability, 32))
        assert spilled(built.asm["ptx"], tmp_path, capability) == 0
    hip = ahead_of_time(step.kernel, chosen, ("hip", "gfx942", 64)).asm
    assert re.search(r"\.vgpr_spill_count:\s+0\b", hip["amdgcn"])


def test_cross_entropy_and_an_odd_width_compile_too(ahead_of_time):
    for kernel in (NAMED["cross_entropy"], NAMED["softmax"]):
        integers = integers_for(kernel, 64, 1001)
        built = ahead_of_time(kernel, variant(kernel, integers, [False] * len(kernel.accesses)))
        assert len(built.asm["cubin"]) > 1000
        assert accesses_in(built.asm["ptx"], "ld")[0] == 0


def test_indices_of_64_bits_keep_wide_accesses(ahead_of_time):
    kernel = softmax()
    chosen = variant(kernel, [0, 2**20, 1024, 2**12, 2**12], (True, True))
    assert chosen.indices == "i64"
    assert accesses_in(ahead_of_time(kernel, chosen).asm["ptx"], "ld") == (2, 0)


@pytest.mark.parametrize(("target", "code"), [(("cuda", 80, 32), "cubin"),
                                              (("hip", "gfx942", 64), "hsaco")])  # fmt: skip
def test_other_targets_compile(ahead_of_time, target, code):
    for name in ("softmax", "column sum"):
        kernel = NAMED[name]
        chosen = variant(kernel, integers_for(kernel, 64, 1000), (True, True))
        assert len(ahead_of_time(kernel, chosen, target).asm[code]) > 1000


def test_products_and_sums_are_not_contracted(ahead_of_time):
    lets = (
        load("x", "X", F32),
        Let("p", "multiply", ("x", "x"), F32),
        Let("q", "add", ("p", "x"), F32),
    )
    accesses = (Access("X", F32, "in", (1,)), Access("O", F32, "out", (1,)))
    kernel = map_kernel(lets, [("O", "q")], accesses)
    ptx = ahead_of_time(kernel, variant(kernel, [0, 4096], (True, True))).asm["ptx"]
    assert "fma.rn" not in ptx
    assert "mul" in ptx
    assert "add" in ptx
    assert ".ftz" not in ptx


@pytest.mark.parametrize(
    "dtype", [BOOL, np.dtype("int8"), I32, np.dtype("uint64"), F16, F32, F64, C64, C128], ids=str
)
def test_every_op_compiles(ahead_of_time, dtype):
    names = [name for name, kind in spelled_ops() if kind == dtype]
    kernel = op_kernel(names, dtype)
    chosen = variant(kernel, [0, 4096], [True] * len(kernel.accesses))
    chosen = replaced(chosen, constexprs=(128,))
    assert len(ahead_of_time(kernel, chosen).asm["cubin"]) > 1000


@pytest.mark.parametrize("target", [("cuda", 80, 32), ("hip", "gfx942", 64)])
def test_functions_of_a_library_are_those_of_the_target(ahead_of_time, target):
    """AMD's has no cube roots."""
    names = sorted({name for name, kind in spelled_ops() if kind == F32})
    kernel = op_kernel([name for name in names if "libdevice" in spelling(name, "triton", F32)
                        or name == "cbrt"], F32)  # fmt: skip
    chosen = variant(kernel, [0, 4096], [True] * len(kernel.accesses))
    made = ahead_of_time(kernel, replaced(chosen, constexprs=(128,)), target)
    assert len(made.asm["cubin" if target[0] == "cuda" else "hsaco"]) > 1000


@pytest.mark.parametrize(("op", "source", "result"), [
    ("argmax", F32, I64), ("argmin", BOOL, I64), ("any", BOOL, BOOL), ("sum", BOOL, I64),
    ("sum", F16, F16), ("sum", F64, F64),
    ("max", np.dtype("uint64"), np.dtype("uint64"))])  # fmt: skip
def test_every_kind_of_fold_compiles(ahead_of_time, op, source, result):
    for form, width in (("row", 64), ("row", 40000), ("column", 64)):
        kernel = fold_kernel(op, source, result, form)
        chosen = variant(kernel, integers_for(kernel, 64, width), (True, True))
        assert len(ahead_of_time(kernel, chosen).asm["cubin"]) > 1000


def test_the_helper_compiles_and_the_disk_keeps_machine_code(tmp_path):
    kernel = NAMED["chain"]
    chosen = variant(kernel, integers_for(kernel, 64, 1000), [True] * len(kernel.accesses))
    with df.config(cache=tmp_path):
        images.forget()
        before = df.stats()
        image = images.start(emit(kernel), chosen, 90).result()
        assert image.code[:4] == b"\x7fELF"
        assert (image.name, image.warps) == ("kernel", chosen.warps)
        images.forget()
        again = images.start(emit(kernel), chosen, 90)
        assert again.poll()
        assert again.result() == image
        after = df.stats()
    moved = [
        after[n] - before[n] for n in ("kernels_compiled", "kernels_loaded", "helper_failures")
    ]
    assert moved == [1, 1, 0]
    other = images.start(emit(kernel), chosen, 80)
    assert other.key != again.key
    images.forget()
