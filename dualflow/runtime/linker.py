"""Object files -> machine code in memory, without LLVM, whose import takes longer than a start.

In: an ELF object for x86-64, and the symbols wanted. Out: their addresses, and the mapping that
holds the code. Code and constants are read-only once they are linked, variables lie in pages of
their own. What is not known here (other machines, formats, relocations) is LLVM's to load.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from .once import once

_PAGE = mmap.PAGESIZE
_X86_64, _RELOCATABLE = 62, 1
_SYMBOLS, _RELOCATIONS, _NO_BITS, _UNWIND = 2, 4, 8, 0x70000001
_WRITE, _ALLOC = 1, 2
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1
#: Relocations: the address; 32 or 64 bits from here; the same by way of a table of addresses.
_ADDRESS, _NEAR, _CALL, _FAR, _BY_TABLE = 1, 2, 4, 24, (9, 41, 42)
#: jmp [rip + 2]; two bytes of nothing; the address
_JUMP = b"\xff\x25\x02\x00\x00\x00\x66\x90"
_STUB = len(_JUMP) + 8
#: mov eax, 42; ret
_ANSWER = b"\xb8\x2a\x00\x00\x00\xc3"


class Unknown(Exception):  # noqa: N818 - no error: LLVM loads it
    """Something that only LLVM can load."""


#: What bytes that are no object file lead to.
DAMAGED = (struct.error, ValueError, IndexError, KeyError, UnicodeDecodeError)


class _Section(NamedTuple):
    """A section header."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    each: int


