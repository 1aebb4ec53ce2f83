"""Machine code linked without LLVM: the same code as by LLVM, and what is left to it."""

from __future__ import annotations

import ctypes
import math
from pathlib import Path

import numpy as np
import pytest
from cpu_kernels import program_of, softmax

from dualflow.codegen.numba import emit
from dualflow.runtime import builds, cpu, linker, loader, processor

TEXT = """
@calls = internal global i64 5, align 8
@zeros = internal global [4 x i64] zeroinitializer, align 64
@table = internal constant [3 x double] [double 1.5, double 2.5, double 4.0]

declare double @fmod(double, double)
declare double @cos(double)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define i64 @count(i64 %by) noinline {
  %old = load i64, ptr @calls
  %new = add i64 %old, %by
  store i64 %new, ptr @calls
  store volatile i64 %new, ptr getelementptr ([4 x i64], ptr @zeros, i64 0, i64 3)
  %seen = load volatile i64, ptr getelementptr ([4 x i64], ptr @zeros, i64 0, i64 3)
  ret i64 %seen
}

define double @mixed(double %x, i64 %k) {
  %n = call i64 @count(i64 1)
  %at = getelementptr double, ptr @table, i64 %k
  %y = load double, ptr %at
  %r = call double @fmod(double %x, double %y)
  %c = call double @cos(double %r)
  %s = fadd double %c, 0.0625
  ret double %s
}

define void @fill(ptr %to, i64 %n) {
  call void @llvm.memset.p0.i64(ptr %to, i8 7, i64 %n, i1 false)
  ret void
}
"""

pytestmark = pytest.mark.skipif(not linker.usable(), reason="LLVM links on this machine")


@pytest.fixture(scope="module")
def image() -> bytes:
    return loader.compile_ir(TEXT)


def functions(native: loader.Native) -> tuple[ctypes._CFuncPtr, ...]:  # type: ignore[name-defined]
    mixed = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double, ctypes.c_int64)(native["mixed"])
    count = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(native["count"])
    fill = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(native["fill"])
    return mixed, count, fill


def test_code_constants_variables_and_functions_of_the_process(image):
    names = ("mixed", "count", "fill")
    mine = loader.Native(*linker.link(image, names))
    theirs = loader._load_by_llvm(image, names)
    for native in (mine, theirs):
        mixed, count, fill = functions(native)
        for k, y in enumerate((1.5, 2.5, 4.0)):
            assert mixed(7.25, k) == math.cos(math.fmod(7.25, y)) + 0.0625
        assert count(10) == 5 + 3 + 10  # variables of each, none shared
        room = np.zeros(1000, np.uint8)
        fill(room.ctypes.data, 900)
        assert (room[:900] == 7).all()
        assert not room[900:].any()


def test_code_cannot_be_overwritten(image):
    addresses, mapping = linker.link(image, ("mixed",))
    start = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    lines = Path("/proc/self/maps").read_text().splitlines()
    (line,) = [li for li in lines if int(li.partition("-")[0], 16) == start]
    assert line.split()[1] == "r-xp"
    assert addresses["mixed"] >= start


@pytest.mark.parametrize("kernel", [softmax(True), softmax(False)])
def test_kernels_give_the_bits_they_give_by_llvm(kernel, monkeypatch):
    x = np.random.default_rng(0).standard_normal((9, 80)).astype(np.float32)
    program, inputs = program_of(kernel, [x, (9, 80)], {"i": 9, "j": 80})
    found = []
    for way in (True, False):
        monkeypatch.setattr(linker, "usable", lambda way=way: way)
        builds.forget()
        text = {kernel: emit(kernel)}
        made = {kernel: builds.start(text[kernel])}
        found.append(cpu.Executable(program, text, made).run(inputs)[0])
        tracker = made[kernel].native.tracker  # type: ignore[union-attr]
        assert (type(tracker).__name__ == "mmap") == way
    np.testing.assert_array_equal(*found)


def test_what_is_not_known_is_left_to_llvm(image, monkeypatch):
    monkeypatch.setattr(linker, "_CALL", 77)
    monkeypatch.setattr(linker, "_BY_TABLE", ())
    monkeypatch.setattr(linker, "_NEAR", 78)
    with pytest.raises(linker.Unknown, match="relocation"):
        linker.link(image, ("mixed",))
    native = loader.load(image, "mixed", "count", "fill")
    mixed, *_ = functions(native)
    assert mixed(7.25, 0) == math.cos(math.fmod(7.25, 1.5)) + 0.0625


def test_a_function_that_the_process_lacks_is_told():
    image = loader.compile_ir(
        "declare void @no_such_function()\n"
        "define void @f() {\n call void @no_such_function()\n ret void\n}"
    )
    with pytest.raises(RuntimeError, match="no_such_function"):
        loader.load(image, "f")


@pytest.mark.parametrize("cut", [0, 3, 40, 200, -100])
def test_bytes_that_are_no_object_file(image, cut):
    with pytest.raises((*linker.DAMAGED, linker.Unknown)):
        linker.link(image[:cut], ("mixed",))


def test_the_processor_tells_what_llvm_finds():
    llvm = {f[1:] for f in loader.cpu()[2].split(",") if f.startswith("+")}
    told = processor.features()
    for name in ("avx2", "fma", "avx512f", "avx512bw"):
        assert (name in told) == (name in llvm)
    assert len(processor.identity()) > 5


def test_another_processor_has_other_names():
    told = processor.told()
    assert processor.identity() == processor.identity_of(told)
    assert processor.identity_of({**told, "flags": "fpu"}) != processor.identity()
    assert processor.identity_of({}) == loader.cpu()
