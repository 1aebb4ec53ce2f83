"""The UCI handwritten digits.

1,797 images of 8x8 pixels by 13 people: the test set of "Optical Recognition of Handwritten
Digits", E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998, doi:10.24432/C50P49,
licence CC BY 4.0. `digits.txt` beside this file says how `digits.npz` was made.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from dualflow import api as df


def digits() -> tuple[df.Tensor, df.Tensor]:
    """Images and labels of handwritten digits (source and licence: see the module).

    Returns:
        Images, float32 (1797, 64), row by row, from 0 (paper) to 1 (ink); labels, int64 (1797,),
        from 0 to 9.

    >>> images, labels = digits()
    >>> images.shape, labels.shape
    ((1797, 64), (1797,))
    """
    with (files("dualflow.data") / "digits.npz").open("rb") as file, np.load(file) as held:
        images, labels = held["images"], held["labels"]
    return (
        df.asarray(images.astype(np.float32) / np.float32(16.0)),
        df.asarray(labels.astype(np.int64)),
    )
