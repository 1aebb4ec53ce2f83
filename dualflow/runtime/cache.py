"""The disk cache: object bytes under the hash of their text, versions and CPU; and
what else later processes need not make anew.

    entry = MAGIC, BLAKE2b of the rest, length of the source (8 bytes), source, object bytes

Processes may share the folder: an entry is written beside and renamed. A damaged entry is made
anew and counted; a folder that cannot be read or written is counted, and nothing is kept on disk.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain

import numpy as np

from dualflow.base.config import active
from dualflow.base.counters import count
from dualflow.base.digest import hashed
from dualflow.base.records import record

from . import loader, native_text, numpy_vectors, processor

MAGIC = b"dualflow kernel 2\n"
#: How the names of entries end: of machine code, of what planning made of a graph, of the
#: instrumented copy of a function, and of what was measured to be fastest.
OBJECT, PLAN, COPY, TUNED = ".o", ".plan", ".copy", ".tuned"
#: Bytes that all entries together may take; the oldest go when there are more.
LIMIT = 256 << 20
#: How much of LIMIT is left filled after the oldest have gone.
KEPT = 0.75

_HEAD = len(MAGIC) + 32 + 8
_ROOM = os.path.dirname(__file__)
_numbers = itertools.count()
#: A folder is looked through once this process wrote such a part of LIMIT to it, and for one name
#: in so many.
LOOK_PART, LOOK_NAMES = 1 / 64, 64
#: Bytes that this process has written to each folder since it looked.
_written: dict[str, int] = {}


@record
class Entry:
    """One cached kernel: its file, its size and age (seconds since the epoch), its source."""

    path: str
    nbytes: int
    modified: float
    source: str


def key(*parts: str) -> str:
    """The name of the entry for what `parts` describe, on this machine with these versions."""
    text = "\0".join((*parts, *machine()))
    return hashed(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def machine() -> tuple[str, ...]:
    """What decides machine code besides the text: CPU, versions, the words of kernel texts, and
    whether they may call NumPy's functions of vectors."""
    words = hashed()
    names = ("compile.py", "loader.py", "intrinsics.py", "by_numba.py", "native_text.py",
             "numpy_vectors.py")  # fmt: skip
    products = ("writer.py", "tiles.py", "moves.py", "libraries.py")
    names += tuple(os.path.join("products", name) for name in products)
    rooms = [_sources(os.path.join(_ROOM, room)) for room in ("translation", "cpu_math")]
    for path in (*(os.path.join(_ROOM, name) for name in names), *chain.from_iterable(rooms)):
        words.update(_bytes(path))
    settings = sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("NUMBA_"))
    versions = _version("llvmlite"), _version("numba")
    called = f"{numpy_vectors.PREFIX}={numpy_vectors.usable()}"
    return (*processor.identity(), *versions, words.hexdigest(), called, *settings)


