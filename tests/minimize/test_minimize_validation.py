"""The validation loss: what it is of, what it decides, and what becomes of it in checkpoints."""

import math
import os

import numpy as np
import pytest
from finite_sums import LOSSES, make_data, make_objective
from objectives import Counted, bowl, bowl_value, outcome
from scipy import sparse

import fastopt
from fastopt import minimize, objectives, schedules

DRAW = np.random.default_rng(0)
X = DRAW.standard_normal((60, 3))
Y = X @ [1.0, -2.0, 0.5] + DRAW.standard_normal(60)
TRAIN, HELD_OUT = (X[:40], Y[:40]), (X[40:], Y[40:])
X0 = np.zeros(3)


def squares(w, X, y):
    residual = X @ w - y
    return residual @ residual / (2 * len(y)), X.T @ residual / len(y)


def value(w, X, y):
    return squares(w, X, y)[0]


def held_out(w):
    return value(w, *HELD_OUT)


def run(validation=None, options=None, **arguments):
    arguments = {"fun": squares, "x0": X0, "jac": True, "data": TRAIN, "batch_size": 16, "rng": 0, **arguments}
    return minimize(validation=validation, options={"learning_rate": 0.05, "epochs": 6, **(options or {})}, **arguments)


def solutions(**arguments):
    """The solution at the end of each epoch, copied, and the result."""
    found = []
    res = run(epoch_callback=lambda state: found.append(state.x.copy()), **arguments)
    return found, res


class Script:
    """A validation loss that returns one number after the other, whatever x is."""

    def __init__(self, *values):
        self.values, self.calls = values, 0

    def __call__(self, x):
        self.calls += 1
        return self.values[min(self.calls, len(self.values)) - 1]


# --- what it is of -----------------------------------------------------------------------------------------------

FORMS = {
    "function": held_out,
    "method": objectives.LeastSquares(*HELD_OUT).__call__,
    "objective": objectives.LeastSquares(*HELD_OUT),
    "samples": HELD_OUT,
    "list of samples": [HELD_OUT[0].tolist(), HELD_OUT[1].tolist()],
    "sparse samples": (sparse.coo_array(HELD_OUT[0]), HELD_OUT[1]),
}


@pytest.mark.parametrize("fun", ["function", "built-in"])
@pytest.mark.parametrize("form", [*FORMS])
def test_history_has_the_validation_loss_of_each_epoch(form, fun):
    arguments = dict(fun=objectives.LeastSquares(*TRAIN), jac=None, data=None) if fun == "built-in" else {}
    validation = FORMS[form]
    if fun == "built-in" and form == "sparse samples":
        validation = (sparse.csr_array(HELD_OUT[0]), HELD_OUT[1])
    if fun == "built-in" and form == "list of samples":
        validation = [*HELD_OUT]
    found, res = solutions(validation=validation, **arguments)
    assert res.history["validation"].dtype == np.float64
    np.testing.assert_allclose(res.history["validation"], [held_out(x) for x in found], rtol=1e-12)
    plain = run(**arguments)
    assert plain.x.tobytes() == res.x.tobytes() and plain.history["fun"].tolist() == res.history["fun"].tolist()
    assert "validation" not in plain.history


@pytest.mark.parametrize("jac", [True, squares, None, "3-point", "spsa"])
def test_samples_go_through_the_value_of_the_function(jac):
    jacobian = (lambda w, X, y: squares(w, X, y)[1]) if jac is squares else jac
    arguments = dict(fun=squares if jac is True else value, jac=jacobian)
    found, res = solutions(validation=HELD_OUT, **arguments)
    np.testing.assert_allclose(res.history["validation"], [held_out(x) for x in found], rtol=1e-12)


def test_extra_arguments_are_passed_with_held_out_samples():
    res = run(HELD_OUT, fun=lambda w, X, y, scale: (scale * value(w, X, y), scale * squares(w, X, y)[1]), args=(3.0,))
    np.testing.assert_allclose(res.history["validation"][-1], 3.0 * held_out(res.x), rtol=1e-12)


