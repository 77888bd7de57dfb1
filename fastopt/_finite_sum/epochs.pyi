from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .._core import Engine
from .._types import Array
from .method import FiniteSumMethod
from .objective import FiniteSum
from .plan import Penalty, Plan

PENALTIES: dict[str, int]
COMPLETE: int
BAD_LOSS: int
BAD_GRADIENT: int
LEAST_SCALE: float
MOST_KNOWN: int
LEAST_SCALED_DECAY: float
PIPELINE_ENTRIES: int
__test__: dict[str, str]

def aligned_workspace(nbytes: int) -> npt.NDArray[np.uint8]: ...

@disjoint_base
class InterruptPoll:
    stop_wanted: Callable[[], bool] | None
    def __new__(cls, every: int) -> Self: ...
    def check(self) -> None: ...

@disjoint_base
class PenalisedColumns:
    last_update: npt.NDArray[np.int64] | None
    def __new__(cls, objective: FiniteSum, optimizer: Engine, *others: Any) -> Self: ...

@disjoint_base
class MinibatchSegments(PenalisedColumns):
    loss: float
    grad_norm: float
    def __new__(
        cls, objective: FiniteSum, optimizer: Engine, plan: Plan, penalty: Penalty, poll: InterruptPoll
    ) -> Self: ...
    def run(
        self,
        order: npt.NDArray[np.int64] | None,
        first: int,
        n_samples: int,
        rates: npt.NDArray[np.float64],
        num_threads: int,
        loss: float,
    ) -> tuple[int, int, int]: ...
    def flush(self, num_threads: int) -> None: ...
    def skip(self) -> None: ...

@disjoint_base
class SharedSegments(MinibatchSegments):
    def begin(self, rates: npt.ArrayLike, num_threads: int) -> None: ...
    def part(
        self, order: npt.NDArray[np.int64] | None, first: int, n: int, n_mean: int
    ) -> tuple[float, npt.NDArray[Any] | None, Array | None]: ...
    def step(
        self, columns: npt.NDArray[Any] | None, gradient: Array, n_mean: int, mean: float, loss: float
    ) -> tuple[int, int]: ...

@disjoint_base
class SampleSegments:
    def __new__(cls, objective: FiniteSum, method: FiniteSumMethod, longest: int, poll: InterruptPoll) -> Self: ...
    def run(self, order: npt.NDArray[np.int64] | None, first: int, n_samples: int, loss: float) -> tuple[int, int]: ...
    def flush(self) -> None: ...

@disjoint_base
class SagaSvrgSegments(SampleSegments):
    gradient_memory: Array
    mean_gradient: Array
    def set_learning_rate(self, learning_rate: float) -> None: ...
    def fill(self, num_threads: int) -> float: ...
    @property
    def loss(self) -> float: ...

@disjoint_base
class VWSegments(SampleSegments):
    state: dict[str, Array]
    def set_learning_rate(self, learning_rate: float) -> None: ...
    @property
    def loss(self) -> float: ...
