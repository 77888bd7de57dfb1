"""Gradients by differences on the same batch, in float64 whatever the parameters are."""

import math
from typing import NamedTuple

import numpy as np

from .._validation import approximations as validation
from .._validation import saved_runs
from . import nearby, precision
from .evaluation import Evaluator
from .stopping import NONFINITE_LOSS, Stop

#: Meaning of `jac` -> the power of the rounding error that steps are by default, in units of ``max(1, |x|)``.
POWERS = {"2-point": 1 / 2, "3-point": 1 / 3, "cs": 1 / 2}

# What runs were saved with by versions before 0.2, which knew no other.
FORMER_PRECISION = {"precision": "float64"}


class Steps:
    """The steps of scipy.optimize, but that differences are forward ones where nothing else is asked for.

    Parameters
    ----------
    method : {"2-point", "3-point", "cs"}
    relative : ndarray or None
        The option `finite_diff_rel_step`.
    """

    def __init__(self, method, relative):
        self.power, self.relative = POWERS[method], relative

    def at(self, x, dtype):
        """Steps for an objective that is computed in a dtype; a relative step of an x of zero is that by default."""
        usual = np.finfo(dtype).eps.item() ** self.power * np.maximum(1.0, np.abs(x))
        if self.relative is None:
            return usual
        step = self.relative * x
        return np.where(x + step == x, usual, step)


class Measured(NamedTuple):
    """What differences give: value, gradient, and the values that they were made of."""

    value: float
    gradient: np.ndarray
    values: list


class Approximated(Evaluator):
    """Base: gradients with errors, which may be other than zero at a minimum, and zero elsewhere.

    `seen` are the values that the last differences were made of, `rounding` the relative error of the objective.
    """

    approximate = True
    seen, rounding = (), float(np.finfo(np.float64).eps)

    def is_minimum(self, x, batch, value, sense, bounds):
        unseen = nearby.ROUNDING_ERRORS * self.rounding * abs(value)
        if any(sense * (other - value) < -unseen for other in self.seen):
            return False
        x = np.array(x, np.float64)
        return nearby.is_minimum(lambda point: self.value(point, batch), x, value, sense, bounds, self.rounding)


class Differences(Approximated):
    """Finite differences, forward or central. A step that would leave the bounds is reversed.

    Which dtype the objective computes in, whatever type it returns, shows in its values at the first iteration: a
    coarser dtype holds all of them exactly. Where all differences vanish, steps are those of a coarser dtype, too: the
    objective may be so large that it changes by less than its rounding error.
    """

    def __init__(self, fun, args, x, method, relative_step, bounds):
        super().__init__(fun, args)
        self.dtype, self.central, self.bounds = x.dtype, method == "3-point", bounds
        self.steps = Steps(method, relative_step)
        self.precision = None if relative_step is None else "float64"
        self.value_at_start = None  # if it is known

    def mark(self):
        self.before = self.precision

    def roll_back(self):
        self.precision = self.before

    def __call__(self, x, batch):
        x = np.array(x, np.float64)
        measured = self.measured(x, batch, self.precision or "float64")
        if self.precision is None:
            self.precision, measured = self.in_precision_of_fun(x, batch, measured)
        self.seen = measured.values
        self.njev += 1
        return measured.value, measured.gradient.astype(self.dtype)

    def in_precision_of_fun(self, x, batch, measured):
        """The dtype that the objective computes in, and differences with its steps, given those of float64."""
        found = "float64"
        if len(measured.values) == 1:  # bounds fix all parameters
            return found, measured
        for dtype in precision.COARSER:
            vanish = not measured.gradient.any()
            if not (vanish or precision.fit(measured.values, dtype)):
                break
            with_its_steps = self.measured(x, batch, dtype)
            if not with_its_steps.gradient.any():
                continue
            if precision.fit(with_its_steps.values, dtype):
                self.rounding = float(np.finfo(dtype).eps)
            elif not vanish:
                break
            found, measured = dtype, with_its_steps
        return found, measured

    def measured(self, x, batch, dtype):
        """Differences with the steps of a dtype."""
        step = self.steps.at(x, dtype)
        forward = self.slope(x, batch, self.inside(x, np.abs(step) if self.central else step))
        back = self.inside(x, -np.abs(step)) if self.central else np.zeros_like(x)
        if not back.any():  # differences are one-sided, or all parameters are fixed by bounds
            return forward
        backward = self.slope(x, batch, back)
        gradient = (forward.gradient + backward.gradient) / 2
        return Measured(forward.value, gradient, forward.values + backward.values)

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
            known, self.value_at_start = self.value_at_start, None
            try:
                values.append(self.value(point, batch) if known is None else known)
            except StopIteration as error:  # in SciPy it would end a loop
                raise _Wrapped(error) from None
            if not math.isfinite(values[-1]):
                raise Stop(NONFINITE_LOSS)
            return values[-1]

        try:
            gradient[free] = approx_fprime(x[free], fun, step[free])
        except _Wrapped as wrapped:
            raise wrapped.args[0] from None
        return Measured(values[0], gradient, values)

    def snapshot(self):
        return {**super().snapshot(), "precision": self.precision}

    def schema(self, done):
        check = super().schema(done)
        return lambda name, saved: check(name, FORMER_PRECISION | saved_runs.entries(name, saved, ()))

    def counters(self, done):
        """The precision is known once an iteration has been made."""
        known = saved_runs.one_of(precision.DTYPES)
        return {**super().counters(done), "precision": saved_runs.optional(known) if done.nit == 0 else known}

    def restore(self, saved):
        super().restore(saved)
        self.precision = saved["precision"]


class _Wrapped(Exception):
    """Takes another exception through code that would catch it."""


class ComplexSteps(Approximated):
    """``jac="cs"``: imaginary parts at complex points, for objectives that are analytic: exact to rounding.

    The real part of a point is x: no bound is left. At a minimum the gradient is zero but for rounding.
    """

    STEEPEST_AT_MINIMUM = 1e-5

    def __init__(self, fun, args, x, relative_step):
        super().__init__(fun, args)
        self.dtype, self.steps = x.dtype, Steps("cs", relative_step)

    def __call__(self, x, batch):
        x = np.array(x, np.float64)
        value, step = self.value(x, batch), self.steps.at(x, "float64")
        gradient = np.empty_like(x)
        for k in range(x.size):
            point = x.astype(np.complex128)
            point[k] += 1j * step[k]
            self.nfev += 1
            gradient[k] = validation.imaginary_part(self.fun(point, *batch, *self.args)) / step[k]
        self.njev += 1
        self.steepest = np.abs(gradient).max(initial=0.0)
        return value, gradient.astype(self.dtype)

    def is_minimum(self, x, batch, value, sense, bounds):
        flat = self.steepest <= self.STEEPEST_AT_MINIMUM * max(1.0, abs(value))
        return bool(flat) and super().is_minimum(x, batch, value, sense, bounds)
