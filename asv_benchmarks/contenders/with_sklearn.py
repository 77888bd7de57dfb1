"""scikit-learn's linear models."""

import warnings

import numpy as np

from .linear import SEED


def sgd_classifier_weights(X, y, l2, learning_rate, epochs):
    from sklearn.linear_model import SGDClassifier

    estimator = SGDClassifier(
        loss="log_loss", penalty="l2", alpha=l2, fit_intercept=False, learning_rate="constant", eta0=learning_rate,
        max_iter=epochs, tol=None, shuffle=True, average=False, random_state=SEED,
    )  # fmt: skip
    return np.squeeze(estimator.fit(X, y).coef_.T)  # of several classes, each against the rest, a column for each


def sklearn_saga_weights(X, y, l2, epochs):
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(
        solver="saga", C=1 / (len(y) * l2), fit_intercept=False, max_iter=epochs, tol=0, random_state=SEED
    )
    warnings.simplefilter("ignore")  # that it would like more epochs
    return estimator.fit(X, y).coef_.ravel()
