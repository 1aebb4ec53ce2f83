"""Every error a user can cause: what happened, where in the user's file, why, what to write.

Comes in: the parts of the message. Goes out: an exception that is also the built-in exception a
NumPy user would expect (TypeError, ValueError, IndexError, RuntimeError).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .source import user_line


class DualflowError(Exception):
    """The base of all errors of dualflow.

    Args:
        what: what happened, with shapes and dtypes, never contents.
        why: the rule that was broken.
        instead: what to write instead.
    """

    def __init__(self, what: str, *, why: str = "", instead: str = "") -> None:
        self.what, self.why, self.instead = what, why, instead
        self.where = user_line()
        parts = [what]
        if self.where:
            parts.append(f"  where: {self.where}")
        if why:
            parts.append(f"  why: {why}")
        if instead:
            parts.append(f"  write instead: {instead}")
        super().__init__("\n".join(parts))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, vars(self))


def _again(kind: type[DualflowError], args: tuple[str], state: dict[str, Any]) -> DualflowError:
    """An error that was pickled or copied: it happened where it happened."""
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def refusal(rule: Callable[..., Any], *given: Any) -> DualflowError | None:
    """The error by which a rule refuses what NumPy refused; what NumPy said is no context of it.

    To be raised where NumPy's error is no longer handled.
    """
    try:
        rule(*given)
    except DualflowError as error:
        error.__context__ = None
        return error
    return None


class ShapeError(DualflowError, ValueError):
    """Shapes that do not fit together, or an axis that does not exist."""


class AxisError(ShapeError, IndexError):
    """An axis that a tensor does not have."""


class DTypeError(DualflowError, TypeError):
    """A dtype that does not exist here or that an op does not take."""


class DeviceError(DualflowError, ValueError):
    """A device that does not exist, or operands on different devices."""


class OutOfMemoryError(DeviceError, MemoryError):
    """A device has no memory left for a result."""


class ArgumentError(DualflowError, TypeError):
    """An argument of a kind that a function does not take."""


class SharingError(DualflowError, BufferError, ValueError):
    """Memory of another library, or for another library, that cannot be shared as asked."""


class FileError(DualflowError, ValueError):
    """A file that does not hold what it should."""


class DomainError(DualflowError, ValueError):
    """A value for which an op has no result."""


class NonFiniteError(DualflowError, FloatingPointError):
    """A NaN or an infinity, found by `debug_nans`."""


class LinearAlgebraError(DualflowError, np.linalg.LinAlgError):
    """A matrix that has no such result: a singular one that was to be inverted, say."""


class IndexingError(DualflowError, IndexError):
    """An index out of bounds, or of a kind that cannot index."""


class GradientError(DualflowError, RuntimeError):
    """A gradient that cannot be computed as asked."""


class BatchError(DualflowError, RuntimeError):
    """Something that a function under `vmap` cannot do with tensors that stand for a batch."""


class InPlaceError(GradientError):
    """An in-place write that would make a gradient wrong."""


class DonatedError(DualflowError, RuntimeError):
    """A tensor that was donated to a compiled function, used again."""


class CompileError(DualflowError, RuntimeError):
    """The compiler failed on a function; raised only with on_compiler_error="raise"."""


class ConfigError(DualflowError, ValueError):
    """A setting that does not exist, or a value it cannot take."""
