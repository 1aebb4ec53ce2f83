"""Module: an object with tensors in its attributes and a `forward`. Nothing is intercepted.

Comes in: attributes of any nesting of modules, lists, tuples, dicts and dataclasses. Goes out: the
tensors in them, by dotted names, in the order in which they were set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from dualflow import api as df
from dualflow.base.dtypes import is_float
from dualflow.base.errors import ArgumentError, DTypeError, ShapeError
from dualflow.base.trees import parts

Self = TypeVar("Self", bound="Module")


def Parameter(values: Any, dtype: Any = None) -> df.Tensor:  # noqa: N802 - known by this name
    """A tensor to be trained: a copy of `values` that requires a gradient.

    Args:
        values: floats or complex numbers: a tensor, an array, or lists of numbers.
        dtype: None for that of `values`.

    >>> Parameter([1.0, 2.0]).requires_grad
    True
    """
    return df.tensor(values, dtype, requires_grad=True)


class Module:
    """The base of layers and models: subclass it, set attributes, write `forward`.

    A tensor that requires a gradient is a parameter; any other tensor is kept with the state but
    not trained. A tensor or module that occurs twice counts once.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.slope = Parameter(2.0)
    ...
    ...     def forward(self, x):
    ...         return x * self.slope
    >>> line = Line()
    >>> line(df.tensor(3.0)).item()
    6.0
    >>> [name for name, _ in line.named_parameters()]
    ['slope']

    >>> line.zero_grad()
    >>> [tensor.item() for tensor in line.parameters()] == list(line.state_dict().values())
    True
    >>> line.load_state_dict({"slope": df.tensor(3.0)})
    >>> [(name, tensor.item()) for name, tensor in line.named_tensors()]
    [('slope', 3.0)]
    >>> line.eval().training, line.train().training, line.modules() == [line]
    (False, True, True)
    >>> line.to(df.float64).slope.dtype.name
    'float64'
    """

    training: bool = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # What is inside -------------------------------------------------------------------------

    def named_parameters(self) -> list[tuple[str, df.Tensor]]:
        """The tensors that require gradients, with their names, such as `layers.0.weight`."""
        return [(name, tensor) for name, tensor in self.named_tensors() if tensor.requires_grad]

    def parameters(self) -> list[df.Tensor]:
        """The tensors that require gradients."""
        return [tensor for _, tensor in self.named_parameters()]

    def named_tensors(self) -> list[tuple[str, df.Tensor]]:
        """All tensors, with their names."""
        found: list[tuple[str, Any]] = []
        _walk(self, "", found, [])
        return [(name, value) for name, value in found if type(value) is df.Tensor]

    def modules(self) -> list[Module]:
        """This module and all within it."""
        found: list[tuple[str, Any]] = []
        _walk(self, "", found, [])
        return [value for _, value in found if isinstance(value, Module)]

    # State ----------------------------------------------------------------------------------

    def train(self: Self, training: bool = True) -> Self:
        """Tell this module and all within it that they are being trained; returns it."""
        for module in self.modules():
            module.training = training
        return self

    def eval(self: Self) -> Self:
        """Tell this module and all within it that they are only used; returns it."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, df.Tensor]:
        """Copies of all tensors by name."""
        return {name: tensor.detach().copy() for name, tensor in self.named_tensors()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Store tensors into this module's, in place; nothing is changed if one does not fit.

        Args:
            state: a tensor (or array) of the same shape and dtype for every name, and no others.

        Raises:
            ArgumentError: names are missing or unknown.
            ShapeError, DTypeError: a tensor does not fit.
        """
        tensors = dict(self.named_tensors())
        missing = [name for name in tensors if name not in state]
        unknown = [name for name in state if name not in tensors]
        if missing or unknown:
            raise ArgumentError(
                f"load_state_dict of {type(self).__name__}: missing {missing}, unknown {unknown}",
                why="the state has exactly the names of named_tensors()",
            )
        values = {name: df.asarray(state[name]) for name in tensors}
        for name, tensor in tensors.items():
            _check_fits(name, values[name], tensor)
        with df.no_grad():
            for name, tensor in tensors.items():
                tensor[...] = values[name]

    def to(self: Self, target: Any) -> Self:
        """Change the dtype of all float tensors, or the device of all tensors ("cuda"); returns
        the module.

        They are new tensors: make the optimizer afterwards.
        """
        is_place = isinstance(target, str) and target.partition(":")[0] in ("cpu", "cuda", "gpu")
        done: list[tuple[df.Tensor, df.Tensor]] = []

        def convert(tensor: df.Tensor) -> df.Tensor:
            for before, after in done:
                if before is tensor:
                    return after
            after = tensor
            if is_place or is_float(tensor.dtype):
                after = tensor.detach().to(target).requires_grad_(tensor.requires_grad)
            done.append((tensor, after))
            return after

        for module in self.modules():
            for name, value in list(module.__dict__.items()):
                if not isinstance(value, Module):
                    module.__dict__[name] = _replaced(value, convert)
        return self

    def __repr__(self) -> str:
        lines = [
            f"  {name}: " + repr(value).replace("\n", "\n  ")
            for name, value in self.__dict__.items()
            if isinstance(value, Module) or _holds_modules(value)
        ]
        inside = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({inside})"
        return "\n".join([f"{type(self).__name__}({inside}", *lines, ")"])

    def extra_repr(self) -> str:
        """What the repr says beside the modules within.

        >>> from dualflow.nn import Linear
        >>> Linear(3, 2).extra_repr()
        '3, 2'
        """
        return ""


def _walk(value: Any, name: str, found: list[tuple[str, Any]], above: list[Any]) -> None:
    """Append tensors and modules in `value` to `found`, each once."""
    if type(value) is df.Tensor or isinstance(value, Module):
        for _, other in found:
            if other is value:
                return
        found.append((name, value))
    if type(value) is df.Tensor:
        return
    for container in above:
        if container is value:
            return
    for key, child in _children(value):
        if type(child) not in _PLAIN:
            _walk(child, f"{name}.{key}" if name else str(key), found, [*above, value])


_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})


def _children(value: Any) -> list[tuple[Any, Any]]:
    """The named parts of a module or container; none for anything else."""
    if isinstance(value, Module):
        return list(value.__dict__.items())
    if isinstance(value, dict):
        return list(value.items())
    found = parts(value)
    if found is None:
        return []
    keys, children = found
    return list(zip(keys or range(len(children)), children, strict=True))


def _holds_modules(value: Any) -> bool:
    return any(isinstance(child, Module) for _, child in _children(value))


def _replaced(value: Any, convert: Callable[[df.Tensor], df.Tensor]) -> Any:
    """`value` with its tensors converted: in place where it can be, else a new container."""
    if type(value) is df.Tensor:
        return convert(value)
    if isinstance(value, Module):
        return value
    if isinstance(value, list):
        value[:] = [_replaced(child, convert) for child in value]
    elif isinstance(value, dict):
        for key, child in value.items():
            value[key] = _replaced(child, convert)
    elif isinstance(value, tuple):
        children = [_replaced(child, convert) for child in value]
        return type(value)(*children) if hasattr(value, "_fields") else tuple(children)
    elif is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value) if field.init]
        return replace(value, **{name: _replaced(getattr(value, name), convert) for name in names})
    return value


def _check_fits(name: str, value: df.Tensor, tensor: df.Tensor) -> None:
    if value.shape != tensor.shape:
        raise ShapeError(f"load_state_dict: {name} has shape {tensor.shape}, got {value.shape}")
    if value.dtype != tensor.dtype:
        raise DTypeError(
            f"load_state_dict: {name} is {tensor.dtype.name}, got {value.dtype.name}",
            instead="astype(...) it, or to(...) the module first",
        )
