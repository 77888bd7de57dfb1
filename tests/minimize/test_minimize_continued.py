"""minimize with an optimizer as `method`: it goes on with its state."""

import copy
import threading

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from cases import OPTIMIZERS
from helpers import bits, exactly, flat
from objectives import Counted, bowl, bowl_value, outcome
from scipy.optimize import OptimizeWarning

import fastopt
from fastopt import Adam, RowSparse, minimize, objectives, schedules

START = np.array([0.3, -0.4, 0.6])
RATE = {"learning_rate": 0.05}


def names(*shapes):
    return {f"w{k}": np.random.default_rng(k).standard_normal(shape) for k, shape in enumerate(shapes)}


def squares(x, *batch):
    return float(sum((each**2).sum() for each in x.values())) / 2, dict(x)


# --- the same as one run ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_two_runs_have_the_bits_of_one(method):
    expected = minimize(bowl, START, method=method, jac=True, options=RATE | {"maxiter": 11})
    first = minimize(bowl, START, method=method, jac=True, options=RATE | {"maxiter": 4})
    opt = first.optimizer
    res = minimize(bowl, opt.params, method=opt, jac=True, options={"maxiter": 7})
    assert res.optimizer is opt and opt.step_count == 11 and res.nit == 7
    assert bits(opt) == bits(expected.optimizer)
    assert (res.x.tobytes(), res.fun) == (expected.x.tobytes(), expected.fun)


@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize("layout", ["dense", "csr"])
def test_two_runs_over_samples_have_the_bits_of_one(method, layout):
    X, y = np.random.default_rng(0).standard_normal((30, 4)), np.arange(30) % 2
    X = scipy.sparse.csr_array(X * (X > 0)) if layout == "csr" else X
    # A penalty on CSR data may be due for columns that the last samples had no entries in.
    arguments = dict(fun=objectives.Logistic(X, y, l2=0.0 if layout == "csr" else 0.01), batch_size=7)
    expected = minimize(x0=np.zeros(4), method=method, rng=3, options=RATE | {"epochs": 5}, **arguments)
    rng = np.random.default_rng(3)
    first = minimize(x0=np.zeros(4), method=method, rng=rng, options=RATE | {"epochs": 2}, **arguments)
    params = first.optimizer.params
    res = minimize(x0=params, method=first.optimizer, rng=rng, options={"epochs": 3}, **arguments)
    assert res.optimizer is first.optimizer and bits(res.optimizer) == bits(expected.optimizer)
    assert res.x.tobytes() == expected.x.tobytes()


