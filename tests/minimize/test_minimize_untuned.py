"""minimize without a method: what runs, with which hyper-parameters, and what it does on hard starting points."""

import math

import numpy as np
import pytest
from objectives import bowl, bowl_value, outcome
from reference_epochs import problem
from scipy import sparse
from scipy.optimize import OptimizeWarning, rosen, rosen_der

import fastopt
from fastopt import RowSparse, minimize, objectives, schedules

DTYPES = ["float32", "float64"]


def written_out(steps, **others):
    """The default, as a user would write it."""
    d0 = 1e-5 if "learning_rate" in others else max(1e-5, 2.0 ** (-steps / 3))
    options = {"learning_rate": schedules.cosine_decay(1.0, steps), "d0": d0, "beta_1": 0.8, "beta_2": 0.97}
    return {"method": "prodigy", "options": options | {"growth_rate": 2.0, "epsilon": 1e-12} | others}


# --- what runs -----------------------------------------------------------------------------------------------


def test_default_is_prodigy_with_a_factor_that_falls_over_the_budget():
    budget = {"maxiter": 40, "epoch_length": 10}
    res = minimize(bowl, np.zeros(3), jac=True, options=budget)
    assert type(res.optimizer) is fastopt.Prodigy
    assert outcome(res) == outcome(minimize(bowl, np.zeros(3), jac=True, **written_out(40, **budget)))
    assert outcome(res) == outcome(minimize(bowl, np.zeros(3), jac=True, method=None, options=budget))
    schedule = schedules.cosine_decay(1.0, 40)
    assert res.history["learning_rate"].tolist() == [schedule(t) for t in (9, 19, 29, 39)]


@pytest.mark.parametrize(("budget", "steps"), [({"epochs": 5}, 15), ({"epochs": 5, "maxiter": 7}, 7), ({}, 300)])
def test_budget_over_samples(budget, steps):
    arguments = dict(jac=True, n_samples=10, batch_size=4, rng=0)
    res = minimize(bowl, np.zeros(3), options=budget, **arguments)
    assert res.nit == steps
    assert outcome(res) == outcome(minimize(bowl, np.zeros(3), **arguments, **written_out(steps, **budget)))


@pytest.mark.parametrize(
    ("x0", "d0"), [([0.5, -0.2], 1e-5), ([3.0, -4e6], 40.0), ([1e-300, 0.0], 1e-5), ([math.inf, 20.0], 2e-4)]
)
def test_first_distance_follows_the_size_of_the_starting_point(x0, d0):
    res = minimize(lambda x: (0.0, np.zeros_like(x)), x0, jac=True, options={"maxiter": 100})
    assert res.optimizer.d0 == pytest.approx(d0, rel=1e-12)


@pytest.mark.parametrize("steps", [6, 10, 20, 40])
def test_short_budgets_are_long_enough(steps):
    """With a first d of 1e-5, which doubles at most, nothing would happen in 20 steps."""
    p = problem("logistic")
    res = minimize(p.objective, p.x0, rng=0, options={"maxiter": steps})
    longest = minimize(p.objective, p.x0, rng=0, options={"maxiter": 1000})
    assert res.success and res.fun - longest.fun < 0.5 * (p.objective(p.x0) - longest.fun)


def test_options_replace_hyperparameters():
    options = {"maxiter": 5, "learning_rate": 0.5, "d_coef": 0.5, "beta_2": 0.9, "clip_norm": 0.7}
    res = minimize(bowl, np.zeros(3), jac=True, options=options)
    assert outcome(res) == outcome(minimize(bowl, np.zeros(3), jac=True, **written_out(5, **options)))
    with pytest.warns(OptimizeWarning, match="Unknown solver options: momentum"):
        minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 1, "momentum": 0.9})


