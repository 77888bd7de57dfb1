"""Built-in objectives: value and gradient over all samples, and epochs of every method."""

import numpy as np
import problems
from registry import FINITE_SUM_METHODS, LOSSES, OPTIMIZERS

import fastopt

from ._settings import REPEAT, ROUNDS, kept, rare

LAYOUTS = {
    "dense": (problems.dense_samples, (10_000, 128)),
    "csr": (problems.csr_samples, (20_000, 10_000, 40)),
}
LARGE_LAYOUTS = {
    "dense": (problems.dense_samples, (100_000, 512)),
    "csr": (problems.csr_samples, (200_000, 200_000, 40)),
}
PENALTIES = {"none": {}, "l2": {"l2": 1e-6}, "l1": {"l1": 1e-6}}


@kept
def _objective(loss, make_samples, shape, penalty="none"):
    return problems.objective_of(loss, *make_samples(*shape), **PENALTIES[penalty])


class Losses:
    """Every loss, on one thread."""

    params = (LOSSES, list(LAYOUTS))
    param_names = ("loss", "layout")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, loss, layout):
        self.objective = _objective(loss, *LAYOUTS[layout])
        self.x = np.zeros(self.objective.n_parameters)

    def time_value_and_gradient(self, loss, layout):
        with fastopt.threads(1):
            self.objective.value_and_gradient(self.x)

    def time_sgd_epoch(self, loss, layout):
        problems.epochs_of(self.objective, "sgd", 1)


class Methods:
    """An epoch of logistic regression: optimizers in batches of 32, finite-sum methods sample by sample."""

    params = (OPTIMIZERS + FINITE_SUM_METHODS, list(LAYOUTS))
    param_names = ("method", "layout")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, method, layout):
        problems.require_method(method)
        self.objective = _objective("Logistic", *LAYOUTS[layout])

    def time_epoch(self, method, layout):
        problems.epochs_of(self.objective, method, 1, 1 if method in FINITE_SUM_METHODS else 32)


class Penalties:
    """An epoch of SGD sample by sample, whose penalties reach columns that a sample does not touch."""

    params = (list(PENALTIES), list(LAYOUTS))
    param_names = ("penalty", "layout")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, penalty, layout):
        self.objective = _objective("Logistic", *LAYOUTS[layout], penalty)

    def time_epoch(self, penalty, layout):
        problems.epochs_of(self.objective, "sgd", 1)


CALLBACKS = {
    "none": {},
    "epoch_callback": {"epoch_callback": lambda state: state.x},
    "callback": {"callback": lambda intermediate_result: None},
}


class Callbacks:
    """An epoch on CSR samples whose columns lag: what it takes more with a callback; all should be the same."""

    params = (list(CALLBACKS), ["adagrad", "sgd"], ["none", "l2"])
    param_names = ("callback", "method", "penalty")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, callback, method, penalty):
        problems.require_argument("epoch_callback")
        self.objective = _objective("Logistic", *LAYOUTS["csr"], penalty)

    def time_epoch(self, callback, method, penalty):
        batch_size = min(256, self.objective.n_samples)
        problems.epochs_of(self.objective, method, 1, batch_size, arguments=CALLBACKS[callback])


class Large:
    """Samples that do not fit into the caches."""

    params = (list(LARGE_LAYOUTS), [1, 2])
    param_names = ("layout", "threads")
    repeat, rounds = (3, 6, 5.0), ROUNDS
    timeout = 300

    def setup(self, layout, threads):
        rare()
        self.objective = _objective("Logistic", *LARGE_LAYOUTS[layout])
        self.x = np.zeros(self.objective.n_parameters)

    def time_value_and_gradient(self, layout, threads):
        with fastopt.threads(threads):
            self.objective.value_and_gradient(self.x)

    def time_hogwild_epoch(self, layout, threads):
        problems.epochs_of(self.objective, "sgd", 1, num_threads=threads, parallel="hogwild")
