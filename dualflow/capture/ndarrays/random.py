"""Draws from generators of NumPy and Python: a replay makes the same calls, in order, after all
guards.

Comes in: calls of `np.random` with numbers and shapes. Goes out: hidden arguments of the graph,
drawn anew. If something fails after a draw, the generators are set back before Python runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dualflow.base.interrupts import pass_on
from dualflow.ir.types import TensorType

from ..kinds import SCALAR_TYPES
from ..provenance import SCALARS, Born, Node, Origin
from .memory import leaves

if TYPE_CHECKING:
    from ..emit import Emitter
    from ..plans import Call, Plan
    from ..recorder import Recorder

#: methods that give an array of the size asked for, and change nothing but the generator
_GENERATORS = ("Generator", "RandomState")
_NAMES = """
random random_sample rand randn randint integers uniform normal standard_normal exponential
standard_exponential poisson binomial gamma standard_gamma beta chisquare laplace logistic
lognormal pareto power rayleigh standard_cauchy standard_t triangular vonmises wald weibull
geometric negative_binomial permutation choice multivariate_normal dirichlet multinomial
randrange getrandbits gauss normalvariate expovariate betavariate gammavariate lognormvariate
paretovariate weibullvariate vonmisesvariate
"""
_DRAWS = frozenset(_NAMES.split())


def is_generator(value: Any) -> bool:
    """Whether a value is a generator of NumPy (which loads `np.random` only when it is used) or of
    Python's `random`."""
    kind = type(value)
    if kind.__module__ == "random" and kind.__name__ == "Random":
        return not vars(value).keys() - {"gauss_next"}
    return kind.__module__.startswith("numpy.random") and kind.__name__ in _GENERATORS


def makes_generator(function: Any) -> bool:
    """Whether a function is `np.random.default_rng`, or `random.Random`."""
    theirs, own = sys.modules.get("numpy.random"), sys.modules.get("random")
    return (theirs is not None and function is theirs.default_rng) or (
        own is not None and function is own.Random
    )


