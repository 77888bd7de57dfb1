"""SVRG and SAGA against plain loops in float64, at the minimum that SciPy finds, interrupted, resumed and refused."""

import numpy as np
import pytest
import scipy.optimize
from finite_sums import DTYPES, LAYOUTS, LOSSES, make_data, make_objective
from objectives import Counted, bowl, outcome
from reference_epochs import SEED, assert_close, batches, problem, saga_run, svrg_run
from scipy import sparse

import fastopt
from fastopt import _checkpoint, minimize, objectives, schedules

METHODS = {"saga": saga_run, "svrg": svrg_run}
PENALTIES = [{}, dict(l2=0.3), dict(l1=0.02), dict(l1=0.02, l2=0.3)]
RATE = 0.02

each_method = pytest.mark.parametrize("method", METHODS)
each_layout = pytest.mark.parametrize("layout", LAYOUTS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=lambda each: "-".join(each) or "none")


def run(p, method, options=None, seed=SEED, **arguments):
    options = {"epochs": 3, "learning_rate": RATE} | (options or {})
    return minimize(p.objective, p.x0, method=method, rng=seed, options=options, **arguments)


def trajectory(p, method, epochs=3, rate=lambda t: RATE, **more):
    """The oracle's parameters after each step."""
    return list(METHODS[method](p.sum, p.x0, batches(p.sum.n, 1, epochs, SEED), rate, **more))


# --- every step ------------------------------------------------------------------------------------------------


@each_penalty
@each_dtype
@each_layout
@pytest.mark.parametrize("loss", LOSSES)
@each_method
def test_run_is_that_of_the_oracle(method, loss, layout, dtype, penalty):
    p = problem(loss, layout, dtype, fit_intercept=True, weighted=True, **penalty)
    res = run(p, method)
    assert (res.nit, res.nepoch, res.status, res.x.dtype) == (69, 3, 1, p.x0.dtype)
    assert_close(res.x, trajectory(p, method)[-1])


