"""Arrays whose shape values decide: a replay has NumPy make them when the program before has run.

    x[mask], np.nonzero(x), np.unique(x), and what is made of them

Comes in: calls of NumPy with such arrays among the operands, or that make one. Goes out: late
nodes, evaluated once between programs or after the last one; a write of theirs into an array of
known shape, and a scalar that is computed with further, are inputs of the next program.
"""

from __future__ import annotations

import operator as o
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final
from weakref import WeakValueDictionary

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.ir.types import TensorType
from dualflow.ops import door

from ..kinds import SCALAR_TYPES
from ..provenance import CONSTANT, NUMBERS, Node, Origin
from . import names as numpy_names
from .arrays import Late
from .library import key_of
from .memory import laid_out, leaves, shares
from .noting import NotCovered
from .selected import Selected

if TYPE_CHECKING:
    from ..recorder import Recorder

_REPEATS = (np.repeat, np.ndarray.repeat)


def decided_by_values(function: Any, args: Sequence[Any]) -> bool:
    """Whether the shape of what a function gives depends on values."""
    if function in numpy_names.BY_VALUES:
        return True
    if function is np.where:
        return len(args) == 1
    if function in _REPEATS:
        return len(args) > 1 and type(args[1]) is np.ndarray
    return function is o.getitem and any(
        type(x) is np.ndarray and x.dtype == np.bool_ for x in leaves([args[1]])
    )


def concerns(
    recorder: Recorder, function: Any, out: Any, args: Sequence[Any], origins: Sequence[Origin]
) -> bool:
    """Whether a call is made of late arrays, or gives one scalar of late scalars."""
    known = recorder.arrays.known
    if any(type(x) is np.ndarray and type(known(x)) is Late for x in leaves(list(args))):
        return True
    if not recorder.arrays.late_calls:
        return False
    late = [
        type(x) in SCALAR_TYPES and isinstance(q, Node) and q.late
        for x, q in zip(args, origins, strict=True)
    ]
    if function is o.getitem:
        return late[1]
    plain = all(type(x) in SCALAR_TYPES or type(x) in NUMBERS for x in args)
    return any(late) and plain and type(out) is not np.ndarray


# Replay -------------------------------------------------------------------------------------


@final
class Place:
    """Where an argument of a call belongs."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __hash__(self) -> int:
        return hash(self.number)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.number == other.number


@final
class Recipe:
    """A call of NumPy with arguments to come; equal ones are one object.

    Attributes:
        function: what is called.
        arguments: (positional, by name), with places.
        changes: whether it changes `out` or its first argument; the result is a copy so changed.
    """

    __slots__ = ("__weakref__", "arguments", "changes", "function", "key")

    def __init__(self, function: Any, arguments: Any, changes: bool, key: Any) -> None:
        self.function, self.arguments, self.changes = function, arguments, changes
        self.key = key

    def __repr__(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))

    def run(self, values: Sequence[Any]) -> Any:
        args, kwargs = (_filled(part, values) for part in self.arguments)
        with np.errstate(all="ignore"):
            if not self.changes:
                return self.function(*args, **kwargs)
            if "out" in kwargs:
                made = kwargs["out"] = np.array(kwargs["out"], order="C")
            else:
                made = np.array(args[0], order="C")
                args = (made, *args[1:])
            self.function(*args, **kwargs)
            return made


_recipes: WeakValueDictionary[Any, Recipe] = WeakValueDictionary()


def _recipe(function: Any, arguments: Any, changes: bool) -> Recipe:
    key = (function, changes, key_of(arguments))
    found = _recipes.get(key)
    if found is None:
        found = _recipes[key] = Recipe(function, arguments, changes, key)
    return found


def _filled(part: Any, values: Sequence[Any]) -> Any:
    kind = type(part)
    if kind is Place:
        return values[part.number]
    if kind in (list, tuple):
        return kind(_filled(item, values) for item in part)
    if kind is dict:
        return {name: _filled(value, values) for name, value in part.items()}
    return part


def evaluated(values: dict[int, Any], number: int, recipe: Recipe, *given: Any) -> Any:
    """What a call gives, made once in a replay; `values` are the replay's late values."""
    if number not in values:
        values[number] = recipe.run(given)
    return values[number]


# Recording ----------------------------------------------------------------------------------


def call(
    recorder: Recorder, function: Any, out: Any,
    args: Sequence[Any], origins: Sequence[Origin],
    kwargs: dict[str, Any], where: dict[str, Origin],
) -> Origin:  # fmt: skip
    """The origin of `out`, which `function` gave for the arguments.

    Raises:
        NotCovered: it writes to late arrays, or gives something that is no array or number.
    """
    changes, origin = kwargs.get("out"), where.get("out")
    if numpy_names.changes(function):
        changes, origin = args[0], origins[0]
    target: Any = _target(recorder, changes, origin)
    given: list[Node] = []
    arguments = (
        tuple(_argument(recorder, x, q, given) for x, q in zip(args, origins, strict=True)),
        {name: _argument(recorder, kwargs[name], where[name], given) for name in kwargs},
    )
    if recorder.dead:
        return None
    numpy_names.count(function, "the shape of what it gives or takes depends on values")
    made = _call(recorder, _recipe(function, arguments, changes is not None), given)
    if type(target) is Tensor:
        door.write(target, _reenter(recorder, made, target))
    elif changes is not None:
        recorder.arrays.born(changes, Late(made))
    if changes is not None:
        return CONSTANT if out is None else recorder.known(out)
    for array in leaves([*args, *kwargs.values()]):
        fixed = type(array) is np.ndarray and type(recorder.arrays.known(array)) is Tensor
        if fixed and shares(out, array):
            raise NotCovered("memory of an array shown by one whose shape depends on values")
    return _origin(recorder, out, made)


