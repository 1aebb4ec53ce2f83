"""The state that a call can reach and change: saved once, put back before every run.

Comes in: a function and its arguments. Goes out: a `World` with `restore()`. Reached are tensors
(values, `.grad`, requires_grad), ndarrays, lists, dicts, sets, objects' attributes, closure cells,
globals that the functions name, and df's random generator. Objects of the standard library are
left alone.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from dualflow.array.arrays import on_host
from dualflow.array.tensor import Tensor
from dualflow.base.dtypes import is_float
from dualflow.base.trees import parts
from dualflow.ops import door, draws

Restore = Callable[[], None]
Reached = tuple[str, Any]  # how it is reached, and what it is
_ATOMS = (bool, int, float, complex, str, bytes, type(None), type, ModuleType, np.dtype, np.generic)


class World:
    """Everything mutable that `function(*args, **kwargs)` can reach, as it is now.

    Attributes:
        tensors: those that are reached.
        names: how each of them is reached, as the user would write it (`model.layers[0].weight`).
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> None:
        self.tensors: list[Tensor] = []
        self.names: list[str] = []
        self._restores: list[Restore] = []
        self._kept: dict[int, Any] = {}
        arguments = [*zip(_names_of(function, len(args)), args, strict=True), *kwargs.items()]
        waiting: deque[Reached] = deque((*arguments, ("", function), ("", draws.default)))
        while waiting:
            name, thing = waiting.popleft()  # the nearest first: they give the shortest names
            if isinstance(thing, _ATOMS) or id(thing) in self._kept:
                continue
            self._kept[id(thing)] = thing
            if isinstance(thing, Tensor):
                self.tensors.append(thing)
                again = self.names.count(name)
                self.names.append(f"{name} ({again + 1})" if again else name)
                self._save_tensor(thing)
            else:
                waiting.extend(self._save(thing, name))

    def values(self) -> dict[str, np.ndarray]:
        """Copies of the tensors that are reached, and of their gradients, by name."""
        found = {}
        for name, tensor in zip(self.names, self.tensors, strict=True):
            found[name] = np.array(on_host(tensor.array))
            if tensor.grad is not None:
                found[f"{name}.grad"] = np.array(on_host(tensor.grad.array))
        return found

    def restore(self) -> None:
        """Put everything back as it was when the world was made."""
        for restore in self._restores:
            restore()

    @contextmanager
    def in_float64(self) -> Iterator[None]:
        """A `with` block in which every reached float tensor holds float64; restored after it."""
        self.restore()
        before = [(tensor, tensor._array, tensor._storage) for tensor in self.tensors]
        try:
            for tensor, array, _ in before:
                if array is not None and is_float(array.dtype) and not tensor._view:
                    tensor._array, tensor._storage = array.astype(np.float64), None
            yield
        finally:
            for tensor, array, storage in before:
                tensor._array, tensor._storage = array, storage
            self.restore()

    def _save(self, thing: Any, name: str) -> Iterable[Reached]:
        """Note how to restore `thing`; gives what can be reached from it."""
        if isinstance(thing, np.ndarray):
            values = thing.copy()
            if thing.flags.writeable:
                self._restores.append(lambda: np.copyto(thing, values))
            return ()
        if isinstance(thing, CellType):
            return [(name, content) for content in self._save_cell(thing)]
        if isinstance(thing, FunctionType):
            code, defaults = thing.__code__, thing.__defaults__ or ()
            cells = zip(code.co_freevars, thing.__closure__ or (), strict=True)
            last = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
            return (*_reached_by_code(thing), *cells, *zip(last, defaults, strict=True))
        if isinstance(thing, MethodType):
            return (name or "self", thing.__self__), (name, thing.__func__)
        if isinstance(thing, (list, dict, set)):
            self._save_builtin(thing)
            keys = thing if isinstance(thing, dict) else range(len(thing))
            values = thing.values() if isinstance(thing, dict) else thing
            return [(f"{name}[{k!r}]", value) for k, value in zip(keys, values, strict=True)]
        found = parts(thing)
        if found is not None and not hasattr(thing, "__dict__"):
            fields, values = found
            steps = map(".{}".format, fields) if fields else map("[{}]".format, range(len(values)))
            return [(name + step, value) for step, value in zip(steps, values, strict=True)]
        return [
            (f"{name}.{attribute}" if name else attribute, value)
            for attribute, value in self._save_object(thing)
        ]

    def _save_tensor(self, tensor: Tensor) -> None:
        array = tensor.array
        values = _copy(array)
        grad, needs, tape = tensor.grad, tensor.requires_grad, tensor._tape
        gradient = None if grad is None else _copy(grad.array)

        def restore() -> None:
            tensor._array = array
            _store(array, values)
            tensor.grad, tensor.requires_grad, tensor._tape = grad, needs, tape
            if grad is not None and gradient is not None:
                _store(grad.array, gradient)

        if not isinstance(array, np.ndarray) or array.flags.writeable:
            self._restores.append(restore)

    def _save_cell(self, cell: CellType) -> Iterable[Any]:
        try:
            content = cell.cell_contents
        except ValueError:
            return ()

        def restore() -> None:
            cell.cell_contents = content

        self._restores.append(restore)
        return (content,)

    def _save_builtin(self, thing: list[Any] | dict[Any, Any] | set[Any]) -> None:
        copy = thing.copy()

        def restore() -> None:
            if isinstance(thing, list):
                thing[:] = copy
            elif thing != copy or isinstance(thing, dict):
                thing.clear()
                thing.update(copy)  # type: ignore[arg-type]

        self._restores.append(restore)

    def _save_object(self, thing: Any) -> Iterable[Reached]:
        if type(thing).__module__.split(".")[0] in sys.stdlib_module_names:
            return ()
        attributes = getattr(thing, "__dict__", {})
        copy = dict(attributes)
        slots = {name: getattr(thing, name) for name in _slots(type(thing)) if hasattr(thing, name)}

        def restore() -> None:
            attributes.clear()
            attributes.update(copy)
            for name, value in slots.items():
                object.__setattr__(thing, name, value)

        self._restores.append(restore)
        methods = [(name, vars(type(thing)).get(name)) for name in ("forward", "__call__")]
        return (*copy.items(), *slots.items(), *methods)