@once
def usable() -> bool:
    """Whether this machine is one for which code is linked here, and lets memory be executed."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        mapping, address = _map(_PAGE)
        mapping[: len(_ANSWER)] = _ANSWER
        _seal(address, _PAGE)
    except OSError:
        return False
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)() == 42


def link(image: bytes, symbols: Sequence[str]) -> tuple[dict[str, int], Any]:
    """The addresses of `symbols`, and what keeps the code in memory.

    Raises:
        Unknown: LLVM has to load it.
    """
    return _Object(image).link(symbols)


class _Object:
    """An object file on its way into memory."""

    def __init__(self, image: bytes) -> None:
        self.image = image
        head = struct.unpack_from("<4s5B7xHHIQQQIHHHHHH", image)
        if head[:3] != (b"\x7fELF", 2, 1) or head[6:8] != (_RELOCATABLE, _X86_64):
            raise ValueError("no object file for x86-64")
        at, each, count = head[11], head[16], head[17]
        self.sections = [
            _Section(*struct.unpack_from("<IIQQQQIIQQ", image, at + n * each)) for n in range(count)
        ]
        self.places: dict[int, int] = {}  # offsets in the mapping, by number of section
        self.base = 0
        self.stubs: dict[int, int] = {}
        (table,) = (section for section in self.sections if section.kind == _SYMBOLS)
        names = self.sections[table.link].offset
        self.symbols = [
            (self._text(names + name), info, section, value)
            for name, info, _, section, value, _ in struct.iter_unpack(
                "<IBBHQQ", image[table.offset : table.offset + table.size]
            )
        ]

    def _text(self, at: int) -> str:
        return self.image[at : self.image.index(b"\0", at)].decode()

    def link(self, wanted: Sequence[str]) -> tuple[dict[str, int], Any]:
        """See `link`."""
        fixed = self._place(0, False)
        first_stub = -(-fixed // 16) * 16
        outside = sum(section == _UNDEFINED for _, _, section, _ in self.symbols)
        sealed = -(-(first_stub + outside * _STUB) // _PAGE) * _PAGE
        size = -(-(self._place(sealed, True) + 1) // _PAGE) * _PAGE
        mapping, self.base = _map(size)
        for n, place in self.places.items():
            section = self.sections[n]
            if section.kind != _NO_BITS:
                end = section.offset + section.size
                mapping[place : place + section.size] = self.image[section.offset : end]
        self.next_stub = first_stub
        for section in self.sections:
            if section.kind == _RELOCATIONS and section.info in self.places:
                self._relocate(mapping, section)
        _seal(self.base, sealed)
        addresses = {name: self._address(n) for n, (name, _, section, _) in enumerate(self.symbols)
                     if section in self.places}  # fmt: skip
        return {name: addresses[name] for name in wanted}, mapping

    def _place(self, at: int, writable: bool) -> int:
        """Give the sections that are to be in memory their places from `at` on; where they end."""
        for n, section in enumerate(self.sections):
            if not section.flags & _ALLOC or bool(section.flags & _WRITE) is not writable:
                continue
            if section.kind == _UNWIND or self._text_of(section) == ".eh_frame":
                continue
            at = -(-at // max(section.align, 1)) * max(section.align, 1)
            self.places[n] = at
            at += section.size
        return at

    def _text_of(self, section: _Section) -> str:
        (number,) = struct.unpack_from("<H", self.image, 62)
        return self._text(self.sections[number].offset + section.name)

    def _address(self, number: int) -> int:
        name, _, section, value = self.symbols[number]
        if section in self.places:
            return self.base + self.places[section] + value
        if section == _UNDEFINED:
            found = outside(name)
            if not found:
                raise RuntimeError(f"no function {name} in this process")
            return found
        if section == _ABSOLUTE:
            return value
        raise Unknown(f"symbol {name}")

    def _relocate(self, mapping: Any, table: _Section) -> None:
        start = self.places[table.info]
        entries = self.image[table.offset : table.offset + table.size]
        for offset, info, addend in struct.iter_unpack("<QQq", entries):
            at, kind, symbol = start + offset, info & 0xFFFFFFFF, info >> 32
            here = self.base + at
            if kind == _ADDRESS:
                struct.pack_into("<Q", mapping, at, (self._address(symbol) + addend) % (1 << 64))
            elif kind == _FAR:
                struct.pack_into("<q", mapping, at, self._address(symbol) + addend - here)
            elif kind in (_CALL, _NEAR, *_BY_TABLE):
                target = self._near(mapping, symbol, kind)
                struct.pack_into("<i", mapping, at, target + addend - here)
            else:
                raise Unknown(f"relocation {kind}")

    def _near(self, mapping: Any, symbol: int, kind: int) -> int:
        """What code within 2 GB calls or reads for a symbol: itself, a stub, a table's entry."""
        if self.symbols[symbol][2] != _UNDEFINED and kind not in _BY_TABLE:
            return self._address(symbol)
        if kind == _NEAR:
            raise Unknown(f"{self.symbols[symbol][0]} may be too far away")
        if symbol not in self.stubs:
            if self.symbols[symbol][2] != _UNDEFINED:
                raise Unknown("a table's entry for a symbol of this file")
            self.stubs[symbol] = self.next_stub
            mapping[self.next_stub : self.next_stub + _STUB] = _JUMP + struct.pack(
                "<Q", self._address(symbol)
            )
            self.next_stub += _STUB
        return self.base + self.stubs[symbol] + (len(_JUMP) if kind in _BY_TABLE else 0)


def outside(name: str) -> int | None:
    """The address of a function of this process: of the C library, of Python or of NumPy."""
    for library in (_process, _python, _numpy):
        function = getattr(library(), name, None)
        if function is not None:
            return ctypes.cast(function, ctypes.c_void_p).value
    return None


@once
def _process() -> Any:
    return ctypes.CDLL(None)


def _python() -> Any:
    return ctypes.pythonapi


@once
def _numpy() -> Any:
    """What NumPy is made of; None where that cannot be found."""
    try:
        return ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    except (ImportError, OSError):
        return None


def _map(size: int) -> tuple[Any, int]:
    """Fresh memory of this process alone, and its address."""
    mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mapping, ctypes.addressof(ctypes.c_char.from_buffer(mapping))


def _seal(address: int, size: int) -> None:
    """Let memory be read and executed, and no more written.

    Raises:
        OSError: the system does not allow it.
    """
    protect: Callable[..., int] = _process().mprotect
    if protect(ctypes.c_void_p(address), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError("memory cannot be made executable")
