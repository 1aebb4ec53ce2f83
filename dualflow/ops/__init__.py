"""What exists: one record an op, the public functions over them, and the one door to run them.

Comes in: tensors, Python scalars, attributes. Goes out: `door.apply(op, ...)` in the active mode.
"""
