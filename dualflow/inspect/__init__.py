"""Looking from outside: compare both modes of a function, reports, the demonstration.

Comes in: a function and its arguments. Goes out: a `Comparison`, as text, JSON or a page.
"""

from .compare import Comparison, compare

__all__ = ["Comparison", "compare"]