@pytest.mark.parametrize("method", ["saga", "svrg"])
@pytest.mark.parametrize("kind", ["dense", "csr", "weights", "softmax", "intercept"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_runs_of_saga_and_svrg_have_the_bits_of_one(method, kind, dtype):
    draw = np.random.default_rng(0)
    X, y = draw.standard_normal((30, 4)).astype(dtype), draw.integers(0, 3 if kind == "softmax" else 2, 30)
    X = scipy.sparse.csr_array(X * (X > 0)) if kind == "csr" else X
    weights = draw.random(30) + 0.1 if kind == "weights" else None
    loss = objectives.Softmax if kind == "softmax" else objectives.Logistic
    objective = loss(X, y, l2=0.01, sample_weight=weights, fit_intercept=kind in ("intercept", "softmax"))
    x0 = np.zeros(objective.n_parameters)
    expected = minimize(objective, x0, method=method, rng=3, options={"epochs": 5})
    rng = np.random.default_rng(3)
    first = minimize(objective, x0, method=method, rng=rng, options={"epochs": 2})
    res = minimize(objective, first.x, method=first.optimizer, rng=rng, options={"epochs": 3})
    assert res.optimizer is first.optimizer and res.optimizer.step_count == 150
    assert outcome(res)["optimizer"] == outcome(expected)["optimizer"]
    assert res.x.tobytes() == expected.x.tobytes()


@pytest.mark.parametrize("n", [30, 20])
def test_saga_over_other_samples_fills_its_memory_anew(n):
    """Another memory than that of the samples would lead to another minimum."""
    draw = np.random.default_rng(0)
    X, y = draw.standard_normal((30, 4)), draw.integers(0, 2, 30)
    first = minimize(objectives.Logistic(X, y, l2=0.1), np.zeros(4), method="saga", rng=0)
    other = objectives.Logistic(X[::-1][:n].copy(), 1 - y[:n], l2=0.1)
    res = minimize(other, first.x, method=first.optimizer, rng=0)
    assert np.abs(other.gradient(res.x)).max() < 1e-12
    assert res.optimizer.step_count == 3000 + 100 * n


def test_schedule_goes_on():
    rate = schedules.cosine_decay(0.1, 10)
    expected = minimize(bowl, START, method="sgd", jac=True, options={"learning_rate": rate, "maxiter": 10})
    opt = fastopt.SGD(START.copy(), rate)
    for steps in (3, 7):
        res = minimize(bowl, opt.params, method=opt, jac=True, options={"maxiter": steps})
    assert res.x.tobytes() == expected.x.tobytes()


# --- parameters ------------------------------------------------------------------------------------------


def test_x0_is_written_into_the_parameters():
    mine = np.full(3, 7.0)
    opt = Adam(mine, **RATE)
    res = minimize(bowl, START.tolist(), method=opt, jac=True, options={"maxiter": 5})
    expected = minimize(bowl, START, method="adam", jac=True, options=RATE | {"maxiter": 5})
    assert res.x is mine and mine.tobytes() == expected.x.tobytes()
    res = minimize(bowl, opt.params[::-1], method=opt, jac=True, options={"maxiter": 0})
    assert mine.tolist() == expected.x[::-1].tolist()


@pytest.mark.parametrize("jac", [True, None, "spsa"])
@pytest.mark.parametrize("options", [{}, {"average": "ema", "average_start": 0}, {"return_best": True}], ids=str)
def test_separate_arrays_have_the_bits_of_those_of_a_run(jac, options):
    """The arrays of an optimizer need not lie side by side."""
    x0, options = names((4, 2), (), (3,)), {"maxiter": 9, "epoch_length": 3, **options}
    fun = squares if jac is True else lambda x: squares(x)[0]
    heard = [], []
    arguments = dict(jac=jac, rng=0, bounds=(-2, 0.5))
    with pytest.warns(OptimizeWarning, match="^Initial guess"):
        expected = minimize(fun, x0, method="adam", callback=heard[0].append, options=options | RATE, **arguments)
    opt = Adam({name: np.full_like(each, 7) for name, each in x0.items()}, nonfinite="raise", **RATE)
    with pytest.warns(OptimizeWarning, match="^Initial guess"):
        res = minimize(fun, x0, method=opt, callback=heard[1].append, options=options, **arguments)
    assert outcome(res) == outcome(expected)
    for one, other in zip(*heard, strict=True):
        assert [each.tobytes() for each in flat(one)] == [each.tobytes() for each in flat(other)]
    if not options.keys() & {"average", "return_best"}:
        assert all(res.x[name] is opt.params[name] for name in x0)


def test_separate_arrays_of_two_dtypes_and_sparse_gradients():
    params = {"table": np.ones((6, 2), np.float32), "w": np.full(3, 2.0)}
    other = copy.deepcopy(params)

    def fun(x):
        assert {name: each.dtype.name for name, each in x.items()} == {"table": "float32", "w": "float64"}
        assert not any(each.flags.writeable for each in x.values())
        rows = RowSparse([4, 1], x["table"][[4, 1]])
        return value(x), {"table": rows, "w": x["w"]}

    def value(x):
        return float((x["table"] ** 2).sum() + x["w"] @ x["w"])

    opt, by_hand = fastopt.SGD(params, 0.1), fastopt.SGD(other, 0.1)
    res = minimize(fun, params, method=opt, jac=True, options={"maxiter": 4})
    for _ in range(4):
        by_hand.step({"table": RowSparse([4, 1], other["table"][[4, 1]]), "w": other["w"].copy()})
    assert bits(opt) == bits(by_hand) and res.fun == value(params)
    res = minimize(value, params, method=opt, options={"maxiter": 1})
    assert {name: each.dtype.name for name, each in res.jac.items()} == {"table": "float32", "w": "float64"}


def test_resumed_run_of_an_optimizer(tmp_path):
    path, options = tmp_path / "run.npz", {"epoch_length": 2}
    expected = minimize(squares, names((2, 2), (3,)), method=Adam(names((2, 2), (3,)), **RATE), jac=True,
                        options=options | {"maxiter": 9})  # fmt: skip
    minimize(squares, names((2, 2), (3,)), method=Adam(names((2, 2), (3,)), **RATE), jac=True,
             options=options | {"maxiter": 5, "checkpoint": path})  # fmt: skip
    opt = Adam({name: np.zeros_like(each) for name, each in names((2, 2), (3,)).items()}, **RATE)
    res = minimize(squares, opt.params, method=opt, jac=True, resume=path, options=options | {"maxiter": 9})
    assert res.optimizer is opt and outcome(res) == outcome(expected)


# --- refusals, which change nothing ----------------------------------------------------------------------

LOGISTIC = objectives.Logistic(np.eye(3), [0, 1, 1])
REFUSED = {
    "length": ({"x0": np.ones(2)}, "`x0` must have the shape (3,) of the parameters that `method` updates, got (2,)."),
    "shape": (
        {"x0": np.ones((1, 3))},
        "`x0` must have the shape (3,) of the parameters that `method` updates, got (1,",
    ),
    "structure": ({"x0": {"a": START}}, "`x0` must be convertible to an array of real numbers, got {'a':"),
    "jac": ({"jac": "4-point"}, "`jac` must be True"),
    "callback": ({"callback": 3}, "`callback` must be callable"),
    "bounds": ({"bounds": [(0, 1)]}, "The length of `bounds` must be that of `x0`, 3, got 1."),
    "option": ({"options": {"maxiter": -1}}, "`maxiter` must be a non-negative integer"),
    "average": ({"options": {"average": "mean"}}, "`average` must be one of"),
    "parallel": ({"fun": LOGISTIC, "jac": None, "options": {"parallel": "none"}}, "`parallel` must be one of"),
    "batch size": ({"fun": LOGISTIC, "jac": None, "batch_size": 9}, "`batch_size` must be"),
    "resume": ({"resume": "no such file"}, "No such file"),
    "warning": ({"bounds": (-1, 0)}, "Initial guess is not within"),
}


@pytest.mark.filterwarnings("error::scipy.optimize.OptimizeWarning")
@pytest.mark.parametrize("fault", REFUSED)
def test_refused_call_leaves_the_optimizer_as_it_was(fault):
    change, message = REFUSED[fault]
    opt, fun = Adam(np.full(3, 7.0)), Counted(bowl)
    opt.step(np.ones(3))
    before = bits(opt)
    with pytest.raises((TypeError, ValueError, OSError, OptimizeWarning)) as caught:
        minimize(**{"fun": fun, "x0": START, "method": opt, "jac": True, **change})
    assert message in str(caught.value)
    assert bits(opt) == before and fun.calls == 0


def test_structures_that_differ():
    opt = Adam({"a": np.ones(2), "b": np.ones((2, 2))})
    for x0, message in [
        (np.ones(6), "`x0` must be a dict like the parameters, got ndarray."),
        ({"a": np.ones(2)}, "`x0` must have the keys of the parameters, got missing ['b'] and unknown []."),
        ({"a": np.ones(2), "b": np.ones(4)},
         "`x0['b']` must have the shape (2, 2) of the parameters that `method` updates, got (4,)."),
        ({"a": np.ones(2), "b": "table"}, "`x0['b']` must be convertible to an array of real numbers, got 'table'."),
    ]:  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=exactly(message)):
            minimize(squares, x0, method=opt, jac=True)
    res = minimize(squares, {"b": np.ones((2, 2)), "a": [3, 4]}, method=opt, jac=True, options={"maxiter": 0})
    assert res.x["a"].tolist() == [3, 4]
    opt = Adam([np.ones(1)])
    res = minimize(lambda x: (x[0][0] ** 2, list(x)), [3.0], method=opt, jac=True, options={"maxiter": 0})
    assert res.x[0].tolist() == [3.0]


def test_objective_of_another_dtype_is_refused():
    for opt in (Adam(np.ones(3, np.float32)), fastopt.SAGA(np.ones(3, np.float32))):
        with pytest.raises(TypeError, match=r"^`method` must update float64 parameters .* the objective, got float32"):
            minimize(LOGISTIC, np.zeros(3), method=opt)
    with pytest.raises(ValueError, match=r"^`fun` must be an object of fastopt.objectives for method 'saga'"):
        minimize(bowl, np.zeros(3), method=fastopt.SAGA(np.ones(3)), jac=True)


def test_hyperparameters_are_those_of_the_optimizer():
    opt = Adam(np.zeros(3), learning_rate=0.25)
    with pytest.warns(OptimizeWarning, match=r"options: learning_rate \(Assign it to the optimizer\.\)$"):
        res = minimize(bowl, START, method=opt, jac=True, options={"learning_rate": 0.5, "maxiter": 1})
    assert res.history["learning_rate"].tolist() == [0.25]


def test_through_scipy():
    opt = Adam(np.zeros(3), **RATE)
    method = fastopt.scipy_method(opt, maxiter=5)
    res = scipy.optimize.minimize(bowl, START, jac=True, method=method)
    expected = minimize(bowl, START, method="adam", jac=True, options=RATE | {"maxiter": 5})
    assert res.x is opt.params and res.x.tobytes() == expected.x.tobytes()


# --- failures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrays", [1, 2])
@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()], ids=repr)
def test_exception_leaves_the_steps_of_complete_iterations(arrays, error):
    x0 = names(*[(2, 2)] * arrays)
    opt, expected = (Adam({name: np.zeros((2, 2)) for name in x0}, **RATE) for _ in range(2))
    minimize(squares, x0, method=expected, jac=True, options={"maxiter": 3})
    with pytest.raises(type(error)):
        minimize(Counted(squares, error, at=4), x0, method=opt, jac=True, options={"maxiter": 9})
    assert bits(opt) == bits(expected)


