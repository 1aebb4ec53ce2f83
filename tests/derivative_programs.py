"""Numbers to differentiate at, and how compiled functions of them are compared with Python's."""

from __future__ import annotations

import numpy as np

import dualflow as df
from dualflow.base.trees import flatten

F8 = df.float64
RNG = np.random.default_rng(0)
W = df.asarray(RNG.normal(size=(3, 5))).copy()
ROWS, OTHERS = (df.asarray(RNG.normal(size=(4, 3))).copy() for _ in range(2))
X, T = ROWS[0].copy(), OTHERS[0].copy()


def numbers(value):
    return [x.numpy().copy() if type(x) is df.Tensor else x for x in flatten(value)[0]]


def close(found, wanted) -> None:
    for one, other in zip(numbers(found), numbers(wanted), strict=True):
        single = getattr(other, "dtype", None) == np.float32  # products round otherwise compiled
        np.testing.assert_allclose(one, other, *((1e-5, 1e-6) if single else (1e-9, 1e-11)))


def compiled(fn, *args, how: str = "replays"):
    """Three calls of the compiled function give what Python gives; how the last two ran."""
    wanted = fn(*args)
    with df.config(on_compiler_error="raise"):
        f = df.compile(fn, wait=True)
        for _ in range(3):
            close(f(*args), wanted)
    assert f.stats()[how] == 2, f.report().reasons
    return f
