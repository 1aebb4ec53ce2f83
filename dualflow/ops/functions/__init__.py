"""The public functions: they promote, broadcast and fill in defaults, over the strict primitives.

Comes in: tensors, NumPy arrays, Python scalars. Goes out: tensors. Names are the Array API's.
"""