def test_overflowed_parameters_are_set_to_the_last_finite_ones():
    opt = fastopt.SGD({"a": np.ones(2), "b": np.ones(1)}, 1e200)
    options = {"maxiter": 9, "epoch_length": 1}
    with np.errstate(all="ignore"):
        res = minimize(lambda x: (1.0, {"a": -x["a"], "b": x["b"]}), opt.params, method=opt, jac=True, options=options)
    assert res.status == 4 and res.x["a"] is opt.params["a"]
    assert np.isfinite(res.x["a"]).all() and np.isfinite(opt.params["b"]).all()


# --- memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrays", [1, 2])
@pytest.mark.parametrize("jac", [True, "3-point"])
def test_parameters_cannot_be_resized_during_the_run(arrays, jac):
    mine = {f"w{k}": np.ones(4) for k in range(arrays)}
    opt, refusals = Adam(mine), []

    def fun(x):
        try:
            mine["w0"].resize((100_000,), refcheck=False)
        except ValueError as error:
            refusals.append(str(error))
        return squares(x) if jac is True else squares(x)[0]

    res = minimize(fun, mine, method=opt, jac=jac, options={"maxiter": 2})
    assert res.nit == 2 and len(refusals) > 2 and "cannot resize this array" in refusals[0]
    mine["w0"].resize((3,), refcheck=False)  # afterwards they are the caller's again
    with pytest.raises(ValueError, match=r"^`params\['w0'\]` must stay where it was when the optimizer was made"):
        minimize(fun, {name: np.ones(each.shape) for name, each in mine.items()}, method=opt, jac=jac)


