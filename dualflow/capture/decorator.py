"""`df.compile`.

Comes in: a function. Goes out: what it is called through from then on.
"""

from __future__ import annotations

from typing import Any

from dualflow.base.errors import ArgumentError

from .compiled import CompiledFunction
from .donation import DonatingFunction, Which


def compile(
    fn: Any = None,
    *,
    wait: bool = False,
    audit: float | None = None,
    donate: Which = (),
) -> Any:
    """Make a function of tensors faster; nothing else about it changes.

    Args:
        fn: a function, method, lambda, `functools.partial` or callable object; or a classmethod,
            staticmethod or property, whose functions are then compiled. Left out, the decorator
            is returned.
        wait: compile before the first call returns; else calls run eagerly meanwhile. Paths that
            replay are never timed beside Python then: all calls of a path run in one way.
        audit: the share of calls that are checked against the function as written, 0.001 say; a
            difference is logged, counted in `df.stats()` and written down as a script. Such a
            call takes as long as several, and needs memory for what it reaches once more.
        donate: parameters, by name or position, whose tensors (in containers, too) are given to
            the call for good: results of their shapes and dtypes may lie where they lay. Once the
            call has returned, using such a tensor raises a DonatedError, in whatever way the call
            ran; views and other handles of its memory keep their values, for then it is copied. A
            tensor that is returned stays alive.

    Raises:
        ArgumentError: `donate` names no parameter, or stands beside `audit`.
        TypeError: `fn` cannot be called.

    >>> import dualflow as df
    >>> @df.compile
    ... def double(x):
    ...     return x * 2
    >>> double(df.tensor([1.0, 2.0])).tolist()
    [2.0, 4.0]
    >>> step = df.compile(lambda w, g: w - 0.5 * g, donate="w")
    >>> before = df.tensor([1.0, 2.0])
    >>> after = step(before, df.ones(2))
    >>> after.tolist(), before
    ([0.5, 1.5], Tensor(donated to <lambda>, shape=(2,), dtype=float32))
    """
    if donate != () and audit is not None:
        raise ArgumentError("df.compile(audit=..., donate=...)",
                            why="an audited call runs twice, on the same arguments",
                            instead="one of the two")  # fmt: skip

    def again(function: Any) -> Any:
        return compile(function, wait=wait, audit=audit, donate=donate)

    if fn is None:
        return again
    if isinstance(fn, (classmethod, staticmethod)):
        return type(fn)(again(fn.__func__))
    if type(fn) is property:
        parts = [part and again(part) for part in (fn.fget, fn.fset, fn.fdel)]
        return property(*parts, doc=fn.__doc__)
    if donate == ():
        return CompiledFunction(fn, wait, audit)
    return DonatingFunction(fn, wait, donate)
