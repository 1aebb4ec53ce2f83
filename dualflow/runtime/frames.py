"""What goes through the helper's pipes: length, number, and a job or its result.

frame = total length (4 bytes), number (4), ok (1), body
job   = "module:function", a line feed, what the function is given; it returns bytes
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


def job(task: str, given: bytes) -> bytes:
    """The body of a job."""
    return b"%s\n%s" % (task.encode(), given)


def read_job(body: bytes) -> tuple[str, bytes]:
    """Its function and what that is given.

    >>> read_job(job("math:floor", b"given"))
    ('math:floor', b'given')
    """
    task, _, given = body.partition(b"\n")
    return task.decode(), given


def written(text: KernelText) -> bytes:
    """A kernel text as bytes."""
    parts = {
        "source": text.source,
        "name": text.name,
        "pointers": [dtype.name for dtype in text.pointers],
        "scalars": [dtype.name for dtype in text.scalars],
        "integers": text.integers,
        "options": text.options,
        "scratch": [(dtype.name, integers) for dtype, integers in text.scratch],
    }
    return json.dumps(parts).encode()


def read_text(body: bytes) -> KernelText:
    """The kernel text that was written.

    >>> dtype = np.dtype("float32")
    >>> text = KernelText("def f(): pass", "f", (dtype,), (), 2, (), ((dtype, (0, 1)),))
    >>> [(number, _, body)], rest = read_frames(frame(7, True, written(text)))
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
