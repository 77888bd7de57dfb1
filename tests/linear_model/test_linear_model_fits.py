"""What is fitted: the minimum of the documented objective, whatever the data are and however the fit goes."""

import warnings

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, LogisticRegression, PoissonRegressor, Ridge
from sklearn.preprocessing import StandardScaler

import fastopt
from fastopt.linear_model import LinearClassifier, LinearRegressor

N, D = 400, 8
ALPHA = 1e-2


@pytest.fixture
def X(rng):
    return rng.standard_normal((N, D))


@pytest.fixture
def classes(rng, X):
    return (X @ rng.standard_normal((D, 3)) + rng.standard_normal((N, 3))).argmax(axis=1)


@pytest.fixture
def y(rng, X):
    return X @ rng.standard_normal(D) + 3.0 + 0.1 * rng.standard_normal(N)


def in_raw_units(X):
    return X * np.logspace(-3, 3, X.shape[1]) + 100.0


EXACT = [("auto", {}), ("saga", {"max_iter": 1000}), ("svrg", {"max_iter": 1000}), ("sgd", {"max_iter": 3000})]


@pytest.mark.parametrize(("solver", "settings"), EXACT)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_regression(X, classes, solver, settings, n_classes):
    labels = np.minimum(classes, n_classes - 1)
    model = LinearClassifier(alpha=ALPHA, solver=solver, tol=1e-9, batch_size=N, **settings).fit(X, labels)
    exact = LogisticRegression(C=1 / (N * ALPHA), tol=1e-10, max_iter=10_000).fit(X, labels)
    np.testing.assert_allclose(model.predict_proba(X), exact.predict_proba(X), atol=1e-4)
    assert model.coef_.shape == exact.coef_.shape and model.intercept_.shape == exact.intercept_.shape


@pytest.mark.parametrize(("solver", "settings"), EXACT)
def test_least_squares(X, y, solver, settings):
    model = LinearRegressor(alpha=ALPHA, solver=solver, tol=1e-12, batch_size=N, **settings).fit(X, y)
    exact = Ridge(alpha=N * ALPHA).fit(X, y)
    np.testing.assert_allclose(model.coef_, exact.coef_, atol=1e-4)
    np.testing.assert_allclose(model.intercept_, exact.intercept_, atol=1e-4)


def test_counts(rng, X):
    y = rng.poisson(np.exp(0.3 * X[:, 0] + 1))
    model, exact = LinearRegressor("poisson", alpha=ALPHA, tol=1e-8).fit(X, y), PoissonRegressor(alpha=ALPHA).fit(X, y)
    np.testing.assert_allclose(model.predict(X), exact.predict(X), rtol=1e-2)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_data_of_any_units(X, y, form, fit_intercept):
    raw = in_raw_units(X)
    model = LinearRegressor(alpha=ALPHA, fit_intercept=fit_intercept, tol=1e-10, max_iter=1000).fit(form(raw), y)
    exact = Ridge(alpha=N * ALPHA, fit_intercept=fit_intercept).fit(raw, y)
    assert model.score(form(raw), y) == pytest.approx(exact.score(raw, y), abs=1e-4)


