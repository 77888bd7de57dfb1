from typing import Any

import numpy as np
import numpy.typing as npt

from .._types import Array

__test__: dict[str, str]

def take_samples(
    indptr: npt.NDArray[Any], indices: npt.NDArray[Any], data: Array, order: npt.NDArray[np.int64]
) -> tuple[Array, npt.NDArray[Any], npt.NDArray[Any]]: ...
