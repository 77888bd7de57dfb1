from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .._core import Engine
from .._types import Array
from .objective import Sum

PENALTIES: dict[str, int]
COMPLETE: int
BAD_LOSS: int
BAD_GRADIENT: int
LEAST_DECAY: float
LEAST_FOLDED: float
LOOK_AHEAD_ENTRIES: int
__test__: dict[str, str]

def aligned_room(nbytes: int) -> npt.NDArray[np.uint8]: ...

@disjoint_base
class Lookout:
    stop_wanted: Callable[[], bool] | None
    def __init__(self, every: int) -> None: ...
    def check(self) -> None: ...

@disjoint_base
class BatchStretches:
    loss: float
    grad_norm: float
    last: npt.NDArray[np.int64] | None
    def __init__(
        self,
        objective: Sum,
        optimizer: Engine,
        batch_size: int,
        most_entries: int,
        l2: float,
        l1: float,
        lasting: float,
        penalty: str,
        everywhere: bool,
        n_workers: int,
        lookout: Lookout,
        names: dict[str, Any],
    ) -> None: ...
    def run(
        self,
        order: npt.NDArray[np.int64] | None,
        first: int,
        n_samples: int,
        rates: npt.NDArray[np.float64],
        num_threads: int,
        loss: float,
    ) -> tuple[int, int, int]: ...
    def skip(self) -> None: ...

@disjoint_base
class ReducedStretches:
    table: Array
    mean: Array
    def __init__(
        self,
        objective: Sum,
        param: Array,
        rate: float,
        l2: float,
        l1: float,
        refresh: bool,
        longest: int,
        lookout: Lookout,
    ) -> None: ...
    def fill(self, num_threads: int) -> float: ...
    def run(self, order: npt.NDArray[np.int64] | None, first: int, n_samples: int, loss: float) -> tuple[int, int]: ...
    @property
    def loss(self) -> float: ...
