"""`x.flags`: how memory lies and whether it may be written, known without values.

Comes in: a face. Goes out: what the flags of its ndarray say; setting one sets it on that array.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np

from . import layout

_KIND = type(np.empty(0).flags)
_NAMES = {
    "C": "c_contiguous", "CONTIGUOUS": "c_contiguous", "C_CONTIGUOUS": "c_contiguous",
    "F": "f_contiguous", "FORTRAN": "f_contiguous", "F_CONTIGUOUS": "f_contiguous",
    "O": "owndata", "OWNDATA": "owndata", "W": "writeable", "WRITEABLE": "writeable",
    "A": "aligned", "ALIGNED": "aligned", "X": "writebackifcopy",
    "WRITEBACKIFCOPY": "writebackifcopy", "B": "behaved", "BEHAVED": "behaved",
    "CA": "carray", "CARRAY": "carray", "FA": "farray", "FARRAY": "farray",
    "FNC": "fnc", "FORC": "forc",
}  # fmt: skip


@final
class Flags:
    """See `np.ndarray.flags`."""

    __slots__ = ("_face",)

    def __init__(self, face: Any) -> None:
        self._face = face

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return _KIND

    aligned, writebackifcopy = True, False

    @property
    def c_contiguous(self) -> bool:
        return layout.packed(self._face._tensor)

    contiguous = c_contiguous

    @property
    def f_contiguous(self) -> bool:
        x = self._face._tensor
        few = x.size == 0 or sum(size != 1 for size in x.shape) <= 1
        return layout.fortran(x) or (few and layout.packed(x))

    fortran = f_contiguous

    @property
    def owndata(self) -> bool:
        return self._face.base is None

    @property
    def writeable(self) -> bool:
        x = self._face._tensor
        if x._array is not None:
            return x._array.flags.writeable
        return all(op.update is not None for op, _ in x._view)

    @writeable.setter
    def writeable(self, value: bool) -> None:
        self._face.setflags(write=value)

    @property
    def behaved(self) -> bool:
        return self.writeable

    @property
    def carray(self) -> bool:
        return self.writeable and self.c_contiguous

    @property
    def farray(self) -> bool:
        return self.writeable and self.fnc

    @property
    def fnc(self) -> bool:
        return self.f_contiguous and not self.c_contiguous

    @property
    def forc(self) -> bool:
        return self.f_contiguous or self.c_contiguous

    @property
    def num(self) -> int:
        bits = (self.c_contiguous, 1), (self.f_contiguous, 2), (self.owndata, 4), (True, 0x100)
        return sum(bit for held, bit in (*bits, (self.writeable, 0x400)) if held)

    def __getitem__(self, name: str) -> bool:
        if name not in _NAMES:
            raise KeyError("Unknown flag")
        return getattr(self, _NAMES[name])

    def __setitem__(self, name: str, value: bool) -> None:
        if name not in ("W", "WRITEABLE"):
            raise KeyError("Unknown flag")
        self.writeable = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _KIND) and self.num == other.num  # type: ignore[attr-defined]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = ("C_CONTIGUOUS", "F_CONTIGUOUS", "OWNDATA", "WRITEABLE", "ALIGNED")
        lines = [f"  {name} : {self[name]}" for name in (*names, "WRITEBACKIFCOPY")]
        return "\n".join(lines) + "\n"
