"""What goes through the helper's pipes: length, number, and a job or its result.

frame = total length (4 bytes), number (4), ok (1), body
job   = "module:function", a line feed, what the function is given; it returns bytes
"""

from __future__ import annotations

import struct

_HEAD = struct.Struct("<II?")


def frame(number: int, ok: bool, body: bytes) -> bytes:
    """One frame."""
    return _HEAD.pack(_HEAD.size + len(body), number, ok) + body


def read_frames(data: bytes) -> tuple[list[tuple[int, bool, bytes]], bytes]:
    """The whole frames at the beginning of `data`, and what is left.

    >>> read_frames(frame(7, True, b"body") + b"rest")
    ([(7, True, b'body')], b'rest')
    """
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
