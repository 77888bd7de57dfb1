"""What minimize returns for methods whose solution is not their parameters: an average, read off in the end."""

import itertools

import numpy as np
import pytest
from helpers import exactly
from minimizing import stop_now
from objectives import Counted, Recorded, bowl, outcome
from scipy.sparse import csr_array

import fastopt
from fastopt import OPTIMIZERS, minimize, objectives

METHODS = {
    "asgd": dict(learning_rate=0.1, t0=3),
    "schedulefreeadamw": dict(learning_rate=0.1),
    "schedulefreesgd": dict(learning_rate=0.3),
}
METHOD = pytest.mark.parametrize("method", METHODS)
X0 = np.array([2.0, 0.0, -1.0])
BOX = [(-1.0, 2.0), (-1.5, 3.0), (-2.0, 0.25)]  # the minimum of the bowl is outside in two of three

rng = np.random.default_rng(5)
X = rng.standard_normal((60, 3)) * (rng.random((60, 3)) < 0.7)
Y = X @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(60)


def batch_loss(w, X, y):
    residual = X @ w - y
    return residual @ residual / (2 * len(y)), X.T @ residual / len(y)


def sampled(**options):
    """A run with a function of samples."""
    return dict(fun=batch_loss, jac=True, data=(X, Y), batch_size=7, rng=1, options={"epochs": 6, **options})


def built_in(layout=np.asarray, **options):
    """A run over a built-in objective."""
    f = objectives.LeastSquares(layout(X), Y, l2=0.01)
    return dict(fun=f, batch_size=7, rng=1, options={"epochs": 6, **options})


RUNS = {
    "without samples": lambda **options: dict(
        fun=bowl, jac=True, options={"maxiter": 60, "epoch_length": 10, **options}
    ),
    "of samples": sampled,
    "built-in, dense": built_in,
    "built-in, CSR": lambda **options: built_in(csr_array, **options),
}
RUN = pytest.mark.parametrize("run", RUNS)
BOUNDED = pytest.mark.parametrize("bounds", [None, BOX], ids=["free", "bounded"])


def run_of(kind, method, x0=X0, bounds=None, resume=None, callback=None, **options):
    arguments = RUNS[kind](**METHODS[method] | options)
    return minimize(x0=x0, method=method, bounds=bounds, resume=resume, callback=callback, **arguments)


def loss_at(kind, x):
    arguments = RUNS[kind]()
    if kind == "of samples":
        return batch_loss(x, X, Y)[0]
    return bowl(x)[0] if kind == "without samples" else arguments["fun"](x)


# --- the result ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@METHOD
@RUN
def test_x_is_the_solution_and_fun_the_objective_there(run, method, dtype):
    if run.startswith("built-in"):
        dtype = "float64"  # that of the objective
    res = run_of(run, method, X0.astype(dtype))
    assert res.success and res.x.dtype == dtype
    assert res.x.tobytes() == res.optimizer.solution().tobytes()
    assert not np.allclose(res.x, res.optimizer.params, rtol=1e-6)
    assert res.fun == pytest.approx(loss_at(run, res.x), rel=1e-5 if dtype == "float32" else 1e-12)


@METHOD
def test_gradient_of_the_result_is_that_at_the_solution(method):
    for run in ("without samples", "built-in, CSR"):
        res = run_of(run, method)
        f = bowl if run == "without samples" else RUNS[run]()["fun"].value_and_gradient
        np.testing.assert_allclose(res.jac, f(res.x)[1], rtol=1e-12)


@METHOD
def test_result_is_that_of_a_loop_of_steps(method):
    x = X0.copy()
    opt = OPTIMIZERS[method](x, **METHODS[method])
    for _ in range(60):
        opt.step(bowl(x)[1])
    assert run_of("without samples", method).x.tobytes() == opt.solution().tobytes()


@METHOD
@RUN
def test_callbacks_see_the_parameters_at_which_gradients_are_taken(run, method):
    seen = []
    res = run_of(run, method, callback=lambda x: seen.append(x))
    assert seen[-1].tobytes() == res.optimizer.params.tobytes() != res.x.tobytes()


