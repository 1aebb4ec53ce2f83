"""Data: the handwritten digits that come with the package, splitting and batching of tensors.

Comes in: tensors whose first axis counts examples. Goes out: tensors of fewer examples.
"""

from .batches import Batches, train_test_split
from .digits import digits

__all__ = ["Batches", "digits", "train_test_split"]
