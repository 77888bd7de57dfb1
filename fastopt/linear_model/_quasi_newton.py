"""SciPy's L-BFGS-B over scaled columns, for smooth losses over few samples: all of them in each iteration.

The objective stays what it is: only the coordinates are others. They are ``s * w`` and ``intercept + m @ w``, with the
means m of the columns, and s**2 their variances plus l2 over the curvature of the loss, so that the curvature is about
the same along each of them.
"""

import numpy as np
from scipy.optimize import minimize as scipy_minimize
from sklearn.preprocessing import StandardScaler
from sklearn.utils.sparsefuncs import mean_variance_axis

# Iterates and gradients that are kept, and the smallest relative fall of the objective: as in LogisticRegression.
HISTORY, LEAST_FALL = 10, 64 * np.finfo(float).eps


class InScaledColumns:
    """An objective of coordinates in which the columns of X have mean 0, and deviation 1 if there is no penalty.

    With an l1 penalty the coordinates are there twice, their positive and their negative parts, both at least 0.
    """

    def __init__(self, objective, weights, l1):
        self.objective, self.l1 = objective, l1
        self.means, variances = moments(objective.X, weights, objective.fit_intercept)
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
        w = w.ravel()
        if not self.l1:
            return w
        return np.concatenate([np.maximum(w, 0), np.maximum(-w[: self.n_weights], 0)])

    def parameters(self, coordinates):
        """The parameters that coordinates stand for."""
        w = np.array(coordinates[: self.objective.n_parameters])
        if self.l1:
            w[: self.n_weights] -= coordinates[self.objective.n_parameters :]
        w, n = w.reshape(-1, self.objective.n_outputs), self.objective.n_features
        w[:n] /= self.scales[:, None]
        if self.objective.fit_intercept:
            w[n] -= self.means @ w[:n]
        return w.ravel()

    def __call__(self, coordinates):
        """Value and gradient."""
        value, gradient = self.objective.value_and_gradient(self.parameters(coordinates))
        g, n = gradient.astype(np.float64).reshape(-1, self.objective.n_outputs), self.objective.n_features
        if self.objective.fit_intercept:
            g[:n] -= np.outer(self.means, g[n])
        g[:n] /= self.scales[:, None]
        g = g.ravel()
        if not self.l1:
            return value, g
        slopes = self.l1 / np.repeat(self.scales, self.objective.n_outputs)
        value += float(slopes @ (coordinates[: self.n_weights] + coordinates[self.objective.n_parameters :]))
        negative = slopes - g[: self.n_weights]
        g[: self.n_weights] += slopes
        return value, np.concatenate([g, negative])

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
    start, curve = function.start(x0), []

    def note(intermediate_result):
        curve.append(float(intermediate_result.fun))
        report(len(curve), curve[-1])

    steepest = np.abs(function(start)[1]).max()
    tolerance = (settings.tol or 0.0) * min(steepest, 1.0) if np.isfinite(steepest) else 0.0
    result, n_iter = _with_fresh_starts(function, start, tolerance, settings.max_iter, note)
    x = function.parameters(result.x).astype(x0.dtype)
    return x, curve or [float(result.fun)], n_iter < settings.max_iter


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
        if function.steepest_free(result.x, result.jac) <= tolerance or n_iter >= max_iter or not fell:
            return result, n_iter
        x, former = result.x, result.fun