def _version(package: str) -> str:
    """What tells one version of a package from another, without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return ""
    version = os.path.join(os.path.dirname(found.origin), "_version.py")
    return _bytes(version).decode() if os.path.exists(version) else found.origin


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _sources(folder: str) -> list[str]:
    """The Python files in a folder and its folders."""
    found = []
    for item in os.scandir(folder):
        if item.name.endswith(".py"):
            found.append(item.path)
        elif item.is_dir():
            found += _sources(item.path)
    return sorted(found)


def holds(name: str, kind: str = OBJECT) -> bool:
    """Whether something is kept under `name`, sound or not."""
    folder = _folder()
    return folder is not None and os.path.exists(os.path.join(folder, name + kind))


@lru_cache(maxsize=8)
def stamp(*rooms: str) -> str:
    """What tells the code in these folders and files from another version of it, or another copy of
    the package: where its files are, their sizes and times. With the versions of what is kept."""
    files = [f for room in rooms for f in ([room] if room.endswith(".py") else _sources(room))]
    found = [(path, (s := os.stat(path)).st_size, s.st_mtime_ns) for path in files]
    return repr((found, np.__version__, sys.version, sys.implementation.cache_tag))


def fetch(name: str, kind: str = OBJECT) -> bytes | None:
    """The bytes kept under `name`; None if there are none, or none that are sound."""
    folder = _folder()
    if folder is None:
        return None
    try:
        data = _bytes(os.path.join(folder, name + kind))
    except FileNotFoundError:
        return None
    except OSError:
        count("cache_errors")
        return None
    found = _open(data)
    if found is None:
        count("cache_rebuilds")
        return None
    return found[1]


def store(name: str, image: bytes, source: str, kind: str = OBJECT) -> None:
    """Keep `image` under `name`, if the folder lets us."""
    folder = _folder()
    if folder is None:
        return
    text = source.encode()
    body = len(text).to_bytes(8, "little") + text + image
    beside = os.path.join(folder, f".{name}.{os.getpid()}.{next(_numbers)}")
    try:
        os.makedirs(folder, exist_ok=True)
        try:
            _write(beside, MAGIC + hashed(body).digest() + body)
            os.replace(beside, os.path.join(folder, name + kind))
        except OSError:
            _remove(beside)
            raise
        _make_room(folder, name, _HEAD + len(text) + len(image))
    except OSError:
        count("cache_errors")


def entries() -> Iterator[Entry]:
    """The sound entries of kernels in the folder, oldest first."""
    folder = _folder()
    for status, path in _files(folder) if folder else ():
        if not path.endswith(OBJECT):
            continue
        try:
            found = _open(_bytes(path))
        except OSError:
            continue  # another process removed it meanwhile
        if found is not None:
            yield Entry(path, status.st_size, status.st_mtime, found[0])


def clear() -> int:
    """Remove all entries; returns how many kernels there were."""
    folder = _folder()
    removed = 0
    for _, path in _files(folder) if folder else ():
        _remove(path)
        removed += path.endswith(OBJECT)
    return removed


def native_part(part: native_text.Part, symbols: Sequence[str]) -> loader.Native:
    """A native part of this room, translated, compiled and loaded; its object is kept on disk."""
    name = key("native", repr(part))
    image = fetch(name)
    if image is None:
        image = loader.compile_ir(native_text.llvm_text(*part))
        store(name, image, part.text)
    return loader.load(image, *symbols)


def _folder() -> str | None:
    chosen = active().cache
    return os.path.join(chosen, "kernels") if chosen else None


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _open(data: bytes) -> tuple[str, bytes] | None:
    """Source and object bytes of an entry; None if it is damaged."""
    digest, body = data[len(MAGIC) : len(MAGIC) + 32], data[len(MAGIC) + 32 :]
    if len(data) < _HEAD or not data.startswith(MAGIC) or hashed(body).digest() != digest:
        return None
    end = 8 + int.from_bytes(body[:8], "little")
    return body[8:end].decode(), body[end:]


def _files(folder: str) -> list[tuple[os.stat_result, str]]:
    """The entries' files, oldest first."""
    found = []
    try:
        with os.scandir(folder) as listing:
            for item in listing:
                if item.name.endswith((OBJECT, PLAN, COPY, TUNED)):
                    found.append((item.stat(), item.path))
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda pair: pair[0].st_mtime)


def _make_room(folder: str, name: str, added: int) -> None:
    """Remove the oldest entries if there are too many; lists the folder only now and then."""
    _written[folder] = _written.get(folder, 0) + added
    chosen = sum(name.encode()) % LOOK_NAMES == 0
    if not chosen and _written[folder] < LIMIT * LOOK_PART:
        return
    _written[folder] = 0
    files = _files(folder)
    total = sum(status.st_size for status, _ in files)
    if total > LIMIT:
        for status, path in files:
            _remove(path)
            total -= status.st_size
            if total <= KEPT * LIMIT:
                break
