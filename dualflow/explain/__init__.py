"""Plain text of graphs, kernels, programs and reasons: what a call did and why.

Comes in: a `Report` that capture fills. Goes out: text (`write`), and figures for compare.
"""

from .report import Report, Section
from .text import write

__all__ = ["Report", "Section", "write"]
