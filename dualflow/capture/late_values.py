"""Values of tensors that Python reads, and Python numbers that go into tensors.

Comes in: a tensor whose value is asked for, or a number beside tensors. Goes out: a late node,
known once a program ran, or an input of the graph; a value that nobody accounts for refuses the
recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.autograd.batched import beneath
from dualflow.base.dtypes import is_float, kind
from dualflow.base.shapes import size_of
from dualflow.base.source import user_line
from dualflow.ir.graph import Value
from dualflow.ir.types import TensorType
from dualflow.ops import primitives as p

from . import trying
from .provenance import NUMBERS, Node, upwards

if TYPE_CHECKING:
    from .recorder import Recorder


#: Arrays of at most so many bytes are a branch where a function of dualflow asks for their values
#: (which elements a mask selects, say): of larger ones the same values seldom come twice.
PINNED_BYTES = 4096


#: what kernels compute of floats as Python does
_ARITHMETIC = {
    "({0} + {1})": p.add.op, "({0} - {1})": p.subtract.op, "({0} * {1})": p.multiply.op,
}  # fmt: skip


@final
class LateValues:
    """The values of tensors that one recorded call read.

    Attributes:
        values: the values of the graph, by number.
        arrays: the numbers of those that it reads as whole arrays.
        library: whether a function of dualflow runs, and then whether it `asked` for values.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.values: list[Value] = []
        self.arrays: set[int] = set()
        self._arrays: dict[Value, int] = {}
        self.library = self.asked = False
        self._numbers: dict[Value, Node] = {}
        self._reading = False
        self._allowed: Tensor | None = None
        self._hidden: tuple[Any, Node | None] = (None, None)
        self._taped: dict[int, tuple[float, Any, Node]] = {}  # numbers that the tape may keep
        self._scalar_values: dict[Node, Value] = {}
        self._floats: dict[Node, Value | None] = {}

    def release(self) -> None:
        """The recording is over: nothing lives on because of it."""
        self._taped.clear()

    def on_values(self, tensor: Tensor, array: np.ndarray) -> None:
        if self._allowed is tensor:
            self._allowed = None
        elif self.library and array.nbytes <= PINNED_BYTES and tensor._pending is None:
            self._pin_array(tensor, array)
        elif not self._reading:
            self.recorder.refuse("the values of a tensor were read by a function not in the table")

    def _pin_array(self, tensor: Tensor, array: np.ndarray) -> None:
        """The values of a small tensor must be the same at a replay."""
        self.asked = True
        node = self.array_node(tensor)
        if node is not None:
            self.recorder.check(self.recorder.nodes("{0}.tobytes()", (node,)), array.tobytes())

    def array_node(self, tensor: Tensor) -> Node | None:
        """The node of all values of a tensor; None if they are not known."""
        value = self.recorder.notes.value_of(tensor, user_line())
        if self.recorder.notes.broken:
            self.recorder.refuse(self.recorder.notes.broken)
        if self.recorder.dead:
            return None
        return self.as_array(value)

    def as_array(self, value: Value) -> Node:
        """The node of a value that is read as a whole array."""
        number = self._arrays.get(value)
        if number is None:
            number = self._arrays[value] = len(self.values)
            self.arrays.add(number)
            self.values.append(value)
        return self.recorder.nodes("T[{k0}]", (), (number,), late=True)

    def allow_once(self, tensor: Tensor) -> None:
        """Python is about to ask for the truth of a tensor that has just been noted."""
        self._allowed = tensor

    def reads_on(self) -> None:
        """What is called next reads the values of tensors, of which notes are taken."""
        self._reading = True

    def reads_no_more(self) -> None:
        self._reading = False

    def unseen(self, function: Any, *args: Any) -> Any:
        """Call something that reads the values of tensors, of which the caller takes notes."""
        before, self._reading = self._reading, True
        try:
            return function(*args)
        finally:
            self._reading = before

    def node(self, noted: Value) -> Node:
        """The node of the only element of a value of the graph, as `item()` gives it."""
        node = self._numbers.get(noted)
        if node is None:
            node = self.recorder.nodes("T[{k0}]", (), (len(self.values),), late=True)
            self._numbers[noted] = node
            self.values.append(noted)
        return node

    def value_of(self, tensor: Tensor, convert: Any) -> tuple[Any, Node | None]:
        """Read the only element of a tensor: `convert(tensor)`, and the node that will be it."""
        self._reading = True
        try:
            value = convert(tensor)
        except Exception:
            self.recorder.refuse("reading the value of a tensor raised an error")
            raise
        finally:
            self._reading = False
        if self.recorder.dead:
            return value, None
        noted = self.recorder.notes.value_of(beneath(tensor), user_line())
        if self.recorder.notes.broken:
            self.recorder.refuse(self.recorder.notes.broken)
            return value, None
        node = self.node(noted)
        kind = type(value)
        if kind in NUMBERS and convert in (bool, int, float):
            node = self.recorder.nodes("{k0}({0})", (node,), (convert,))
            if convert is int and is_float(noted.dtype):  # infinities and NaN raise
                self.recorder.needs(node)
        return value, node

    def beside(self, value: Any, node: Node, f: Any, operands: tuple[Any, ...]) -> Any:
        """`f(*operands)`, during which the Python number `value` is a hidden input."""
        before, self._hidden = self._hidden, (value, node)
        try:
            return f(*operands)
        except Exception as error:
            trying.raised(self.recorder, error, f, operands, {})
            raise
        finally:
            self._hidden = before

    def on_scalar(self, value: Any, position: int) -> Value | None:
        hidden, node = self._hidden
        if hidden is value and node is not None:
            return self.scalar_input(node, value)
        taped = self._taped.get(id(value))
        if taped is not None:
            return self.scalar_input(taped[2], taped[1])
        return None

    def on_tape(self, node: Node, value: Any) -> float:
        """`value` as an object of its own: the tape keeps it, and a gradient that comes upon it
        finds the node by its identity."""
        fresh = float(value) * 1.0
        self._taped[id(fresh)] = (fresh, value, node)
        return fresh

    def taped(self, value: Any) -> Node | None:
        """The node of a number that the tape keeps."""
        found = self._taped.get(id(value))
        return None if found is None else found[2]

    def scalar_input(self, node: Node, value: Any) -> Value:
        """The input of the graph for a Python number; a tensor's value is taken as it is."""
        direct = self._scalar_values.get(node)
        if direct is not None:
            return direct
        if node.late:
            return self._late_scalar(node, value)
        dtype = np.dtype({bool: "bool", int: "int64", float: "float64"}[type(value)])
        self.recorder.inputs.append(("scalar", node, dtype))
        made = self.recorder.notes.builder.input(TensorType((), dtype))
        self._scalar_values[node] = made
        return made

    def as_tensor(self, node: Node, value: Any) -> Tensor:
        """A Python number as a tensor of shape ()."""
        made = Tensor._wrap(np.asarray(value))
        self.recorder.notes.bind(made, self.scalar_input(node, value))
        return made

    def _late_scalar(self, node: Node, value: Any) -> Value:
        """A number that came from a tensor: the tensor's value itself where that is the same, else
        an input of what runs after Python has computed it."""
        raw = node.parents[0] if node.template == "{k0}({0})" else node
        number = raw.constants[0] if raw.template.startswith("T[") else None
        made = None if number is None else self.values[number]
        same = made is not None and (raw is node or type(value) in (int, float))
        letter = {bool: "b", int: "i", float: "f"}[type(value)]
        if same and made is not None and kind(made.dtype) == letter:
            add, line = self.recorder.notes.builder.add, user_line()
            if made.shape != ():
                made = add(p.reshape.op, (made,), {"shape": ()}, line).result
            if type(value) is float and made.dtype != np.float64:
                made = add(p.cast.op, (made,), {"dtype": np.dtype("float64")}, line).result
            if type(value) is int and made.dtype != np.int64:
                made = add(p.cast.op, (made,), {"dtype": np.dtype("int64")}, line).result
            self._scalar_values[node] = made
            return made
        computed = self._computed(node) if type(value) is float else None
        if computed is not None:
            self._scalar_values[node] = computed
            return computed
        self.recorder.check(self.recorder.nodes("({0} is not None)", (node,)), True)
        dtype = np.dtype({bool: "bool", int: "int64", float: "float64"}[type(value)])
        self.recorder.inputs.append(("scalar", node, dtype))
        self._scalar_values[node] = found = self.recorder.notes.builder.input(TensorType((), dtype))
        return found

    def _computed(self, node: Node) -> Value | None:
        """The value of the graph that is a sum, difference or product of floats from tensors: the
        graph computes what Python would, and nothing has to wait for it; None of others."""
        found = self._floats
        for part in upwards(node, lambda part: not part.late or part in found):
            if part.template.startswith("T["):
                found[part] = self._as_float64(self.values[part.constants[0]])
                continue
            given = [found.get(parent) for parent in part.parents]
            values = tuple([value for value in given if value is not None])
            op = _ARITHMETIC.get(part.template)
            if len(values) < len(given):
                found[part] = None
            elif op is not None:
                found[part] = self.recorder.notes.builder.add(op, values, {}, user_line()).result
            else:
                is_cast = part.template == "{k0}({0})" and part.constants[0] is float
                found[part] = values[0] if is_cast else None
        return found.get(node)

    def _as_float64(self, value: Value) -> Value | None:
        """A tensor of one float as Python reads it; None of other numbers."""
        add, line, wide = self.recorder.notes.builder.add, user_line(), np.dtype("float64")
        if not is_float(value.dtype) or size_of(value.shape) != 1:  # or read as a whole array
            return None
        if value.shape != ():
            value = add(p.reshape.op, (value,), {"shape": ()}, line).result
        return (
            value if value.dtype == wide else add(p.cast.op, (value,), {"dtype": wide}, line).result
        )
