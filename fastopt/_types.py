"""Names of what public functions take and return, for their signatures."""

import os
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64] | npt.NDArray[Any]
ArrayLike: TypeAlias = npt.ArrayLike
Path: TypeAlias = str | os.PathLike[str]

# Arrays in the structure that parameters were given in: one, a list or a dict of them. Any, because each use would
# otherwise have to say which of the three it is.
Structure: TypeAlias = Any

# A dense or a sparse gradient, or a structure of them. SciPy has no types of its own to name its matrices by.
Gradient: TypeAlias = Any
Samples: TypeAlias = Any

LearningRate: TypeAlias = float | Callable[[int], float]
