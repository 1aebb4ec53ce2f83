"""Tensor and the eager mode: one final class over NumPy arrays, each op computed at its own line.

Comes in: operations through `ops.door`. Goes out: `Tensor`; `EagerMode`, the mode threads start in.
"""
