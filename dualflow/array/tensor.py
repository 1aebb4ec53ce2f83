"""Tensor: what users hold. One final class in every mode; its operators and methods are `ops`.

An array of NumPy, or, while a compiled function co-executes, a pending value. Reading the value
(`numpy()`, `item()`, `bool(t)`, printing) always passes the active mode, which may have to compute
or to note it; shape and dtype never do.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, final

import numpy as np

from dualflow.base.dtypes import is_added, is_inexact, shortest
from dualflow.base.errors import (
    ArgumentError,
    DeviceError,
    DTypeError,
    GradientError,
    ShapeError,
    SharingError,
)
from dualflow.base.shapes import Shape, size_of
from dualflow.ir.op import Op
from dualflow.ops import composites, devices, door, operators, views
from dualflow.ops.functions import elementwise, indexing, joining, linear, movement, reduction

from . import dlpack, protocols
from .storage import Storage

_new = object.__new__
ref = weakref.ref
away = door.away
#: what the methods of gradients call, by name: the autograd room fills it.
autograd_slot: dict[str, Callable[..., Any]] = {}


def _autograd(name: str) -> Callable[..., Any]:
    if name not in autograd_slot:
        raise GradientError(f"{name}() before dualflow.autograd is imported")
    return autograd_slot[name]


@final
class Tensor:
    """An n-dimensional array: see `df.asarray` and `df.zeros` for making one.

    Attributes:
        requires_grad: whether operations on it are noted for gradients.
        grad: what `backward` added up, or None.

    >>> import dualflow as df
    >>> x = df.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> x.shape, x.ndim, x.size, x.dtype.name, x.device
    ((2, 3), 2, 6, 'float32', 'cpu')
    >>> (x.T + x.mT)[0].tolist(), x.real is not x, x.imag.sum().item()
    ([2.0, 8.0], True, 0.0)
    >>> x.numpy() is x.array, x.copy().numpy() is x.array, x.clone().tolist() == x.tolist()
    (True, False, True)
    >>> x.to(df.float64).to_device("cpu").dtype.name
    'float64'
    >>> w = df.ones(3).requires_grad_()
    >>> y = x.detach() @ w
    >>> y.retain_grad()
    >>> hook = w.register_hook(lambda gradient: gradient * 2)
    >>> y.sum().backward()
    >>> w.grad.tolist(), y.grad.tolist()
    ([10.0, 14.0, 18.0], [1.0, 1.0])
    """

    _array: np.ndarray | None = None
    _pending: Any = None
    _storage: Storage | None = None
    _chain: Any = ()  # the view ops from the root of the memory, perhaps yet to be made: `_view`
    _root: Tensor | None = None  # the handle of which this is a view; None for roots and aliases
    _views: list[weakref.ref[Tensor]] | None = None  # of a root: its live views
    _tape: Any = None
    requires_grad: bool = False
    grad: Tensor | None = None
    _hooks: dict[int, Any] | None = None  # of a leaf: what its gradients pass

    __array_ufunc__, __array_function__ = protocols.ufunc, protocols.function

    # Making ---------------------------------------------------------------------------------

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ArgumentError("Tensor(...)", why="tensors are made by functions",
                            instead="df.tensor(...), df.asarray(...) or df.zeros(...)")  # fmt: skip

    @staticmethod
    def _wrap(array: np.ndarray) -> Tensor:
        """A tensor that owns `array`."""
        t = _new(Tensor)
        t._array = array
        return t

    @staticmethod
    def _wrap_view(array: np.ndarray | None, parent: Tensor, how: Any, what: Any) -> Tensor:
        """A tensor that shows `array`, a view of `parent`: `how` and `what` are an op and its
        attributes, or the shape of `parent` and basic indices."""
        t = _new(Tensor)
        t._array = array
        storage = parent._storage
        t._storage = parent._memory() if storage is None else storage
        t._chain = [parent._chain, how, what]
        root = parent._root
        t._root = root = parent if root is None else root
        views = root._views
        if views is None:
            root._views = [ref(t)]
        else:
            views.append(ref(t))
            if len(views) >= 64 and not len(views) & (len(views) - 1):
                views[:] = [view for view in views if view() is not None]
        return t

    def _alias(self) -> Tensor:
        """Another handle of the same memory, unknown to the tape."""
        t = _new(Tensor)
        t._array = self._array
        t._pending = self._pending
        t._storage = self._memory()
        t._chain = self._chain
        return t

    def _memory(self) -> Storage:
        """The storage that this tensor shares with its views and aliases."""
        storage = self._storage
        if storage is None:
            storage = self._storage = Storage(self._array)
        return storage

    @property
    def _view(self) -> views.Chain:
        """The view ops from the root of the memory to this tensor, with their attributes."""
        chain = self._chain
        if type(chain) is list:
            chain = self._chain = _made(chain)
        return chain

    # What it is -----------------------------------------------------------------------------

    @property
    def array(self) -> np.ndarray:
        """The array, NumPy's or CuPy's, computed now if it is pending."""
        array = self._array
        if array is not None:
            return array
        mode = door.state.mode
        if away and self._pending.place is not None and mode.name != "vmap":
            return self._pending.force(self)  # `values` would copy it to the host
        return mode.values(self)

    @property
    def shape(self) -> Shape:
        """The sizes of the axes."""
        array = self._array
        return array.shape if array is not None else self._pending.type.shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype, a NumPy dtype."""
        array = self._array
        return array.dtype if array is not None else self._pending.type.dtype

    @property
    def ndim(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements."""
        return size_of(self.shape)

    @property
    def device(self) -> str:
        """Where the values are: "cpu", or "cuda:0"."""
        if not away:
            return "cpu"
        array = self._array
        return (self._pending.place or "cpu") if array is None else away[0].name_of(array)

    @property
    def T(self) -> Tensor:  # noqa: N802  (the Array API's name)
        """The transpose of a matrix; ShapeError for another number of axes."""
        if self.ndim != 2:
            raise ShapeError(f"T of a tensor of shape {self.shape}",
                             instead=".mT, or permute_dims")  # fmt: skip
        return movement.matrix_transpose(self)

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """The transposes of the matrices in the last two axes."""
        return movement.matrix_transpose(self)

    @property
    def real(self) -> Tensor:
        """The real parts, in memory of their own."""
        return elementwise.real(self)

    @property
    def imag(self) -> Tensor:
        """The imaginary parts, in memory of their own."""
        return elementwise.imag(self)

    # Values ---------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array that shares memory with this tensor.

        Raises:
            DeviceError: they lie on a GPU.
        """
        if away and self.device != "cpu":
            raise DeviceError(f"numpy() of a tensor on {self.device}",
                              why="NumPy's arrays lie on the CPU, and share memory with tensors",
                              instead='to("cpu").numpy()')  # fmt: skip
        array = door.state.mode.values(self)
        self._memory().exposed = True
        return array

    def item(self) -> bool | int | float | complex:
        """The only element as a Python scalar; ShapeError if there is not exactly one.

        >>> import dualflow as df
        >>> df.ones(2).sum().item()
        2.0
        """
        array = door.state.mode.values(self)
        if array.size != 1:
            raise ShapeError(f"item() of a tensor of shape {self.shape}",
                             why="there is not exactly one element",
                             instead="tolist(), or an index first")  # fmt: skip
        return array.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python scalars."""
        return door.state.mode.values(self).tolist()

    def __bool__(self) -> bool:
        return bool(self._scalar("bool()"))

    def __int__(self) -> int:
        return int(self._scalar("int()"))

    def __float__(self) -> float:
        return float(self._scalar("float()"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex()"))

    def __round__(self, decimals: int = 0) -> Tensor:
        return elementwise.round(self, decimals)

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(f"a tensor of {self.dtype.name} as an index or a count",
                             why="Python asks a tensor for that where a size, an index or the "
                             "factor of a list or tuple is wanted",
                             instead="an integer, or df.asarray(list) to compute with")  # fmt: skip
        return int(self._scalar("an index"))

    def _scalar(self, what: str) -> Any:
        array = door.state.mode.values(self)
        if array.size != 1:
            raise ShapeError(f"{what} of a tensor of shape {self.shape}",
                             why="there is not exactly one element",
                             instead="any() or all(), or an index first")  # fmt: skip
        return array.item()

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError("iteration over a tensor without axes")
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, value: Any) -> bool:
        return bool((door.state.mode.values(self) == value).any())

    __hash__ = object.__hash__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = door.state.mode.values(self)
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"{self.dtype.name} as {np.dtype(dtype).name} needs a copy")
            return array.astype(dtype)
        if copy:
            return array.copy()
        self._memory().exposed = True
        return array

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if away and self.device != "cpu":
            return away[0].exported(self, stream, dl_device, copy)
        array = door.state.mode.values(self) if copy else self.numpy()
        export = partial(dlpack.exported, array) if is_added(self.dtype) else array.__dlpack__
        try:
            return export(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)
        except (BufferError, RuntimeError) as cause:
            raise SharingError(f"a tensor of {self.dtype.name} by DLPack: {cause}") from cause

    def __dlpack_device__(self) -> tuple[int, int]:
        place = devices.device(self.device)
        return (1, 0) if place.type == "cpu" else (2, place.number)  # kDLCPU, kDLCUDA

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        if api_version not in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
            raise ArgumentError(f"Array API {api_version}", instead='"2024.12"')
        return sys.modules["dualflow"]

    def __repr__(self) -> str:
        text = getattr(self._pending, "text", None)
        if text is not None:  # it stands for a batch
            return text()
        array = door.state.mode.values(self)
        how: Any = {"formatter": {"all": shortest}} if is_added(array.dtype) else {}
        text = np.array2string(array, separator=", ", prefix="Tensor(", **how)
        parts = [text, f"shape={self.shape}", f"dtype={self.dtype.name}", f"device={self.device}"]
        if self.requires_grad:
            parts.append("requires_grad=True")
        return f"Tensor({', '.join(parts)})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __reduce__(self) -> tuple[Any, ...]:
        values = door.state.mode.values(self).copy()
        return _rebuilt, (values, self._leaf_requires_grad(), str(self.device))

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        values = door.state.mode.values(self).copy()
        return _rebuilt(values, self._leaf_requires_grad(), self.device)

    def _leaf_requires_grad(self) -> bool:
        if self._tape is not None:
            raise GradientError("a deep copy or pickle of a result that requires a gradient",
                                why="how it was made cannot be copied",
                                instead="detach() or copy()")  # fmt: skip
        return self.requires_grad

    # Gradients ------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients with respect to this tensor; returns it."""
        if requires_grad and not is_inexact(self.dtype):
            raise GradientError(f"a gradient for a tensor of {self.dtype.name}",
                                why="only floats and complex numbers have gradients")  # fmt: skip
        if not requires_grad and self._tape is not None:
            raise GradientError("requires_grad_(False) of a result of operations",
                                instead="detach()")  # fmt: skip
        self.requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """The same memory, with no gradient flowing through it."""
        cut = getattr(self._pending, "detached", None)
        return self._alias() if cut is None else cut(self)  # within vmap: through what it holds

    def backward(self, gradient: Tensor | None = None, *, create_graph: bool = False) -> None:
        """Add to `.grad` of every leaf the gradient of this tensor; see `autograd.backward`."""
        _autograd("backward")(self, gradient, create_graph=create_graph)

    def retain_grad(self) -> None:
        """Set `.grad` of this tensor, too, though it was computed."""
        _autograd("retain_grad")(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Any:
        """Call `hook` with each gradient of this tensor; see `autograd.register_hook`."""
        return _autograd("register_hook")(self, hook)

    # Operations -----------------------------------------------------------------------------

    def copy(self) -> Tensor:
        """The same values in memory of their own."""
        return elementwise.astype(self, self.dtype)

    clone = copy

    __add__, __radd__, __iadd__ = operators.add, operators.radd, operators.iadd
    __sub__, __rsub__, __isub__ = operators.sub, operators.rsub, operators.isub
    __mul__, __rmul__, __imul__ = operators.mul, operators.rmul, operators.imul
    __truediv__, __rtruediv__ = operators.truediv, operators.rtruediv
    __itruediv__ = operators.itruediv
    __floordiv__, __rfloordiv__ = operators.floordiv, operators.rfloordiv
    __ifloordiv__ = operators.ifloordiv
    __mod__, __rmod__, __imod__ = operators.mod, operators.rmod, operators.imod
    __divmod__, __rdivmod__ = operators.divmod_, operators.rdivmod
    __pow__, __rpow__, __ipow__ = operators.power, operators.rpower, operators.ipower
    __matmul__, __rmatmul__ = operators.product, operators.rproduct
    __imatmul__ = operators.iproduct
    __and__, __rand__, __iand__ = operators.and_, operators.rand, operators.iand
    __or__, __ror__, __ior__ = operators.or_, operators.ror, operators.ior
    __xor__, __rxor__, __ixor__ = operators.xor, operators.rxor, operators.ixor
    __lshift__, __rlshift__, __ilshift__ = operators.lshift, operators.rlshift, operators.ilshift
    __rshift__, __rrshift__, __irshift__ = operators.rshift, operators.rrshift, operators.irshift
    __eq__, __ne__ = operators.eq, operators.ne  # type: ignore[assignment]
    __lt__, __le__, __gt__, __ge__ = operators.lt, operators.le, operators.gt, operators.ge
    __neg__, __pos__ = operators.neg, operators.pos
    __abs__, __invert__ = operators.absolute, operators.invert
    __getitem__, __setitem__ = indexing.getitem, indexing.setitem

    astype = elementwise.astype
    abs, sign, round, floor, ceil = (
        elementwise.abs,
        elementwise.sign,
        elementwise.round,
        elementwise.floor,
        elementwise.ceil,
    )
    exp, log, sqrt, square = (
        elementwise.exp,
        elementwise.log,
        elementwise.sqrt,
        elementwise.square,
    )
    sin, cos, tanh, sigmoid, erf = (
        elementwise.sin,
        elementwise.cos,
        elementwise.tanh,
        elementwise.sigmoid,
        elementwise.erf,
    )
    conj = conjugate = elementwise.conj
    isnan, isinf, isfinite = elementwise.isnan, elementwise.isinf, elementwise.isfinite
    clip = elementwise.clip
    reshape, flatten = movement.reshaped, movement.flatten
    permute = permute_dims = movement.permuted
    transpose = movement.transposed
    expand = broadcast_to = movement.expanded
    squeeze, expand_dims = movement.squeeze, movement.expand_dims
    flip, roll, pad, repeat, tile = (
        movement.flip,
        movement.roll,
        joining.pad,
        joining.repeat,
        joining.tile,
    )
    split, unstack = joining.split, joining.unstack
    sum, prod, max, min = reduction.sum, reduction.prod, reduction.max, reduction.min
    any, all = reduction.any, reduction.all
    mean, var, std = reduction.mean, reduction.var, reduction.std
    argmax, argmin = reduction.argmax, reduction.argmin
    cumsum, cumprod = reduction.cumsum, reduction.cumprod
    take, sort, argsort = indexing.take, indexing.sort, indexing.argsort
    nonzero = indexing.nonzero
    matmul = linear.matmul
    relu, softmax, log_softmax = composites.relu, composites.softmax, composites.log_softmax

    def to(self, target: Any) -> Tensor:
        """In another dtype, or on another device: `x.to(df.float64)`, `x.to("cuda")`. A gradient
        flows back to where the tensor was.

        Raises:
            DeviceError: there is no such device.
            DTypeError: there is no such dtype.
        """
        if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "gpu"):
            return self.to_device(target)
        return elementwise.astype(self, target, copy=False)

    def to_device(self, device: str, /, *, stream: Any = None) -> Tensor:
        """This tensor, or a copy of it on another device; DeviceError where there is none, or for
        a stream of the CPU. On a GPU everything runs on the stream in use (`df.cuda.stream`)."""
        place = devices.device(device)
        if stream is not None:
            raise DeviceError(f"a stream of the device {str(place)!r}", instead="stream=None")
        if place == self.device:
            return self
        if self.requires_grad and door.state.grad_enabled:
            return _autograd("moved")(self, place)
        array = self.array
        if place.type == "cpu":
            return Tensor._wrap(door.state.mode.values(self))
        if away[0].name_of(array) == "cpu":
            array = door.state.mode.values(self)
        return Tensor._wrap(away[0].moved(array, place))


def _made(chain: Any) -> views.Chain:
    """The view ops of a chain to which views were linked as they were made."""
    parts: list[views.Chain] = []
    while type(chain) is list:
        chain, how, what = chain
        parts.append(((how, what),) if type(how) is Op else indexing.chain(how, what))
    parts.append(chain)
    steps = tuple(step for part in reversed(parts) for step in part)
    return steps if type(chain) is tuple else chain.longer(steps)


def _rebuilt(array: np.ndarray, requires_grad: bool, device: str = "cpu") -> Tensor:
    made = Tensor._wrap(array)
    if device != "cpu":
        made = made.to_device(device)
    return made.requires_grad_() if requires_grad else made
