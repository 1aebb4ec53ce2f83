"""Hashes of bytes: BLAKE2b of 32 bytes, from the module that needs no OpenSSL (2 ms of an import).

Comes in: bytes. Goes out: an object of hashlib's kind.
"""

from __future__ import annotations

from typing import Any

try:
    from _blake2 import blake2b
except ImportError:  # another Python than CPython
    from hashlib import blake2b


def hashed(data: bytes = b"") -> Any:
    """The hash of `data`, to which more can be added.

    >>> hashed(b"ab").digest() == hashed(b"a").digest(), len(hashed(b"ab").hexdigest())
    (False, 64)
    """
    return blake2b(data, digest_size=32)