@each_penalty
@each_layout
@each_method
def test_every_step_of_a_run(method, layout, penalty):
    """The callback is given parameters after all lagged updates."""
    p = problem("logistic", layout, **penalty)
    heard = []
    res = run(p, method, callback=lambda intermediate_result: heard.append(intermediate_result))
    points = trajectory(p, method)
    assert [each.nit for each in heard] == [*range(1, 70)]
    assert [each.nepoch for each in heard] == [t // 23 for t in range(1, 70)]
    for each, expected in zip(heard, points, strict=True):
        assert_close(each.x, expected)
    assert_close(res.x, run(p, method).x)


@each_dtype
@each_layout
@each_method
def test_zeros_are_exact(method, layout, dtype):
    p = problem("logistic", layout, dtype, n=60, d=80, l1=0.02, l2=0.1)
    res = run(p, method, {"epochs": 12, "learning_rate": 0.3})
    expected = trajectory(p, method, epochs=12, rate=lambda t: 0.3)[-1]
    assert_close(res.x, expected)
    assert 20 < np.count_nonzero(expected == 0) < 75
    np.testing.assert_array_equal(res.x == 0, expected == 0)


@pytest.mark.parametrize("l1", [0.0, 1e-3])
@pytest.mark.parametrize("strength", [0.1, 0.9, 0.999, 1.0, 1.5])
@each_dtype
@each_layout
@each_method
def test_strong_l2_in_a_long_run(method, layout, dtype, strength, l1):
    """`strength` is learning rate times l2: the product of the factors of all steps underflows."""
    p = problem("logistic", layout, dtype, fit_intercept=True, l1=l1, l2=10 * strength)
    res = run(p, method, {"epochs": 15, "learning_rate": 0.1})
    assert_close(res.x, trajectory(p, method, epochs=15, rate=lambda t: 0.1)[-1])


@each_layout
@pytest.mark.parametrize("loss", ["least_squares", "logistic", "squared_hinge", "huber", "softmax"])
@each_method
def test_default_learning_rate(method, loss, layout):
    """The inverse of the smoothness of the worst sample, for SAGA half of it."""
    p = problem(loss, layout, fit_intercept=True, weighted=True, l2=0.3)
    assert p.objective.max_smoothness == pytest.approx(p.sum.max_smoothness(), rel=1e-12)
    res = minimize(p.objective, p.x0, method=method, rng=SEED, options={"epochs": 3})
    rate = {"saga": 1 / 2, "svrg": 1}[method] / p.sum.max_smoothness()
    assert res.history["learning_rate"] == pytest.approx(rate, rel=1e-12)
    assert_close(res.x, trajectory(p, method, rate=lambda t: rate)[-1])
    again = minimize(p.objective, p.x0, method=method, rng=SEED, options={"epochs": 3, "learning_rate": None})
    assert outcome(again) == outcome(res)


@each_method
def test_default_learning_rate_takes_one_pass(method):
    class Watched(objectives.LeastSquares):
        def _largest_norm(self, num_threads):
            passes.append(self)
            return super()._largest_norm(num_threads)

    passes = []
    minimize(Watched(np.eye(3), np.ones(3)), np.zeros(3), method=method, options={"epochs": 1})
    assert len(passes) == 1


FALLING = {
    "inverse": schedules.inverse_time_decay(0.1, 23, 1.0),
    "warm": schedules.warmup(schedules.cosine_decay(0.1, 60), 30),
    "to zero": lambda t: 0.1 if t < 46 else 0.0,
    "strong": lambda t: 3.0 if t < 23 else 0.02,  # with l2 = 0.3 a step leaves a tenth
}


@pytest.mark.parametrize("penalty", [dict(l2=0.3), dict(l1=0.02, l2=0.3)], ids=str)
@pytest.mark.parametrize("falling", FALLING)
@each_layout
@each_method
def test_schedules_are_asked_at_the_start_of_each_epoch(method, layout, falling, penalty):
    p, schedule = problem("logistic", layout, fit_intercept=True, **penalty), FALLING[falling]
    res = run(p, method, {"learning_rate": schedule})
    assert_close(res.x, trajectory(p, method, rate=lambda t: schedule(t // 23 * 23))[-1])
    assert res.history["learning_rate"].tolist() == [schedule(t) for t in (0, 23, 46)]
    assert res.optimizer.learning_rate is schedule


@each_method
def test_plateaus_are_those_of_the_losses_of_epochs(method):
    p, rate = problem("logistic", l2=0.3), schedules.reduce_on_plateau(0.1, factor=0.5, patience=0, threshold=0.01)
    res = run(p, method, {"learning_rate": rate, "epochs": 6})
    by_hand, rates = schedules.reduce_on_plateau(0.1, factor=0.5, patience=0, threshold=0.01), []
    for loss in res.history["fun"]:
        rates.append(by_hand(0))
        by_hand.update(loss)
    assert res.history["learning_rate"].tolist() == rates and rates[-1] < 0.1


@each_layout
@each_method
def test_runs_with_schedules_resume(method, layout, path, no_sync):
    def plateau():
        return schedules.reduce_on_plateau(0.1, factor=0.5, patience=0, threshold=0.01)

    p = problem("logistic", layout, l1=0.02, l2=0.3)
    for make in (plateau, lambda: FALLING["inverse"]):
        options = {"average": "polyak", "epochs": 4}
        expected = outcome(run(p, method, options | {"learning_rate": make()}))
        for maxiter in (1, 23, 60):
            run(p, method, options | {"learning_rate": make(), "checkpoint": path, "maxiter": maxiter})
            again = run(p, method, options | {"learning_rate": make()}, seed=99, resume=path)
            assert outcome(again) == expected


@each_method
def test_checkpoint_with_another_kind_of_rate_is_refused(method, path, no_sync):
    p = problem()
    run(p, method, {"checkpoint": path, "epochs": 1})
    with pytest.raises(ValueError, match="make the optimizer with the learning rate that the saved one had"):
        run(p, method, {"learning_rate": FALLING["inverse"]}, resume=path)


@each_method
def test_batch_of_one_is_the_only_one(method):
    p = problem()
    assert outcome(run(p, method, batch_size=1)) == outcome(run(p, method)) == outcome(run(p, method, batch_size=None))


@each_method
def test_classes_stand_for_their_names(method):
    p = problem()
    assert outcome(run(p, {"saga": fastopt.SAGA, "svrg": fastopt.SVRG}[method])) == outcome(run(p, method))
    assert method in fastopt.FINITE_SUM_METHODS and method not in fastopt.OPTIMIZERS


def test_names_are_complete():
    assert sorted(fastopt.FINITE_SUM_METHODS) == ["saga", "svrg", "vw"]


@each_method
def test_a_single_sample_and_empty_rows(method):
    X = np.zeros((5, 3))
    X[2, 1] = 2.0
    for data in (X, sparse.csr_array(X), X[2:3], sparse.csr_array(X[2:3])):
        objective = objectives.LeastSquares(data, np.ones(data.shape[0]), l2=0.1)
        options = {"epochs": 400, "learning_rate": 0.1}
        res = minimize(objective, np.ones(3), method=method, rng=0, options=options)
        best = 2 / (4 + 0.1 * data.shape[0])
        assert res.x == pytest.approx([np.prod([0.99] * res.nit), best, 0.99**res.nit], abs=1e-9)


# --- results ---------------------------------------------------------------------------------------------------


@each_penalty
@each_layout
@each_method
def test_history_by_hand(method, layout, penalty):
    p = problem("logistic", layout, fit_intercept=True, weighted=True, **penalty)
    res = run(p, method, {"maxiter": 50})
    points = [p.x0, *trajectory(p, method)[:50]]
    order = [int(batch[0]) for batch in batches(23, 1, 3, SEED)]
    assert (res.nit, res.nepoch, res.status, res.success) == (50, 2, 1, True)
    assert res.history["iteration"].tolist() == [23, 46, 50]
    assert res.history["epoch"].tolist() == [1, 2, 3]
    for k, (start, end) in enumerate([(0, 23), (23, 46), (46, 50)]):
        losses = [p.sum.mean_loss(points[t], [order[t]]) for t in range(start, end)]
        assert res.history["fun"][k] == pytest.approx(np.mean(losses) + p.sum.penalty(points[end]), rel=1e-10)
    assert_close(res.x, points[-1])
    assert res.fun == p.objective(res.x) == pytest.approx(p.sum.value(points[-1]), rel=1e-12)
    assert res.jac.tobytes() == p.objective.gradient(res.x).tobytes()


@each_layout
@each_method
def test_average_bounds_best_and_tolerance(method, layout):
    p = problem("logistic", layout, fit_intercept=True, l1=0.02, l2=0.3)
    points = np.array(trajectory(p, method))
    assert_close(run(p, method, {"average": "polyak"}).x, points[23:].mean(axis=0))
    assert_close(run(p, method, {"average": "polyak", "average_start": 0}).x, points.mean(axis=0))
    plain = run(p, method, {"epochs": 40})
    best = run(p, method, {"epochs": 40, "return_best": True})
    at = int(np.argmin(plain.history["fun"])) + 1
    assert best.x.tobytes() == run(p, method, {"epochs": at}).x.tobytes()
    done = run(p, method, {"epochs": 5000}, tol=1e-6)
    assert (done.status, done.success) == (0, True)
    assert 10 < done.nepoch < 5000


@each_layout
@each_method
def test_bounds_are_kept_after_every_step(method, layout):
    p = problem("logistic", layout, l1=0.001, l2=0.3)
    start = type(p)(p.objective, p.sum, np.clip(p.x0, -0.01, 0.2))
    heard = []
    run(start, method, bounds=[(-0.01, 0.2)] * 30, callback=heard.append)
    points = trajectory(start, method, after=lambda w: np.clip(w, -0.01, 0.2))
    for x, expected in zip(heard, points, strict=True):
        assert_close(x, expected)
        assert (x >= -0.01).all() and (x <= 0.2).all()


@each_layout
@each_method
def test_loss_that_becomes_infinite_ends_the_run(method, layout):
    p = problem("poisson", layout)
    res = run(p, method, {"learning_rate": 1e10})
    assert (res.status, res.success) == (2, False)
    assert np.isfinite(res.x).all()


# --- the minimum -----------------------------------------------------------------------------------------------


def breast_cancer():
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def correlated():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 12)) @ rng.standard_normal((12, 12)) / 4
    return X, X @ rng.standard_normal(12) > rng.logistic(size=400)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("data", [breast_cancer, correlated])
@each_method
def test_minimum_is_that_of_scipy(method, data, make):
    """Logistic regression with l2 and an intercept, at the default rate."""
    X, y = data()
    objective = objectives.Logistic(make(X), y, l2=0.05, fit_intercept=True)
    x0 = np.zeros(objective.n_parameters)
    best = scipy.optimize.minimize(
        objective.value_and_gradient, x0, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}
    )
    res = minimize(objective, x0, method=method, rng=0, options={"epochs": 400})
    assert res.fun == pytest.approx(best.fun, abs=1e-8)
    assert np.abs(res.jac).max() < 1e-8


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array], ids=["dense", "csr"])
@each_method
def test_minimum_with_l1_is_that_of_scipy(method, make):
    """L-BFGS-B on positive and negative parts, which makes of l1 a linear term with bounds."""
    X, y = correlated()
    objective = objectives.Logistic(make(X), y, l1=0.02, l2=0.05)
    smooth, n = objectives.Logistic(X, y, l2=0.05), objective.n_parameters

    def split(v):
        value, g = smooth.value_and_gradient(v[:n] - v[n:])
        return value + 0.02 * v.sum(), np.concatenate([g, -g]) + 0.02

    best = scipy.optimize.minimize(split, np.zeros(2 * n), jac=True, method="L-BFGS-B", bounds=[(0, None)] * 2 * n,
                                   options={"ftol": 1e-15, "gtol": 1e-10})  # fmt: skip
    res = minimize(objective, np.zeros(n), method=method, rng=0, options={"epochs": 400})
    assert res.fun == pytest.approx(best.fun, abs=1e-8)
    zeros = best.x[:n] - best.x[n:] == 0
    assert 0 < zeros.sum() < n
    np.testing.assert_array_equal(res.x == 0, zeros)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@each_method
