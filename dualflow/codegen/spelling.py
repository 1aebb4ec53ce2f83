"""How records spell scalar code: the one place where `Op.spelling` is read for a backend.

Comes in: an op's name, a backend's name, the dtypes that matter. Goes out: a template.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dualflow.base.dtypes import kind
from dualflow.ir.op import CATALOGUE


def spelling(op: str, backend: str, dtype: np.dtype, complex: bool = False) -> str:
    """The template of `op`: `{0}`, `{1}`... stand for operands, `{dtype}` for the result's dtype.

    Args:
        op: the name of the record.
        backend: its name.
        dtype: of the first operand.
        complex: whether any operand or the result is complex.

    Raises:
        NotImplementedError: the record has no spelling for this backend and dtype.

    >>> import dualflow.ops.primitives
    >>> spelling("add", "triton", np.dtype("bool"))
    '{0} | {1}'
    """
    found = CATALOGUE[op].spelling.get(backend)
    if isinstance(found, Mapping):
        asked = {kind(dtype), "c"} if complex else {kind(dtype)}
        found = next((text for kinds, text in found.items() if asked <= set(kinds)), None)
    elif complex or dtype.kind == "c":
        found = None
    if found is None:
        raise NotImplementedError(f"op {op} has no {backend} spelling for {dtype.name}")
    return found
