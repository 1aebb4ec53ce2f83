"""Known callables: values that never change, and functions of the standard library over them.

Comes in: a `Call` with plain arguments: numbers, text, such values, containers of them. Goes out:
its plan. What the function returns is decided by what it is given, which is pinned; where a number
in it comes from a tensor and the result is a number or text, it is computed anew instead.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import containers, growing, item_reads, substitution, tables
from ..kinds import FIXED
from ..provenance import CONSTANT, SCALARS, Born, Node, Origin
from ..templates import Template, parts_of_dict
from ..values import Unchanging, arithmetic_state, is_value_class, language, pure

if TYPE_CHECKING:
    from ..plans import Call, Plan
    from ..recorder import Recorder
    from ..tables import Handler

#: functions whose results depend on their arguments alone, and which change nothing
_PURE = {
    "ast": "literal_eval",
    "base64": "b64encode b64decode b32encode b32decode b16encode b16decode",
    "bisect": "bisect bisect_left bisect_right",
    "binascii": "hexlify unhexlify crc32",
    "calendar": "isleap leapdays monthrange weekday",
    "colorsys": "rgb_to_hsv hsv_to_rgb rgb_to_hls hls_to_rgb rgb_to_yiq yiq_to_rgb",
    "difflib": "get_close_matches",
    "fnmatch": "fnmatchcase translate",
    "genericpath": "commonprefix",
    "heapq": "nlargest nsmallest",
    "html": "escape unescape",
    "json": "loads dumps",
    "keyword": "iskeyword",
    "ntpath": "basename dirname isabs join normpath split splitext",
    "operator": "index length_hint",
    "posixpath": "basename dirname isabs join normpath split splitext",
    "re": "compile escape findall finditer fullmatch match search split sub subn",
    "shlex": "join quote split",
    "statistics": "fmean geometric_mean harmonic_mean mean median median_high median_low mode "
    "multimode pstdev pvariance quantiles stdev variance",
    "string": "capwords",
    "struct": "calcsize pack unpack",
    "textwrap": "dedent fill indent shorten wrap",
    "unicodedata": "bidirectional category combining decimal digit east_asian_width lookup "
    "mirrored name normalize numeric",
    "urllib.parse": "quote quote_plus unquote unquote_plus urlencode urljoin urlparse urlsplit",
    "zlib": "adler32 crc32",
}
_ALIASES = {"_bisect": "bisect", "_operator": "operator", "_struct": "struct", "_heapq": "heapq"}


def handler(function: Any) -> Handler | None:
    """What follows a function or method of the library that is pure; None for others."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", "")
    module = _ALIASES.get(module, module)  # type: ignore[arg-type]
    if name in _PURE.get(module, "").split():  # type: ignore[arg-type]
        return plain if getattr(sys.modules.get(module), name, None) is function else None  # type: ignore[arg-type]
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type) and is_value_class(owner):
        return plain if pure(owner, function.__name__) else None
    kind, _, method = name.rpartition(".")
    cls = getattr(sys.modules.get(module), kind, None) if kind and module else None  # type: ignore[arg-type]
    if isinstance(cls, type) and is_value_class(cls) and vars(cls).get(method) is function:
        return plain if pure(cls, method) else None
    return None


def made(call: Call) -> Plan | None:
    """A value is made."""
    return plain(call)


tables.known(bytes, str.maketrans, int.from_bytes, bytes.fromhex, float.fromhex)(made)


def method(call: Call) -> Plan | None:
    """A method, written in C, of a value that is the first argument."""
    owner, f = call.args[0], call.function
    if type(owner).__module__ == "operator" or not pure(type(owner), f.__name__):
        call.refuse(f"{f.__name__} of a {type(owner).__name__}")
        return None
    return plain(call, lambda _, *args, **kwargs: f(*args, **kwargs), behind=1)


def plain(call: Call, run: Any = None, behind: int = 0) -> Plan | None:
    """A function whose plain arguments decide what it returns."""
    recorder, f = call.recorder, run or call.function
    values = [*call.args, *call.kwargs.values()]
    origins = [*call.origins, *call.where.values()]
    if getattr(call.function, "__name__", "") == "sub" and any(map(callable, values)):
        return substitution.plan(call)
    if not all(map(is_plain, values)):
        call.refuse(f"a call of {call.name} with something that is no plain value")
        return None
    if any(type(value).__name__ == "Decimal" for value in values) or _is_decimal(call.function):
        recorder.guard("{k0}() == {k1}", constants=(arithmetic_state, arithmetic_state()))
    if getattr(call.function, "__name__", "") == "strftime":
        recorder.guard("{k0}() == {k1}", constants=(language, language()))
    late = any(map(_is_late, values, origins, [recorder] * len(values)))
    count = len(call.args)

    def pin() -> None:
        for value, origin in zip(values, origins, strict=True):
            pinned(recorder, origin, value)

    def compute(*args: Any, **kwargs: Any) -> Any:
        try:
            return f(*args, **kwargs)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            pin()
            if not recorder.dead:
                recorder.born(error, "error", "constant")
            raise

    def finish(out: Any) -> Origin:
        if late and type(out) in SCALARS:
            return anew(call, values, origins, count, behind)
        pin()
        if _containers(out) & set().union(*map(_containers, values)):
            call.refuse(f"{call.name} returns a container that it is given")
            return None
        return None if recorder.dead else adopted(recorder, out)

    return call.plan(finish, compute)