def test_minimum_of_softmax(method, layout):
    X, y = make_data("softmax", 200, 6, "float64", layout, seed=1)
    objective = objectives.Softmax(X, y, l2=0.05, fit_intercept=True)
    res = minimize(objective, np.zeros(28), method=method, rng=0, options={"epochs": 300})
    assert np.abs(res.jac).max() < 1e-8


# --- the same bits ---------------------------------------------------------------------------------------------


@each_dtype
@each_layout
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@each_method
def test_resumed_at_every_epoch_and_in_between(method, loss, layout, dtype, path, no_sync):
    p = problem(loss, layout, dtype, fit_intercept=True, l1=0.02, l2=0.3)
    options = {"average": "polyak", "return_best": True}
    expected = outcome(run(p, method, options))
    for maxiter in (1, 22, 23, 24, 46, 60, 69):
        run(p, method, options | {"checkpoint": path, "maxiter": maxiter})
        assert outcome(run(p, method, options, seed=99, resume=path)) == expected
    for at in (5, 23, 30):
        with pytest.raises(KeyboardInterrupt):
            interrupt = Counted(lambda x: None, KeyboardInterrupt(), at)
            run(p, method, options | {"checkpoint": path}, callback=interrupt)
        assert _checkpoint.read(path, "minimize")["run"]["nit"] == at
        assert outcome(run(p, method, options, seed=99, resume=path)) == expected


