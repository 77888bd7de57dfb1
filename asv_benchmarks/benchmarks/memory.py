"""Memory: what optimizers take besides parameters and gradients, and peaks of whole tasks."""

import numpy as np
import problems
from memory_use import extra_memory
from registry import OPTIMIZERS

import fastopt

SAMPLES = problems.csr_samples, (100_000, 100_000, 40)


class Optimizers:
    """2^24 parameters of 4 bytes: a slot takes 4 bytes per parameter."""

    params = (OPTIMIZERS,)
    param_names = ("optimizer",)
    unit = "bytes per parameter"

    def track_extra(self, optimizer):
        return extra_memory(optimizer)

    def track_extra_with_clip_norm(self, optimizer):
        return extra_memory(optimizer, clip_norm=1.0, nonfinite="skip")


class Peak:
    """Of the process, with the interpreter, NumPy and SciPy."""

    def setup(self):
        problems.feature("objectives.Logistic")

    def peakmem_value_and_gradient(self):
        make_samples, shape = SAMPLES
        objective = problems.objective_of("Logistic", *make_samples(*shape))
        with fastopt.threads(2):
            objective.value_and_gradient(np.zeros(objective.n_parameters))

    def peakmem_saga(self):
        make_samples, shape = SAMPLES
        problems.epochs_of(problems.objective_of("Logistic", *make_samples(*shape)), "saga", 1)

    def peakmem_rows(self):
        indices = problems.distinct_positions(1_000_000, 8192)
        problems.sparse_steps("adam", (1_000_000, 64), indices)
