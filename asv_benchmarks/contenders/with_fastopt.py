"""fastopt itself."""

import numpy as np

import fastopt

from .linear import SEED

REQUIRES = "fastopt"


def step(problem, threads):
    p, g = problem.arrays()
    opt = fastopt.get_optimizer(problem.method)(p, num_threads=threads, **problem.hyper)
    if problem.rows is not None:
        g = fastopt.RowSparse(problem.rows, g, unique=True)
    value = [problem.value] if getattr(opt, "_uses_value", False) else []
    return lambda: opt.step(g, *value), lambda: p


STEPS = {"fastopt": step}


def softmax_weights(X, y, l2, learning_rate, epochs, **options):
    """SGD over single samples with all classes at once; a column for each class."""
    objective = fastopt.objectives.Softmax(X, y, l2=l2)
    x0 = np.zeros((objective.n_features, objective.n_outputs), objective.dtype)
    options |= {"learning_rate": learning_rate, "epochs": epochs}
    return fastopt.minimize(objective, x0, method="sgd", batch_size=1, rng=SEED, options=options).x


def fastopt_weights(X, y, l2, method="sgd", batch_size=1, **options):
    objective = fastopt.objectives.Logistic(X, y, l2=l2)
    x0 = np.zeros(objective.n_parameters, objective.dtype)
    return fastopt.minimize(objective, x0, method=method, batch_size=batch_size, rng=SEED, options=options).x