@pytest.mark.timeout(30)
@pytest.mark.parametrize("layout", ["dense", "csr32"])
@each_method
def test_ctrl_c_saves_whole_steps(method, layout, path, press_ctrl_c_soon):
    X, y = make_data("logistic", 20_000, 50, "float64", layout, seed=2)
    objective = objectives.Logistic(X, y, l1=0.001, l2=0.01)
    options = {"epochs": 10**6, "checkpoint": path, "checkpoint_every": 10**6}
    press_ctrl_c_soon()
    with pytest.raises(KeyboardInterrupt):
        minimize(objective, np.zeros(50), method=method, rng=0, options=options)
    budget = {"maxiter": _checkpoint.read(path, "minimize")["run"]["nit"] + 10}
    resumed = minimize(objective, np.zeros(50), method=method, resume=path, options=budget)
    whole = minimize(objective, np.zeros(50), method=method, rng=0, options=budget)
    assert resumed.nit == budget["maxiter"] > 10
    assert outcome(resumed) == outcome(whole)


@pytest.mark.parametrize("given", [None, 0.3])
@each_layout
@each_method
def test_learning_rate_is_that_of_the_checkpoint(method, layout, given, path, no_sync):
    p = problem("logistic", layout, l2=0.3)
    expected = run(p, method)
    run(p, method, {"checkpoint": path, "epochs": 2})
    resumed = run(p, method, {"learning_rate": given}, resume=path)
    assert resumed.optimizer.learning_rate == expected.optimizer.learning_rate == RATE
    assert outcome(resumed) == outcome(expected)


