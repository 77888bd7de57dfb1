"""The learning rate of a solver for which none is given."""

import numpy as np
from sklearn.utils.extmath import row_norms

from .._finite_sum.methods import FINITE_SUM_METHODS

# Rules whose default rate is a factor of one that they find. At the default rates of the others, which are meant for
# networks, a hundred steps would lead nowhere.
FIND_THEIR_RATE = ("cocob", "prodigy")
FOLLOW_SMOOTHNESS = ("asgd", "sgd")
RATES = {"adagrad": 0.2, "ftrl": 0.2, "rmsprop": 0.03}
RATE = 0.05


def learning_rate(solver, problem, objective):
    """The rate of a solver for an objective if none is given; None for one that finds it itself."""
    settings = problem.settings
    if settings.learning_rate is not None or solver is None or solver in FIND_THEIR_RATE:
        return settings.learning_rate
    if solver not in FOLLOW_SMOOTHNESS and solver not in FINITE_SUM_METHODS:
        return RATES.get(solver, RATE)
    if solver in FINITE_SUM_METHODS and np.isfinite(objective.curvature):
        return None
    mean, largest = smoothness(problem)
    if solver in FINITE_SUM_METHODS:
        return float(FINITE_SUM_METHODS[solver].rate_share / largest)
    n, size = objective.n_samples, min(settings.batch_size, objective.n_samples)
    return float(1.0 / (mean + (largest - mean) * (n - size) / (size * n)))


def follows_targets(solver, problem):
    """Whether the rate that is made from the data is another one for other targets."""
    settings = problem.settings
    if settings.learning_rate is not None or solver not in (*FOLLOW_SMOOTHNESS, *FINITE_SUM_METHODS):
        return False
    return np.ndim(_curvatures(problem)) > 0


def smoothness(problem):
    """Mean and largest Lipschitz constant of the gradients of single samples, or of what stands for them."""
    settings, weights = problem.settings, problem.weights
    norms = row_norms(problem.X, squared=True).astype(np.float64) + problem.form.fit_intercept
    each = norms * _curvatures(problem)
    if weights is not None and weights.any():
        each *= weights / (np.mean(weights, dtype=np.float64) if problem.weight_scale == "mean" else 1.0)
    tiny = np.finfo(np.float64).tiny  # of samples that are all zeros, without a penalty
    return max(each.mean() + settings.l2, tiny), max(each.max() + settings.l2, tiny)


def _curvatures(problem):
    """The largest second derivative of the loss by the first margin: of all samples, or of each."""
    loss = problem.settings.loss
    if problem.form.multinomial:
        return loss.multinomial.curvature
    number = None if problem.loss_numbers is None else problem.loss_numbers[0]
    return loss.curvatures(problem.targets[:, 0], number)
