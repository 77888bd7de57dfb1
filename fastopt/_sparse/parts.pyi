from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .._types import Gradient

__test__: dict[str, str]

@disjoint_base
class Rows:
    indices: npt.NDArray[Any]
    rows: npt.NDArray[Any]
    unique: bool
    def __new__(cls, name: str, grad: Gradient) -> Self: ...
    def arrays(self) -> tuple[npt.NDArray[Any], ...]: ...

@disjoint_base
class Compressed:
    format: str
    shape: tuple[int, ...]
    indptr: npt.NDArray[Any]
    indices: npt.NDArray[Any]
    data: npt.NDArray[Any]
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __new__(cls, name: str, grad: Gradient) -> Self: ...
    def arrays(self) -> tuple[npt.NDArray[Any], ...]: ...

@disjoint_base
class Coordinates:
    shape: tuple[int, ...]
    coords: tuple[npt.NDArray[Any], ...]
    data: npt.NDArray[Any]
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __new__(cls, name: str, grad: Gradient) -> Self: ...
    def arrays(self) -> tuple[npt.NDArray[Any], ...]: ...

def described(grad: Any) -> str: ...
def contiguous(array: npt.NDArray[Any]) -> npt.NDArray[Any]: ...