def test_resuming_the_other_method_is_refused(path, no_sync):
    p = problem()
    run(p, "saga", {"checkpoint": path, "epochs": 1})
    with pytest.raises(ValueError, match="`resume` must name a checkpoint of the same run"):
        run(p, "svrg", resume=path)


@each_dtype
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("layout", ["dense", "csr32"])
@each_method
def test_bits_do_not_depend_on_the_number_of_threads(method, layout, loss, dtype):
    """The passes over all samples are large enough to be shared."""
    case = LOSSES[loss]
    X, y = make_data(loss, 5000, 300, dtype, layout, seed=2, density=0.2)
    objective = make_objective(case, X, y, l1=1e-3, l2=0.1)
    x0 = np.zeros(objective.n_parameters, dtype)
    results = []
    for n_threads in (1, 2, 3):
        with fastopt.threads(n_threads):
            results.append(outcome(minimize(objective, x0, method=method, rng=0, options={"epochs": 1})))
    assert results[0] == results[1] == results[2]


@each_layout
@each_method
def test_the_same_seed_gives_the_same_bits(method, layout):
    p, twin = problem("logistic", layout, l1=0.02), problem("logistic", layout, l1=0.02)
    assert outcome(run(p, method)) == outcome(run(p, method)) == outcome(run(twin, method))
    assert run(p, method, seed=6).x.tobytes() != run(p, method).x.tobytes()


# --- refusals --------------------------------------------------------------------------------------------------


@each_method
@pytest.mark.parametrize("arguments", [{}, dict(jac=True), dict(n_samples=3), dict(data=np.ones(3))], ids=str)
def test_functions_are_refused(method, arguments):
    with pytest.raises(ValueError, match=r"fastopt\.objectives"):
        minimize(bowl, np.zeros(3), method=method, **arguments)


@each_method
@pytest.mark.parametrize("loss", ["hinge", "poisson"])
def test_losses_without_a_lipschitz_constant_need_a_rate(method, loss):
    p = problem(loss)
    with pytest.raises(ValueError, match=r"`learning_rate` must be given .*Lipschitz"):
        minimize(p.objective, p.x0, method=method)
    assert run(p, method).status == 1


@each_method
@pytest.mark.parametrize("size", [2, 7, 23])
def test_larger_batches_are_refused(method, size):
    with pytest.raises(ValueError, match="`batch_size` must be 1"):
        run(problem(), method, batch_size=size)


@each_method
def test_hogwild_is_refused(method):
    with pytest.raises(ValueError, match="hogwild"):
        run(problem(), method, {"parallel": "hogwild"})


@each_method
@pytest.mark.parametrize("rate", [-1.0, 0.0, np.nan, np.inf, "fast"], ids=str)
def test_bad_rates_are_refused(method, rate):
    with pytest.raises((ValueError, TypeError), match="`learning_rate` must be"):
        run(problem(), method, {"learning_rate": rate})


@each_method
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "fast"], ids=str)
def test_bad_rates_of_schedules_are_refused(method, value):
    with pytest.raises((ValueError, TypeError), match=r"`learning_rate\(0\)` must be"):
        run(problem(), method, {"learning_rate": lambda t: value})
