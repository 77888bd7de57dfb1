"""The names in the signatures of public functions, and the dtypes that arrays may have.

Modules whose functions users call begin with ``from __future__ import annotations``: `help` then shows these names as
they are written, not what they stand for.
"""

import os
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# Of parameters, gradients and samples, in the order of the list in C; fastopt/_fused.pxd has the types of both lists.
DTYPES = ("float32", "float64")
# Of the indices of sparse gradients and of CSR samples.
INDEX_DTYPES = ("int32", "int64")

Array: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64] | npt.NDArray[Any]
ArrayLike: TypeAlias = npt.ArrayLike
DTypeLike: TypeAlias = npt.DTypeLike
StrPath: TypeAlias = str | os.PathLike[str]

# Arrays in the structure of the parameters: one array, a list or a dict of them. Any, because each use would otherwise
# have to say which of the three it is.
Structure: TypeAlias = Any

# A dense or a sparse gradient, or a structure of them. SciPy has no types of its own to name its matrices by.
Gradient: TypeAlias = Any
Samples: TypeAlias = Any


def in_structure(arrays, keys):
    """Arrays as one array, a list or a dict: for the keys None, an integer or a tuple."""
    if keys is None:
        return arrays[0]
    return dict(zip(keys, arrays, strict=True)) if isinstance(keys, tuple) else list(arrays)