@METHOD
@RUN
def test_solution_when_the_callback_ends_the_run(run, method):
    res = run_of(run, method, callback=stop_now)
    assert (res.status, res.nit) == (99, 1)
    assert res.x.tobytes() == res.optimizer.solution().tobytes()


@METHOD
@RUN
@BOUNDED
def test_return_best_is_the_solution_after_the_best_epoch(run, method, bounds):
    per_epoch = 10 if run == "without samples" else 9
    res = run_of(run, method, bounds=bounds, return_best=True)
    best = int(np.argmin(res.history["fun"]))
    limit = {"maxiter": (best + 1) * per_epoch, "epochs": best + 1}
    for name in [*limit]:
        if name not in RUNS[run]()["options"]:
            del limit[name]
    assert res.x.tobytes() == run_of(run, method, bounds=bounds, **limit).x.tobytes()


@METHOD
@RUN
def test_second_average_is_refused(run, method):
    for average in ("polyak", "ema"):
        cls = OPTIMIZERS[method].__name__
        message = f"`average` must be None for {cls}, whose solution is an average, got {average!r}; leave it out."
        with pytest.raises(ValueError, match=exactly(message)):
            run_of(run, method, average=average)


def test_second_average_is_refused_before_the_objective_is_called():
    fun = Counted(bowl)
    with pytest.raises(ValueError, match="average"):
        minimize(fun, X0, method=lambda x: fastopt.ASGD(x), jac=True, options={"average": "ema"})
    assert fun.calls == 0


# --- bounds ----------------------------------------------------------------------------------------------------


