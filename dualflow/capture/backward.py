"""`backward()` within a call, and the hooks that gradients pass on the way.

Comes in: a `Call` of `backward`, `register_hook` or `Hook.remove`. Goes out: its plan, in which a
bridge stands for each function of the user, made in the call or on a tensor from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dualflow.array.tensor import Tensor
from dualflow.autograd.backward import backward
from dualflow.autograd.hooks import Checked, Hook
from dualflow.autograd.tape import edge_of
from dualflow.base.source import user_line

from . import tables
from .derivatives import bridge, follows
from .provenance import Born, Node

if TYPE_CHECKING:
    from .plans import Call, Plan


@tables.known(backward, Tensor.backward)
def _backward(call: Call) -> Plan | None:
    recorder = call.recorder
    given = *zip(call.args, call.origins, strict=True), *(
        (call.kwargs[name], call.where[name]) for name in call.kwargs
    )  # fmt: skip
    for value, origin in given:
        recorder.understand(origin, value)
    recorder.backwards = True
    if recorder.outside.through_the_past(call.args[0]):
        call.refuse("a gradient taken through a history from before the call")
    bridges = {} if recorder.dead else _bridges(call)
    if recorder.dead:
        return None

    def run(*args: Any, **kwargs: Any) -> None:
        users = [(checked, checked.hook) for checked in bridges]
        for checked, followed in bridges.items():
            checked.hook = followed
        try:
            line = recorder.line or user_line()
            recorder.lined(line, recorder.guarded, call.function, *args, **kwargs)
        finally:
            for checked, user in users:
                checked.hook = user
        recorder.outside.gradients_stored()

    return call.plan(recorder.adopt, run)


def _bridges(call: Call) -> dict[Checked, Callable[..., Any]]:
    """For each hook of a tensor from outside what follows it; guards that it has these."""
    recorder = call.recorder
    found: dict[Checked, Callable[..., Any]] = {}
    for tensor, node in list(recorder.outside.tensors.values()):
        if not tensor._hooks or tensor._tape is not None:
            continue
        recorder.guard("{k0}({0}) == {k1}", node, constants=(_count, len(tensor._hooks)))
        for at, checked in enumerate(tensor._hooks.values()):
            origin = recorder.found(
                recorder.nodes("{k0}({0}, {k1})", (node,), (_hook_of, at)), checked.hook
            )
            if not follows(call, checked.hook, origin):
                break
            found[checked] = bridge(call, checked.hook, origin)
    return found


def _count(tensor: Tensor) -> int:
    return len(tensor._hooks or ())


def _hook_of(tensor: Tensor, at: int) -> Any:
    return list((tensor._hooks or {}).values())[at].hook


@tables.known(Tensor.register_hook)
def _registered(call: Call) -> Plan | None:
    """`tensor.register_hook(f)` of a tensor made in the call: `f` is followed on the way back. What
    leaves the call with a hook cannot be replayed (`history.py`, `results.py`)."""
    recorder = call.recorder
    args, origins = list(call.args), list(call.origins)
    args += call.kwargs.values()
    origins += map(call.where.get, call.kwargs)
    tensor = args[0]
    edge = edge_of(tensor) if type(tensor) is Tensor else None
    if len(args) != 2 or isinstance(origins[0], Node) or id(edge) in recorder.outside.edges:
        call.refuse("a hook for gradients of a tensor from outside the call")
        return None
    if edge is None or not follows(call, args[1], origins[1]):
        call.refuse()
        return None
    followed = bridge(call, args[1], origins[1])

    def run(*_: Any, **__: Any) -> Any:
        return recorder.guarded(call.function, tensor, followed)

    return call.plan(recorder.adopt, run)


@tables.known(Hook.remove)
def _removed(call: Call) -> Plan | None:
    if not isinstance(call.origins[0], Born):
        call.refuse("a hook for gradients from outside the call, removed")
        return None
    return call.plan(call.recorder.adopt)
