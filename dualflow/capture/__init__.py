"""Compiled functions: recording, guards, the trace tree, replay, co-execution.

Comes in: a Python function. Goes out: `compile(fn)`, which behaves as `fn` does, faster.
"""

from .compiled import CompiledFunction
from .decorator import compile
from .pure import pure

__all__ = ["CompiledFunction", "compile", "pure"]