def is_inside(x):
    return all(low <= each <= high for each, (low, high) in zip(x.tolist(), BOX, strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@METHOD
def test_parameters_and_solution_obey_the_bounds_in_every_step(method, dtype):
    noise = np.random.default_rng(3)

    def noisy(x):
        value, slope = bowl(x)
        return value, slope + noise.standard_normal(3).astype(x.dtype)

    fun = Recorded(noisy)
    for n in (1, 2, 5, 40):
        fun.calls.clear()
        options = METHODS[method] | {"maxiter": n}
        res = minimize(fun, X0.astype(dtype), method=method, jac=True, bounds=BOX, options=options)
        assert is_inside(res.x) and is_inside(res.optimizer.params)
        assert all(is_inside(x) for (x,) in fun.calls)
        np.testing.assert_allclose(res.x, res.optimizer.solution(), rtol=1e-5)
        if method != "asgd":
            assert is_inside(res.optimizer.state["z"])


def clipped(x):
    return np.clip(x, *np.transpose(BOX))


@pytest.mark.parametrize("rate", [0.05, 1.5])
def test_schedule_free_averages_projected_points(rate):
    """The method as in the paper, with z projected, and all of its sequences kept."""
    y = z = x = X0
    for t in range(1, 41):
        z = clipped(z - rate * bowl(y)[1])
        x = x + (z - x) / t
        y = 0.9 * x + 0.1 * z
    options = {"maxiter": 40, "learning_rate": rate}
    res = minimize(bowl, X0, method="schedulefreesgd", jac=True, bounds=BOX, options=options)
    np.testing.assert_allclose(res.x, x, rtol=1e-12)
    np.testing.assert_allclose(res.optimizer.params, y, rtol=1e-12)
    np.testing.assert_allclose(res.optimizer.state["z"], z, rtol=1e-12)


@pytest.mark.parametrize("t0", [1e6, 5, 0])
def test_asgd_averages_projected_parameters(t0):
    p, average = X0, X0
    for t in range(1, 41):
        p = clipped(p - 0.5 * bowl(p)[1])
        average = average + (p - average) / max(1, t - 1 - t0)
    options = {"maxiter": 40, "learning_rate": 0.5, "t0": t0, "lambd": 0.0}
    res = minimize(bowl, X0, method="asgd", jac=True, bounds=BOX, options=options)
    np.testing.assert_allclose(res.x, average, rtol=1e-12)
    assert is_inside(res.x) and is_inside(res.optimizer.params)


@pytest.mark.parametrize("run", ["built-in, dense", "built-in, CSR"])
@METHOD
def test_built_in_objectives_in_bounds_are_as_functions_of_samples(run, method):
    f = RUNS[run]()["fun"]

    def loss(w, index):
        return f.value_and_gradient(w, index)

    options = METHODS[method] | {"epochs": 4, "sparse": "exact"}
    res = minimize(f, X0, method=method, bounds=BOX, batch_size=7, rng=1, options=options)
    theirs = minimize(loss, X0, method=method, jac=True, n_samples=60, bounds=BOX, batch_size=7, rng=1, options=options)
    np.testing.assert_allclose(res.x, theirs.x, rtol=1e-10)
    assert is_inside(res.x)


@METHOD
def test_average_that_was_loaded_from_outside_is_moved_inside(method):
    def continued(x):
        other = OPTIMIZERS[method](np.full(3, 50.0), **METHODS[method])
        for _ in range(9):
            other.step(np.ones(3))
        opt = OPTIMIZERS[method](x, **METHODS[method])
        opt.load_state_dict(other.state_dict())
        return opt

    res = minimize(bowl, X0, method=continued, jac=True, bounds=BOX, options={"maxiter": 1})
    assert is_inside(res.x) and is_inside(res.optimizer.params)


@METHOD
def test_bounds_of_a_single_point(method):
    res = minimize(bowl, X0, method=method, jac=True, bounds=[(value, value) for value in X0])
    assert (res.status, res.nit, res.x.tolist()) == (5, 0, X0.tolist())


# --- checkpoints -----------------------------------------------------------------------------------------------


@METHOD
@RUN
@BOUNDED
def test_resumed_run_has_the_same_bits(run, method, bounds, tmp_path):
    path = tmp_path / "run.npz"
    half = {"maxiter": 30} if run == "without samples" else {"epochs": 3}
    for more in ({}, {"return_best": True}):
        run_of(run, method, bounds=bounds, checkpoint=path, **half | more)
        resumed = run_of(run, method, np.zeros(3), bounds, resume=path, **more)
        assert outcome(resumed) == outcome(run_of(run, method, bounds=bounds, **more))


# --- overflow --------------------------------------------------------------------------------------------------


@METHOD
def test_after_an_overflow_it_is_the_solution_of_the_last_epoch(method):
    calls = itertools.count(1)

    def overflows(x):
        value, slope = bowl(x)
        return value, np.array([np.inf, 1.0, 1.0]) if next(calls) == 27 else slope

    options = METHODS[method] | {"epoch_length": 10, "maxiter": 27, "nonfinite": "propagate"}
    res = minimize(overflows, X0, method=method, jac=True, options=options)
    assert (res.status, res.success) == (4, False)
    two_epochs = run_of("without samples", method, maxiter=20)
    assert res.x.tobytes() == two_epochs.x.tobytes()


class Overflowing(fastopt.SGD):
    """Its solution overflows before its parameters do."""

    def _read_off(self, param, state, values):
        return np.full(param.shape, np.inf) if self.step_count > 15 else param + 1.0


def test_solution_that_overflows_ends_with_the_one_before(tmp_path):
    path = tmp_path / "run.npz"
    options = {"epoch_length": 10, "maxiter": 20, "learning_rate": 0.1, "checkpoint": path, "return_best": False}
    res = minimize(bowl, X0, method=Overflowing, jac=True, options=options)
    assert (res.status, res.success) == (4, False)
    before = minimize(bowl, X0, method=Overflowing, jac=True, options=options | {"maxiter": 10, "checkpoint": None})
    assert res.x.tobytes() == before.x.tobytes()
    assert fastopt._checkpoint.read(path, "minimize")["run"]["nit"] == 10
