"""Evaluation of the value and the gradient of an objective: one class for each meaning of `jac`.

Differences are in differences.py, simultaneous perturbation in spsa.py.

An evaluator is called with the parameters and the batch's leading arguments, and returns value and gradient; `value`
returns the value alone. It counts the calls of the user's functions. Nothing is memoised: a stochastic objective
gives another value at the same point.
"""

import numpy as np

from .._validation import minimize as validation
from .._validation import saved_runs, shared_runs


class Evaluator:
    """Base: the user's function, its extra arguments, and how often it was called.

    `at_x` says whether value and gradient of an iteration are those at the parameters themselves, `approximate` whether
    the gradient is made of values; `gain` is the learning rate that goes with the gradients, if one does.
    """

    at_x, approximate, gain = True, False, None

    in_structure = False  # whether gradients come in the structure of x0, from the user, or as vectors

    def __init__(self, fun, args):
        self.fun, self.args = fun, args
        self.nfev = self.njev = 0

    def value(self, x, batch):
        self.nfev += 1
        return validation.scalar(self.fun(x, *batch, *self.args))

    def at_end(self, x, last_gradient):
        """Value and gradient at the result, for an objective without samples."""
        value, gradient = self(x, ())
        return validation.scalar(value), gradient

    def is_minimum(self, x, batch, value, sense, bounds):
        """Whether x is a minimum though its gradient is not exactly zero, because that has errors."""
        return False

    def mark(self):
        """Begin an iteration."""

    def roll_back(self):
        """Restore the random generator as it was at the mark, for an iteration that was not completed."""

    def identity(self):
        """What a checkpoint and the call that resumes it must have in common."""
        return {"spsa": False, "objective": None, "n_features": None, "n_outputs": None}

    def snapshot(self):
        return {"nfev": self.nfev, "njev": self.njev}

    def schema(self, done):
        """The check of a snapshot, in a run that had come so far."""
        return saved_runs.record(self.counters(done))

    def counters(self, done):
        """The check of each counter in a snapshot."""
        return {"nfev": saved_runs.count(), "njev": saved_runs.count()}

    def restore(self, saved):
        self.nfev, self.njev = saved["nfev"], saved["njev"]


class Combined(Evaluator):
    """``jac=True``: the function returns both."""

    in_structure = True

    def __call__(self, x, batch):
        self.nfev += 1
        self.njev += 1
        returned = self.fun(x, *batch, *self.args)
        if type(returned) is not tuple or len(returned) != 2:
            return validation.pair(returned)
        return returned

    def value(self, x, batch):
        return validation.scalar(self(x, batch)[0])


class Separate(Evaluator):
    """``jac`` is a function of its own, with the same arguments."""

    in_structure = True

    def __init__(self, fun, jac, args):
        super().__init__(fun, args)
        self.jac = jac

    def __call__(self, x, batch):
        self.nfev += 1
        self.njev += 1
        return self.fun(x, *batch, *self.args), self.jac(x, *batch, *self.args)


class NativePair:
    """A compiled objective as a function of parameters and a batch, with the samples of one of several ranks."""

    def __init__(self, fun, params):
        from .native import NativeObjective

        self.fun, self.params = NativeObjective(fun, params.start.dtype), params
        shared_runs.native_batch(self.fun.takes_batch)

    def __call__(self, x, batch):
        gradient = np.empty_like(x)
        return self.fun(x, gradient, batch), self.params.structured(gradient)


class Native(Evaluator):
    """A compiled objective, which writes its gradient into an array that is given to it."""

    def __init__(self, fun, x, batches):
        from .native import NativeObjective

        super().__init__(NativeObjective(fun, x.dtype), ())
        validation.native_batch(self.fun.takes_batch, batches.n_samples is not None)
        self.gradient, self.unused = np.empty_like(x), np.empty_like(x)

    def __call__(self, x, batch):
        self.nfev += 1
        self.njev += 1
        return self.fun(x, self.gradient, *batch), self.gradient

    def value(self, x, batch):
        self.nfev += 1
        return self.fun(x, self.unused, *batch)
