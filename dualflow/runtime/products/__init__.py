"""Products: sums of products by texts of our own, with the machine's widest vectors.

In: a Call. Out: a `Product`: a text with its operands and numbers, launched as kernels are.
"""

from .steps import Product, product, texts

__all__ = ["Product", "product", "texts"]
