from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .._types import Array
from .._types import Samples as AnySamples

__test__: dict[str, str]
FAULTS: dict[int, str]
FOLLOW_LABELS: tuple[str, ...]

def faults(X: AnySamples, num_threads: int) -> set[str]: ...

@disjoint_base
class Samples:
    X: AnySamples
    own: AnySamples
    def __new__(cls, X: AnySamples) -> Self: ...
    def faults(self, num_threads: int) -> set[str]: ...

@disjoint_base
class FiniteSum:
    l2: float
    l1: float
    fit_intercept: bool
    n_outputs: int
    n_samples: int
    n_features: int
    n_parameters: int
    def _bind(
        self,
        samples: Samples,
        loss: tuple[str, float, int],
        arrays: list[Array],
        penalties: tuple[float, float, bool],
        attributes: dict[str, Any],
    ) -> None: ...
    @property
    def X(self) -> AnySamples: ...
    @property
    def linear(self) -> Array | None: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def _samples(self) -> Samples: ...
    @property
    def _bound(self) -> tuple[Array, ...]: ...
    def _check_initialised(self) -> int: ...
    def _check_first_init(self) -> None: ...
    def _check_memory(self) -> int: ...
    def _evaluate(
        self,
        w: Array,
        index: npt.NDArray[np.int64] | None,
        want_gradient: bool,
        num_threads: int,
        derivatives: npt.NDArray[Any] | None = None,
    ) -> tuple[float, npt.NDArray[np.float64] | None]: ...
    def _sum(
        self,
        w: Array,
        index: npt.NDArray[np.int64] | None,
        want_gradient: bool,
        num_threads: int,
        derivatives: npt.NDArray[Any] | None = None,
    ) -> tuple[float, npt.NDArray[np.float64] | None]: ...
    def _largest_norm(self, num_threads: int) -> float: ...
