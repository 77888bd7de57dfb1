"""partial_fit: chunks with kept state are one fit over the same order of samples."""

import copy

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from fastopt.linear_model import LinearClassifier, LinearRegressor

BATCH, N = 32, 640
FORMS = {
    "dense": np.ascontiguousarray,
    "float32": np.float32,
    "csr": lambda X: scipy.sparse.csr_array(X * (X > 0.5)),
}


@pytest.fixture
def samples(rng):
    X = rng.standard_normal((N, 12))
    return X, (X[:, :3] + rng.standard_normal((N, 3))).argmax(axis=1)


def in_chunks(model, X, y, size):
    for first in range(0, N, size):
        model.partial_fit(X[first : first + size], y[first : first + size], classes=[0, 1, 2])
    return model


def coefficients(model):
    return np.column_stack([model.coef_, model.intercept_])


# On CSR samples SGD with l1, and Adagrad, apply penalties later: chunks then change the order of roundings.
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["log_loss", "hinge"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "adagrad", "prodigy", "schedulefreeadamw", "ftrl"])
@pytest.mark.parametrize("penalty", [None, "l2"])
def test_chunks_are_one_fit_to_the_last_bit(samples, form, loss, solver, penalty):
    if solver == "adagrad" and form == "csr":
        penalty = None
    X, y = FORMS[form](samples[0]), samples[1]
    settings = {"loss": loss, "solver": solver, "penalty": penalty, "batch_size": BATCH, "learning_rate": 0.05}
    whole = in_chunks(LinearClassifier(**settings), X, y, N)
    for size in (BATCH, 4 * BATCH):
        np.testing.assert_array_equal(
            coefficients(in_chunks(LinearClassifier(**settings), X, y, size)), coefficients(whole)
        )
    order = np.random.default_rng(5).permutation(N)
    back = np.argsort(order)  # so that the fit's shuffle gives the order above
    fit = LinearClassifier(**settings, max_iter=1, tol=None, random_state=5).fit(X[back], y[back])
    np.testing.assert_array_equal(coefficients(fit), coefficients(whole))


@pytest.mark.parametrize("solver", ["sgd", "adagrad"])
def test_penalties_on_csr_samples_are_the_same_to_rounding(samples, solver):
    X, y = FORMS["csr"](samples[0]), samples[1]
    settings = {"solver": solver, "penalty": "elasticnet", "batch_size": BATCH, "learning_rate": 0.05}
    one, other = (in_chunks(LinearClassifier(**settings), X, y, size) for size in (N, BATCH))
    np.testing.assert_allclose(coefficients(one), coefficients(other), rtol=1e-12, atol=1e-14)


def test_fit_is_gone_on_with(samples):
    """The optimizer's state, too: two epochs of fit are one of fit and one of partial_fit."""
    X, y = samples
    settings = {"solver": "adam", "batch_size": N, "tol": None}
    model = LinearClassifier(**settings, max_iter=1).fit(X, y).partial_fit(X, y)
    np.testing.assert_array_equal(model.coef_, LinearClassifier(**settings, max_iter=2).fit(X, y).coef_)


def test_changed_coefficients_are_gone_on_from(samples):
    X, y = samples
    model = in_chunks(LinearClassifier(solver="sgd", learning_rate=1e-9), X, y, N)
    model.coef_ = np.ones_like(model.coef_)
    np.testing.assert_allclose(model.partial_fit(X, y).coef_, 1.0, atol=1e-6)


def test_average_of_all_steps(samples):
    X, y = samples
    settings = {"solver": "sgd", "learning_rate": 0.05, "average": True, "batch_size": BATCH}
    one, other = (in_chunks(LinearClassifier(**settings), X, y, size) for size in (N, BATCH))
    np.testing.assert_array_equal(one.coef_, other.coef_)
    assert np.abs(one.coef_ - in_chunks(LinearClassifier(**settings | {"average": False}), X, y, N).coef_).max() > 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_weights_mean_the_same_in_every_chunk(rng, samples, form, solver):
    """Also where all of a chunk are 0."""
    X, y = FORMS[form](samples[0]), samples[1]
    weights = rng.uniform(0, 3, N) * rng.integers(0, 2, N)
    weights[:BATCH] = weights[3 * BATCH : 4 * BATCH] = 0
    settings = {"solver": solver, "batch_size": BATCH, "learning_rate": 0.05, "class_weight": {1: 2.0}}
    models = LinearClassifier(**settings), LinearClassifier(**settings)
    models[0].partial_fit(X, y, classes=[0, 1, 2], sample_weight=weights)
    for first in range(0, N, BATCH):
        part = slice(first, first + BATCH)
        models[1].partial_fit(X[part], y[part], classes=[0, 1, 2], sample_weight=weights[part])
    np.testing.assert_array_equal(*map(coefficients, models))
    assert np.abs(coefficients(models[0])).max() > 0.01


def test_an_average_is_of_the_steps_of_one_optimizer_in_a_row(samples):
    """It begins anew with an optimizer of other parameters, and where it was switched off in between."""
    X, y = samples
    model = LinearClassifier(solver="adam", average=True).partial_fit(X, y, classes=[0, 1, 2])
    model.set_params(fit_intercept=False).partial_fit(X, y)
    assert not model.intercept_.any()
    model.set_params(average=False).partial_fit(X, y)
    once = copy.deepcopy(model).partial_fit(X[:BATCH], y[:BATCH])
    model.set_params(average=True).partial_fit(X[:BATCH], y[:BATCH])
    np.testing.assert_array_equal(*map(coefficients, (once, model)))


@pytest.mark.parametrize("solver", ["sgd", "asgd", "adagrad", None])
@pytest.mark.parametrize("loss", ["huber", "poisson"])
def test_a_first_chunk_without_weight(samples, loss, solver):
    X, y = samples[0], samples[1].astype(float)
    model = LinearRegressor(loss, solver=solver).partial_fit(X, y, sample_weight=np.zeros(N))
    assert np.all(model.coef_ == 0) and model.intercept_ == 0
    for _ in range(20):
        model.partial_fit(X, y)
    assert model.score(X, y) > LinearRegressor(loss, solver=solver).partial_fit(X, y).score(X, y)


def test_no_rate_is_needed(samples):
    X, y = samples
    model = LinearClassifier(batch_size=BATCH)
    for _ in range(10):
        in_chunks(model, X, y, 4 * BATCH)
    assert model.score(X, y) > 0.95 * LinearClassifier().fit(X, y).score(X, y)
    assert model.n_iter_ == len(model.loss_curve_) == 50


def test_regression_with_several_targets(samples):
    X, _ = samples
    model = LinearRegressor(batch_size=BATCH)
    for _ in range(30):
        model.partial_fit(X, X[:, :2] + 1.0)
    assert model.coef_.shape == (2, 12) and model.score(X, X[:, :2] + 1.0) > 0.95


@pytest.mark.parametrize("solver", ["lbfgs", "saga", "svrg", "vw"])
def test_solvers_that_see_samples_again_have_no_partial_fit(solver):
    assert not hasattr(LinearClassifier(solver=solver), "partial_fit")
    assert hasattr(LinearRegressor(), "partial_fit")
