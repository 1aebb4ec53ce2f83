"""The one table of what is done for a NumPy function, and how NumPy takes over where it is not.

Comes in: NumPy callables with faces among their arguments. Goes out: what the implementation gives;
where it refuses, what NumPy gives on real values, counted; so NumPy has the last word on errors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from dualflow.base.errors import DualflowError

from . import crossing, ufuncs
from .ufuncs import NotCoveredError

#: NumPy callable -> its implementation, of the same signature
IMPLEMENTATIONS: dict[Any, Callable[..., Any]] = {}
#: what an implementation raises where NumPy shall compute it, or say what is wrong
REFUSED = (NotCoveredError, DualflowError, TypeError, ValueError, OverflowError, LookupError)


def implements(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter the decorated function as the implementation of NumPy's `functions`."""

    def enter(implementation: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            IMPLEMENTATIONS[function] = backed(implementation, function)
            plain = getattr(function, "_implementation", function)  # what NumPy's own code calls
            IMPLEMENTATIONS[plain] = IMPLEMENTATIONS[function]
        return implementation

    return enter


def backed(implementation: Callable[..., Any], function: Any) -> Callable[..., Any]:
    """`implementation`, and NumPy's `function` on real values where it refuses."""

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return implementation(*args, **kwargs)
        except REFUSED:
            pass  # outside of the handler, so that NumPy's error shows no other
        return crossing.real(function, args, kwargs)

    return call


def method(name: str, implementation: Callable[..., Any]) -> Callable[..., Any]:
    """`implementation` as the method of faces that ndarray has under `name`."""
    return backed(implementation, getattr(np.ndarray, name))


def numpys(name: str) -> Callable[..., Any]:
    """The method `name` of faces that NumPy computes."""
    function = getattr(np.ndarray, name)

    @functools.wraps(function, updated=())
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return crossing.real(function, (self, *args), kwargs)

    return call


def call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Any NumPy callable on faces: a ufunc, a method of one, a function."""
    if isinstance(function, np.ufunc):
        return ufuncs.apply_ufunc(function, "__call__", args, kwargs)
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return ufuncs.apply_ufunc(owner, function.__name__, args, kwargs)
    implementation = IMPLEMENTATIONS.get(function)
    if implementation is not None:
        return implementation(*args, **kwargs)
    return crossing.real(function, args, kwargs)
