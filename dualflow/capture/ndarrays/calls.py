"""NumPy in recorded functions: `@df.compile` on code written with `numpy`, unchanged.

Comes in: an operator, item, attribute or call of NumPy's with the origins of its operands. Goes
out: its result and where that came from (`numpy_perform`). Recording runs NumPy itself on real
arrays, so results, types, identities and errors are NumPy's. A replay finds the caller's arrays by
their paths (guarded: dtype, shape, strides, overlap with what is written), writes into them after
the commit point, and gives new ndarrays and scalars.
"""

from __future__ import annotations

import operator as o
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor

from ..kinds import TYPES
from ..provenance import CONSTANT, NUMBERS, SCALARS, Born, Node, Origin, Read
from . import (
    faces as numpy_faces,
)
from . import (
    late as numpy_late,
)
from . import (
    names as numpy_names,
)
from . import (
    random as numpy_random,
)
from . import (
    selected as numpy_selected,
)
from .arrays import Late
from .memory import leaves
from .noting import NotCovered
from .perform import name_of, perform
from .selected import Selected

if TYPE_CHECKING:
    from ..plans import Call, Plan
    from ..recorder import Recorder

OPERATORS: dict[Any, np.ufunc] = {
    o.add: np.add, o.sub: np.subtract, o.mul: np.multiply, o.truediv: np.true_divide,
    o.floordiv: np.floor_divide, o.mod: np.remainder, o.pow: np.power, o.matmul: np.matmul,
    o.and_: np.bitwise_and, o.or_: np.bitwise_or, o.xor: np.bitwise_xor, o.lshift: np.left_shift,
    o.rshift: np.right_shift, o.neg: np.negative, o.pos: np.positive, o.invert: np.invert,
    o.lt: np.less, o.le: np.less_equal, o.gt: np.greater, o.ge: np.greater_equal,
    o.eq: np.equal, o.ne: np.not_equal,
}  # fmt: skip
IN_PLACE: dict[Any, np.ufunc] = {
    o.iadd: np.add, o.isub: np.subtract, o.imul: np.multiply, o.itruediv: np.true_divide,
    o.ifloordiv: np.floor_divide, o.imod: np.remainder, o.ipow: np.power, o.imatmul: np.matmul,
    o.iand: np.bitwise_and, o.ior: np.bitwise_or, o.ixor: np.bitwise_xor,
    o.ilshift: np.left_shift, o.irshift: np.right_shift,
}  # fmt: skip
#: what `x ** exponent` calls for some exponents, where x is an array
_POWERS = {2: np.square, 1: np.positive, 0.5: np.sqrt, -1: np.reciprocal}
#: the classes of np.mgrid, np.ogrid, np.r_ and np.c_
INDEXED = frozenset([type(np.mgrid), type(np.ogrid), type(np.r_), type(np.c_)])
_OTHERS = (*NUMBERS, complex, list, tuple)


def concerned(*values: Any) -> bool:
    """Whether an operator on these values is NumPy's."""
    return any(type(v) in TYPES for v in values) and all(
        type(v) in TYPES or type(v) in _OTHERS for v in values
    )


# Operators ----------------------------------------------------------------------------------


def operator(recorder: Recorder, f: Any, values: tuple, origins: tuple) -> Read:
    """`f(*values)`, an operator of Python."""
    function: Any = OPERATORS[f]
    if f is o.pow:
        function, values, origins = _power(recorder, values, origins)
        if len(values) == 1:
            return perform(recorder, function, lambda: values[0] ** _exponent(function), values,
                           origins)  # fmt: skip
    return perform(recorder, function, lambda: f(*values), values, origins)


def _power(recorder: Recorder, values: tuple, origins: tuple) -> tuple[Any, tuple, tuple]:
    """`x ** y` as the ufunc that NumPy calls: for some exponents another than power."""
    x, y = values
    plain = type(x) is np.ndarray and type(y) in NUMBERS and type(y) is not bool
    if plain:
        recorder.pin(origins[1], y)
    if plain and y in _POWERS and (x.dtype.kind in "fc" or (x.dtype.kind in "iu" and y == 2
                                                            and type(y) is int)):  # fmt: skip
        return _POWERS[y], values[:1], origins[:1]
    return np.power, values, origins


def _exponent(function: Any) -> float | int:
    return next(y for y, found in _POWERS.items() if found is function)


def in_place(recorder: Recorder, f: Any, values: tuple, origins: tuple) -> Read:
    """`a op= b` of an array `a`."""
    function, (a, b) = IN_PLACE[f], values
    if function is np.power:
        function, rest, _ = _power(recorder, values, origins)
        args, where = (a, *rest[1:]), (origins[0], *origins[1 : len(rest)])
    else:
        args, where = values, origins
    keywords, out_where = {"out": a}, {"out": origins[0]}
    out, _ = perform(recorder, function, lambda: f(a, b), args, where, keywords, out_where)
    return out, origins[0]