@pytest.mark.parametrize("solver", ["lbfgs", "saga"])
def test_l1_makes_zeros_of_the_same_coefficients(rng, X, solver):
    y = X[:, :2] @ [2.0, -3.0] + 0.1 * rng.standard_normal(N)
    settings = {"penalty": "elasticnet", "l1_ratio": 0.9, "alpha": 0.1, "tol": 1e-10, "max_iter": 2000}
    model = LinearRegressor(solver=solver, **settings).fit(X, y)
    assert np.flatnonzero(model.coef_).tolist() == [0, 1]
    objective = fastopt.objectives.LeastSquares(X, y, l2=0.01, l1=0.09, fit_intercept=True)
    slope = objective.gradient(np.append(model.coef_, model.intercept_))
    assert np.abs(slope[[0, 1, D]]).max() < 1e-5


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_l1_ends_at_the_minimum_whatever_the_strength(share):
    """L-BFGS-B runs into the bounds of its coordinates now and then, and finds no step that makes the value less."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    for alpha in np.abs(X.T @ y).max() / len(y) / share * np.logspace(-2, -4, 30):
        settings = {"alpha": alpha, "l1_ratio": share}
        model = LinearRegressor(penalty="elasticnet", tol=1e-6, max_iter=1000, **settings).fit(X, y)
        exact = ElasticNet(tol=1e-12, max_iter=1_000_000, **settings).fit(X, y)
        np.testing.assert_allclose(model.coef_, exact.coef_, atol=1e-4)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("solver", ["auto", None, "saga", "adagrad"])
def test_dtypes_and_forms(X, classes, dtype, form, solver):
    model = LinearClassifier(solver=solver, random_state=0).fit(form(X.astype(dtype)), classes)
    assert model.coef_.dtype == model.intercept_.dtype == dtype
    assert model.decision_function(form(X.astype(dtype))).dtype == dtype
    assert model.score(form(X.astype(dtype)), classes) > 0.7


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_one_against_the_rest(X, classes, loss):
    names = np.array(["a", "b", "c"])[classes]
    model = LinearClassifier(loss, alpha=ALPHA, random_state=0).fit(X, names)
    assert model.coef_.shape == (3, D) and model.score(X, names) > 0.7
    assert not hasattr(model, "predict_proba")
    alone = LinearClassifier(loss, alpha=ALPHA, random_state=0).fit(X, names == "b")
    np.testing.assert_allclose(model.coef_[1], alone.coef_[0], atol=1e-3)


@pytest.mark.parametrize("solver", ["auto", "saga", "adam"])
def test_several_targets_are_each_fitted_alone(X, y, solver):
    model = LinearRegressor(solver=solver, random_state=0).fit(X, np.column_stack([y, -y, X[:, 0]]))
    alone = LinearRegressor(solver=solver, random_state=0).fit(X, -y)
    assert model.coef_.shape == (3, D) and model.intercept_.shape == (3,) and alone.coef_.shape == (D,)
    np.testing.assert_array_equal(model.coef_[1], alone.coef_)
    np.testing.assert_allclose(model.predict(X)[:, 1], alone.predict(X))


@pytest.mark.parametrize("solver", ["auto", "saga", "svrg"])
@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array], ids=["dense", "csr"])
def test_weights_are_repeats_to_the_last_bit(rng, X, classes, solver, form):
    weights = rng.integers(0, 4, N)
    repeated = rng.permutation(np.repeat(np.arange(N), weights))
    one = LinearClassifier(solver=solver, random_state=0).fit(form(X), classes, sample_weight=weights)
    other = LinearClassifier(solver=solver, random_state=0).fit(form(X[repeated]), classes[repeated])
    np.testing.assert_array_equal(one.coef_, other.coef_)


@pytest.mark.parametrize("solver", ["auto", None, "saga", "sgd", "adam"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [2.0**-1074, 2.0**-200, 2.0**200, 2.0**1023])
def test_the_size_of_weights_does_not_matter(X, classes, solver, dtype, size):
    X, settings = X.astype(dtype), {"solver": solver, "max_iter": 10, "tol": None, "random_state": 0}
    sized = LinearClassifier(**settings).fit(X, classes, sample_weight=np.full(N, size))
    np.testing.assert_array_equal(sized.coef_, LinearClassifier(**settings).fit(X, classes).coef_)
    by_class = LinearClassifier(class_weight=dict.fromkeys(range(3), size), **settings)
    np.testing.assert_array_equal(by_class.fit(X, classes, sample_weight=np.full(N, size)).coef_, sized.coef_)


# A loss, its settings for targets of deviation 1, and how far two fits of the same may be from each other.
IN_UNITS = {
    "squared_error": ({}, 1e-3),
    "huber": ({}, 1e-3),
    "squared_epsilon_insensitive": ({"epsilon": 0.1}, 1e-3),
    "epsilon_insensitive": ({"epsilon": 0.1}, 0.03),
    "quantile": ({"quantile": 0.3}, 0.03),
}


@pytest.mark.parametrize("unit", [1e-12, 1e-8, 1e-4, 1e6, 1e30])
@pytest.mark.parametrize("loss", IN_UNITS)
def test_targets_of_any_unit(X, y, loss, unit):
    settings, accuracy = IN_UNITS[loss]
    one = LinearRegressor(loss, penalty=None, **settings).fit(X, y)
    in_units = {name: value * (unit if name == "epsilon" else 1) for name, value in settings.items()}
    other = LinearRegressor(loss, penalty=None, **in_units).fit(X, y * unit)
    np.testing.assert_allclose(other.coef_ / unit, one.coef_, atol=accuracy)
    np.testing.assert_allclose(other.intercept_ / unit, one.intercept_, atol=accuracy)


def test_class_weights_are_sample_weights(X, classes):
    by_class = LinearClassifier(class_weight={0: 2.0, 2: 0.5}).fit(X, classes)
    by_sample = LinearClassifier().fit(X, classes, sample_weight=np.array([2.0, 1.0, 0.5])[classes])
    np.testing.assert_array_equal(by_class.coef_, by_sample.coef_)


@pytest.mark.parametrize("solver", ["auto", None, "saga", "adagrad"])
def test_threads_and_seeds_give_the_same_bits(X, classes, solver):
    fits = [
        LinearClassifier(solver=solver, batch_size=32, random_state=3, n_jobs=n).fit(X, classes).coef_ for n in (1, 2)
    ]
    np.testing.assert_array_equal(*fits)


def test_warm_start(X, classes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LinearClassifier(solver="saga", warm_start=True, max_iter=1, random_state=0).fit(X, classes)
        first = model.loss_curve_[-1]
        assert model.fit(X, classes).loss_curve_[-1] < first


def test_a_warm_start_at_the_minimum_ends_at_once(X, classes):
    model = LinearClassifier(warm_start=True, tol=1e-5).fit(X, classes)
    assert model.n_iter_ > 5 and model.fit(X, classes).n_iter_ == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["auto", "adam", "saga"])
def test_early_stopping_returns_the_best_epoch(rng, X, solver):
    noise = rng.integers(0, 2, N)  # nothing to learn: the held-out loss soon rises
    settings = {"alpha": 0, "solver": solver, "early_stopping": True, "max_iter": 300, "random_state": 0}
    model = LinearClassifier(validation_fraction=0.25, **settings).fit(X[:40], noise[:40])
    assert len(model.validation_curve_) == len(model.loss_curve_) == model.n_iter_ < 300
    best = int(np.argmin(model.validation_curve_)) + 1
    if solver != "auto":  # whose rate depends on the number of epochs
        again = LinearClassifier(validation_fraction=0.25, **settings | {"max_iter": best}).fit(X[:40], noise[:40])
        np.testing.assert_array_equal(model.coef_, again.coef_)


def test_average(X, classes):
    model = LinearClassifier(solver="sgd", average=True, batch_size=16, random_state=0).fit(X, classes)
    assert model.score(X, classes) > 0.7


def test_too_few_epochs_are_told(X, classes):
    with pytest.warns(ConvergenceWarning, match="has not converged in 2 epochs"):
        LinearClassifier(solver="adam", max_iter=2).fit(X, classes)
    with pytest.warns(ConvergenceWarning, match="has not converged in 1 epochs"):
        LinearClassifier(max_iter=1).fit(X, classes)


def test_verbose(X, y, capsys):
    LinearRegressor(solver="saga", verbose=1, max_iter=3, tol=None).fit(X, y)
    assert capsys.readouterr().out.splitlines()[2].startswith("target 0, epoch 3: loss ")


def test_a_schedule(X, y):
    rate = fastopt.schedules.inverse_time_decay(0.1, 100, 1.0)
    model = LinearRegressor(solver="adam", learning_rate=rate, batch_size=32, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.99
