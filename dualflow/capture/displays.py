"""Hooks of what puts values together and takes them apart: displays, text, loops, targets.

Comes in: values with the slots of their parts. Goes out: the same values, of whose parts the
origins are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any
from weakref import ref

from dualflow.array.tensor import Tensor

from . import containers, item_reads, iteration, shadows, templates, twins
from .classes import special
from .kinds import DICTS, FIXED, SCALAR_TYPES
from .object_text import text_of_object
from .operators import Operators
from .provenance import CONSTANT, SCALARS, Born, Node, Origin
from .recorder import Recorder
from .subclasses import behaves
from .templates import plain_text, text_of_error


def _nothing() -> None:
    """What a weak reference to nothing gives."""


def text_of_container(
    recorder: Recorder, convert: Any, value: Any, origin: Origin, spec: str
) -> tuple[str, Origin] | None:
    """`format(value, spec)` of a tensor or container, and its origin."""
    if convert is None:
        if spec and type(value) is not Tensor:
            return None  # raises
        return templates.text_of(recorder, value, origin, format, spec)
    return None if spec else templates.text_of(recorder, value, origin, convert)


class Displays(Operators):
    """Hooks of displays, text, iteration and comprehensions."""

    def slice(self, slot: int, slots: tuple[int, ...], *parts: Any) -> slice:
        value = slice(*parts)
        for s in slots:
            if self.slots[s] is not CONSTANT and not self.recorder.dead:
                origins = [self.origin(s, part) for s, part in zip(slots, parts, strict=True)]
                self.slots[slot] = self.recorder.born(value, "slice", origins)
                return value
        self.slots[slot] = CONSTANT
        return value

    def build(self, slot: int, slots: tuple[Any, ...], value: Any) -> Any:
        """A display; of `*xs` among its parts, ("*", slot) tells the parts."""
        if not self.recorder.dead:
            origins: list[Origin] = []
            for part in slots:
                found = self.slots[part[1] if type(part) is tuple else part]
                if type(part) is not tuple:
                    origins.append(found)
                elif isinstance(found, Born):
                    origins += found.parts
            self.slots[slot] = containers.built(self, value, origins)
        return value

    def set_part(self, slot: int, value: Any) -> Any:
        """What is put into a set: the same at each replay."""
        if not self.recorder.dead:
            shadows.key_node(self.recorder, self.origin(slot, value), value)
        return value

    def build_set(self, slot: int, starred: bool, value: Any) -> Any:
        if not self.recorder.dead:
            if starred:
                self.recorder.refuse("a set with * in it")
            self.slots[slot] = self.recorder.born(value, "set")
        return value

    def build_dict(self, slot: int, keys: tuple, values: tuple, value: dict) -> Any:
        if not self.recorder.dead:
            self.slots[slot] = containers.built_dict(self, value, keys, values)
        return value

    def key_of(self, parts: int, sk: int, key: Any) -> Any:
        """A key of a display with `**`."""
        if not self.recorder.dead and shadows.key_node(self.recorder, self.origin(sk, key), key):
            self.open["kept", parts].append([key, None])
        return key

    def value_of(self, parts: int, slot: int, value: Any) -> Any:
        if not self.recorder.dead:
            self.open["kept", parts][-1][1] = self.origin(slot, value)
        return value

    def all_of(self, parts: int, slot: int, value: Any) -> Any:
        """`**value` in a display."""
        recorder = self.recorder
        if not recorder.dead:
            origin = self.origin(slot, value)
            if behaves(recorder, value, origin) in DICTS:
                self.open["kept", parts] += item_reads.dict_items(self, value, origin)
            else:
                recorder.refuse(f"** of a {type(value).__name__} in a display")
        return value

    def merged(self, slot: int, parts: int, value: dict) -> dict:
        kept = self.open.pop(("kept", parts), ())
        if not self.recorder.dead:
            self.slots[slot] = self.recorder.born(value, "dict", dict(kept))
        return value

    def star(self, slot: int, source: int, value: Any) -> Any:
        """`*value` in a display or call: its items are taken one by one."""
        recorder = self.recorder
        if recorder.dead:
            return value
        kind = type(value)
        plain = kind in (list, tuple)
        if not plain and not hasattr(kind, "__iter__") and not hasattr(kind, "__getitem__"):
            recorder.refuse(f"a {kind.__name__} after *")  # which Python refuses
            return value
        origin = recorder.origin(self.slots[source], value)
        pairs = list(
            recorder.items(value, origin) if plain else iteration.listed(self, value, origin)
        )
        self.slots[slot] = Born("list", [part for _, part in pairs])
        return value if plain else [item for item, _ in pairs]

    # Text -----------------------------------------------------------------------------------------

    def formatted(self, slot: int, sv: int, ss: int, conversion: int, value: Any, spec: str) -> str:
        convert = {-1: None, 115: str, 114: repr, 97: ascii}[conversion]
        recorder = self.recorder
        if recorder.dead:
            return format(convert(value) if convert else value, spec)
        origin = self.origin(sv, value)
        recorder.pin(self.origin(ss, spec), spec)
        if type(value) in SCALAR_TYPES:
            node = recorder.as_node(origin, value)
            inner = f"{convert.__name__}({{0}})" if convert else "{0}"
            if node is not None:
                recorder.typed(origin, value)
                self.slots[slot] = recorder.nodes(f"format({inner}, {{k0}})", (node,), (spec,))
            return format(convert(value) if convert else value, spec)
        if type(value) in (Tensor, list, dict, tuple) and origin is not CONSTANT:
            made = text_of_container(recorder, convert, value, origin, spec)
            if made is not None:
                text, self.slots[slot] = made
                return text
        constant = type(value) in SCALARS or isinstance(value, FIXED) or type(value) is tuple
        constant = constant and plain_text(recorder, value)
        if not constant or (type(value) is tuple and origin is not CONSTANT):
            text = None
            if convert is not None or not spec:
                text = text_of_error(recorder, value, origin, convert or str)
            made = None
            if text is None:
                given = "" if convert else spec
                made = text_of_object(self, value, origin, convert or format, given)
            if made is not None:
                text, self.slots[slot] = made
                if convert is not None and spec:
                    both = (made[1], CONSTANT)
                    self.slots[slot] = self.expression("format({0}, {1})", (text, spec), both)
                    text = format(text, spec)
                return text
            if text is None:
                recorder.refuse(f"the text of a {type(value).__name__}")
                return format(convert(value) if convert else value, spec)
            self.slots[slot] = CONSTANT
            return format(text, spec)
        text = format(convert(value) if convert else value, spec)
        if type(value) in SCALARS:
            inner = f"{convert.__name__}({{0}})" if convert else "{0}"
            node = origin
            if isinstance(origin, Node):
                recorder.typed(origin, value)
                node = recorder.nodes(f"format({inner}, {{k0}})", (origin,), (spec,))
                recorder.needs(node)
            self.slots[slot] = node
        else:
            recorder.pin(origin, value)
            self.slots[slot] = CONSTANT
        return text

    def joined(self, slot: int, slots: tuple[int, ...], *parts: str) -> str:
        text = "".join(parts)
        if not self.recorder.dead:
            origins = tuple(self.slots[s] for s in slots)
            template = "''.join((" + "".join(f"{{{i}}}, " for i in range(len(parts))) + "))"
            self.slots[slot] = self.expression(template, parts, origins) if parts else CONSTANT
        return text

    # Iteration ------------------------------------------------------------------------------------

    def iter(self, slot: int, value: Any, shape: Any) -> Any:
        """The items of `value`, which is asked for them at once; before each, the slots of the
        targets know its origin."""
        if self.recorder.dead:
            return value
        origin, kind = self.slots[slot], type(value)
        if kind is not Tensor and special(kind, "__iter__") is not None:
            pairs = iteration.given(self, *iteration.asked(self, value, origin))
        elif hasattr(kind, "__iter__") or hasattr(kind, "__getitem__"):
            if kind is range and type(shape) is int and shape >= 0:
                return self._counted(value, origin, shape)
            self.recorder.typed(self.recorder.origin(origin, value), value)
            pairs = iteration.elements(self, value, origin, iteration.begun(value))
        else:
            self.recorder.refuse(f"iteration over a {kind.__name__}")
            return value
        return self._spreading(pairs, shape)

    def _counted(self, value: range, origin: Origin, slot: int) -> Iterator[int]:
        self.recorder.pin(origin, value)
        for item in value:
            self.recorder.step()
            self.slots[slot] = CONSTANT
            yield item

    def _spreading(self, pairs: Iterator[tuple[Any, Origin]], shape: Any) -> Iterator[Any]:
        plain = type(shape) is int and shape >= 0
        for item, origin in pairs:
            self.recorder.step()
            if plain:
                self.slots[shape] = origin
            elif not self.recorder.dead:
                self._spread(shape, item, origin)
            yield item

    def unpack(self, slot: int, shape: Any, value: Any) -> Any:
        if self.recorder.dead:
            return value
        origin = self.recorder.origin(self.slots[slot], value)
        if not iteration.followed(value, origin):
            self.recorder.refuse(f"a {type(value).__name__} unpacked")
            return value
        if type(value) not in (list, tuple):
            starred = [part[:1] == ("*",) if type(part) is tuple else False for part in shape]
            own = type(value) is not Tensor and special(type(value), "__iter__") is not None
            if own and any(starred):
                pairs = self._asked_twice(value, origin, starred.index(True))
            else:
                found: Any = iteration.elements(self, value, origin)
                if not any(starred):
                    found = islice(found, len(shape) + 1)  # as many as Python asks for
                pairs = list(found)
            value, origin = [item for item, _ in pairs], Born("list", [part for _, part in pairs])
        self._spread(shape, value, origin)
        return value

    def _asked_twice(self, value: Any, origin: Origin, first: int) -> list[tuple[Any, Origin]]:
        """The items of an object of which a list takes those behind the `first` ones: it asks the
        iterator for one."""
        made, where = iteration.asked(self, value, origin)
        pairs = list(islice(iteration.given(self, made, where), first))
        if len(pairs) == first:
            if any(special(type(made), name) for name in ("__len__", "__length_hint__")):
                self.recorder.refuse(f"the length of a {type(made).__name__}, unpacked")
            if special(type(made), "__iter__") is not None:
                made, where = iteration.asked(self, made, where)
            pairs += iteration.given(self, made, where)
        return pairs

    def _spread(self, shape: Any, value: Any, origin: Origin) -> None:
        if type(shape) is int:
            if shape >= 0:
                self.slots[shape] = origin
            return
        recorder = self.recorder
        found = recorder.origin(origin, value)
        if type(value) is Tensor:
            recorder.refuse("a tensor unpacked by a target")
            return
        if not isinstance(value, (list, tuple)):
            recorder.refuse(f"a {type(value).__name__} unpacked")
            return
        parts = list(recorder.items(value, found))
        starred = [i for i, part in enumerate(shape) if type(part) is tuple and part[:1] == ("*",)]
        if starred:
            i = starred[0]
            after = len(shape) - i - 1
            if len(parts) < len(shape) - 1:
                return
            end = len(parts) - after
            self._rest(shape[i][1], parts[i:end])
            flat = [*zip(shape[:i], parts[:i], strict=True),
                    *zip(shape[i + 1 :], parts[end:], strict=True)]  # fmt: skip
        elif len(parts) != len(shape):
            return
        else:
            flat = list(zip(shape, parts, strict=True))
        for part, (item, item_origin) in flat:
            self._spread(part, item, item_origin)

    def _rest(self, slot: int, parts: list[tuple[Any, Origin]]) -> None:
        """`*rest` becomes a list that Python makes after this hook: known by its slot alone."""
        self.slots[slot] = Born("list", [origin for _, origin in parts])

    # Comprehensions -------------------------------------------------------------------------------

    def begin(self, slot: int) -> None:
        self.open["kept", slot] = []

    def keep(self, slot: int, sv: int, value: Any) -> Any:
        if not self.recorder.dead:
            self.slots[slot] = self.origin(sv, value)
            self.open["kept", slot].append(self.slots[slot])
        return value

    def keep_key(self, slot: int, sk: int, key: Any) -> Any:
        if not self.recorder.dead:
            self.recorder.pin(self.origin(sk, key), key)
            self.open.setdefault(("keys", slot), []).append(key)
        return key

    def comprehended(self, slot: int, kind: str, value: Any) -> Any:
        recorder = self.recorder
        if recorder.dead:
            return value
        kept = self.open.get(("kept", slot), [])
        if kind == "ListComp":
            self.slots[slot] = recorder.born(value, "list", list(kept))
        elif kind == "DictComp":
            keys = self.open.pop(("keys", slot), [])
            self.slots[slot] = recorder.born(value, "dict", dict(zip(keys, kept, strict=True)))
        elif kind == "GeneratorExp":
            if self.generators is None:
                self.generators = {}
            before = self.generators.get(slot, _nothing)()
            if before is not None and before.gi_frame is not None:
                recorder.refuse("a generator expression used twice at once")
            self.generators[slot] = ref(value)
            running = twins.Running(
                value, lambda item: recorder.origin(self.slots[slot], item), recorder.closing
            )
            self.slots[slot] = recorder.born_weakly(value, "iterator", running)
        else:
            self.slots[slot] = recorder.born(value, "set")
        return value