def test_budget_of_nothing():
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 0})
    assert res.nit == 0 and not res.x.any()


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_epochs_over_built_in_objectives(dtype, layout):
    objective = problem("logistic", layout, dtype).objective
    x0, arguments = np.zeros(objective.n_parameters, dtype), dict(batch_size=7, rng=0)
    res = minimize(objective, x0, options={"epochs": 3}, **arguments)
    assert res.x.dtype == dtype and res.fun < objective(x0)
    assert outcome(res) == outcome(minimize(objective, x0, **arguments, **written_out(res.nit, epochs=3)))


def test_sparse_and_dense_samples_give_the_same_steps():
    """A step depends on all of x: there is no lazy form."""
    rng = np.random.default_rng(0)
    X = sparse.csr_array(rng.standard_normal((200, 50)) * (rng.random((200, 50)) < 0.1))
    y = X @ rng.standard_normal(50)
    found = [
        minimize(objectives.LeastSquares(form, y, l2=0.01), np.zeros(50), rng=0, batch_size=20, options={"epochs": 5}).x
        for form in (X, X.toarray())
    ]
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-12)


# --- what it reaches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e10])
def test_distance_to_the_solution_need_not_be_known(scale, dtype):
    def distant(x):
        away = x / x.dtype.type(scale) - 1
        return float(away @ away), 2 * away / x.dtype.type(scale)

    res = minimize(distant, np.zeros(3, dtype), jac=True, options={"maxiter": 2000})
    assert res.success and res.fun < 1e-9


@pytest.mark.parametrize("n", [2, 10, 100])
def test_rosenbrock_in_any_dimension(n):
    res = minimize(rosen, np.resize([-1.2, 1.0], n), jac=rosen_der)
    assert res.fun < 1e-8


def test_at_the_optimum_there_is_nothing_to_do():
    res = minimize(lambda x: (float(x @ x), 2 * x), np.zeros(4), jac=True, options={"maxiter": 30})
    assert (res.status, res.success, res.nit) == (0, True, 0)
    assert not res.x.any() and res.fun == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_start_that_overflows_is_returned(dtype):
    """Sums of squares of such gradients are infinite; the run says so, or stays where it is."""
    largest = np.finfo(dtype).max / 4

    def sum_of_sizes(x):
        return float(np.abs(x / x.dtype.type(largest)).sum()), np.sign(x)

    x0 = np.full(2, largest, dtype)
    res = minimize(sum_of_sizes, x0, jac=True, options={"maxiter": 50})
    assert not res.success
    assert res.x.tobytes() == x0.tobytes() and res.fun == sum_of_sizes(x0)[0]


def test_bounds_between_start_and_solution():
    """The distance is that to where the bounds allow to go: a step from there leads back at once."""
    res = minimize(bowl, np.zeros(3), jac=True, bounds=[(-0.5, 0.5)] * 3, options={"maxiter": 1000})
    free = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 1000})
    np.testing.assert_allclose(res.x, np.clip(free.x, -0.5, 0.5), atol=1e-3)
    assert res.optimizer.d <= 1.0


def test_sparse_gradients_of_a_function():
    def one_at_a_time(x, index):
        j = int(index[0])
        return float((x[j] - 1) ** 2), RowSparse(np.array([j]), 2 * (x[[j]] - 1))

    arguments = dict(jac=True, n_samples=6, batch_size=1, rng=0, options={"epochs": 200})
    assert minimize(one_at_a_time, np.zeros(6), **arguments).x == pytest.approx(np.ones(6), abs=1e-3)


# --- the start, where it is better ---------------------------------------------------------------------------


def uphill(x, *batch):
    """The bowl with a gradient that leads to higher values."""
    value, slope = bowl(x)
    return value, -slope


