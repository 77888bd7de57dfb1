"""Each loss is the one that scikit-learn has under its name, with the same numbers, predictions and probabilities."""

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn import linear_model as theirs
from sklearn.metrics import mean_pinball_loss
from sklearn.svm import LinearSVR

from fastopt.linear_model import LinearClassifier, LinearRegressor, _losses
from fastopt.objectives import EpsilonInsensitive

N, D, ALPHA = 300, 6, 1e-2


@pytest.fixture
def X(rng):
    return rng.standard_normal((N, D))


@pytest.fixture
def y(rng, X):
    return X @ rng.standard_normal(D) + 2.0 + rng.standard_normal(N)


@pytest.fixture
def amounts(rng, X):
    return rng.gamma(2.0, np.exp(X @ rng.uniform(-0.5, 0.5, D) + 1))


DEVIANCES = {
    "poisson": ({}, theirs.PoissonRegressor(alpha=ALPHA, tol=1e-8)),
    "gamma": ({}, theirs.GammaRegressor(alpha=ALPHA, tol=1e-8)),
    "tweedie": ({}, theirs.TweedieRegressor(power=1.5, link="log", alpha=ALPHA, tol=1e-8)),
    "tweedie of power 1": ({"power": 1}, theirs.PoissonRegressor(alpha=ALPHA, tol=1e-8)),
    "tweedie of power 3": ({"power": 3}, theirs.TweedieRegressor(power=3, link="log", alpha=ALPHA, tol=1e-8)),
    "tweedie of power 0": ({"power": 0}, theirs.TweedieRegressor(power=0, link="log", alpha=ALPHA, tol=1e-8)),
}


@pytest.mark.parametrize("name", DEVIANCES)
@pytest.mark.parametrize("weighted", [False, True])
def test_deviances(rng, X, amounts, name, weighted):
    settings, exact = DEVIANCES[name]
    weights = rng.uniform(0, 2, N) if weighted else None
    model = LinearRegressor(name.split(" ")[0], alpha=ALPHA, tol=1e-8, **settings).fit(X, amounts, weights)
    exact.fit(X, amounts, weights)
    np.testing.assert_allclose(model.predict(X), exact.predict(X), rtol=1e-4)


def test_zeros_among_amounts(rng, X, amounts):
    amounts = amounts * rng.integers(0, 2, N)
    model = LinearRegressor("tweedie", alpha=ALPHA, tol=1e-8).fit(X, amounts)
    exact = theirs.TweedieRegressor(power=1.5, link="log", alpha=ALPHA, tol=1e-8).fit(X, amounts)
    np.testing.assert_allclose(model.predict(X), exact.predict(X), rtol=1e-4)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_quantiles(X, y, quantile):
    model = LinearRegressor("quantile", quantile=quantile, alpha=0, batch_size=32, random_state=0).fit(X, y)
    exact = theirs.QuantileRegressor(quantile=quantile, alpha=0).fit(X, y)
    losses = [mean_pinball_loss(y, each.predict(X), alpha=quantile) for each in (model, exact)]
    assert losses[0] < 1.01 * losses[1]
    assert np.mean(y < model.predict(X)) == pytest.approx(quantile, abs=0.03)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_losses_with_kinks_in_any_units(X, y, quantile, form):
    raw = X * np.logspace(-3, 3, D) + 100
    model = LinearRegressor("quantile", quantile=quantile, alpha=0).fit(form(raw), 1000 * y)
    exact = theirs.QuantileRegressor(quantile=quantile, alpha=0).fit(X, y)
    losses = [mean_pinball_loss(y, found, alpha=quantile) for found in (model.predict(raw) / 1000, exact.predict(X))]
    assert losses[0] < 1.02 * losses[1] and model.n_iter_ < 100
    labels = y > 2
    hinge = [LinearClassifier("hinge").fit(form(each), labels).score(form(each), labels) for each in (X, raw)]
    assert hinge[1] > hinge[0] - 0.02 and hinge[0] > 0.8


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_support_vectors(X, y, epsilon):
    settings = {"epsilon": epsilon, "alpha": ALPHA, "fit_intercept": False}
    model = LinearRegressor("squared_epsilon_insensitive", tol=1e-9, **settings).fit(X, y)
    exact = LinearSVR(
        loss="squared_epsilon_insensitive", epsilon=epsilon, C=1 / (N * ALPHA), fit_intercept=False, dual=False,
        tol=1e-10, max_iter=100_000,
    ).fit(X, y)  # fmt: skip
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=1e-4)
    settings |= {"batch_size": 32, "random_state": 0, "max_iter": 300}
    model = LinearRegressor("epsilon_insensitive", **settings).fit(X, y)
    exact = LinearSVR(
        epsilon=epsilon, C=1 / (N * ALPHA), fit_intercept=False, tol=1e-8, max_iter=1_000_000, random_state=0
    ).fit(X, y)
    objective = EpsilonInsensitive(X, y, epsilon=epsilon, l2=ALPHA)
    assert objective(model.coef_) < 1.005 * objective(exact.coef_)


