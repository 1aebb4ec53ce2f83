"""Products: what texts of our own compute of whole operands, as part of the native call.

Products of matrices and convolutions with the machine's widest vectors, scans, scatters, linear
systems and Fourier transforms. In: a Call. Out: a `Product`: a text with its operands and numbers,
launched as kernels are.
"""

from .made import Product
from .steps import product, texts_of

__all__ = ["Product", "product", "texts_of"]
