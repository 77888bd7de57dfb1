"""Callbacks between the steps of epochs in C: columns whose updates lag are brought up to date when x is asked for."""

import numpy as np
import pytest
from cases import CASES, form_id
from finite_sums import make_data
from objectives import Counted, outcome
from reference_epochs import MODES, assert_close, problem
from scipy import sparse

import fastopt
from fastopt import minimize, objectives

PENALTY = dict(l1=0.01, l2=0.1)
ALL = [*CASES, (fastopt.SAGA, {}), (fastopt.SVRG, {}), (fastopt.VW, {})]


def run(p, case, mode, options=None, size=7, **arguments):
    cls, keywords = case
    c_only = cls in fastopt.FINITE_SUM_METHODS.values()
    chosen = {} if c_only else {"sparse": MODES[mode][1], **keywords}
    options = {"epochs": 3, **chosen, **(options or {})}
    return minimize(
        p.objective, p.x0, method=cls, batch_size=1 if c_only else size, rng=3, options=options, **arguments
    )  # fmt: skip


def regularised(mode, dtype="float64", **penalty):
    return problem("logistic", MODES[mode][0], dtype, fit_intercept=True, **(penalty or PENALTY))


def ignore(intermediate_result):
    pass


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", ALL, ids=form_id)
def test_callback_that_does_not_look_changes_not_a_bit(case, mode, size):
    p = regularised(mode)
    assert outcome(run(p, case, mode, size=size, callback=ignore)) == outcome(run(p, case, mode, size=size))


@pytest.mark.parametrize("penalty", [PENALTY, {"l2": 0.9}, {"l1": 0.05}], ids=str)
@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ALL, ids=form_id)
def test_callback_that_looks_now_and_then_sees_x_of_every_step(case, dtype, size, penalty):
    p = regularised("lazy", dtype, **penalty)
    expected, seen = [], {}
    run(p, case, "lazy", size=size, callback=lambda x: expected.append(x))

    def look(intermediate_result):
        if intermediate_result.nit % 5 in (1, 2):
            seen[intermediate_result.nit] = intermediate_result.x

    res = run(p, case, "lazy", size=size, callback=look)
    assert len(seen) > 3
    for nit, x in seen.items():
        assert_close(x, expected[nit - 1])
    assert_close(res.x, run(p, case, "lazy", size=size).x)


def test_scale_of_weights_that_falls_far_between_two_looks():
    """A flush comes before the scale is too small for the weights, in a run with a callback as in one without."""
    X, y = make_data("logistic", 400, 20, "float64", "csr32", seed=1)
    objective = objectives.Logistic(X, y, l2=0.9)
    for method, size in (("sgd", 1), ("sgd", 4), ("saga", 1)):
        arguments = dict(method=method, batch_size=size, rng=0, options={"epochs": 2, "learning_rate": 0.5})
        plain = minimize(objective, np.ones(20), **arguments)
        heard = minimize(objective, np.ones(20), callback=ignore, **arguments)
        assert outcome(heard) == outcome(plain)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["sgd", "adagrad", "ftrl", "adam", "saga"])
def test_value_has_the_penalties_after_the_step(method, mode):
    p = regularised(mode)
    case = fastopt.OPTIMIZERS.get(method, fastopt.SAGA), {"learning_rate": 0.05}
    heard, bare = [], []
    run(p, case, mode, callback=lambda intermediate_result: heard.append(intermediate_result))
    without = type(p)(type(p.objective)(p.objective.X, p.sum.y, fit_intercept=True), p.sum, p.x0)
    run(without, case, mode, {"maxiter": 1}, callback=lambda intermediate_result: bare.append(intermediate_result))
    assert_close(np.array(heard[0].fun), np.array(bare[0].fun + p.sum.penalty(heard[0].x)))


@pytest.mark.parametrize("method", ["sgd", "adagrad", "ftrl"])
def test_caller_who_has_the_optimizer_finds_it_up_to_date(method):
    p, made, seen = regularised("lazy"), [], []

    def make(x):
        made.append(fastopt.OPTIMIZERS[method](x, 0.05))
        return made[0]

    points = []
    expected = minimize(p.objective, p.x0, method=method, batch_size=7, rng=3, callback=points.append,
                        options={"epochs": 3, "learning_rate": 0.05})  # fmt: skip

    def look(intermediate_result):
        seen.append(made[0].params.copy())

    res = minimize(p.objective, p.x0, method=make, batch_size=7, rng=3, callback=look, options={"epochs": 3})
    assert [x.tobytes() for x in seen] == [x.tobytes() for x in points]
    assert res.x.tobytes() == expected.x.tobytes()


@pytest.mark.parametrize("at", [2, 5])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), StopIteration(), ValueError("mine")])
@pytest.mark.parametrize("case", [(fastopt.SGD, {}), (fastopt.Adagrad, {}), (fastopt.FTRL, {}), (fastopt.SAGA, {})],
                         ids=form_id)  # fmt: skip
def test_run_that_ends_while_columns_lag(case, error, at, tmp_path):
    """What is returned or saved is up to date."""
    p, path = regularised("lazy"), str(tmp_path / "run.npz")
    stop = Counted(ignore, error, at)

    def callback(intermediate_result):
        stop(intermediate_result)

    options = {"checkpoint": path}
    if isinstance(error, StopIteration):
        res = run(p, case, "lazy", options, callback=callback)
        assert res.nit == at
        assert_close(res.x, run(p, case, "lazy", {"maxiter": at}).x)
    else:
        with pytest.raises(type(error)):
            run(p, case, "lazy", options, callback=callback)
    if not isinstance(error, ValueError):
        assert_close(run(p, case, "lazy", resume=path).x, run(p, case, "lazy").x)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_lock_free_run_with_a_callback(num_threads):
    p = regularised("lazy")
    options = {"parallel": "hogwild", "num_threads": num_threads, "learning_rate": 0.01}
    for method in ("sgd", "adagrad", "ftrl", "adam"):
        case = fastopt.OPTIMIZERS[method], {}
        heard = run(p, case, "lazy", options, callback=ignore)
        assert_close(heard.x, run(p, case, "lazy", options | {"num_threads": 1}).x)


@pytest.mark.parametrize("callback", [None, ignore, lambda x: None], ids=["", "callback", "callback of x"])
@pytest.mark.parametrize("method", ["sgd", "adagrad"])
@pytest.mark.parametrize("at", range(8))
def test_columns_of_a_batch_that_is_skipped_have_their_penalties_once(at, method, callback):
    """They had lagged updates before the gradient was found to be infinite, and do not have them again."""
    X = np.zeros((8, 4), np.float32)
    X[np.arange(8), [0, 1, 2, 3, 0, 1, 2, 0]] = [1.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 2.0]
    y, weights = np.ones(8, np.float32), np.ones(8, np.float32)
    bad = np.random.default_rng(0).permutation(8)[at]
    y[bad], weights[bad] = 3e38, 2.0
    objective = objectives.LeastSquares(sparse.csr_array(X), y, sample_weight=weights, l1=0.01)
    options = {"epochs": 1, "learning_rate": 0.1, "nonfinite": "skip", "clip_norm": 1e30}
    ends = []
    for mode in ("lazy", "exact"):  # the same but for rounding
        res = minimize(objective, np.ones(4, np.float32), method=method, batch_size=1, rng=0, callback=callback,
                       options=options | {"sparse": mode})  # fmt: skip
        assert res.optimizer.skipped_steps == 1
        ends.append(res.x)
    np.testing.assert_allclose(*ends, rtol=1e-6)