WAYS = {
    "plain": dict(fun=uphill, jac=True),
    "samples": dict(fun=uphill, jac=True, n_samples=10, batch_size=4, rng=0),
    "data": dict(fun=uphill, jac=True, data=np.ones((10, 2)), batch_size=10),
    "bounds": dict(fun=uphill, jac=True, bounds=[(-9, 9)] * 3),
    "structure": dict(fun=lambda x: (uphill(x["w"])[0], {"w": uphill(x["w"])[1]}), jac=True, x0={"w": np.full(3, 0.5)}),
    "best": dict(fun=uphill, jac=True, options={"return_best": True}),
    "average": dict(fun=uphill, jac=True, options={"average": "polyak"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_start_is_returned_if_the_run_ends_above_it(way):
    arguments = {"x0": np.full(3, 0.5), **WAYS[way]}
    arguments["options"] = {"maxiter": 60, "epoch_length": 6} | arguments.get("options", {})
    res = minimize(**arguments)
    x = res.x["w"] if way == "structure" else res.x
    assert (res.status, res.success) == (6, False)
    assert x.tolist() == [0.5] * 3 and res.fun == bowl_value(x) and res.jac is None
    assert res.message.endswith(" The start is returned.")
    by_name = written_out(60, **arguments["options"])
    other = minimize(**arguments | by_name)
    assert other.fun > res.fun and "returned" not in other.message
    assert other.nfev == res.nfev  # not evaluated once more


def test_start_is_returned_by_epochs_in_c():
    """A Poisson regression whose steps are far too long."""
    X = np.linspace(0, 30, 40)[:, None]
    objective, x0 = objectives.Poisson(X, np.ones(40)), np.array([0.1])
    options = {"epochs": 5, "d0": 10.0, "learning_rate": 1.0}
    res = minimize(objective, x0, batch_size=10, rng=0, options=options)
    assert not res.success and res.x == x0 and res.fun == objective(x0)
    assert res.message.endswith(" The start is returned.")


def test_start_is_not_returned_where_it_is_no_better():
    x0, options = np.full(3, 0.5), {"maxiter": 60, "maximize": True}
    risen = minimize(bowl, x0, jac=True, options=options)
    assert risen.success and risen.fun > bowl_value(x0)
    stopped = minimize(uphill, x0, jac=True, callback=stop_after(30), options={"maxiter": 60})
    assert stopped.status == 99 and stopped.fun > bowl_value(x0)


def stop_after(n):
    """A callback that ends a run in its n-th iteration."""
    calls = []

    def stop(x):
        calls.append(x)
        if len(calls) == n:
            raise StopIteration

    return stop


def test_start_is_that_of_the_run_that_is_resumed(tmp_path):
    options = {"maxiter": 60, "epoch_length": 6, "checkpoint": str(tmp_path / "run.npz")}
    expected = minimize(uphill, np.full(3, 0.5), jac=True, options=options | {"checkpoint": None})
    minimize(uphill, np.full(3, 0.5), jac=True, callback=stop_after(13), options=options)
    res = minimize(uphill, np.zeros(3), jac=True, resume=options["checkpoint"], options=options)
    assert outcome(res) == outcome(expected) and res.x.tolist() == [0.5] * 3


# --- ends and interruptions ----------------------------------------------------------------------------------


def test_resumes_to_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((40, 3)), rng.standard_normal(40)

    def loss(x, A, b):
        residual = A @ x - b
        return float(residual @ residual) / len(b), 2 * A.T @ residual / len(b)

    arguments = dict(jac=True, data=(A, b), batch_size=8, rng=0)
    expected = minimize(loss, np.full(3, 50.0), options={"epochs": 6}, **arguments)
    options = {"epochs": 6, "checkpoint": str(tmp_path / "run.npz")}
    assert minimize(loss, np.full(3, 50.0), callback=stop_after(13), options=options, **arguments).status == 99
    res = minimize(loss, np.zeros(3), resume=options["checkpoint"], options=options, **arguments)
    assert outcome(res) == outcome(expected)


def test_tol_ends_it():
    res = minimize(bowl, np.zeros(3), jac=True, tol=1e-6)
    assert (res.status, res.success) == (0, True)
    assert res.nit < 10_000 and res.fun < 1e-3 * bowl_value(np.zeros(3))


def test_lock_free_threads_are_refused():
    objective = problem("logistic", "csr32").objective
    with pytest.raises(ValueError, match=r'`parallel` must be "batch" for Prodigy.*, or pass another `method`'):
        minimize(objective, np.zeros(objective.n_parameters), options={"parallel": "hogwild"})
