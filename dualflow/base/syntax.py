"""Python text to trees and back to code, in one thread at a time.

CPython counts how deep it is in a tree at one place for all threads, and raises SystemError where
two of them meet. Comes in: text, or a tree. Goes out: a tree, or code.
"""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar

T = TypeVar("T")
_lock = threading.RLock()
#: So often something is tried while threads outside this package are in trees of their own.
_TIMES = 100


def parse(text: str) -> ast.Module:
    """The tree of a module.

    >>> len(parse("a = 1; b = 2").body)
    2
    """
    return _alone(ast.parse, text)


def code_of(tree: ast.Module | ast.Expression, file: str, kind: str, flags: int = 0) -> CodeType:
    """The code of a tree, as `compile` makes it without the flags of this file."""
    return _alone(compile, tree, file, kind, flags, dont_inherit=True)


def _alone(function: Callable[..., T], *given: Any, **named: Any) -> T:
    with _lock:
        for _ in range(_TIMES):
            try:
                return function(*given, **named)
            except SystemError:  # not of the text: another thread was in a tree
                continue
        return function(*given, **named)
