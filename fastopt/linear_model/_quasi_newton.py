"""SciPy's L-BFGS-B over scaled columns, for few samples: all of them in each iteration.

The objective stays what it is: only the coordinates are others. They are ``s * w`` and ``intercept + m @ w``, with the
means m of the columns, and s**2 their variances plus l2 over the curvature of the loss, so that the curvature is about
the same along each of them. Targets of any unit are left to L-BFGS-B as if they were of size 1: it measures falls of
the value against 1, and its first step has length 1.
"""

import numpy as np
from scipy.optimize import minimize as scipy_minimize
from sklearn.preprocessing import StandardScaler
from sklearn.utils.sparsefuncs import mean_variance_axis

from .._validation import linear_model as validation

# Iterates and gradients that are kept, and the smallest relative fall of the objective: as in LogisticRegression.
HISTORY, LEAST_FALL = 10, 64 * np.finfo(float).eps


# The status of a run that a callback has ended.
STOPPED = 99


class InScaledColumns:
    """An objective of coordinates in which the columns of X have mean 0, and deviation 1 if there is no penalty.

    With an l1 penalty the coordinates are there twice, their positive and their negative parts, both at least 0.

    Attributes
    ----------
    unit, unit_of_value : float
        What a coordinate of 1 and a value of 1 stand for: powers of two, so that they round nothing.
    """

    unit = unit_of_value = 1.0

    def __init__(self, objective, weights, l1):
        self.objective, self.l1 = objective, l1
        with np.errstate(over="ignore", invalid="ignore"):
            self.means, variances = moments(objective.X, weights, objective.fit_intercept)
        validation.scaled_columns(variances, "lbfgs")
        curvature = objective.curvature if np.isfinite(objective.curvature) else 1.0
        scales = np.sqrt(variances + objective.l2 / curvature)
        self.scales = np.where(scales > 0, scales, 1.0)
        self.n_weights = objective.n_features * objective.n_outputs

    def start(self, x):
        """The coordinates of parameters."""
        w = np.array(x, np.float64).reshape(-1, self.objective.n_outputs)
        n = self.objective.n_features
        if self.objective.fit_intercept:
            w[n] += self.means @ w[:n]
        w[:n] *= self.scales[:, None]
        w = w.ravel() / self.unit
        if not self.l1:
            return w
        return np.concatenate([np.maximum(w, 0), np.maximum(-w[: self.n_weights], 0)])

    def parameters(self, coordinates):
        """The parameters that coordinates stand for."""
        w = np.array(coordinates[: self.objective.n_parameters])
        if self.l1:
            w[: self.n_weights] -= coordinates[self.objective.n_parameters :]
        w, n = w.reshape(-1, self.objective.n_outputs) * self.unit, self.objective.n_features
        w[:n] /= self.scales[:, None]
        if self.objective.fit_intercept:
            w[n] -= self.means @ w[:n]
        return w.ravel()

    def __call__(self, coordinates):
        """Value and gradient, in their units."""
        value, gradient = self.objective.value_and_gradient(self.parameters(coordinates))
        g, n = gradient.astype(np.float64).reshape(-1, self.objective.n_outputs), self.objective.n_features
        if self.objective.fit_intercept:
            g[:n] -= np.outer(self.means, g[n])
        g[:n] /= self.scales[:, None]
        value, unit_of_slope = value / self.unit_of_value, self.unit_of_value / self.unit
        g = g.ravel() / unit_of_slope
        if not self.l1:
            return value, g
        slopes = self.l1 / np.repeat(self.scales, self.objective.n_outputs) / unit_of_slope
        value += float(slopes @ (coordinates[: self.n_weights] + coordinates[self.objective.n_parameters :]))
        negative = slopes - g[: self.n_weights]
        g[: self.n_weights] += slopes
        return value, np.concatenate([g, negative])

    def at_zero(self):
        """Value and gradient where all coefficients are zero."""
        return self(self.start(np.zeros(self.objective.n_parameters)))

    def measure(self, value, targets):
        """Set the units, of a loss in the units of its targets, that has this value where all coefficients are zero."""
        self.unit, self.unit_of_value = (power_of_two(each) for each in (np.abs(targets).mean(), value))

    def steepest_free(self, coordinates, gradient):
        """The largest entry of the gradient, not counting what would lead out of the bounds."""
        if self.l1:
            gradient = gradient.copy()
            for part in (slice(self.n_weights), slice(self.objective.n_parameters, None)):
                gradient[part] = np.minimum(gradient[part], coordinates[part])
        return np.abs(gradient).max()

    def bounds(self):
        """Those of the coordinates."""
        if not self.l1:
            return None
        free = self.objective.n_parameters - self.n_weights
        return [(0, None)] * self.n_weights + [(None, None)] * free + [(0, None)] * self.n_weights


