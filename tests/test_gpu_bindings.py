"""What is called of cuda-bindings and CuPy is there, in the versions that are installed.

Neither needs a GPU to be imported. For CUDA's driver a library is compiled that looks at what it is
given, so the launches of cuda-bindings themselves are seen byte by byte.
"""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from functools import reduce
from importlib import import_module
from pathlib import Path

import pytest

import dualflow

PACKAGE = Path(dualflow.__file__).parent
ROOMS = ("runtime/gpu/*.py", "array/on_device.py", "array/cuda.py", "ops/portable*.py",
         "ops/attending.py", "ops/convolving_portable.py")  # fmt: skip
#: names of CuPy's that records are looked up by in `ops/portable.py`
BY_NAME = ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "cumsum", "cumprod",
           "maximum", "minimum", "logaddexp", "sort", "argsort", "fft.fft", "fft.ifft",
           "fft.rfft", "fft.irfft"]  # fmt: skip
CALLS = {
    "cuModuleLoadData": ["image"], "cuModuleGetFunction": ["hmod", "name"],
    "cuFuncSetAttribute": ["hfunc", "attrib", "value"],
    "cuLaunchKernel": ["f", "gridDimX", "gridDimY", "gridDimZ", "blockDimX", "blockDimY",
                       "blockDimZ", "sharedMemBytes", "hStream", "kernelParams", "extra"],
}  # fmt: skip


def names_of_cupy() -> set[str]:
    """What the rooms of a GPU take from the module cupy."""
    found = set(BY_NAME)
    for room in ROOMS:
        for file in PACKAGE.glob(room):
            found |= set(re.findall(r"(?:\bxp|cupy\(\))\.([A-Za-z_][\w.]*)", file.read_text()))
    return {name.rstrip(".") for name in found}


def test_the_names_are_found_in_the_rooms():
    assert {"cuda.Stream", "cuda.runtime.memcpyAsync", "get_default_memory_pool", "matmul"} <= (
        names_of_cupy()
    )


def test_cupy_has_what_is_called():
    cupy = pytest.importorskip("cupy")
    if not hasattr(cupy, "__file__"):
        pytest.skip("the stand-in")
    for name in names_of_cupy():
        reduce(getattr, name.split("."), cupy)
    for name in ("begin_capture", "end_capture", "synchronize", "wait_event"):
        assert hasattr(cupy.cuda.Stream, name)
    for name in ("used_bytes", "free_bytes", "free_all_blocks"):
        assert hasattr(cupy.cuda.MemoryPool, name)
    assert hasattr(cupy.cuda.Graph, "launch")
    assert hasattr(cupy.cuda.MemoryPointer, "device_id")
    assert "linalg" in inspect.signature(import_module("cupyx").errstate).parameters
    ours = (Path(__file__).parent / "cupy_names.txt").read_text().split()
    assert set(ours) <= set(dir(cupy))


def test_the_driver_has_what_is_called():
    driver = pytest.importorskip("cuda.bindings.driver")
    for name, parameters in CALLS.items():
        assert list(inspect.signature(getattr(driver, name)).parameters) == parameters
    attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    assert int(attribute) == 8
    good, bad = driver.CUresult.CUDA_SUCCESS, driver.CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    assert (bool(good), bool(bad), bad.name) == (False, True, "CUDA_ERROR_ILLEGAL_ADDRESS")


LIBRARY = r"""
#include <string.h>
#include <stdint.h>
typedef int status;
status cuInit(unsigned flags) { return 0; }
status cuDriverGetVersion(int *version) { *version = 13000; return 0; }
status cuModuleLoadData(void **module, const void *image) {
    *module = (void *)0x1234; return memcmp(image, "CUBIN", 5) != 0; }
status cuModuleGetFunction(void **function, void *module, const char *name) {
    *function = (void *)0x77; return strcmp(name, "kernel") || module != (void *)0x1234; }
status cuFuncSetAttribute(void *f, int which, int value) {
    return f != (void *)0x77 || which != 8 || value != 70000; }
status cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                      unsigned bz, unsigned shared, void *stream, void **p, void **extra) {
    if (f != (void *)0x77 || gx != 5 || gy != 1 || gz != 1 || bx != 128 || by != 1 || bz != 1
        || shared != 70000 || stream != (void *)0x99 || extra) return 1;
    if (*(uint64_t *)p[0] != 0xabcdef0012345678ull || *(float *)p[2] != 1.5f || *(int *)p[3] != -7
        || *(uint64_t *)p[4] || *(uint64_t *)p[5]) return 1;
    return *(uint64_t *)p[1] == 42 ? 0 : 700; }
status nothing(void) { return 0; }
status cuGetProcAddress(const char *name, void **found, int version, uint64_t flags) {
#define SAY(f) if (!strcmp(name, #f)) { *found = f; return 0; }
    SAY(cuInit) SAY(cuDriverGetVersion) SAY(cuModuleLoadData) SAY(cuModuleGetFunction)
    SAY(cuFuncSetAttribute) SAY(cuLaunchKernel) SAY(cuGetProcAddress)
    *found = nothing; return 0; }
status cuGetProcAddress_v2(const char *name, void **found, int version, uint64_t flags, void *s) {
    if (s) *(int *)s = 0;
    return cuGetProcAddress(name, found, version, flags); }
"""
PROGRAM = """
from types import SimpleNamespace
import numpy as np
from dualflow.base.errors import DeviceError
from dualflow.runtime.gpu.image import Image
from dualflow.runtime.gpu.launching import Launcher

single = np.dtype("float32")
text = SimpleNamespace(pointers=[single] * 2, scalars=[single], integers=1)
image = Image(b"CUBIN", "kernel", 70000, 4)
bits = int(np.float32(1.5).view(np.uint32))
launch = Launcher(text, SimpleNamespace(indices="i32"), image, 5, 0, [bits, -7])
launch(0x99, 0xABCDEF0012345678, 42)
try:
    launch(0x99, 0xABCDEF0012345678, 43)
except DeviceError as error:
    print(error)
"""


def test_launches_reach_the_driver_as_they_were_packed(tmp_path):
    pytest.importorskip("cuda.bindings.driver")
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler")
    (tmp_path / "cuda.c").write_text(LIBRARY)
    name = "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", name, "cuda.c",
                    f"-Wl,-soname,{name}"], cwd=tmp_path, check=True)  # fmt: skip
    paths = os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    given = os.environ | {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=given, capture_output=True,
                          text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "launching a kernel: the GPU stopped" in done.stdout
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in done.stdout