def test_the_default_of_epsilon(X, y):
    """Of Huber it is in the units of y, estimated and kept; of others that of SGDRegressor."""
    model = LinearRegressor("huber", alpha=0).fit(X, y)
    scaled = LinearRegressor("huber", alpha=0).fit(X, 1000 * y)
    np.testing.assert_allclose(scaled.epsilon_, 1000 * model.epsilon_)
    np.testing.assert_allclose(scaled.coef_, 1000 * model.coef_, rtol=1e-2)
    given = LinearRegressor("huber", alpha=0, epsilon=float(model.epsilon_[0])).fit(X, y)
    np.testing.assert_array_equal(given.coef_, model.coef_)
    for loss in ("epsilon_insensitive", "squared_epsilon_insensitive"):
        settings = {"solver": "adam", "random_state": 0, "tol": None}
        fits = [LinearRegressor(loss, epsilon=epsilon, **settings).fit(X, y).coef_ for epsilon in (None, 0.1, 1.0)]
        np.testing.assert_array_equal(*fits[:2])
        assert np.abs(fits[1] - fits[2]).max() > 1e-3


def test_what_is_estimated_in_one_fit_is_not_there_after_another(X, y):
    model = LinearRegressor("huber", random_state=0).fit(X, y)
    assert hasattr(model, "epsilon_") and not hasattr(model.set_params(loss="squared_error").fit(X, y), "epsilon_")
    model.set_params(early_stopping=True, solver="adam").fit(X, y)
    assert hasattr(model, "validation_curve_")
    assert not hasattr(model.set_params(early_stopping=False).fit(X, y), "validation_curve_")


@pytest.mark.parametrize("n_classes", [2, 4])
def test_modified_huber(rng, X, n_classes):
    labels = (X @ rng.standard_normal((D, n_classes)) + rng.standard_normal((N, n_classes))).argmax(axis=1)
    model = LinearClassifier("modified_huber", alpha=ALPHA).fit(X, labels)
    exact = theirs.SGDClassifier("modified_huber", alpha=ALPHA, max_iter=1000, tol=None, random_state=0)
    exact.fit(X, labels)
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=0.05)
    exact.coef_, exact.intercept_ = model.coef_, model.intercept_
    X = np.vstack([X, 3 * X])  # where probabilities are 0 and 1, too
    np.testing.assert_array_equal(model.predict(X), exact.predict(X))
    np.testing.assert_allclose(model.predict_proba(X), exact.predict_proba(X), atol=1e-14)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(model.predict_log_proba(X), np.log(exact.predict_proba(X)), atol=1e-12)


def test_samples_of_no_class(rng):
    """Where the margins of all classes are at most -1 their probabilities are equal."""
    probabilities = _losses.clipped(np.array([[-1.0, -2.0, -3.0], [2.0, 0.0, -1.0]]))
    np.testing.assert_allclose(probabilities, [[1 / 3, 1 / 3, 1 / 3], [2 / 3, 1 / 3, 0]])


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_losses_without_probabilities(loss):
    assert not hasattr(LinearClassifier(loss), "predict_proba")
    assert not hasattr(LinearClassifier(loss), "predict_log_proba")


@pytest.mark.parametrize("solver", ["auto", None, "adam"])
@pytest.mark.parametrize("loss", _losses.REGRESSION)
def test_every_loss_learns_something(X, amounts, loss, solver):
    model = LinearRegressor(loss, solver=solver, batch_size=32, random_state=0).fit(X, amounts)
    assert model.score(X, amounts) > 0.2