def power_of_two(value):
    """One that is near a number; 1 for 0 and for what is not finite."""
    return float(np.exp2(np.round(np.log2(value)))) if 0 < value < np.inf else 1.0


def moments(X, weights, centred):
    """Means of the columns, 0 if there is no intercept to take them up, and the variances about them."""
    weights = None if weights is None else weights.astype(X.dtype)
    if isinstance(X, np.ndarray):
        scaler = StandardScaler().fit(X, sample_weight=weights)
        means, variances = scaler.mean_, scaler.var_
        means, variances = means.astype(np.float64), variances.astype(np.float64)
    else:
        means, variances = (each.astype(np.float64) for each in mean_variance_axis(X, axis=0, weights=weights))
    if not centred:
        variances, means = variances + means**2, np.zeros_like(means)
    negligible = np.sqrt(variances) <= 10 * np.finfo(X.dtype).eps * np.abs(means)
    return means, np.where(negligible, 0.0, variances)


def run(problem, x0, report):
    """Minimize from x0; returns the parameters, the values of the iterations, and whether it ended
    before all iterations were used up.
    """
    settings = problem.settings
    smooth = problem._replace(settings=settings._replace(l1=0.0))
    function = InScaledColumns(smooth.objective(), problem.weights, settings.l1)
    at_zero = function.at_zero()[0]
    validation.loss_in_range(at_zero, settings.loss_name, problem.targets)
    if settings.loss.in_units_of_targets:
        function.measure(at_zero, problem.targets)
    start, curve, unit_of_slope = function.start(x0), [], function.unit_of_value / function.unit
    steepest = np.abs(function.at_zero()[1]).max() * unit_of_slope  # there a warm start does not change what is small

    def note(intermediate_result):
        curve.append(float(intermediate_result.fun) * function.unit_of_value)
        report(len(curve), curve[-1])
        if not settings.loss.smooth and settings.tol is not None and has_settled(curve, settings, at_zero):
            raise StopIteration

    tolerance = (settings.tol or 0.0) * min(steepest, 1.0) / unit_of_slope if np.isfinite(steepest) else 0.0
    result, n_iter = _with_fresh_starts(function, start, tolerance, settings.max_iter, note)
    x = function.parameters(result.x).astype(x0.dtype)
    return x, curve or [float(result.fun) * function.unit_of_value], n_iter < settings.max_iter


def has_settled(curve, settings, at_zero):
    """Whether the last iterations have brought nothing: with kinks no gradient says where the minimum is.

    Falls are measured against the value, and 1, or the value where all coefficients are zero if that is less than 1.
    """
    earlier, last = curve[: -settings.n_iter_no_change], curve[-settings.n_iter_no_change :]
    return bool(earlier) and min(earlier) - min(last) <= settings.tol * max(min(at_zero, 1.0), abs(min(last)))


def _with_fresh_starts(function, x, tolerance, max_iter, callback):
    """L-BFGS-B, which is begun again with an empty memory where it ends for another reason than the tolerance.

    Bounds may leave it no step that makes the value smaller, far from the minimum. Ends if that changes nothing.
    """
    options = {"maxcor": HISTORY, "ftol": LEAST_FALL, "gtol": tolerance, "maxls": 50}
    n_iter, former = 0, np.inf
    while True:
        result = scipy_minimize(
            function, x, jac=True, method="L-BFGS-B", bounds=function.bounds(), callback=callback,
            options=options | {"maxiter": max_iter - n_iter},
        )  # fmt: skip
        n_iter += result.nit
        fell = former - result.fun > LEAST_FALL * max(1.0, abs(result.fun))
        settled = result.status == STOPPED or function.steepest_free(result.x, result.jac) <= tolerance
        if settled or n_iter >= max_iter or not fell:
            return result, n_iter
        x, former = result.x, result.fun
