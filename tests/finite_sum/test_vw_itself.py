"""`method="vw"` against Vowpal Wabbit itself, on the same samples in the same order.

It computes in float32, has its own approximation of Lambert's W to about 1e-4, and clips predictions to the range of
the labels unless it is told another.
"""

import numpy as np
import pytest

from fastopt import minimize, objectives

datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
vowpalwabbit = pytest.importorskip("vowpalwabbit", reason="Vowpal Wabbit is not installed")

FIRST = 1000  # the number of the first column: small numbers are those of VW's features without names
OPTIONS = "--quiet --noconstant --bit_precision 18 --min_prediction -1e9 --max_prediction 1e9"


class Ordered(np.random.Generator):
    """Leaves the samples in their order."""

    def permutation(self, x, axis=0):
        return np.arange(x)


def in_order():
    return Ordered(np.random.PCG64(0))


def signs(y):
    return np.where(y, 1.0, -1.0)


def standardised(X):
    deviation = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def problems():
    """Name -> samples and labels for each of VW's losses that has a counterpart."""
    cancer, wine, digits = (
        getattr(datasets, f"load_{name}")(return_X_y=True) for name in ("breast_cancer", "wine", "digits")
    )
    diabetes = datasets.load_diabetes(return_X_y=True, scaled=False)
    age = np.round(diabetes[1] / 25)
    yield "cancer, logistic", cancer[0], signs(cancer[1]), "logistic", objectives.Logistic
    yield "cancer, hinge", cancer[0], signs(cancer[1]), "hinge", objectives.Hinge
    yield "wine, logistic", wine[0], signs(wine[1] == 1), "logistic", objectives.Logistic
    yield "digits, hinge", digits[0], signs(digits[1] % 2), "hinge", objectives.Hinge
    yield "diabetes, squared", diabetes[0], diabetes[1] / 100, "squared", objectives.LeastSquares
    yield "diabetes, quantile", diabetes[0], diabetes[1] / 100, "quantile", objectives.Quantile
    yield "diabetes, poisson", diabetes[0], age, "poisson", objectives.Poisson


CASES = {
    f"{name}, {scale}": (standardised(X) if scale == "scaled" else X, *more)
    for name, X, *more in problems()
    for scale in ("raw", "scaled")
}


def learnt(X, y, weights, loss, learning_rate):
    """VW's predictions before each step, and its weights at the end."""
    workspace = vowpalwabbit.Workspace(f"{OPTIONS} --loss_function {loss} --learning_rate {learning_rate}")
    predictions = []
    for x, label, weight in zip(X, y, weights, strict=True):
        features = " ".join(f"{FIRST + j}:{x[j]:.9g}" for j in np.flatnonzero(x))
        example = workspace.example(f"{label:.9g} {weight:.9g} | {features}")
        workspace.learn(example)
        predictions.append(example.get_simplelabel_prediction())
        workspace.finish_example(example)
    coefficients = [workspace.get_weight(FIRST + j) for j in range(X.shape[1])]
    workspace.finish()
    return np.array(predictions), np.array(coefficients)


def lost_from(loss, y, predictions):
    """The first sample after which VW's logistic steps are those of roundings: it computes the small change of a large
    margin as a difference, in float32 and from an approximation."""
    lost = np.flatnonzero(y * predictions > 12) if loss == "logistic" else []
    return int(lost[0]) + 1 if len(lost) else len(y)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("learning_rate", [0.5, 5.0])
@pytest.mark.parametrize("case", CASES)
def test_predictions_losses_and_weights(case, learning_rate, weighted):
    X, y, loss, cls = CASES[case]
    X, y = X.astype(np.float32).astype(np.float64), y.astype(np.float32).astype(np.float64)
    weights = np.random.default_rng(0).integers(1, 4, len(y)).astype(float) if weighted else np.ones(len(y))
    predictions, coefficients = learnt(X, y, weights, loss, learning_rate)
    objective = cls(X, y, sample_weight=weights, weight_scale=None)
    points = [np.zeros(X.shape[1])]
    res = minimize(
        objective, points[0], method="vw", rng=in_order(), callback=lambda x: points.append(x.copy()),
        options={"epochs": 1, "learning_rate": learning_rate},
    )  # fmt: skip
    n = lost_from(loss, y, predictions)
    ours = np.array([x @ w for x, w in zip(X[:n], points, strict=False)])
    size, largest = np.abs(predictions).max(), np.abs(X).max(axis=0)
    tolerance = 5e-3 if loss == "logistic" else 5e-4
    np.testing.assert_allclose(ours, predictions[:n], atol=tolerance * size)
    losses = cls(np.eye(len(y)), y, sample_weight=weights, weight_scale=None)  # whose margins are its parameters
    assert res.history["fun"][0] == pytest.approx(losses(predictions), rel=5e-3 if n == len(y) else 0.1)
    if n == len(y):
        np.testing.assert_allclose(res.x * largest, coefficients * largest, atol=tolerance * size)