class Draws:
    """The draws of one recorded call.

    Attributes:
        calls: (node of the generator, method, arguments, by name, type of the result), in order.
        made: the generators that were made in it.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.made: list[Any] = []


class Drawing(NamedTuple):
    """The draws of one block of a path.

    Attributes:
        calls: those that it makes; `before`: how many earlier blocks have made.
    """

    calls: Sequence[tuple[Any, ...]] = ()
    before: int = 0

    def write(self, emitter: Emitter, ends: bool) -> str:
        """Lines that draw; what undoes it, if it is needed. Where the block does not end the path,
        or is not the first to draw, that is left to the walk through the tree."""
        if not self.calls and not self.before:
            return ""
        emitter.namespace["drawn"], emitter.namespace["draw"] = drawn, draw
        calls = f"({''.join(_written(self.calls, emitter))})"
        if ends and not self.before:
            emitter.line(f"D, undo = drawn({calls})")
            emitter.line("if D is None: return RAISED")
            return "undo(); "
        if self.calls:
            emitter.line(f"if not draw(X, {calls}): return RAISED")
        emitter.line("D = X['drawn']")
        return ""


def draw(kept: dict[Any, Any], calls: tuple[tuple[Any, ...], ...]) -> bool:
    """Keep what the calls give for later blocks, and what sets the generators back; False if one
    failed."""
    found, undo = drawn(calls)
    if found is None:
        return False
    kept.setdefault("undo", []).append((len(kept.setdefault("drawn", [])), undo))
    kept["drawn"] += found
    return True


def set_back(kept: dict[Any, Any], count: int = 0) -> None:
    """Undo all draws of a path but those of its first `count` blocks that drew."""
    undo = kept.get("undo", ())
    while len(undo) > count:
        there, back = undo.pop()
        back()
        del kept["drawn"][there:]


def _written(calls: Sequence[tuple[Any, ...]], emitter: Emitter) -> Iterator[str]:
    """The text of each call."""
    for node, name, args, kwargs, type_ in calls:
        given = "".join(f"{_text(emitter, x)}, " for x in args)
        named = ", ".join(f"{k!r}: {_text(emitter, x)}" for k, x in kwargs.items())
        wanted = emitter.constant(type_)
        yield f"({emitter.node(node)}, {name!r}, ({given}), {{{named}}}, {wanted}), "


def _text(emitter: Emitter, part: Any) -> str:
    return emitter.node(part) if isinstance(part, Node) else emitter.constant(part)


def drawn(calls: tuple[tuple[Any, ...], ...]) -> tuple[list[np.ndarray] | None, Callable[[], None]]:
    """What the calls give, in order, and what sets the generators back; None in the place of the
    arrays if one failed, or gave another type or shape, and they are set back already."""
    states = {id(call[0]): (call[0], _state(call[0])) for call in calls}

    def undo() -> None:
        for generator, state in states.values():
            _set_state(generator, state)

    found = []
    try:
        for generator, name, args, kwargs, type_ in calls:
            if name == "shuffle":
                made = np.asarray(_shuffled(generator, *args))
            else:
                made = np.asarray(getattr(generator, name)(*args, **kwargs))
            if made.shape != type_.shape or made.dtype != type_.dtype:
                raise ValueError(f"{name} gave another type or shape")
            found.append(made)
    except Exception as error:
        undo()
        pass_on(error)
        return None, undo
    return found, undo


def _shuffled(generator: Any, places: range) -> list[int]:
    """The places in the order into which `generator` brings a list of so many items."""
    order = list(places)
    generator.shuffle(order)
    return order


def _state(generator: Any) -> Any:
    if type(generator).__module__ == "random":
        return generator.getstate()
    if type(generator) is np.random.Generator:
        return generator.bit_generator.state
    return generator.get_state()


def _set_state(generator: Any, state: Any) -> None:
    if type(generator).__module__ == "random":
        generator.setstate(state)
        return
    if type(generator) is np.random.Generator:
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


# Recording ----------------------------------------------------------------------------------


def method(call: Call) -> Plan | None:
    """The plan of a call of a method of a generator."""
    recorder, f = call.recorder, call.function
    node = owner_of(call)
    if f.__name__ not in _DRAWS or node is None:
        call.refuse(f"{f.__name__} of a random generator")
        return None
    args = [_argument(recorder, v, q) for v, q in zip(call.args, call.origins, strict=True)]
    kwargs = {key: _argument(recorder, v, call.where[key]) for key, v in call.kwargs.items()}
    if recorder.dead:
        return None
    return call.plan(
        lambda out: _noted(recorder, out, (node, f.__name__, args, kwargs)),
        lambda *a, **k: recorder.guarded(f, *a, **k),
    )


def owner_of(call: Call) -> Node | None:
    """What finds the generator whose method is called; None if that is not known."""
    recorder, f, origin = call.recorder, call.function, call.origin
    node: Origin = None
    if isinstance(origin, Born) and origin.kind == "method":
        node = recorder.origin(origin.parts[1], f.__self__)
    elif isinstance(origin, Node):  # a function of np.random, or of random
        recorder.guard("{0} is {k0}", origin, constants=(f,))
        node = recorder.constant(f.__self__)
    if not isinstance(node, Node):
        return None
    recorder.typed(node, f.__self__)
    return node


def _argument(recorder: Recorder, value: Any, origin: Origin) -> Any:
    """An argument of a draw: a number that may change, or what is the same at each replay."""
    if type(value) is float and isinstance(origin, Node) and not origin.late:
        recorder.typed(origin, value)
        return origin
    if any(type(x) not in SCALARS and not isinstance(x, type) for x in leaves(value)):
        recorder.refuse("a random draw with such arguments")
        return value
    recorder.pin(origin, value)
    return value


def _noted(recorder: Recorder, out: Any, call: tuple[Any, ...]) -> Origin:
    if type(out) in (int, float) and (type(out) is float or -(2**63) <= out < 2**63):
        type_ = TensorType((), np.dtype(type(out)))
        recorder.inputs.append(("drawn", len(recorder.drawn.calls)))
        recorder.drawn.calls.append((*call, type_))
        made = recorder.arrays.bound(recorder.notes.builder.input(type_))
        return recorder.arrays.python_number(made, type(out))
    if type(out) is not np.ndarray and type(out) not in SCALAR_TYPES:
        recorder.refuse("a single random value")
        return None
    if out.dtype.type not in SCALAR_TYPES:
        recorder.refuse(f"random numbers of {out.dtype}")
        return None
    type_ = TensorType(out.shape, out.dtype)
    recorder.inputs.append(("drawn", len(recorder.drawn.calls)))
    recorder.drawn.calls.append((*call, type_))
    made = recorder.arrays.bound(recorder.notes.builder.input(type_))
    if type(out) is np.ndarray:
        return recorder.arrays.born(out, made)
    return Born("scalar", made)


def generator(call: Call) -> Plan | None:
    """The plan of `np.random.default_rng(seed)`, or `random.Random(seed)`."""
    recorder, f = call.recorder, call.function
    plain = len(call.args) == 1 and not call.kwargs and type(call.args[0]) is int
    node = recorder.as_node(call.origins[0], call.args[0]) if plain else None
    if node is None or node.late:
        call.refuse("a random generator made in the call")
        return None
    recorder.typed(call.origins[0], call.args[0])
    if isinstance(call.origin, Node):
        recorder.guard("{0} is {k0}", call.origin, constants=(call.function,))
    number = recorder.constant(len(recorder.drawn.made))  # each call makes one of its own
    made = recorder.nodes("{k0}({k1}, {0}, {1})", (node, number), (new_generator, f))

    def finish(out: Any) -> Origin:
        recorder.drawn.made.append(out)
        recorder.remember(out, made)
        return made

    return call.plan(finish, lambda seed: recorder.guarded(f, seed))


def new_generator(make: Callable[[int], Any], seed: int, number: int) -> Any:
    """A generator; `number` tells those of one call apart."""
    return make(seed)
