"""The state that a call can reach and change: saved once, put back before every run.

Comes in: a function and its arguments. Goes out: a `World` with `restore()`. Reached are tensors
(values, `.grad`, requires_grad), ndarrays, lists, dicts, sets, objects' attributes, closure cells,
globals that the functions name, and df's random generator. Objects of the standard library are
left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from dualflow.array.tensor import Tensor
from dualflow.base.trees import parts
from dualflow.ops import draws

Restore = Callable[[], None]
_ATOMS = (bool, int, float, complex, str, bytes, type(None), type, ModuleType, np.dtype, np.generic)


class World:
    """Everything mutable that `function(*args, **kwargs)` can reach, as it is now."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> None:
        self.tensors: list[Tensor] = []
        self._restores: list[Restore] = []
        self._kept: dict[int, Any] = {}
        waiting: list[Any] = [function, args, kwargs, draws.default]
        while waiting:
            thing = waiting.pop()
            if isinstance(thing, _ATOMS) or id(thing) in self._kept:
                continue
            self._kept[id(thing)] = thing
            waiting.extend(self._save(thing))

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
                if array is not None and array.dtype.kind == "f" and not tensor._view:
                    tensor._array, tensor._storage = array.astype(np.float64), None
            yield
        finally:
            for tensor, array, storage in before:
                tensor._array, tensor._storage = array, storage
            self.restore()

    def _save(self, thing: Any) -> Iterable[Any]:
        """Note how to restore `thing`; gives what can be reached from it."""
        if isinstance(thing, Tensor):
            return self._save_tensor(thing)
        if isinstance(thing, np.ndarray):
            values = thing.copy()
            if thing.flags.writeable:
                self._restores.append(lambda: np.copyto(thing, values))
            return ()
        if isinstance(thing, CellType):
            return self._save_cell(thing)
        if isinstance(thing, FunctionType):
            return (*reached_by_code(thing), *(thing.__closure__ or ()), thing.__defaults__)
        if isinstance(thing, MethodType):
            return thing.__self__, thing.__func__
        if isinstance(thing, (list, dict, set)):
            return self._save_builtin(thing)
        found = parts(thing)
        if found is not None and not hasattr(thing, "__dict__"):
            return found[1]
        return self._save_object(thing)

    def _save_tensor(self, tensor: Tensor) -> Iterable[Any]:
        self.tensors.append(tensor)
        array = tensor.array
        values = array.copy()
        grad, needs, tape = tensor.grad, tensor.requires_grad, tensor._tape
        gradient = None if grad is None else grad.array.copy()

        def restore() -> None:
            tensor._array = array
            np.copyto(array, values)
            tensor.grad, tensor.requires_grad, tensor._tape = grad, needs, tape
            if grad is not None and gradient is not None:
                np.copyto(grad.array, gradient)

        if array.flags.writeable:
            self._restores.append(restore)
        return ()

    def _save_cell(self, cell: CellType) -> Iterable[Any]:
        try:
            content = cell.cell_contents
        except ValueError:
            return ()

        def restore() -> None:
            cell.cell_contents = content

        self._restores.append(restore)
        return (content,)

    def _save_builtin(self, thing: list[Any] | dict[Any, Any] | set[Any]) -> Iterable[Any]:
        copy = thing.copy()

        def restore() -> None:
            if isinstance(thing, list):
                thing[:] = copy
            elif thing != copy or isinstance(thing, dict):
                thing.clear()
                thing.update(copy)  # type: ignore[arg-type]

        self._restores.append(restore)
        return tuple(thing.values()) if isinstance(thing, dict) else tuple(thing)

    def _save_object(self, thing: Any) -> Iterable[Any]:
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
        methods = [vars(type(thing)).get(name) for name in ("forward", "__call__")]
        return (*copy.values(), *slots.values(), *methods)


def _slots(kind: type) -> list[str]:
    """The names of the slots of objects of `kind`, weak references apart."""
    found: list[str] = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    return [name for name in found if name not in ("__weakref__", "__dict__")]


def reached_by_code(function: FunctionType) -> list[Any]:
    """The values of the globals that `function`, or a function inside it, names."""
    names: set[str] = set()
    codes: list[CodeType] = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    found = [function.__globals__[name] for name in names if name in function.__globals__]
    return [value for value in found if not _is_library(value)]


def _is_library(value: Any) -> bool:
    module = getattr(value, "__module__", None)
    root = module.split(".")[0] if isinstance(module, str) else ""
    return root in sys.stdlib_module_names or (root in ("numpy", "dualflow") and callable(value))
