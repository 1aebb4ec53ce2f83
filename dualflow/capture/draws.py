"""Random numbers that the call draws from generators of dualflow.

Comes in: a generator that is asked for a state. Goes out: an input of the graph, made of key and
counter at a replay, which then advances the counter as often as the call did.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.ir.graph import Value
from dualflow.ir.types import TensorType
from dualflow.ops.generator import Generator

from .provenance import Node
from .tables import known
from .trying import guarded

if TYPE_CHECKING:
    from .plans import Call, Plan
    from .recorder import Recorder


@final
class TensorDraws:
    """The draws of one recorded call.

    Attributes:
        taken: by the id of a generator: it, the node that finds it, how often it was asked.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.taken: dict[int, tuple[Any, Node, int]] = {}

    def on_draw(self, generator: Any, state: Tensor) -> Value:
        found = self.taken.get(id(generator))
        if found is None:
            origin = self.recorder.known(generator)
            node = self.recorder.as_node(origin, generator) if origin is not None else None
            if node is None:
                node = self.default_generator(generator)
            found = (generator, node, 0)
        generator, node, before = found
        self.taken[id(generator)] = (generator, node, before + 1)
        self.recorder.inputs.append(("draw", node, before))
        return self.recorder.notes.builder.input(TensorType((2,), np.dtype("uint64")))

    def default_generator(self, generator: Any) -> Node:
        """The generator that random functions take where none is given."""
        for name, module in list(sys.modules.items()):
            if name.startswith("dualflow.ops"):
                for key, value in vars(module).items():
                    if value is generator:
                        node = self.recorder.nodes("{k0}[{k1}]", (), (vars(module), key))
                        self.recorder.guard("{0} is {k0}", node, constants=(generator,))
                        return node
        self.recorder.refuse("a random generator of unknown origin")
        return self.recorder.constant(None)


def _generator(seed: int, number: int) -> Generator:
    """A generator; another number stands for another one."""
    return Generator(seed)


@known(Generator)
def _seeded(call: Call) -> Plan | None:
    """A generator made in the call: a replay makes it anew, of the seed of then."""
    recorder = call.recorder
    seeds, origins = [*call.args, *call.kwargs.values()], [*call.origins, *call.where.values()]
    node = recorder.as_node(origins[0], seeds[0]) if len(seeds) == 1 else None
    if node is None or type(seeds[0]) is not int:
        call.refuse("a random generator that the system seeds, or not by an int")
        return None
    recorder.typed(origins[0], seeds[0])
    made = recorder.nodes("{k0}({0}, {k1})", (node,), (_generator, len(recorder.events)))
    return call.plan(
        lambda out: recorder.found(made, out),
        lambda *args, **kwargs: guarded(recorder, Generator, *args, **kwargs),
    )
