"""Data types: the Array API's names as NumPy dtypes, and df's promotion rules.

A dtype is an ordinary `np.dtype` everywhere in dualflow, so nothing is converted at the border
to NumPy. `promote` differs from NumPy in one way: integers never widen floats.

NumPy has no bfloat16 and no float8: those are the dtypes of `ml_dtypes`, which is imported when one
is first named. NumPy's `kind` is wrong of them, so rooms ask the words below.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DTypeError
from .source import called

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

bool_ = np.dtype("bool")
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
float16, float32, float64 = (np.dtype(f"float{bits}") for bits in (16, 32, 64))
complex64, complex128 = (np.dtype(f"complex{bits}") for bits in (64, 128))

BY_NAME: dict[str, np.dtype] = {
    dtype.name: dtype
    for dtype in (
        bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64,
        complex64, complex128,
    )
}  # fmt: skip
DEFAULT_FLOAT = float32
DEFAULT_INT = int64
DEFAULT_COMPLEX = complex64
Number = bool | int | float | complex
#: the dtypes that NumPy lacks, by name: the letter of their kind
ADDED = {"bfloat16": "f", "float8_e4m3fn": "s", "float8_e5m2": "s"}
#: those of them that a program has named, and so can occur, with their letters
NAMED: dict[np.dtype, str] = {}
#: dtypes that other packages add have this number or a higher one
FIRST_ADDED = 256
_PYTHON_TYPES = {"b": bool, "i": int, "u": int, "f": float, "s": float, "c": complex}
_PARTS = {complex64: float32, complex128: float64}
_COMPLEX = {float64: complex128, complex128: complex128}


def as_dtype(dtype: DTypeLike) -> np.dtype:
    """The supported dtype that `dtype` names; DTypeError for any other."""
    try:
        found = np.dtype(dtype)
    except TypeError as cause:
        if isinstance(dtype, str) and dtype in ADDED:
            return added(dtype)
        raise unsupported(dtype) from cause
    if found in _SUPPORTED or found in NAMED:
        return found
    native = found if found.isnative else found.newbyteorder("=")
    if native in _SUPPORTED:
        return native
    if found.num >= FIRST_ADDED and found.name in ADDED:  # a program imported ml_dtypes itself
        return added(found.name)
    raise unsupported(dtype)


def added(name: str) -> np.dtype:
    """The dtype of `ADDED` with that name."""
    import ml_dtypes

    found = np.dtype(getattr(ml_dtypes, name))
    NAMED[found] = ADDED[name]
    return found


def unsupported(dtype: object) -> DTypeError:
    if isinstance(dtype, int):
        return DTypeError(f"dtype={dtype}", why="a shape of several sizes is one argument",
                          instead="a tuple of sizes: zeros((2, 3)), not zeros(2, 3)")  # fmt: skip
    return DTypeError(
        f"dualflow has no dtype {dtype!r}",
        why="tensors hold booleans, integers of 8 to 64 bits, floats of 8 to 64 bits and "
        "complex numbers of two floats of 32 or 64 bits",
        instead="one of " + ", ".join([*BY_NAME, *ADDED]),
    )


_SUPPORTED = frozenset(BY_NAME.values())


def kind(dtype: np.dtype) -> str:
    """The letter of what `dtype` holds: "b" booleans, "i" and "u" integers, "f" floats, "c" complex
    numbers, "s" floats of 8 bits, which are stored and cast alone: nothing computes with them."""
    return dtype.kind if dtype.num < FIRST_ADDED else _letter(dtype)


def _letter(dtype: np.dtype) -> str:
    """`kind` of a dtype that another package adds; notes one of ours that came in a pickle."""
    if dtype not in NAMED:
        if dtype.name not in ADDED:
            return dtype.kind
        NAMED[dtype] = ADDED[dtype.name]
    return NAMED[dtype]


def is_float(dtype: np.dtype) -> bool:
    """Whether `dtype` holds floats to compute with."""
    return kind(dtype) == "f"


def is_integer(dtype: np.dtype) -> bool:
    return dtype.kind in "iu"


def is_complex(dtype: np.dtype) -> bool:
    return dtype.kind == "c"


def is_inexact(dtype: np.dtype) -> bool:
    """Whether values of `dtype` are rounded, and so have gradients: floats and complex numbers."""
    return dtype.kind in "fcV"  # V: what NumPy calls bfloat16; tensors hold nothing else so called


def is_added(dtype: np.dtype) -> bool:
    """Whether `dtype` is one that NumPy lacks: bfloat16 or one of 8 bits."""
    return dtype.num >= FIRST_ADDED and (dtype in NAMED or dtype.name in ADDED)


def compute_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype in which values of `dtype` are held and computed: float32 for narrower floats, with
    a rounding to `dtype` after each operation.

    >>> compute_dtype(float16).name, compute_dtype(float64).name, compute_dtype(int8).name
    ('float32', 'float64', 'int8')
    """
    return float32 if dtype.itemsize < 4 and kind(dtype) in "fs" else dtype