def test_many_held_out_samples_are_evaluated_in_parts_of_bounded_size():
    sizes = []

    def fun(w, index):
        sizes.append(len(index))
        return float(index.mean()), np.ones(3)

    many = np.arange(5000.0)
    res = run((many,), fun=fun, data=(np.arange(40.0),), options={"epochs": 1})
    assert res.history["validation"][0] == pytest.approx(many.mean(), rel=1e-12)
    assert sizes[4:-1] == [1024, 1024, 1024, 1024, 904]


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("loss", LOSSES)
def test_held_out_samples_of_a_built_in_objective_mean_its_loss_without_penalties(loss, layout):
    case = LOSSES[loss]
    samples, labels = make_data(loss, 60, 7, "float64", layout, seed=3)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 40)
    fun = make_objective(case, samples[:40], labels[:40], l2=0.3, l1=0.1, fit_intercept=True, sample_weight=weights)
    own = make_objective(case, samples[40:], labels[40:], fit_intercept=True)
    assert own.n_outputs <= fun.n_outputs
    keywords = {"n_classes": fun.n_classes} if loss.startswith("softmax") else {}
    own = make_objective(case, samples[40:], labels[40:], fit_intercept=True) if not keywords else objectives.Softmax(
        samples[40:], labels[40:], fit_intercept=True, **keywords)  # fmt: skip
    x0 = np.zeros(fun.n_parameters)
    found, res = solutions(
        validation=(samples[40:], labels[40:]), fun=fun, x0=x0, jac=None, data=None, options={"learning_rate": 0.01}
    )
    assert res.history["validation"].tolist() == [own(x) for x in found]


def test_an_objective_is_evaluated_as_it_is():
    penalised = objectives.LeastSquares(*HELD_OUT, l2=0.5)
    res = run(penalised)
    assert res.history["validation"][-1] == penalised(res.x)


@pytest.mark.parametrize(
    "method, options", [("adam", {"average": "polyak"}), ("schedulefreesgd", {}), ("asgd", {"t0": 2})]
)
def test_it_is_evaluated_at_the_solution(method, options):
    seen = []

    def validation(x):
        assert not x.flags.writeable
        seen.append(x.copy())
        return held_out(x)

    res = run(validation, method=method, options=options)
    assert seen[-1].tobytes() == res.x.tobytes() != res.optimizer.params.tobytes()


@pytest.mark.parametrize("validation", [lambda x: value(np.append(x["w"], x["v"]), *HELD_OUT), HELD_OUT])
def test_structure_of_x0(validation):
    def fun(x, X, y):
        loss, gradient = squares(np.append(x["w"], x["v"]), X, y)
        return loss, {"w": gradient[:2], "v": gradient[2]}

    res = run(validation, fun=fun, x0={"w": np.zeros(2), "v": np.zeros(())}, options={"return_best": True})
    plain = run(held_out)
    np.testing.assert_allclose(res.history["validation"], plain.history["validation"], rtol=1e-12)


def test_an_incomplete_epoch_has_one_too():
    res = run(held_out, options={"maxiter": 7})
    assert res.history["epoch"].tolist() == [1, 2, 3]
    assert res.history["validation"][-1] == held_out(res.x)


def test_without_samples_epochs_are_those_of_the_history():
    res = minimize(bowl, X0, jac=True, validation=bowl_value, options={"maxiter": 250, "epoch_length": 100})
    assert len(res.history["validation"]) == 3
    assert res.history["validation"][-1] == bowl_value(res.x)


@pytest.mark.parametrize("returned", [1, np.float32(1.0), np.array([1.0]), np.array(1.0), True])
def test_numbers_of_all_kinds(returned):
    assert run(lambda x: returned).history["validation"].tolist() == [1.0] * 6


# --- what it decides -------------------------------------------------------------------------------------------


def test_return_best_returns_the_solution_with_the_smallest_validation_loss():
    found, _ = solutions()
    res = run(Script(5, 3, 1, 2, 3, 4), options={"return_best": True})
    assert res.x.tobytes() == found[2].tobytes()


def test_the_best_of_averages_is_an_average():
    found, _ = solutions(options={"average": "ema"})
    res = run(Script(5, 3, 1, 2, 3, 4), options={"return_best": True, "average": "ema"})
    assert res.x.tobytes() == found[2].tobytes()


def test_tolerance_and_patience_watch_the_validation_loss():
    """The loss falls on; the validation loss has stopped."""
    rising = Script(3.0, 2.0, 1.0, *[10.0] * 100)
    res = run(rising, tol=1e-6, options={"epochs": 100, "patience": 4})
    assert res.nepoch == rising.calls == 7
    falling = Script(*(1000.0 - k for k in range(200)))
    assert run(falling, tol=1e-6, options={"epochs": 100, "patience": 4}).nepoch == 100


