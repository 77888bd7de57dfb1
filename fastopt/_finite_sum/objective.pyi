from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .._types import Array, Samples

__test__: dict[str, str]
FAULTS: dict[int, str]

def faults(X: Samples, num_threads: int) -> set[str]: ...

@disjoint_base
class FiniteSum:
    def _bind(
        self,
        X: Samples,
        loss: tuple[str, float],
        labels: Array,
        weights: Array,
        n_outputs: int,
        intercept: bool,
    ) -> None: ...
    def _evaluate(
        self,
        w: Array,
        index: npt.NDArray[np.int64] | None,
        want_gradient: bool,
        num_threads: int,
        derivatives: npt.NDArray[Any] | None = None,
    ) -> tuple[float, npt.NDArray[np.float64] | None]: ...
    def _largest_norm(self, num_threads: int) -> float: ...