def python_type(dtype: np.dtype) -> type:
    """The type of the Python scalars that elements of `dtype` are.

    >>> python_type(uint8).__name__
    'int'
    """
    return _PYTHON_TYPES[kind(dtype)]


def limits(dtype: np.dtype) -> Any:
    """`np.finfo` of a float or complex dtype, also of those that NumPy lacks."""
    if not is_added(dtype):
        return np.finfo(dtype)
    import ml_dtypes

    return ml_dtypes.finfo(dtype)


def shortest(element: Any) -> str:
    """An element of a dtype that NumPy lacks: its value if four digits say it, else as few digits
    as tell it from its neighbours."""
    value = float(element)
    texts = [f"{value:.{digits}g}" for digits in range(1, 5)]
    if value != value or float(texts[-1]) == value:
        return repr(value)
    return repr(float(next(text for text in texts if type(element)(float(text)) == element)))


def storable(given: np.dtype, target: np.dtype) -> bool:
    """Whether a tensor of `given` may be stored into one of `target`: no kind is lost."""
    if not (is_added(given) or is_added(target)):
        return np.can_cast(given, target, "same_kind")
    order = "biufc"
    places = [order.index(kind(dtype).replace("s", "f")) for dtype in (given, target)]
    return places[0] <= places[1]


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the parts of `dtype`: float32 of complex64; any other dtype is its own."""
    return _PARTS.get(dtype, dtype)


def complex_dtype(dtype: np.dtype) -> np.dtype:
    """The complex dtype whose parts hold floats of `dtype`; that of the default for integers."""
    return _COMPLEX.get(dtype, DEFAULT_COMPLEX)


@lru_cache(maxsize=None)
def promote(a: np.dtype, b: np.dtype) -> np.dtype:
    """The dtype of an elementwise result of arrays of `a` and `b`.

    As the Array API says; where it is silent (an integer array with a float array) the float or
    complex dtype is kept: float32 with int64 is float32 (NumPy would say float64). uint64 with a
    signed integer is float32, the default float, as no integer holds both; so is bfloat16 with
    float16.

    Raises:
        DTypeError: one of them is a float of 8 bits, which nothing computes with.
    """
    if a == b:
        return a
    for one, other in ((a, b), (b, a)):
        if kind(one) == "s":
            raise stored_only(f"{one.name} beside {other.name}")
    if is_inexact(a) != is_inexact(b):
        return a if is_inexact(a) else b
    if is_added(a) or is_added(b):
        return np.promote_types(*(compute_dtype(x) if is_float(x) else x for x in (a, b)))
    joined = np.promote_types(a, b)
    return joined if is_inexact(joined) == is_inexact(a) else DEFAULT_FLOAT


def weak(scalar: Number, dtype: np.dtype) -> np.dtype:
    """The dtype that a Python scalar takes beside an array of `dtype`; it never widens its kind."""
    if isinstance(scalar, bool):
        return dtype
    if isinstance(scalar, int):
        return DEFAULT_INT if dtype == bool_ else dtype
    if isinstance(scalar, complex):
        return complex_dtype(dtype)
    return dtype if is_inexact(dtype) else DEFAULT_FLOAT


def of_scalar(scalar: Number) -> np.dtype:
    """The dtype of an array made of one Python scalar alone."""
    if isinstance(scalar, bool):
        return bool_
    if isinstance(scalar, complex):
        return DEFAULT_COMPLEX
    return DEFAULT_INT if isinstance(scalar, int) else DEFAULT_FLOAT


def floating(dtype: np.dtype) -> np.dtype:
    """The dtype in which exp, sqrt or true division of `dtype` are computed; DTypeError for floats
    of 8 bits."""
    if kind(dtype) == "s":
        raise stored_only(f"{called()} of {dtype.name}")
    return dtype if is_inexact(dtype) else DEFAULT_FLOAT


def stored_only(what: str) -> DTypeError:
    return DTypeError(what, why="floats of 8 bits are stored, moved and cast, nothing else",
                      instead="astype(df.float32) first")  # fmt: skip
