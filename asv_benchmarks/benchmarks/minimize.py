"""minimize with objectives in Python: what its loop adds, and logistic regression in mini-batches."""

import problems
from registry import OPTIMIZERS

import fastopt

from ._settings import REPEAT, ROUNDS, kept

_csr_samples = kept(problems.csr_samples)


class Overhead:
    """An objective of 100 parameters that costs next to nothing."""

    params = (OPTIMIZERS,)
    param_names = ("method",)
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, method):
        problems.require_method(method)

    def time_1000_iterations(self, method):
        problems.free_iterations(method, 1000)


class Epoch:
    """20,000 x 20,000 CSR samples with 40 nonzeros a row, Adagrad."""

    params = (["dense", "RowSparse"], [32, 256])
    param_names = ("gradients", "batch_size")
    repeat, rounds = REPEAT, ROUNDS

    def setup(self, gradients, batch_size):
        problems.feature("minimize")
        self.data = _csr_samples(20_000, 20_000, 40)

    def time_epoch(self, gradients, batch_size):
        fun = problems.LOGISTIC[gradients]
        with fastopt.threads(1):
            problems.minimize_epochs(fun, *self.data, batch_size, epochs=1)