def item(recorder: Recorder, owner: Any, key: Any, origin: Origin, key_origin: Origin) -> Read:
    """`owner[key]` of an array."""
    single = isinstance(key, np.integer) and (
        (isinstance(key_origin, Born) and owner.ndim == 1)
        or (isinstance(key_origin, Node) and key_origin.late)
    )
    if not single:
        key, key_origin = _key(recorder, key, key_origin)
    return perform(recorder, o.getitem, lambda: owner[key], (owner, key), (origin, key_origin))


def set_item(
    recorder: Recorder, owner: Any, key: Any, value: Any, origins: tuple[Origin, Origin, Origin]
) -> None:
    """`owner[key] = value` of an array."""
    origin, key_origin, part = origins
    real_key = key
    key, key_origin = _key(recorder, key, key_origin)

    def store() -> None:
        owner[real_key] = value

    perform(recorder, o.setitem, store, (owner, key, value), (origin, key_origin, part))


def _key(recorder: Recorder, key: Any, origin: Origin) -> Read:
    """An index in which integers are pinned: they decide what is shown."""
    if isinstance(key, tuple):
        pairs = [_key(recorder, x, part) for x, part in recorder.items(key, origin)]
        return tuple(x for x, _ in pairs), Born("tuple", [part for _, part in pairs])
    if type(key) in SCALARS or isinstance(key, np.integer) or type(key) is slice:
        recorder.pin(origin, key)
        return (int(key) if isinstance(key, np.integer) else key), CONSTANT
    return key, origin


# Attributes, length, truth ------------------------------------------------------------------

_STATIC = frozenset(["shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides"])


def attribute(recorder: Recorder, owner: Any, origin: Origin, name: str) -> Read:
    """`owner.name` of an array, scalar, ufunc or random generator."""
    if numpy_random.is_generator(owner):
        value = recorder.guarded(getattr, owner, name)
        if not callable(value):
            recorder.refuse(f"{name} of a random generator")
        if isinstance(origin, Node) and hasattr(owner, "__dict__"):
            recorder.guard("{k0} not in {0}.__dict__", origin, constants=(name,))
        return value, Born("method", (None, origin))
    if type(owner) is np.ufunc:
        recorder.pin(origin, owner)
        value = recorder.guarded(getattr, owner, name)
        return value, Born("method", (None, origin)) if callable(value) else CONSTANT
    chosen = recorder.arrays.known(owner) if type(owner) is np.ndarray else None
    if type(chosen) is Late and name in _STATIC:
        return numpy_late.attribute(recorder, owner, chosen, name)
    if type(chosen) is Selected and name in ("shape", "size", "strides", "nbytes"):
        node = numpy_late.selected(recorder, chosen)
        return getattr(owner, name), recorder.nodes(f"{{0}}.{name}", (node,))
    if name in _STATIC:
        guard_type(recorder, owner, origin)
        return getattr(owner, name), CONSTANT
    if name == "__class__":
        recorder.typed(origin, owner)
        return type(owner), CONSTANT
    function = numpy_faces.ATTRIBUTES.get(name) if type(owner) is np.ndarray else None
    if function is not None:
        return perform(recorder, function, lambda: getattr(owner, name), (owner,), (origin,))
    value = recorder.guarded(getattr, owner, name)
    if name == "base" and type(owner) is np.ndarray and type(chosen) is not Late:
        return value, _base(recorder, value, origin)
    if callable(value):
        recorder.typed(origin, owner)
        return value, Born("method", (None, origin))
    recorder.refuse(f"{name} of a {type(owner).__name__}")
    return value, None


def _base(recorder: Recorder, value: Any, origin: Origin) -> Origin:
    if isinstance(origin, Node):
        return recorder.read(recorder.nodes("{0}.base", (origin,)), value)
    return CONSTANT if value is None else recorder.known(value)


def guard_type(recorder: Recorder, value: Any, origin: Origin) -> None:
    """Guard dtype and layout of an array, or the type of a scalar."""
    if type(value) is not np.ndarray or not isinstance(origin, Node):
        recorder.typed(origin, value)
        return
    try:
        recorder.outside.guard(recorder.arrays.tensor(value, origin))
    except NotCovered as why:
        recorder.refuse(str(why))


