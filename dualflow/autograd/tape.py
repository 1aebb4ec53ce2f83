"""The tape: notes how tensors that require gradients were made, in every mode.

Comes in: `record` and `written` from `ops.door`, after and before the active mode acts. Goes out:
`tensor._tape`, the node that made it; through the nodes' edges the way back to the leaves.
"""

from __future__ import annotations

import weakref
from typing import Any, Final, final

from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_inexact
from dualflow.base.errors import GradientError, InPlaceError
from dualflow.base.source import user_line
from dualflow.ir.op import Op
from dualflow.ir.types import TensorType
from dualflow.ops import door

from .history import Argument, Edge, Node, Output, Record, Write, written_at
from .needs import Need, plan

#: the `_tape` of a view whose root was written in place since: to be derived from the root anew.
STALE: Final = object()


@final
class Tape:
    """See `ops.door.Tape`."""

    def __init__(self) -> None:
        # op -> (which inputs want a gradient, as bits, and above them a 1) -> (whether the value of
        # each input is kept, whether the output is, whether any value is)
        self._plans: dict[Op, dict[int, tuple[tuple[bool, ...], bool, bool]]] = {}

    def record(self, op: Op, inputs: tuple[Any, ...], attributes: dict[str, Any], out: Any) -> None:
        """Note how `out` came from `inputs`, at least one of which requires a gradient."""
        outs = (out,) if type(out) is Tensor else out
        for made in outs:
            if is_inexact(made.dtype):
                break
        else:
            return
        wanted, bit = 0, 1
        edges: list[Edge] = []
        for x in inputs:
            if type(x) is Tensor and x.requires_grad:
                node = x._tape
                edges.append(x if node is None else derive(x) if node is STALE else node)
                wanted |= bit
            else:
                edges.append(None)
            bit <<= 1
        wanted |= bit  # ops may take any number of inputs
        try:
            needs, keeps_out, keeps_values = self._plans[op][wanted]
        except KeyError:
            needs, keeps_out, keeps_values = self._learn(op, wanted, len(inputs))
        versions: list[int] = []
        kept: list[Any] = []
        for x, needed in zip(inputs, needs):  # noqa: B905 - hot, equal by construction
            version = -1
            if type(x) is not Tensor:
                kept.append(x)
            elif needed:
                storage = x._storage
                version = 0 if storage is None else storage.version
                kept.append(x)
            else:
                array = x._array  # not x.shape and x.dtype: calls less
                kept.append(tuple(x._pending.type) if array is None else (array.shape, array.dtype))
            versions.append(version)
        aliases: tuple[Tensor, ...] = ()
        if keeps_out:
            aliases = tuple([made._alias() for made in outs])
            versions += [alias._memory().version for alias in aliases]
        seen = tuple(versions) if keeps_values else ()
        node = Record(op, attributes, tuple(kept), tuple(edges), seen, aliases)
        if out is outs:
            _give_several(node, outs)
        else:
            out._tape = node
            out.requires_grad = True

    def _learn(self, op: Op, wanted: int, count: int) -> tuple[tuple[bool, ...], bool, bool]:
        found = plan(op, tuple(bool(wanted >> i & 1) for i in range(count)))
        keeps_out = found.out is Need.VALUE
        keeps = tuple(need is Need.VALUE for need in found.inputs)
        learned = keeps, keeps_out, keeps_out or any(keeps)
        if len(found.inputs) <= 4:  # concat of many: not worth keeping for every combination
            self._plans.setdefault(op, {})[wanted] = learned
        return learned

    def written(self, target: Tensor, value: Tensor) -> None:
        """`target` is about to be overwritten by `value`: give its memory the new history.

        Raises:
            InPlaceError: the memory is that of a leaf that requires a gradient, or of an argument
                of a function that is being differentiated, or a read-only view.
        """
        if not door.state.grad_enabled:
            return
        root = target if target._root is None else target._root
        if not (root.requires_grad or target.requires_grad or value.requires_grad):
            return
        if (line := user_line()) is not None:
            written_at[root._memory()] = line
        live = [view for view in (ref() for ref in root._views or ()) if view is not None]
        for tensor in (root, *live):
            if tensor.requires_grad:
                _check_writable(tensor)
        chain = target._view[len(root._view) :]
        for op, _ in chain:
            if op.update is None:
                raise InPlaceError(f"a view made by {op.name} is read-only",
                                   instead="copy() it first")  # fmt: skip
        after = edge_of(value)
        if type(after) is Record and after.versions:
            after.keep_from(target)
        if chain or not isinstance(after, Node):
            before = edge_of(root) if chain else None
            after = Write(before, after, chain, target.shape, (root.shape, root.dtype))
        root._tape, root.requires_grad = after, True
        for view in live:
            view._tape, view.requires_grad = STALE, True


def _give_several(node: Record, outs: tuple[Tensor, ...]) -> None:
    """Let `node` be the history of those outputs that can have a gradient."""
    node.types = tuple((out.shape, out.dtype) for out in outs)
    for i, out in enumerate(outs):
        if is_inexact(out.dtype):
            out._tape, out.requires_grad = Output(node, i), True


def _check_writable(tensor: Tensor) -> None:
    if tensor._tape is None:
        raise InPlaceError(
            f"a leaf that requires a gradient, of shape {tensor.shape}, was to be written in place",
            why="its gradient is that with respect to the values it was given",
            instead="write under no_grad(), or into a copy()",
        )
    if type(tensor._tape) is Argument:
        raise InPlaceError(
            f"an argument of a differentiated function, of shape {tensor.shape}, was to be "
            "written in place",
            why="the gradient is that with respect to the values it was given",
            instead="write into a copy()",
        )


def edge_of(tensor: Tensor) -> Edge:
    """Where the gradient for `tensor` goes: the node that made it, itself for a leaf, or None."""
    if not tensor.requires_grad:
        return None
    node = tensor._tape
    return tensor if node is None else derive(tensor) if node is STALE else node


def derive(view: Tensor) -> Node:
    """The history of a view whose root was written since: the view ops applied to the root now."""
    root = view._root
    assert root is not None
    edge = edge_of(root)
    of = TensorType(root.shape, root.dtype)
    for op, attributes in view._view[len(root._view) :]:
        edge = Record(op, attributes, ((of.shape, of.dtype),), (edge,), (), ())
        (of,) = op.infer((of,), attributes)
    view._tape = edge
    return edge


def retain_grad(tensor: Tensor) -> None:
    """Set `.grad` of a tensor that is no leaf, too, when a gradient flows through it.

    Args:
        tensor: one that requires a gradient.

    Raises:
        GradientError: it requires none.

    >>> import dualflow as df
    >>> x = df.tensor(3.0, requires_grad=True)
    >>> y = x * x
    >>> df.retain_grad(y)
    >>> (y * 2).backward()
    >>> y.grad.item()
    2.0
    """
    edge = edge_of(tensor)
    if edge is None:
        raise GradientError("retain_grad() of a tensor that requires no gradient")
    if isinstance(edge, Node):
        if edge.kept is not None and edge.kept() is not None and edge.kept() is not tensor:
            tensor._tape = edge = Argument(edge)
        edge.kept = weakref.ref(tensor)
