"""The NumPy face: what ndarrays are in a compiled NumPy function, and NumPy's functions on them.

Comes in: ndarrays and calls of NumPy. Goes out: primitives at the door, in every mode; what has no
primitive is computed by NumPy on real values, counted and named in `fallbacks`.

    wrap(array) -> Face            unwrap(face) -> array       the border (crossing)
    Face, Scalar                                               the two classes (ndarray, scalar)
    IMPLEMENTATIONS, apply_ufunc, call                         functions, ufuncs, anything
"""

from . import fallbacks, functions, scattering, transforms
from .crossing import fresh, unwrap, unwrap_all, wrap, wrap_all
from .implementations import IMPLEMENTATIONS, call
from .made import scalar
from .ndarray import Face
from .scalar import Scalar
from .table import COMPOSED, DIRECT
from .ufuncs import apply_ufunc

__all__ = [
    "COMPOSED",
    "DIRECT",
    "IMPLEMENTATIONS",
    "Face",
    "Scalar",
    "apply_ufunc",
    "call",
    "fallbacks",
    "fresh",
    "functions",
    "scalar",
    "scattering",
    "transforms",
    "unwrap",
    "unwrap_all",
    "wrap",
    "wrap_all",
]
