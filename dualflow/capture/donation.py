"""Donated arguments: tensors that a call may keep for good, so that results lie where they lay.

Comes in: a function and which of its arguments are donated. Goes out: a `DonatingFunction`. Replays
store results where donated tensors of their shapes and dtypes lay (`commit.py` chooses). After a
call that returned, in whatever way it ran, the tensors given are dead.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.donated import Donated, give_away, own
from dualflow.array.tensor import Tensor
from dualflow.base.errors import ArgumentError
from dualflow.base.trees import flatten

from .compiled import CompiledFunction
from .pure import by_name
from .tables import SPECIAL

if TYPE_CHECKING:
    from dualflow.explain.report import Report

    from .plans import Call, Plan

Which = str | int | Sequence[str | int]


@final
class DonatingFunction:
    """A compiled function to which arguments are donated; made by `df.compile(donate=...)`.

    Attributes:
        __wrapped__: the function as it was given.
        compiled: what runs the calls.
    """

    def __init__(self, fn: Callable[..., Any], wait: bool, donate: Which) -> None:
        self.compiled = CompiledFunction(fn, wait)
        self.compiled.donor = self._tensors
        functools.update_wrapper(self, self.compiled.__wrapped__)
        self._name = getattr(fn, "__qualname__", repr(fn))
        self._places = _places(fn, self._name, donate)
        self._made_of = fn, wait, donate

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._through(self.compiled, args, kwargs)

    def _through(self, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        given = self._tensors(args, kwargs)
        for tensor in given:
            own(tensor)
        out = call(*args, **kwargs)
        returned = {id(leaf) for leaf in flatten(out)[0]}
        for tensor in given:
            if id(tensor) not in returned:
                give_away(tensor, self._name)
        return out

    def __reduce__(self) -> str | tuple[Any, ...]:
        return by_name(self) or (DonatingFunction, self._made_of)

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self if owner is None else types.MethodType(self, owner)

    def __repr__(self) -> str:
        return repr(self.compiled)

    def _tensors(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
        """The tensors that are donated, each once."""
        found: dict[int, Tensor] = {}
        for at, name in self._places:
            if at is not None and at < len(args):
                leaves = flatten(args[at])[0]
            elif name in kwargs:
                leaves = flatten(kwargs[name])[0]
            else:
                continue  # its default
            for leaf in leaves:
                if isinstance(leaf, np.ndarray):
                    raise ArgumentError(f"a NumPy array donated to {self._name}",
                                        why="only a tensor can be told that it is dead",
                                        instead="df.tensor(array)")  # fmt: skip
                if type(leaf) is Tensor:
                    if type(leaf._pending) is Donated:
                        raise leaf._pending.error()
                    found[id(leaf)] = leaf
        return list(found.values())

    # As of every compiled function ----------------------------------------------------------

    def eager(self, *args: Any, **kwargs: Any) -> Any:
        """The function as it was written, called; what is donated is dead afterwards, too."""
        return self._through(self.compiled.eager, args, kwargs)

    def warmup(self, *args: Any, **kwargs: Any) -> None:
        """Compile for such arguments, which are not donated by that."""
        self.compiled.warmup(*args, **kwargs)

    def stats(self) -> dict[str, int]:
        """How calls ran; see `CompiledFunction.stats`."""
        return self.compiled.stats()

    def report(self, *args: Any, **kwargs: Any) -> Report:
        """How the last call ran; see `CompiledFunction.report`."""
        return self.compiled.report(*args, **kwargs)

    def explain(self, *args: Any, **kwargs: Any) -> str:
        """What was recorded and compiled; see `CompiledFunction.explain`."""
        return self.compiled.explain(*args, **kwargs)


def _places(fn: Any, name: str, donate: Which) -> list[tuple[int | None, str]]:
    """Position (None for keyword-only) and name of each donated parameter."""
    parameters = list(inspect.signature(fn).parameters.values())
    names = [parameter.name for parameter in parameters]
    found: list[tuple[int | None, str]] = []
    several: Any = donate if isinstance(donate, (list, tuple)) else (donate,)
    for one in several:
        at = names.index(one) if one in names else one
        if not isinstance(at, int) or not 0 <= at < len(names):
            raise ArgumentError(f"donate={one!r} of {name}({', '.join(names)})",
                                instead="names or positions of its parameters")  # fmt: skip
        kind = parameters[at].kind
        if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise ArgumentError(f"donate={one!r} of {name}, which takes any number of them",
                                instead="a parameter of its own for what is donated")  # fmt: skip
        found.append((None if kind is inspect.Parameter.KEYWORD_ONLY else at, names[at]))
    return found


def _refused(call: Call) -> Plan | None:
    call.refuse("a call that arguments are donated to")
    return None


SPECIAL[DonatingFunction] = _refused
