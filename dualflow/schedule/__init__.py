"""Graph -> Program: which nodes share a kernel, what each kernel is, which memory all use.

Comes in: a simplified Graph. Goes out: a Program of Kernels and library calls, and the reasons.
The stages: `splitting` (of folds), `facts` (of values), `fusion` (groups), `lowering` (a group's
scalar code), `totals` (groups that fold what another's grid computes), `shaping` (loops), `memory`
(the arena), `assemble` (the Program), `plans` (its text). `maps` is the index arithmetic.
"""

from .assemble import plan, plan_with_reasons
from .plans import Plan

__all__ = ["Plan", "plan", "plan_with_reasons"]