def length(recorder: Recorder, value: np.ndarray, origin: Origin) -> Read:
    """`len(value)`."""
    arrays, chosen = recorder.arrays, recorder.arrays.known(value)
    out = recorder.guarded(len, value)
    if type(chosen) is Late:
        return numpy_late.length(recorder, value, chosen)
    if type(chosen) is Selected and not recorder.dead:
        return out, arrays.noted(partial(numpy_selected.length, arrays, chosen))
    guard_type(recorder, value, origin)
    return out, CONSTANT


def truth(recorder: Recorder, value: Any, origin: Origin) -> bool:
    """`if value` of an array or scalar."""
    out, node = recorder.arrays.number(value, origin, bool)
    if isinstance(node, Node):
        if node.late:
            recorder.check(node, out)
        else:
            recorder.guard("{0}" if out else "not {0}", node)
    return out


# Calls --------------------------------------------------------------------------------------


def find(call: Call) -> Plan | None:
    """The plan of a call of a function of NumPy that is in a table; None if it is in none."""
    f = call.function
    if numpy_random.makes_generator(f):
        return numpy_random.generator(call)
    if not numpy_names.is_known(f) or _has_tensor(call):
        return _error_state(call) if f is np.errstate else None
    if isinstance(call.origin, Node):
        call.recorder.guard("{0} is {k0}", call.origin, constants=(f,))
    return _plan(call, f)


def method(call: Call, owner: Any, origin: Origin) -> Plan | None:
    """The plan of a call of a method of an array, scalar or ufunc."""
    f, recorder = call.function, call.recorder
    if isinstance(owner, np.ufunc):
        recorder.pin(origin, owner)
        return _plan(call, f)
    call.origins = (recorder.origin(origin, owner), *call.origins)
    call.args = (owner, *call.args)
    name = f.__name__
    if name == "item" and len(call.args) == 1:
        found = recorder.arrays.number(owner, call.origins[0], _item)
        return None if recorder.dead else planned(call, lambda: found[0], lambda out: found[1])
    function = getattr(np.ndarray, name, None)
    if function is None:
        call.refuse(f"{name} of a {type(owner).__name__}")
        return None
    return _plan(call, function, (lambda *args, **kwargs: f(*args[1:], **kwargs)))


def _item(value: Any) -> Any:
    return value.item()


def _plan(call: Call, function: Any, real: Any = None) -> Plan | None:
    recorder, made = call.recorder, real or call.function
    if not (numpy_names.is_known(function)):
        call.refuse(f"a call of {name_of(function)}, which is in no table")
        return None
    found: list[Origin] = [None]
    call.args, call.kwargs = call.args, dict(call.kwargs)

    def run() -> Any:
        out, found[0] = perform(
            recorder, function, lambda: made(*call.args, **call.kwargs),
            call.args, call.origins, call.kwargs, call.where,
        )  # fmt: skip
        return out

    return planned(call, run, lambda out: found[0])


def planned(call: Call, run: Any, finish: Any) -> Plan:
    return call.plan(finish, lambda *args, **kwargs: run())


def ufunc(call: Call, function: np.ufunc) -> Plan | None:
    """The plan of a built-in function that is a ufunc on what it is given."""
    return _plan(call, function)


def converted(call: Call) -> Plan | None:
    """The plan of int, float, bool or complex of an array or scalar."""
    found: list[Origin] = [None]

    def run() -> Any:
        value, origin = call.args[0], call.origins[0]
        out, found[0] = call.recorder.arrays.number(value, origin, call.function)
        return out

    return planned(call, run, lambda out: found[0])


def quiet(manager: Any) -> bool:
    """Whether `with` only keeps NumPy from telling of floating-point errors, or has it warn."""
    kinds = [getattr(manager, f"_{kind}", None) for kind in ("all", *np.geterr())]
    plain = type(manager) is np.errstate and getattr(manager, "_call", None) is _no_call
    return plain and all(kind in (None, "ignore", "warn") for kind in kinds)


_no_call = getattr(np.errstate(), "_call", None)


def _error_state(call: Call) -> Plan | None:
    """`np.errstate(...)`."""
    for value, origin in zip(call.args, call.origins, strict=True):
        call.recorder.pin(origin, value)
    for name, value in call.kwargs.items():
        call.recorder.pin(call.where[name], value)
    return None if call.recorder.dead else call.plan(lambda out: Born("opaque"))


def _has_tensor(call: Call) -> bool:
    return any(type(x) is Tensor for x in leaves([*call.args, *call.kwargs.values()]))


def index(recorder: Recorder, owner: Any, key: Any, origin: Origin, key_origin: Origin) -> Read:
    """`np.mgrid[key]` and the like."""
    recorder.guard("{0} is {k0}", origin, constants=(owner,))  # type: ignore[arg-type]
    key, key_origin = _key(recorder, key, key_origin)
    function = owner.__getitem__
    return perform(recorder, function, lambda: owner[key], (key,), (key_origin,))
