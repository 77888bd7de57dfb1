"""When minimize writes a checkpoint, and what a run may be resumed from."""

import itertools
import os

import numpy as np
import pytest
from objectives import bowl, outcome
from reference_epochs import MODES, problem

from fastopt import _checkpoint, minimize, objectives, schedules


@pytest.fixture
def path(path, no_sync):
    """Where to write a checkpoint, without waiting for the disk."""
    return path


def nit_in(path):
    return _checkpoint.read(path, "minimize")["run"]["nit"]


# --- a good one is not replaced ------------------------------------------------------------------------------


def test_end_by_the_callback_after_an_overflow_keeps_the_checkpoint_before(path):
    """The state of the optimizer has overflowed with the parameters, though those are put back."""

    calls = itertools.count(1)

    def overflows(x):
        value, slope = bowl(x)
        return value, np.full_like(x, np.inf) if next(calls) == 15 else slope

    def stop(x):
        if not np.isfinite(x).all():
            raise StopIteration

    options = {"maxiter": 30, "epoch_length": 10, "learning_rate": 0.1, "nonfinite": "propagate"}
    res = minimize(overflows, np.zeros(3), jac=True, callback=stop, options=options | {"checkpoint": path})
    assert (res.status, res.nit) == (99, 15)
    assert np.isfinite(res.x).all()
    assert nit_in(path) == 10
    resumed = minimize(bowl, np.zeros(3), jac=True, resume=path, options=options)
    assert outcome(resumed) == outcome(minimize(bowl, np.zeros(3), jac=True, options=options))


# --- what a run over a built-in objective goes on with -------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["ftrl", "sgd", "adagrad", "adam"])
def test_rate_that_an_epoch_has_reduced_counts_from_the_next_step_on(method, mode, path):
    """FTRL makes parameters of its state with the rate of the step before."""
    layout, sparse = MODES[mode]
    p = problem("logistic", layout, l1=0.02, l2=0.1)

    def part(epochs, resume=None, **options):
        rate = schedules.reduce_on_plateau(0.3, factor=0.5, patience=0, threshold=0.5)
        options = {"epochs": epochs, "learning_rate": rate, "sparse": sparse, **options}
        return minimize(p.objective, p.x0, method=method, batch_size=7, rng=0, resume=resume, options=options)

    expected = part(6)
    assert len(set(expected.history["learning_rate"])) > 3
    for epochs in range(6):
        part(epochs, checkpoint=path)
        assert outcome(part(6, resume=path)) == outcome(expected)


class Late:
    """A learning rate that is small, and after some steps so large that steps with l2 go over all parameters."""

    def __init__(self, small, large, at):
        self.small, self.large, self.at = small, large, at

    def __call__(self, t):
        return self.large if t >= self.at else self.small


def test_rate_that_calls_for_steps_over_all_parameters_from_the_resumed_epoch_on(path):
    p = problem("logistic", "csr32", l2=1.0)

    def part(epochs, resume=None, **options):
        options = {"epochs": epochs, "learning_rate": Late(0.05, 0.95, 8), **options}
        return minimize(p.objective, p.x0, method="sgd", batch_size=7, rng=0, resume=resume, options=options)

    expected = outcome(part(4))
    for epochs in (1, 2, 3):
        part(epochs, checkpoint=path)
        assert outcome(part(4, resume=path)) == expected


@pytest.mark.parametrize("first", ["function", "built in"])
def test_functions_and_built_in_objectives_do_not_resume_each_other(first, path):
    p = problem("logistic", "csr32", l2=1.0)
    runs = {
        "function": dict(fun=lambda x, index: (0.0, np.ones_like(x)), jac=True, n_samples=23),
        "built in": dict(fun=p.objective),
    }
    arguments = dict(x0=p.x0, method="sgd", batch_size=7)
    minimize(**arguments, **runs.pop(first), options={"epochs": 1, "checkpoint": path})
    ((_, second),) = runs.items()
    with pytest.raises(ValueError, match=r"`resume` must name a checkpoint of the same run: .* was made with obj"):
        minimize(**arguments, **second, resume=path)


