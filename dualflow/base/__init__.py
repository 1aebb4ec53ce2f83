"""What every room stands on: dtypes, shapes, trees of containers, errors, configuration.

Comes in: plain Python values. Goes out: plain Python values; nothing here knows of tensors.
"""
