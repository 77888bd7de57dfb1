"""Evaluation of the value and the gradient of an objective: one class for each meaning of `jac`.

An evaluator is called with the parameters and the batch's leading arguments, and returns value and gradient; `value`
returns the value alone. It counts the calls of the user's functions. Nothing is memoised: a stochastic objective
gives another value at the same point.
"""

import functools
import math

import numpy as np

from .._validation import minimize as validation
from .._validation import saved_runs
from .._validation.scalars import integer
from .stopping import NONFINITE_LOSS, Stop


class Evaluator:
    """Base: the user's function, its extra arguments, and how often it was called.

    `at_x` says whether value and gradient of an iteration are those at the parameters themselves.
    """

    at_x = True

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


class Differences(Evaluator):
    """Finite differences on the same batch, in float64 whatever the parameters are.

    The steps are those of scipy.optimize: a power of the rounding error times ``max(1, |x|)``. A step that
    would leave the bounds is reversed.
    """

    def __init__(self, fun, args, dtype, central, bounds):
        super().__init__(fun, args)
        self.dtype, self.central, self.bounds = dtype, central, bounds
        self.relative_step = np.finfo(np.float64).eps ** (1 / 3 if central else 1 / 2)

    def __call__(self, x, batch):
        x = np.array(x, np.float64)
        step = self.relative_step * np.maximum(1.0, np.abs(x))
        value, gradient = self.slope(x, batch, self.inside(x, step))
        back = self.inside(x, -step) if self.central else np.zeros_like(x)
        if back.any():  # else differences are one-sided, or all parameters are fixed by bounds
            gradient = (gradient + self.slope(x, batch, back)[1]) / 2
        self.njev += 1
        return value, gradient.astype(self.dtype)

    def inside(self, x, step):
        """Steps that do not leave the bounds: reversed, or shortened where neither direction fits."""
        if self.bounds is None:
            return step
        low, high = self.bounds.low - x, self.bounds.high - x
        fits = (step >= low) & (step <= high)
        reversed_fits = (-step >= low) & (-step <= high)
        longest = np.where(high >= -low, high, low)
        step = np.where(fits, step, np.where(reversed_fits, -step, longest))
        point = x + step  # may be rounded to the other side of a bound
        return np.where((point < self.bounds.low) | (point > self.bounds.high), step / 2, step)

    def slope(self, x, batch, step):
        """Value, and forward differences for the steps of each sign, by SciPy; zero where both bounds are equal."""
        from scipy.optimize import approx_fprime

        values, gradient, free = [], np.zeros_like(x), x + step != x

        def fun(free_part):
            point = x.copy()
            point[free] = free_part
            try:
                values.append(self.value(point, batch))
            except StopIteration as error:  # in SciPy it would end a loop
                raise _Wrapped(error) from None
            if not math.isfinite(values[-1]):
                raise Stop(NONFINITE_LOSS)
            return values[-1]

        try:
            gradient[free] = approx_fprime(x[free], fun, step[free])
        except _Wrapped as wrapped:
            raise wrapped.args[0] from None
        return values[0], gradient


class _Wrapped(Exception):
    """Takes another exception through code that would catch it."""


class Spsa(Evaluator):
    """Simultaneous perturbation (Spall 1992): two evaluations on the same batch, whatever the dimension.

    All parameters are moved at once by ``step / k**0.101`` up or down at random in iteration k (Spall 1998), and the
    difference of the two values gives the whole gradient. The value of the iteration is the mean of the two.
    """

    DECAY = 0.101
    at_x = False

    def __init__(self, fun, args, step, rng, bounds):
        super().__init__(fun, args)
        self.step, self.rng, self.bounds = step, rng, bounds
        self.drawn = 0

    def mark(self):
        self.before = self.rng.bit_generator.state, self.drawn

    def __call__(self, x, batch):
        signs = self.rng.integers(0, 2, x.shape, dtype=np.int8)
        distance = self.step / (self.drawn + 1) ** self.DECAY
        shift = (2 * distance * signs - distance).astype(x.dtype)
        above, below = x + shift, x - shift
        if self.bounds is not None:
            self.bounds.project(above)
            self.bounds.project(below)
        high, low = self.value(above, batch), self.value(below, batch)
        gap = above - below
        moved = gap != 0
        gradient = np.divide(x.dtype.type(high - low), gap, out=np.zeros_like(x), where=moved)
        self.njev += 1
        self.drawn += 1
        return (high + low) / 2, gradient

    def at_end(self, x, last_gradient):
        return self.value(x, ()), last_gradient

    def roll_back(self):
        self.rng.bit_generator.state, self.drawn = self.before

    def identity(self):
        return {**super().identity(), "spsa": True}

    def snapshot(self):
        return {**super().snapshot(), "drawn": self.drawn}

    def counters(self, done):
        return {**super().counters(done), "drawn": functools.partial(integer, minimum=done.nit, maximum=done.nit)}

    def restore(self, saved):
        super().restore(saved)
        self.drawn = saved["drawn"]