def _is_decimal(function: Any) -> bool:
    return getattr(function, "__module__", None) == "decimal"


def is_plain(value: Any) -> bool:
    """Whether a value is made of numbers, text and values that never change."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return all(map(is_plain, value))
    if kind is dict:
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    return kind in SCALARS or kind in (range, slice) or isinstance(value, Unchanging)


def _containers(value: Any) -> set[int]:
    """The identities of the lists, sets and dicts in a plain value."""
    if type(value) not in (list, tuple, set, dict):
        return set()
    inner = value.values() if type(value) is dict else value
    found = set().union(*map(_containers, inner))
    return found if type(value) is tuple else found | {id(value)}


def _is_late(value: Any, origin: Origin, recorder: Recorder) -> bool:
    """Whether a number in it comes from a tensor, or it grows."""
    if growing.whole(recorder, value, origin) is not None:
        return True
    if isinstance(origin, Node):
        return origin.late
    origin = recorder.origin(origin, value)
    if not isinstance(origin, Born) or origin.kind not in ("list", "tuple", "dict"):
        return False
    parts: Any = origin.parts
    pairs = zip(value, parts, strict=False)
    if origin.kind == "dict":
        pairs = ((value.get(key), part) for key, part in parts.items())
    return any(_is_late(item, part, recorder) for item, part in pairs)


def pinned(recorder: Recorder, origin: Origin, value: Any) -> None:
    """Pin a plain value."""
    origin = recorder.origin(origin, value)
    if type(value) is not dict or recorder.dead:
        recorder.pin(origin, value)
        return
    for key, part in parts_of_dict(recorder, value, origin):
        pinned(recorder, part, value[key])


def adopted(recorder: Recorder, out: Any) -> Origin:
    """The origin of something plain that a function made."""
    kind = type(out)
    parts: Any
    if kind in SCALARS or isinstance(out, FIXED):
        return CONSTANT
    if kind in (list, tuple) or (isinstance(out, tuple) and hasattr(kind, "_fields")):
        parts = [adopted(recorder, part) for part in out]
        if kind is tuple and all(part is CONSTANT for part in parts):
            return CONSTANT
        return recorder.born(out, "list" if kind is list else "tuple", parts)
    if isinstance(out, dict) and kind is dict:
        parts = {key: adopted(recorder, part) for key, part in out.items()}
        return recorder.born(out, "dict", parts)
    if kind is set and all(type(part) in SCALARS for part in out):
        return recorder.born(out, "set")
    if kind.__name__ in ("callable_iterator", "SCANNER"):
        return recorder.born(out, "iterator", functools.partial(_followed, recorder, out))
    recorder.refuse(f"a {kind.__name__} made by the library")
    return None


def _followed(recorder: Recorder, source: Any) -> Iterator[tuple[Any, Origin]]:
    for item in source:
        yield item, adopted(recorder, item)


def anew(call: Call, values: list, origins: list, count: int, behind: int) -> Origin:
    """The origin of a number or text that is computed anew at each replay."""
    text = Template(call.recorder)
    parts = [text.of(*pair) for pair in zip(values, origins, strict=True)]
    names = [f"{name}=" for name in call.kwargs]
    given = [name + part for name, part in zip(names, parts[count:], strict=True)]
    function = text.fixed(call.function if not behind else type(values[0]))
    if behind:
        function += f".{call.function.__name__}"
    return text.node(f"({function}({', '.join([*parts[:count], *given])}))")


def getter(call: Call) -> Plan | None:
    """`operator.itemgetter(...)`, `attrgetter` or `methodcaller`, called."""
    recorder, frame, f = call.recorder, call.frame, call.function
    recorder.pin(call.origin, f)
    kind, state = f.__reduce__()[:2]
    if len(call.args) != 1 or call.kwargs or recorder.dead:
        call.refuse()
        return None
    name = getattr(type(f), "__name__", "")
    if name == "methodcaller":
        if isinstance(kind, functools.partial):  # made with keywords
            call.refuse()
            return None
        return _called(call, state)
    found: list[Origin] = []

    def one(owner: Any, key: Any) -> Any:
        if name == "itemgetter":
            value, origin = item_reads.item(frame, owner, key, call.origins[0], CONSTANT)
        else:
            value, origin = owner, call.origins[0]
            for part in key.split("."):
                value, origin = _read(frame, value, origin, part)
        found.append(origin)
        return value

    def run(owner: Any) -> Any:
        if len(state) == 1:
            return one(owner, state[0])
        return tuple([one(owner, key) for key in state])

    def finish(out: Any) -> Origin:
        return found[0] if len(state) == 1 else containers.built(frame, out, found)

    return call.plan(finish, run)


def _read(frame: Any, owner: Any, origin: Origin, name: str) -> tuple[Any, Origin]:
    slots, slot = frame.slots, len(frame.slots)
    slots += [origin, None]
    value = frame.attr(slot + 1, slot, owner, name)
    return value, slots[slot + 1]


def _called(call: Call, state: tuple[Any, ...]) -> Plan | None:
    frame = call.frame
    found: list[Origin] = [CONSTANT]
    name, *rest = state

    def run(owner: Any) -> Any:
        function, origin = _read(frame, owner, call.origins[0], name)
        out, found[0] = frame.invoke(function, origin, tuple(rest), (CONSTANT,) * len(rest))
        return out

    return call.plan(lambda out: found[0], run)
