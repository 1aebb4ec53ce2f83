"""Object bytes -> callable machine code: linked here (`linker`), or by llvmlite where that cannot.

In: object bytes and the symbol of their entry. Out: a `Native` that keeps the code loaded. LLVM IR
text of this room's own native parts is compiled here too. Numba is never needed, llvmlite only to
compile.
"""

from __future__ import annotations

import itertools
import platform
import threading
from collections.abc import Sequence
from typing import Any

from . import linker
from .once import once

_numbers = itertools.count()
_lock = threading.Lock()


class Native:
    """Loaded machine code: it stays as long as this object does."""

    __slots__ = ("addresses", "tracker")

    def __init__(self, addresses: dict[str, int], tracker: Any) -> None:
        self.addresses, self.tracker = addresses, tracker

    def __getitem__(self, symbol: str) -> int:
        return self.addresses[symbol]


def load(image: bytes, *symbols: str) -> Native:
    """Load an object file and find `symbols` in it.

    Raises:
        RuntimeError: neither way can read or link it.
    """
    if linker.usable():
        try:
            addresses, mapping = linker.link(image, symbols)
        except linker.DAMAGED as error:
            raise RuntimeError(f"no object file: {error}") from error
        except linker.Unknown:
            return _load_by_llvm(image, symbols)
        return Native(addresses, mapping)
    return _load_by_llvm(image, symbols)


#: the numbers of machines in ELF files
_MACHINES = {"x86_64": 62, "aarch64": 183}


def _load_by_llvm(image: bytes, symbols: Sequence[str]) -> Native:
    number = _MACHINES.get(platform.machine())
    if number and image[:4] == b"\x7fELF" and int.from_bytes(image[18:20], "little") != number:
        raise RuntimeError("an object file of another machine")  # with which LLVM ends the process
    builder = _llvm().JITLibraryBuilder().add_object_img(image).add_current_process()
    for symbol in symbols:
        builder.export_symbol(symbol)
    with _lock:
        tracker = builder.link(_jit(), f"dualflow{next(_numbers)}")
    return Native({symbol: tracker[symbol] for symbol in symbols}, tracker)


def compile_ir(text: str, vectorise: bool = False) -> bytes:
    """The object bytes of LLVM IR `text`, optimised for this machine; `vectorise` its loops."""
    with _lock:
        return _machine().emit_object(optimised(text, vectorise))


def optimised(text: str, vectorise: bool) -> Any:
    """LLVM's module of IR `text` after its passes: all where loops are vectorised; else a few,
    which take a tenth of the time and cost a call three parts in a hundred."""
    llvm, machine = _llvm(), _machine()
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, tuning)
    passes = builder.getModulePassManager() if vectorise else _few_passes(llvm)
    passes.run(module, builder)
    return module


def _few_passes(llvm: Any) -> Any:
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    passes.add_new_gvn_pass()
    passes.add_simplify_cfg_pass()
    passes.add_dead_store_elimination_pass()
    return passes


def cpu() -> tuple[str, str, str]:
    """The machine that code is made for: triple, CPU name, CPU features."""
    llvm = _llvm()
    features = llvm.get_host_cpu_features().flatten()
    return llvm.get_process_triple(), llvm.get_host_cpu_name(), features


@once
def vector_bytes() -> int:
    """Bytes of this machine's vectors."""
    features = _llvm().get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


@once
def _llvm() -> Any:
    """llvmlite's binding, ready for this machine; imported when code is first loaded."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


@once
def _machine() -> Any:
    """LLVM's code generator for this machine."""
    llvm = _llvm()
    triple, name, features = cpu()
    return llvm.Target.from_triple(triple).create_target_machine(
        cpu=name, features=features, opt=3, reloc="pic", codemodel="default", jit=True
    )


@once
def _jit() -> Any:
    # LLVM's older linker may lay code and data further apart than 32 bits reach, and on Arm that
    # ends the process
    near = platform.machine().lower() in ("aarch64", "arm64")
    return _llvm().create_lljit_compiler(_machine(), use_jit_link=near)
