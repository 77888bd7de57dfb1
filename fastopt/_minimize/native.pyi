from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .._types import Array

INTEGER: str
WITHOUT_BATCH: str
WITH_BATCH: str
SPELLINGS: list[str]
__test__: dict[str, str]

def normal_form(signature: str) -> str: ...

@disjoint_base
class NativeObjective:
    takes_batch: bool
    def __new__(cls, function: Any, dtype: npt.DTypeLike) -> Self: ...
    def __call__(self, x: Array, gradient: Array, index: npt.NDArray[np.int64] | None = None) -> float: ...
