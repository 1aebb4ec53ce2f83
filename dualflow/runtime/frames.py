"""What goes through the helper's pipes: length, number, and a text or its object bytes.

frame = total length (4 bytes), number (4), ok (1), body
"""

from __future__ import annotations

import json
import struct

import numpy as np

from dualflow.ir.text import KernelText

_HEAD = struct.Struct("<II?")


def frame(number: int, ok: bool, body: bytes) -> bytes:
    """One frame."""
    return _HEAD.pack(_HEAD.size + len(body), number, ok) + body


def read_frames(data: bytes) -> tuple[list[tuple[int, bool, bytes]], bytes]:
    """The whole frames at the beginning of `data`, and what is left."""
    found, at = [], 0
    while len(data) - at >= _HEAD.size:
        length, number, ok = _HEAD.unpack_from(data, at)
        if len(data) - at < length:
            break
        found.append((number, ok, data[at + _HEAD.size : at + length]))
        at += length
    return found, data[at:]


def text_frame(number: int, text: KernelText) -> bytes:
    """A frame with a kernel text."""
    parts = {
        "source": text.source,
        "name": text.name,
        "pointers": [dtype.name for dtype in text.pointers],
        "scalars": [dtype.name for dtype in text.scalars],
        "integers": text.integers,
        "options": text.options,
        "scratch": [(dtype.name, integers) for dtype, integers in text.scratch],
    }
    return frame(number, True, json.dumps(parts).encode())


def read_text(body: bytes) -> KernelText:
    """The kernel text of a frame's body.

    >>> dtype = np.dtype("float32")
    >>> text = KernelText("def f(): pass", "f", (dtype,), (), 2, (), ((dtype, (0, 1)),))
    >>> [(number, _, body)], rest = read_frames(text_frame(7, text))
    >>> read_text(body) == text, number, rest
    (True, 7, b'')
    """
    parts = json.loads(body)
    return KernelText(
        parts["source"],
        parts["name"],
        tuple(map(np.dtype, parts["pointers"])),
        tuple(map(np.dtype, parts["scalars"])),
        parts["integers"],
        tuple((key, value) for key, value in parts["options"]),
        tuple((np.dtype(name), tuple(integers)) for name, integers in parts["scratch"]),
    )
