"""The types of values in kernel texts, and their LLVM types.

Comes in: nothing. Out: one object for each type, equal to itself alone.

    boolean  int8 ... uint64  float32 float64  complex64 complex128     values
    float16 bfloat16 float8_e4m3fn float8_e5m2                          held as float32
    Pointer(kind)   to elements of that kind        Class(kind)   the name of a dtype as an argument
    nothing         what a word gives that gives no value
"""

from __future__ import annotations

from functools import lru_cache


class Kind:
    """A type; `text` is LLVM's name of it."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text

    def __repr__(self) -> str:
        return self.name


class Boolean(Kind):
    """A bit; in memory it is a byte, which texts read as uint8."""


class Integer(Kind):
    """An integer of `bitwidth` bits."""

    def __init__(self, bitwidth: int, signed: bool) -> None:
        super().__init__(f"{'' if signed else 'u'}int{bitwidth}", f"i{bitwidth}")
        self.bitwidth, self.signed = bitwidth, signed


class Float(Kind):
    """A float of 32 or 64 bits."""

    def __init__(self, bitwidth: int) -> None:
        super().__init__(f"float{bitwidth}", {32: "float", 64: "double"}[bitwidth])
        self.bitwidth = bitwidth


class Narrow(Kind):
    """A narrower float. It is no value: texts hold it as float32, memory as an integer."""

    def __init__(self, name: str, bitwidth: int) -> None:
        super().__init__(name, f"i{bitwidth}")
        self.bitwidth = bitwidth


class Complex(Kind):
    """A pair of floats."""

    def __init__(self, part: Float) -> None:
        super().__init__(f"complex{2 * part.bitwidth}", f"{{ {part.text}, {part.text} }}")
        self.underlying_float = part


class Pointer(Kind):
    """The address of elements of `dtype`, a kind."""

    def __init__(self, dtype: Kind) -> None:
        super().__init__(f"pointer to {dtype}", "ptr")
        self.dtype = dtype


class Class(Kind):
    """What the name of a dtype is as an argument."""

    def __init__(self, instance_type: Kind) -> None:
        super().__init__(f"class {instance_type}", "")
        self.instance_type = instance_type


boolean, nothing = Boolean("bool", "i1"), Kind("nothing", "void")
int8, int16, int32, int64 = (Integer(bits, True) for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (Integer(bits, False) for bits in (8, 16, 32, 64))
float32, float64 = Float(32), Float(64)
float16, bfloat16 = Narrow("float16", 16), Narrow("bfloat16", 16)
float8_e4m3fn, float8_e5m2 = Narrow("float8_e4m3fn", 8), Narrow("float8_e5m2", 8)
complex64, complex128 = Complex(float32), Complex(float64)
INTEGERS = (int8, int16, int32, int64, uint8, uint16, uint32, uint64)
FLOATS = (float32, float64)
NARROW = (float16, bfloat16, float8_e4m3fn, float8_e5m2)

#: Kinds by the names of dtypes.
DTYPES: dict[str, Kind] = {
    kind.name: kind
    for kind in (boolean, *INTEGERS, *NARROW, *FLOATS, complex64, complex128)
}  # fmt: skip

pointer, class_of = lru_cache(maxsize=None)(Pointer), lru_cache(maxsize=None)(Class)