def _names_of(function: Callable[..., Any], count: int) -> list[str]:
    """Names for that many arguments given by position: the parameters', where they are known."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    known = code.co_varnames[: code.co_argcount] if isinstance(code, CodeType) else ()
    known = known[1:] if isinstance(function, MethodType) else known
    return [*known, *(f"args[{i}]" for i in range(len(known), count))][:count]


def _slots(kind: type) -> list[str]:
    """The names of the slots of objects of `kind`, weak references apart."""
    found: list[str] = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    return [name for name in found if name not in ("__weakref__", "__dict__")]


def _reached_by_code(function: FunctionType) -> list[Reached]:
    """The globals that `function`, or a function inside it, names, and their values."""
    names: set[str] = set()
    codes: list[CodeType] = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    values = function.__globals__
    return [(name, values[name]) for name in sorted(names)
            if name in values and not _is_library(values[name])]  # fmt: skip


def _is_library(value: Any) -> bool:
    module = getattr(value, "__module__", None)
    root = module.split(".")[0] if isinstance(module, str) else ""
    return root in sys.stdlib_module_names or (root in ("numpy", "dualflow") and callable(value))


def _copy(array: Any) -> Any:
    """A copy where the array lies."""
    return array.copy() if isinstance(array, np.ndarray) else door.away[0].copied(array)


def _store(array: Any, values: Any) -> None:
    """Write `values`, of the same place, into an array."""
    if isinstance(array, np.ndarray):
        np.copyto(array, values)
    else:
        door.away[0].write(array, values)