def _target(recorder: Recorder, changed: Any, origin: Origin) -> Any:
    """The stand-in of an array that a call changes; None if it changes none."""
    if changed is None:
        return None
    known = None
    if type(changed) is np.ndarray:
        known = recorder.arrays.known(changed)
        if known is None:
            known = recorder.arrays.tensor(changed, recorder.origin(origin, changed))
    if type(known) is Tensor or (
        type(known) in (Late, Selected)
        and changed.base is None
        and recorder.arrays.is_alone(changed)
    ):
        return known
    raise NotCovered("a write to an array whose shape depends on values, seen by another")


def _call(recorder: Recorder, recipe: Recipe, given: list[Node]) -> Node:
    calls = recorder.arrays.late_calls
    places = "".join(f", {{{i}}}" for i in range(len(given)))
    made = recorder.nodes(
        f"{{k0}}(T, {{k1}}, {{k2}}{places})", tuple(given), (evaluated, ~len(calls), recipe),
        late=True,
    )  # fmt: skip
    calls.append(made)
    return made


def selected(recorder: Recorder, chosen: Selected) -> Node:
    """The node of an array that a mask chose."""
    if chosen.node is None:
        numpy_names.count(o.getitem, "how many elements a mask selects depends on values")
        given = [_whole(recorder, chosen.values), _whole(recorder, chosen.mask)]
        recipe = _recipe(o.getitem, ((Place(0), Place(1)), {}), False)
        chosen.node = _call(recorder, recipe, given)
    return chosen.node


def _argument(recorder: Recorder, value: Any, origin: Origin, given: list[Node]) -> Any:
    """A part of a recipe, whose nodes go to `given`."""
    kind = type(value)
    if kind is np.ndarray:
        node: Node | None = _array(recorder, value, origin)
    elif kind in SCALAR_TYPES:
        node = recorder.arrays.scalar_node(value, origin)
    elif kind in NUMBERS and isinstance(origin, Node):
        recorder.typed(origin, value)
        node = origin
    elif kind in (list, tuple):
        return kind(
            _argument(recorder, x, part, given) for x, part in recorder.items(value, origin)
        )
    elif callable(value) and not isinstance(value, type):
        raise NotCovered("a function as an argument")
    else:
        recorder.pin(origin, value)
        return value
    if node is None:
        raise NotCovered(f"a {kind.__name__} of unknown origin")
    given.append(node)
    return Place(len(given) - 1)


def _array(recorder: Recorder, array: np.ndarray, origin: Origin) -> Node:
    known = recorder.arrays.known(array)
    if type(known) is Late:
        return known.node
    if type(known) is Selected:
        return selected(recorder, known)
    tensor = recorder.arrays.tensor(array, recorder.origin(origin, array))
    recorder.outside.guard(tensor)
    node = _whole(recorder, tensor)
    if node.late and not array.flags.c_contiguous:
        strides = recorder.const_tuple(array.strides)
        return recorder.nodes("{k0}({0}, {k1})", (node,), (laid_out, strides))
    return node


def _whole(recorder: Recorder, tensor: Tensor) -> Node:
    """The node of the array of a stand-in: of one from outside that is not written to, itself."""
    value = recorder.notes.value_of(tensor)
    if value.node is None:
        kind, *rest = recorder.inputs[value.index]
        if kind == "tensor" and rest[1] is tensor:
            return rest[0].parents[0]
    return recorder.late.as_array(value)


def _reenter(recorder: Recorder, node: Node, like: Tensor) -> Tensor:
    """A stand-in for a late array of known shape: an input of the programs to come."""
    recorder.check(recorder.nodes("({0} is not None)", (node,)), True)
    recorder.inputs.append(("late", node))
    return recorder.arrays.bound(recorder.notes.builder.input(TensorType(like.shape, like.dtype)))


def _origin(recorder: Recorder, out: Any, node: Node) -> Origin:
    kind = type(out)
    if kind in (tuple, list):
        parts = [
            _origin(recorder, x, recorder.nodes("{0}[{k0}]", (node,), (i,)))
            for i, x in enumerate(out)
        ]
        return recorder.born(out, kind.__name__, parts)
    if kind is np.ndarray:
        known = recorder.arrays.known(out)
        if known is not None and type(known) is not Late:
            raise NotCovered("an array that is there already")
        if known is None and out.dtype.type not in SCALAR_TYPES:
            raise NotCovered(f"an array of {out.dtype}")
        return recorder.known(out) if known is not None else recorder.arrays.born(out, Late(node))
    if kind in SCALAR_TYPES or kind in NUMBERS:
        return node
    raise NotCovered(f"a {kind.__name__}")


def attribute(recorder: Recorder, owner: np.ndarray, late: Late, name: str) -> tuple[Any, Node]:
    """`owner.shape` and the like."""
    return getattr(owner, name), recorder.nodes(f"{{0}}.{name}", (late.node,))


def length(recorder: Recorder, value: np.ndarray, late: Late) -> tuple[int, Node]:
    """`len(value)`."""
    return len(value), recorder.nodes("len({0})", (late.node,))
