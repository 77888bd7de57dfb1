"""Several targets: in one pass over the samples where that changes nothing but roundings, else each alone."""

import io

import numpy as np
import pytest
import scipy.sparse

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import fastopt
from fastopt.linear_model import LinearClassifier, LinearRegressor, _losses, _solvers

N, D, K = 200, 7, 3
FORMS = {"dense": np.ascontiguousarray, "csr": lambda X: scipy.sparse.csr_array(X * (X > -0.3))}
FIXED = {"tol": None, "max_iter": 6, "batch_size": 16, "random_state": 0}
EACH_ALONE = ("auto", "lbfgs", "prodigy")
IN_ONE_PASS = [name for name in _solvers.SOLVERS if name not in EACH_ALONE]


@pytest.fixture
def X(rng):
    return rng.standard_normal((N, D))


@pytest.fixture
def Y(rng, X):
    return np.abs(X @ rng.standard_normal((D, K)) + rng.standard_normal((N, K))) + 0.1


def rows(model):
    """Coefficients and intercept of each target."""
    return np.column_stack([np.atleast_2d(model.coef_), model.intercept_])


def each_alone(model, X, Y, method="fit"):
    """The same for fits, or chunks, of one target after the other."""
    return np.vstack([rows(getattr(type(model)(**model.get_params()), method)(X, y)) for y in Y.T])


@pytest.mark.parametrize("penalty", [None, "elasticnet"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("solver", IN_ONE_PASS)
def test_one_pass_is_each_alone_to_rounding(X, Y, solver, form, penalty):
    X = FORMS[form](X)
    model = LinearRegressor(solver=solver, penalty=penalty, alpha=0.01, **FIXED).fit(X, Y)
    assert len(model._optimizers) == 1
    np.testing.assert_allclose(rows(model), each_alone(model, X, Y), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict(X), X @ model.coef_.T + model.intercept_)
    curves = [LinearRegressor(**model.get_params()).fit(X, y).loss_curve_ for y in Y.T]
    np.testing.assert_allclose(model.loss_curve_, np.mean(curves, axis=0), rtol=1e-9)


@pytest.mark.parametrize("loss", _losses.REGRESSION)
def test_every_loss_in_one_pass(X, Y, loss):
    model = LinearRegressor(loss, solver="adam", epsilon=0.3, learning_rate=0.03, **FIXED).fit(X, Y)
    assert len(model._optimizers) == 1
    np.testing.assert_allclose(rows(model), each_alone(model, X, Y), rtol=1e-9)
    model = LinearRegressor(**model.get_params()).partial_fit(X, Y)
    assert len(model._optimizers) == 1
    np.testing.assert_allclose(rows(model), each_alone(model, X, Y, "partial_fit"), rtol=1e-9)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "modified_huber"])
@pytest.mark.parametrize("solver", ["sgd", "adagrad", "svrg", "vw"])
def test_each_class_against_the_rest_in_one_pass(X, Y, loss, solver):
    labels, settings = Y.argmax(axis=1), {"solver": solver, "learning_rate": 0.01, **FIXED}
    model = LinearClassifier(loss, **settings).fit(X, labels)
    assert len(model._optimizers) == 1
    alone = [rows(LinearClassifier(loss, **settings).fit(X, labels == k)) for k in range(K)]
    np.testing.assert_allclose(rows(model), np.vstack(alone), rtol=1e-9, atol=1e-12)


def test_float32(X, Y):
    X = X.astype(np.float32)
    model = LinearRegressor(solver="adagrad", **FIXED).fit(X, Y)
    assert model.coef_.dtype == np.float32
    np.testing.assert_allclose(rows(model), each_alone(model, X, Y), rtol=1e-4, atol=1e-5)


ALONE = {
    "solver that couples entries": {"solver": "prodigy", **FIXED},
    "stopping": {"solver": "adam", **FIXED, "tol": 1e-2, "max_iter": 100},
    "early stopping": {"solver": "adam", **FIXED, "early_stopping": True},
    "number of each target": {"loss": "huber", "solver": "adam", **FIXED},
    "rate of each target": {"loss": "poisson", "solver": "sgd", **FIXED},
    "line search": {"solver": "lbfgs"},
    "samples of which some are equal": {"solver": "saga", **FIXED},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ALONE)
def test_each_alone_to_the_last_bit(X, Y, name):
    X, Y = X * (np.arange(N) % 3 > 0)[:, None], Y * [1, 10, 0.1]
    model = LinearRegressor(**ALONE[name]).fit(X, Y)
    assert len(model._optimizers) == K
    np.testing.assert_array_equal(rows(model), each_alone(model, X, Y))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("tol", [None, 1e-4])
def test_chunks_after_a_fit(X, Y, tol):
    """In one pass or not, as the fit was."""
    settings = {"solver": "adam", "batch_size": 16, "tol": tol, "random_state": 0}
    model = LinearRegressor(**settings, max_iter=8).fit(X, Y)
    assert len(model._optimizers) == (1 if tol is None else K)
    alone = [LinearRegressor(**settings, max_iter=8).fit(X, y).partial_fit(X, y) for y in Y.T]
    np.testing.assert_allclose(rows(model.partial_fit(X, Y)), np.vstack([rows(each) for each in alone]), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_chunks_with_another_solver_than_before(X, Y):
    model = LinearRegressor(solver="adam", average=True).partial_fit(X, Y)
    assert len(model._optimizers) == len(model._averages) == 1
    model.set_params(solver="prodigy").partial_fit(X, Y)
    assert len(model._optimizers) == len(model._averages) == K
    model = LinearRegressor().fit(X, Y).partial_fit(X, Y)  # "lbfgs" leaves no optimizers
    assert len(model._optimizers) == 1


def test_average(X, Y):
    model = LinearRegressor(solver="sgd", average=True, **FIXED)
    for method in ("fit", "partial_fit"):
        np.testing.assert_allclose(rows(getattr(model, method)(X, Y)), each_alone(model, X, Y, method), rtol=1e-9)
        model = LinearRegressor(**model.get_params())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_epoch_is_one_chunk_to_the_last_bit(X, Y):
    order = np.random.default_rng(3).permutation(N)
    settings = {"solver": "adam", "batch_size": 16}
    fit = LinearRegressor(**settings, max_iter=1, random_state=3).fit(X, Y)  # no tol=None is needed
    chunk = LinearRegressor(**settings).partial_fit(X[order], Y[order])
    np.testing.assert_array_equal(rows(fit), rows(chunk))


def test_saved_and_gone_on_with(X, Y):
    model, file = LinearRegressor(solver="adam", average=True).partial_fit(X, Y), io.BytesIO()
    fastopt.save(file, model)
    other = fastopt.load(io.BytesIO(file.getvalue()))
    np.testing.assert_array_equal(rows(other.partial_fit(X, Y)), rows(model.partial_fit(X, Y)))


def test_what_is_printed(X, Y, capsys):
    LinearRegressor(solver="adam", verbose=1, **FIXED).fit(X, Y)
    assert capsys.readouterr().out.startswith("3 targets, epoch 1: loss ")
