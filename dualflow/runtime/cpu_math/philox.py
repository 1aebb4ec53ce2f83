"""Random bits from a counter, as scalar code that vectorises: 32-bit products in 64-bit lanes.

Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from ..translation import kinds as types
from ..translation.words import Made, word

WORD, WIDE = ir.IntType(32), ir.IntType(64)
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)


@word
def philox(place: Any, key: Any, counter: Any) -> Any:
    """Word 0 for the counters (place, counter) under the key, each of 64 bits; uint32."""

    def generate(builder: Any, place: Any, key: Any, counter: Any) -> Any:
        def halves(word: Any) -> list[Any]:
            high = builder.lshr(word, ir.Constant(WIDE, 32))
            return [builder.trunc(word, WORD), builder.trunc(high, WORD)]

        def product(x: Any, factor: int) -> list[Any]:
            return halves(builder.mul(builder.zext(x, WIDE), ir.Constant(WIDE, factor)))

        (c0, c1), (c2, c3), (k0, k1) = halves(place), halves(counter), halves(key)
        for _ in range(10):
            low0, high0 = product(c0, MULTIPLIERS[0])
            low1, high1 = product(c2, MULTIPLIERS[1])
            c0, c1, c2, c3 = (
                builder.xor(builder.xor(high1, c1), k0), low1,
                builder.xor(builder.xor(high0, c3), k1), low0,
            )  # fmt: skip
            k0 = builder.add(k0, ir.Constant(WORD, WEYL[0]))
            k1 = builder.add(k1, ir.Constant(WORD, WEYL[1]))
        return c0

    return Made(types.uint32, (place, key, counter), generate)
