"""Products: sums of products by texts of our own, with the machine's widest vectors.

In: a Call. Out: a `Product`: a text with its operands and numbers, launched as kernels are.
"""

from .made import Product
from .steps import product, texts_of

__all__ = ["Product", "product", "texts_of"]
