"""Small data sets that come with the package (see README.md beside this file for source and licence)."""

from importlib.resources import files

import numpy as np

__all__ = ["load_digits"]


def __dir__():
    return __all__


def load_digits():
    """Load 1,797 handwritten digits as 8x8 grey-scale images (Alpaydin & Kaynak 1998, CC BY 4.0).

    Returns
    -------
    X : ndarray of float32, shape (1797, 64)
        One image per row, its pixels row by row, from 0 (paper) to 1 (ink).
    y : ndarray of int64, shape (1797,)
        The digits, 0 to 9.

    Examples
    --------
    >>> from fastopt.data import load_digits
    >>> X, y = load_digits()
    >>> X.shape, y[:5].tolist()
    ((1797, 64), [0, 1, 2, 3, 4])
    """
    with files(__name__).joinpath("digits.npz").open("rb") as file, np.load(file) as archive:
        images, target = archive["images"], archive["target"]
    return images.reshape(-1, 64).astype(np.float32) / 16, target.astype(np.int64)