@pytest.mark.parametrize("change", ["shape", "dtype"])
def test_parameters_changed_during_the_run_are_refused(change):
    mine = {"a": np.ones((2, 2)), "b": np.ones(3)}
    opt = Adam(mine)

    def callback(x):
        setattr(mine["a"], change, {"shape": (4,), "dtype": np.dtype(np.float32)}[change])

    with pytest.raises(ValueError, match=r"^`params\['a'\]` must stay where it was when the optimizer was made"):
        minimize(squares, mine, method=opt, jac=True, callback=callback)


def test_read_only_parameters_are_refused():
    opt = Adam(np.ones(3))
    opt.params.flags.writeable = False
    with pytest.raises(ValueError, match=r"^`params` must be writable, as it is updated in place, got a read-only"):
        minimize(bowl, START, method=opt, jac=True)


def test_optimizer_under_way_in_another_thread_is_refused():
    opt, inside, go_on = Adam(np.ones(3)), threading.Event(), threading.Event()

    def rate(t):
        inside.set()
        go_on.wait(10)
        return 0.1

    opt.learning_rate = rate
    thread = threading.Thread(target=opt.step, args=(np.ones(3),))
    thread.start()
    inside.wait(10)
    try:
        with pytest.raises(RuntimeError, match="another step, save or load"):
            minimize(bowl, START, method=opt, jac=True, options={"maxiter": 1})
    finally:
        go_on.set()
        thread.join()
    assert opt.params.tolist() != START.tolist()


def test_value_only_methods():
    opt = fastopt.MoMo(np.zeros(3))
    expected = minimize(bowl, START, method="momo", jac=True, options={"maxiter": 5})
    res = minimize(bowl, START, method=opt, jac=True, options={"maxiter": 5})
    assert res.x.tobytes() == expected.x.tobytes() and bowl_value(res.x) == res.fun
