"""scikit-learn's linear models."""

import warnings

from .linear import SEED


def sgd_classifier_weights(X, y, l2, learning_rate, epochs):
    from sklearn.linear_model import SGDClassifier

    estimator = SGDClassifier(
        loss="log_loss", penalty="l2", alpha=l2, fit_intercept=False, learning_rate="constant", eta0=learning_rate,
        max_iter=epochs, tol=None, shuffle=True, average=False, random_state=SEED,
    )  # fmt: skip
    return estimator.fit(X, y).coef_.ravel()


def sklearn_saga_weights(X, y, l2, epochs):
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression(
        solver="saga", C=1 / (len(y) * l2), fit_intercept=False, max_iter=epochs, tol=0, random_state=SEED
    )
    warnings.simplefilter("ignore")  # that it would like more epochs
    return estimator.fit(X, y).coef_.ravel()
