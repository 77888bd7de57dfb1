"""Cyanure's linear models."""

import functools
import os

from .linear import SEED

NO_DUALITY_GAPS = 10**9  # the interval between them, in epochs


@functools.cache
def silence():
    """Cyanure's C++ prints a harmless warning at every start: this process has nothing more to say."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def cyanure_weights(X, y, l2, epochs, solver):
    """Without duality gaps and the passes over the data that they cost: it is known when to stop.

    Cyanure's checks are left to it; without them (safe=False) it takes about 5% less.
    """
    from cyanure.estimators import Classifier

    silence()
    estimator = Classifier(
        loss="logistic", penalty="l2", solver=solver, fit_intercept=False, lambda_1=l2, max_iter=epochs, tol=1e-14,
        duality_gap_interval=NO_DUALITY_GAPS, verbose=False, n_threads=1, random_state=SEED,
    )  # fmt: skip
    return estimator.fit(X, y).coef_