def test_validation_loss_is_not_smoothed():
    """A single rise is enough for a patience of 1; with a margin the run stops where progress is too small."""
    options = {"epochs": 20, "patience": 1}
    assert run(Script(3.0, 2.0, 1.0, 1.5, 0.5), tol=0.0, options=options).nepoch == 4
    assert run(Script(300.0, 200.0, 150.0, 149.0, 100.0), tol=0.01, options=options).nepoch == 4
    res = run(Script(3.0, 3.0), tol=0.0, options=options)
    assert (res.nepoch, res.status) == (2, 0)


def test_without_tolerance_the_budget_is_used_up():
    assert run(Script(1.0), options={"patience": 1}).nepoch == 6


def test_reduce_on_plateau_watches_the_validation_loss():
    rate = schedules.reduce_on_plateau(0.05, factor=0.5, patience=1)
    res = run(Script(3.0, 2.0, 2.0, 2.0, 2.0, 2.0), options={"learning_rate": rate})
    assert res.history["learning_rate"].tolist() == [0.05, 0.05, 0.05, 0.05, 0.025, 0.025]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_validation_loss_that_is_not_finite_is_no_progress_and_never_the_best(bad):
    found, _ = solutions()
    res = run(Script(bad, 3.0, bad, 2.0, bad, bad), options={"return_best": True})
    assert res.x.tobytes() == found[3].tobytes()
    watched = run(Script(3.0, bad, 2.0, 1.0, bad), tol=1e-6, options={"epochs": 100, "patience": 3})
    assert watched.nepoch == 7
    never = run(Script(bad), options={"return_best": True})
    assert never.x.tobytes() == run().x.tobytes()


# --- what goes wrong in it -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("mine"), StopIteration(), KeyboardInterrupt()])
@pytest.mark.parametrize("at", [1, 3])
def test_exceptions_pass_through_unchanged(error, at):
    with pytest.raises(type(error)) as caught:
        run(Counted(held_out, error, at))
    assert caught.value is error


def test_parameters_that_have_overflowed_are_not_validated():
    def fun(w, X, y):
        return 1.0, np.full_like(w, 1e200)

    def validation(x):
        assert np.isfinite(x).all()
        return 1.0

    with np.errstate(over="ignore", invalid="ignore"):
        res = run(validation, fun=fun, method="sgd", options={"learning_rate": 1e200, "epochs": 2})
    assert res.status == 4
    assert math.isnan(res.history["validation"][0])


