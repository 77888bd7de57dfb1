from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

__test__: dict[str, str]

def base_view(array: npt.NDArray[Any]) -> npt.NDArray[Any]: ...
def sealed(array: npt.NDArray[Any]) -> npt.NDArray[Any]: ...
def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]: ...
def is_frozen(array: npt.NDArray[Any]) -> bool: ...

@disjoint_base
class Held:
    array: npt.NDArray[Any]

@disjoint_base
class Memory: ...

@disjoint_base
class Pins: ...