@pytest.mark.parametrize(("method", "size"), [("sgd", 5), ("saga", 1)])
def test_checkpoint_of_other_features_is_refused(method, size, path):
    """Though there are as many parameters."""
    X, y = np.random.default_rng(0).standard_normal((20, 6)), np.arange(20) % 2
    shapes = {
        "n_features=6, got 3": (objectives.Logistic(X, y), objectives.Softmax(X[:, :3], y)),
        "n_features=6, got 5": (objectives.Logistic(X, y), objectives.Logistic(X[:, :5], y, fit_intercept=True)),
        "n_outputs=2, got 1": (objectives.Softmax(X[:, :1], y), objectives.Logistic(X[:, :1], y, fit_intercept=True)),
    }
    for message, (first, second) in shapes.items():
        arguments = dict(x0=np.zeros(first.n_parameters), method=method, batch_size=size)
        minimize(first, **arguments, options={"epochs": 1, "checkpoint": path})
        with pytest.raises(ValueError, match=f"was made with {message}"):
            minimize(second, **arguments, resume=path)


@pytest.mark.parametrize("layouts", [("csr32", "dense"), ("dense", "csr32"), ("csr32", "csr64")], ids="-".join)
@pytest.mark.parametrize("method", ["sgd", "adagrad", "ftrl", "adam", "saga"])
def test_the_data_of_the_call_may_have_another_layout(method, layouts, path):
    first, second = (problem("logistic", layout, l2=0.1) for layout in layouts)
    size = 1 if method == "saga" else 7
    minimize(first.objective, first.x0, method=method, batch_size=size, options={"epochs": 1, "checkpoint": path})
    res = minimize(second.objective, second.x0, method=method, batch_size=size, resume=path, options={"epochs": 3})
    assert (res.status, res.nepoch) == (1, 3)
    assert np.isfinite(res.x).all()


@pytest.mark.parametrize("strengths", [(0.0, 0.1), (0.1, 0.0)])
@pytest.mark.parametrize("method", ["sgd", "adagrad", "ftrl", "adam", "saga"])
def test_the_objective_of_the_call_may_have_another_penalty(method, strengths, path):
    first, second = (problem("logistic", "csr32", l2=l2) for l2 in strengths)
    size = 1 if method == "saga" else 7
    minimize(first.objective, first.x0, method=method, batch_size=size, options={"epochs": 1, "checkpoint": path})
    res = minimize(second.objective, second.x0, method=method, batch_size=size, resume=path, options={"epochs": 3})
    assert res.status in (1, 6)  # the start was evaluated with the penalty of the first
    assert res.nepoch == 3
    assert np.isfinite(res.x).all()


# --- two runs with one path -----------------------------------------------------------------------------------


def test_run_that_finds_its_file_replaced_says_so(path):
    options = {"maxiter": 40, "epoch_length": 10, "checkpoint": path}

    def another_run(state):
        if state.nepoch == 2:
            minimize(bowl, np.ones(3), jac=True, method="sgd", options=options | {"learning_rate": 0.1})

    with pytest.warns(
        RuntimeWarning, match=r"^`checkpoint` must be a path of the run's own: .* has written '"
    ) as caught:
        res = minimize(bowl, np.zeros(3), jac=True, epoch_callback=another_run, options=options)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert outcome(res)["x"] == outcome(minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 40}))["x"]


def test_run_whose_file_is_moved_away_writes_another(path, tmp_path):
    options = {"maxiter": 40, "epoch_length": 10, "checkpoint": path}

    def take(state):
        os.replace(path, tmp_path / f"epoch {state.nepoch}")

    minimize(bowl, np.zeros(3), jac=True, epoch_callback=take, options=options)
    assert nit_in(tmp_path / "epoch 2") == 20 and nit_in(path) == 40