LOGISTIC = dict(fun=objectives.Logistic(X[:40], Y[:40] > 0), jac=None, data=None)
REFUSED = {
    "share": (
        {}, 0.2, TypeError, "`validation` must be a callable, an objective or samples, got 0.2; split the samples, "
        "and pass those that are held out.",
    ),
    "share, built-in": (LOGISTIC, 0.2, TypeError, "`validation` must be a callable, an objective or samples, got 0.2;"),
    "without data": (
        dict(fun=bowl, data=None, batch_size=None), HELD_OUT, ValueError,
        "`validation` must be a callable or an objective where `data` is None, got ",
    ),
    "indices": (
        dict(fun=lambda w, index: bowl(w), data=None, n_samples=40), HELD_OUT, ValueError,
        "`validation` must be a callable or an objective where `data` is None, got ",
    ),
    "fewer arrays": ({}, (X,), ValueError, "`validation` must hold as many arrays as `data`, 2, got 1."),
    "more arrays": ({}, (X, Y, Y), ValueError, "`validation` must hold as many arrays as `data`, 2, got 3."),
    "lengths": ({}, (X, Y[:3]), ValueError, "`validation` must hold arrays of equal length, got lengths [60, 3]."),
    "no samples": ({}, (X[:0], Y[:0]), ValueError, "`validation` must hold at least one sample, got none."),
    "zip": (
        {}, zip(X, Y, strict=True), TypeError,
        "`validation` must be read after each epoch, which zip can be only once; pass the arrays themselves, as in "
        "validation=(X, y).",
    ),
    "parameters": (
        {}, objectives.LeastSquares(X[:, :2], Y), ValueError,
        "`validation` must be an objective of 3 parameters, like `x0`, got one of 2.",
    ),
    "built-in, one array": (LOGISTIC, X, ValueError, "`validation` must be (X, y), a callable or an objective where "),
    "built-in, weights": (
        LOGISTIC, (X, Y, Y), ValueError,
        "`validation` must be (X, y), a callable or an objective where `fun` is a built-in one, got 3 arrays; for "
        "sample weights pass fastopt.objectives.Logistic(X, y, sample_weight=...).",
    ),
    "built-in, labels": (
        LOGISTIC, (X, Y), ValueError,
        "`validation` must be (X, y) as Logistic takes them: `y` must hold labels in {-1, 1} or in {0, 1}, got ",
    ),
    "built-in, lengths": (
        LOGISTIC, (X, Y[:3] > 0), ValueError,
        "`validation` must be (X, y) as Logistic takes them: `y` must have shape (60,), one entry for each sample, or "
        "(60, k) for k targets, got (3,).",
    ),
    "built-in, type": (
        LOGISTIC, (X.astype(int), Y > 0), TypeError, "`validation` must be (X, y) as Logistic takes them: `X` must be ",
    ),
    "built-in, features": (
        LOGISTIC, (X[:, :2].copy(), Y > 0), ValueError,
        "`validation` must have 3 features, like the samples of `fun`, got 2.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_refused_before_the_first_evaluation(fault):
    arguments, validation, kind, message = REFUSED[fault]
    fun = arguments.get("fun", squares)
    fun = fun if isinstance(fun, fastopt.objectives.Logistic) else Counted(fun)
    with pytest.raises(kind) as caught:
        run(validation, **{**arguments, "fun": fun})
    assert type(caught.value) is kind and str(caught.value).startswith(message)
    assert getattr(fun, "calls", 0) == 0


@pytest.mark.parametrize(
    ("returned", "got"),
    [((1.0, X0), "(1.0, array([0., 0., 0.]))"), (X0, "array([0., 0., 0.])"), ("a", "'a'"), (None, "None"), (1j, "1j")],
    ids=["pair", "array", "text", "None", "complex"],
)
def test_what_a_validation_function_returns_is_a_number(returned, got):
    with pytest.raises(ValueError) as caught:
        run(lambda x: returned)
    assert str(caught.value) == f"`validation` must return a real number, got {got}."


# --- checkpoints -------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return str(tmp_path / "run.npz")


def everything(res):
    return outcome(res), res.history["validation"].tolist()


MONITORED = {
    "best": {"return_best": True},
    "best average": {"return_best": True, "average": "ema"},
    "watched": {"patience": 2},
    "plateau": {"learning_rate": 0.3},
}


@pytest.mark.parametrize("fun", ["function", "built-in"])
@pytest.mark.parametrize("monitored", MONITORED)
def test_resumed_run_has_the_same_bits(monitored, fun, path):
    def arguments(**more):
        options = {"epochs": 12, **MONITORED[monitored], **more}
        if monitored == "plateau":
            options["learning_rate"] = schedules.reduce_on_plateau(0.3, factor=0.5, patience=0)
        chosen = dict(fun=objectives.LeastSquares(*TRAIN), jac=None, data=None) if fun == "built-in" else {}
        return dict(validation=HELD_OUT, options=options, tol=0.01 if monitored == "watched" else None, **chosen)

    expected = everything(run(**arguments()))
    for epochs in (1, 3, 5):
        run(**arguments(epochs=epochs, checkpoint=path))
        assert everything(run(resume=path, **arguments())) == expected
    with pytest.raises(KeyboardInterrupt):
        run(callback=Counted(lambda x: None, KeyboardInterrupt(), 8), **arguments(checkpoint=path))
    assert everything(run(resume=path, **arguments())) == expected


def test_checkpoint_of_a_run_without_validation_loss(path):
    """The best so far was by another loss, and is forgotten."""
    run(options={"epochs": 2, "checkpoint": path, "return_best": True})
    found, _ = solutions()
    res = run(Script(7.0, 4.0, 5.0, 6.0), resume=path, options={"return_best": True})
    np.testing.assert_array_equal(res.history["validation"], [math.nan, math.nan, 7.0, 4.0, 5.0, 6.0])
    assert res.x.tobytes() == found[3].tobytes()


def test_resumed_without_validation_loss(path):
    run(Script(1.0, 2.0), options={"epochs": 2, "checkpoint": path, "return_best": True}, tol=1e-6)
    res = run(resume=path, options={"return_best": True}, tol=1e-6)
    assert "validation" not in res.history and len(res.history["fun"]) == 6
    best = int(np.argmin(res.history["fun"][2:])) + 2
    found, _ = solutions()
    assert res.x.tobytes() == found[best].tobytes()


def test_an_exception_of_the_validation_loss_leaves_the_checkpoint_before(path):
    expected = everything(run(held_out))
    with pytest.raises(ValueError, match="mine"):
        run(Counted(held_out, ValueError("mine"), 3), options={"checkpoint": path})
    assert everything(run(held_out, resume=path)) == expected
