from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .._types import Array

__test__: dict[str, str]

def outside(index: npt.NDArray[Any], n_rows: int) -> int: ...
def flat_positions(
    indptr: npt.NDArray[Any], indices: npt.NDArray[Any], major_step: int, minor_step: int
) -> npt.NDArray[Any] | None: ...

@disjoint_base
class Coalescer:
    def copy_inside(self, index: npt.NDArray[Any], n_positions: int) -> tuple[npt.NDArray[Any], int]: ...
    def workspace(self, nbytes: int) -> npt.NDArray[np.int64] | None: ...
    def distinct(
        self,
        index: npt.NDArray[Any],
        values: Array,
        n_rows: int,
        promised: bool,
        in_order: bool,
        allowed_threads: Callable[[], int],
    ) -> tuple[npt.NDArray[Any], Array, bool]: ...
