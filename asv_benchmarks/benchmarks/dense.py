"""Dense steps of every optimizer: the cost of a call, in the caches, and beside the bandwidth of memory."""

import gauge
import problems
from registry import DTYPES, OPTIMIZERS

from ._settings import REPEAT, ROUNDS, kept, rare

SMALL_SIZES = [100, 10_000]
THREADS = [1, 2]

_steps = kept(problems.dense_steps)


class SmallStep:
    """Too small to be shared by threads."""

    params = (OPTIMIZERS, SMALL_SIZES, DTYPES)
    param_names = ("optimizer", "n", "dtype")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, optimizer, n, dtype):
        self.run = _steps(optimizer, n, dtype, 1)

    def time_1000_steps(self, optimizer, n, dtype):
        self.run(1000)


class Groups:
    """A thousand arrays of a thousand entries each: a step with two groups of them, by one without groups."""

    params = (["adamw", "sgd"], THREADS)
    param_names = ("optimizer", "threads")
    unit = "x one group"

    def track_time_by_one_group(self, optimizer, threads):
        return problems.time_by_one_group(optimizer, threads)


class LargeStep:
    """A million entries: 4 MB of float32 an array, in the third-level cache of most machines."""

    params = (OPTIMIZERS, [1_000_000], DTYPES, THREADS)
    param_names = ("optimizer", "n", "dtype", "threads")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, optimizer, n, dtype, threads):
        self.run = _steps(optimizer, n, dtype, threads)

    def time_10_steps(self, optimizer, n, dtype, threads):
        self.run(10)


class ReducedState:
    """State in fewer bits, in the third-level cache and beyond the caches."""

    params = (["adagrad", "adam", "sgd"], ["bfloat16", "log8"], [1_000_000, 2**24], THREADS)
    param_names = ("optimizer", "state_dtype", "n", "threads")
    repeat, rounds = REPEAT, ROUNDS
    timeout = 120

    def setup(self, optimizer, state_dtype, n, threads):
        if state_dtype == "log8" and optimizer != "adam":
            raise NotImplementedError("takes bfloat16, or has no second moments beside others")
        hyper = {"momentum": 0.9} if optimizer == "sgd" else {}
        self.run = problems.dense_steps(optimizer, n, "float32", threads, state_dtype=state_dtype, **hyper)

    def time_10_steps(self, optimizer, state_dtype, n, threads):
        self.run(10)


class BeyondCaches:
    """How often the gauge's pass fits into a step: 1 is the speed of memory, and 1.25 a share of 80 % of it.

    asv takes the smaller for the better, so this is the inverse of the share of the gauge.
    """

    params = (OPTIMIZERS, [2**24], DTYPES, THREADS)
    param_names = ("optimizer", "n", "dtype", "threads")
    unit = "x gauge"
    timeout = 120

    def setup(self, optimizer, n, dtype, threads):
        if (dtype, threads) != ("float32", 2):
            rare()

    def track_time_by_gauge(self, optimizer, n, dtype, threads):
        return 1 / gauge.share_of_gauge(optimizer, n, threads, dtype)[1]
