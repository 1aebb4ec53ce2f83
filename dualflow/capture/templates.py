"""Python text of values that a replay makes anew: what is known stays, numbers from tensors and the
tensors themselves are places in it.

Comes in: values with their origins. Goes out: the node of a function of them.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from dualflow.array.tensor import Tensor

from . import growing, iteration
from .classes import built_in
from .kinds import FIXED, SCALAR_TYPES
from .provenance import CONSTANT, SCALARS, Born, Node, Origin

if TYPE_CHECKING:
    from .recorder import Recorder

_new = object.__new__


class Template:
    """The text of some values."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._parents: list[Node] = []
        self._constants: list[Any] = []

    def of(self, value: Any, origin: Origin) -> str:
        """The text of a plain value, a tensor, or a list, tuple or dict of such."""
        recorder, kind = self.recorder, type(value)
        if kind is Tensor:
            found = recorder.late.array_node(value)
            if found is None:
                return ""
            return f"{self.fixed(_tensor)}({self._place(found)}, {value.requires_grad})"
        whole = growing.whole(recorder, value, origin) if kind in (list, dict, Counter) else None
        if whole is not None:
            text, nodes = whole
            return text.format(*map(self._place, nodes))
        origin = recorder.origin(origin, value)
        if isinstance(origin, Node) and (kind in SCALARS or kind in SCALAR_TYPES):
            recorder.typed(origin, value)
            return self._place(origin)
        if kind in (list, tuple) and origin is not CONSTANT:
            parts = "".join(f"{self.of(*pair)}, " for pair in recorder.items(value, origin))
            return f"[{parts}]" if kind is list else f"({parts})"
        if kind is dict and origin is not CONSTANT:
            pairs = "".join(
                f"{self.fixed(key)}: {self.of(value[key], part)}, "
                for key, part in parts_of_dict(recorder, value, origin)
            )
            return f"{{{{{pairs}}}}}"
        recorder.pin(origin, value)
        return self.fixed(value)

    def fixed(self, value: Any) -> str:
        """The text of a constant."""
        self._constants.append(value)
        return f"{{k{len(self._constants) - 1}}}"

    def _place(self, node: Node) -> str:
        if node not in self._parents:
            self._parents.append(node)
        return f"{{{self._parents.index(node)}}}"

    def node(self, text: str) -> Origin:
        """The origin of what the text gives."""
        recorder = self.recorder
        if recorder.dead:
            return None
        if not self._parents:
            return CONSTANT
        made = recorder.nodes(text, tuple(self._parents), tuple(self._constants))
        recorder.needs(made)
        return made

    def text(self, text: str) -> Origin:
        """The origin of what the text gives, always a string."""
        made = self.node(text)
        if isinstance(made, Node):
            self.recorder.sure(made)
        return made


def _tensor(array: np.ndarray, requires_grad: bool) -> Tensor:
    """A tensor that is only looked at."""
    made = _new(Tensor)
    made._array = array
    if requires_grad:
        made.requires_grad = True
    return made


def parts_of_dict(recorder: Recorder, value: dict, origin: Origin) -> list[tuple[Any, Origin]]:
    """The keys of a dict, which are guarded, with the origins of the values."""
    names = iteration.keys(recorder, value, origin)
    if recorder.dead:
        return []
    if isinstance(origin, Born):
        return [(key, origin.parts.get(key)) for key in names]
    if not isinstance(origin, Node) or id(value) in recorder.lists:
        recorder.refuse("a dict that was changed, used where its value matters")
        return []
    read, nodes = recorder.read, recorder.nodes
    return [(key, read(nodes("{0}[{k0}]", (origin,), (key,)), value[key])) for key in names]


def shows_tensors(value: Any) -> bool:
    """Whether a value is a tensor, or a list, tuple or dict that holds one."""
    if type(value) in (list, tuple):
        return any(map(shows_tensors, value))
    if type(value) is dict:
        return any(map(shows_tensors, value.values()))
    return type(value) is Tensor


def formats_parts(text: Any, values: Any) -> bool:
    """Whether `text % values` puts tensors, or containers among other values, into a text."""
    nested = type(values) is tuple and any(type(value) in (list, tuple, dict) for value in values)
    return type(text) is str and (nested or shows_tensors(values))


def showable(recorder: Recorder, value: Any) -> bool:
    """Whether the text of a value is made by Python and its library alone; guarded."""
    kind = type(value)
    if kind in (list, tuple):
        return all(showable(recorder, part) for part in value)
    if kind is dict:
        return all(showable(recorder, part) for part in (*value, *value.values()))
    if kind in (Tensor, range, slice, np.ndarray) or kind in SCALARS or kind in SCALAR_TYPES:
        return kind is not np.ndarray
    if kind in (set, frozenset):
        return all(type(part) in SCALARS for part in value)
    return isinstance(value, FIXED) and plain_text(recorder, value)


def text_of(
    recorder: Recorder, value: Any, origin: Origin, convert: Any, spec: str = ""
) -> tuple[str, Origin] | None:
    """`convert(value)`, str, repr or format, of a tensor or a container, and its origin; None if
    that is not known."""
    kind = type(value)
    if not (kind in (Tensor, list, tuple, dict, set, frozenset) or isinstance(value, FIXED)):
        return None
    try:
        if recorder.dead or not showable(recorder, value):
            return None
    except RecursionError:  # it holds itself
        return None
    given = (spec,) if convert is format else ()
    text = recorder.late.unseen(convert, value, *given)
    template = Template(recorder)
    part = template.of(value, origin)
    rest = f", {template.fixed(spec)}" if given else ""
    return text, template.text(f"({template.fixed(convert)}({part}{rest}))")


def plain_text(recorder: Recorder, value: Any) -> bool:
    """Whether the text of a constant is made by Python and its library alone; guarded."""
    if type(value) is tuple:
        return all(plain_text(recorder, part) for part in value)
    if isinstance(value, enum.Enum) and type(value.value) not in SCALARS:
        return False
    return built_in(recorder, value, "__str__", "__repr__", "__format__")


def text_of_error(recorder: Recorder, value: Any, origin: Origin, convert: Any) -> str | None:
    """The text that `convert`, str or repr, makes of an error, whose arguments are pinned."""
    if not isinstance(value, BaseException):
        return None
    plain = all(type(part) in SCALARS for part in value.args)
    if not plain or not isinstance(origin, Born) or origin.kind != "error":
        return None
    given = origin.parts["args"] if type(origin.parts) is dict else [CONSTANT] * len(value.args)
    if origin.parts is None or len(given) != len(value.args):
        return None
    if not built_in(recorder, value, "__str__", "__repr__", "__format__"):
        return None
    for part, where in zip(value.args, given, strict=True):
        recorder.pin(where, part)
    return None if recorder.dead else convert(value)
