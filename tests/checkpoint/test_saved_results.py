"""save() and load_result(): results of minimize in files, without pickle."""

import copy
import io
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
from cases import OPTIMIZERS
from helpers import bits, exactly, flat
from objectives import bowl, outcome

import fastopt
from fastopt import CheckpointError, RowSparse, load_result, minimize, objectives, save, schedules

RATE = {"learning_rate": 0.05}
LOGISTIC = objectives.Logistic(np.random.default_rng(0).standard_normal((30, 4)), np.arange(30) % 2, l2=0.1)


def saved(result):
    """What comes back from a file."""
    file = io.BytesIO()
    save(file, result)
    return load_result(io.BytesIO(file.getvalue()))


def same_gradient(one, other):
    """Whether two gradients are of one class, dtype and shape, with the same numbers."""
    if isinstance(one, dict):
        return [*one] == [*other] and all(same_gradient(one[name], other[name]) for name in one)
    if type(one) is not type(other):
        return False
    if isinstance(one, RowSparse):
        same = one.unique == other.unique and np.array_equal(one.indices, other.indices)
        return same and same_gradient(one.rows, other.rows)
    if hasattr(one, "tocoo"):
        return one.format == other.format and same_gradient(one.toarray(), other.toarray())
    return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


def assert_same(res, again):
    assert [*again] == [*res] and type(again) is scipy.optimize.OptimizeResult
    assert outcome(again) == outcome(res) and bits(again.optimizer) == bits(res.optimizer)
    assert res.history["time"].tobytes() == again.history["time"].tobytes()
    assert (again.nfev, again.njev) == (res.nfev, res.njev)
    assert [type(again[name]) for name in res] == [type(res[name]) for name in res]
    assert repr(again.optimizer) == repr(res.optimizer)
    assert same_gradient(res.jac, again.jac)


# --- what comes back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_result_comes_back_and_goes_on_with_the_same_bits(method, dtype):
    x0 = np.array([0.3, -0.4, 0.6], dtype)
    res = minimize(bowl, x0, method=method, jac=True, options=RATE | {"maxiter": 7, "epoch_length": 3})
    again = saved(res)
    assert_same(res, again)
    ends = [minimize(bowl, each.optimizer.params, method=each.optimizer, jac=True, options={"maxiter": 5})
            for each in (res, again)]  # fmt: skip
    assert outcome(ends[0]) == outcome(ends[1])


@pytest.mark.parametrize("method", fastopt.FINITE_SUM_METHODS)
def test_results_of_methods_for_objectives(method):
    res = minimize(LOGISTIC, np.zeros(4), method=method, rng=0, options={"epochs": 3})
    again = saved(res)
    assert_same(res, again)
    ends = [minimize(LOGISTIC, each.x, method=each.optimizer, rng=1, options={"epochs": 2}) for each in (res, again)]
    assert outcome(ends[0]) == outcome(ends[1]) and ends[0].nfev == ends[1].nfev


def by_name(x):
    value = float(sum((each**2).sum() for each in x.values()))
    rows = RowSparse([3, 0, 3], x["table"][[3, 0, 3]])
    return value, {"table": rows, "v": scipy.sparse.csc_matrix(x["v"][None]), "b": 2 * x["b"]}


def test_several_arrays_and_sparse_gradients():
    x0 = {"table": np.ones((5, 2)), "v": np.array([1.0, 0.0, 2.0]), "b": 1.0}
    res = minimize(by_name, x0, method="adam", jac=True, options=RATE | {"maxiter": 4})
    again = saved(res)
    assert_same(res, again)
    assert all(again.x[name] is again.optimizer.params[name] for name in x0)
    as_list = minimize(lambda x: (0.0, [np.zeros(2), np.zeros((1, 1))]), [np.ones(2), [[1]]], method="adam", jac=True,
                       options={"maxiter": 1})  # fmt: skip
    assert [each.tolist() for each in saved(as_list).x] == [[1, 1], [[1]]]
    matrix = minimize(lambda x: float((x**2).sum()), np.ones((2, 2)), method="adam", options={"maxiter": 1})
    assert_same(matrix, saved(matrix))


@pytest.mark.parametrize("options", [{"average": "ema", "average_start": 0}, {"return_best": True}], ids=str)
def test_solution_that_is_not_the_parameters(options):
    res = minimize(
        bowl, np.zeros(3), method="adam", jac=True, options=RATE | {"maxiter": 7, "epoch_length": 3} | options
    )
    again = saved(res)
    assert_same(res, again)
    assert not np.shares_memory(again.x, again.optimizer.params)


def test_failures_come_back_too():
    nan = minimize(lambda x: (np.nan, x), np.ones(3), jac=True)
    assert (nan.status, nan.jac) == (2, None)
    again = saved(nan)
    assert (again.status, again.success, again.message, again.jac) == (2, False, nan.message, None)
    assert np.isnan(again.fun)
    none = minimize(bowl, np.zeros(3), method="adam", jac=True, options={"maxiter": 0})
    assert saved(none).history["epoch"].shape == (0,)


@pytest.mark.parametrize("make", [str, os.fsencode], ids=["str", "bytes"])
def test_paths(make, path):
    res = minimize(bowl, np.zeros(3), method="adam", jac=True, options={"maxiter": 3})
    save(make(path), res)
    assert_same(res, load_result(make(path)))
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_more_entries_of_a_result_are_left_out():
    res = minimize(bowl, np.zeros(3), method="adam", jac=True, options={"maxiter": 3})
    expected = copy.deepcopy(res)
    res["mine"], res.history["mine"] = object(), np.array([1.5, 2.5, 3.5])
    again = saved(res)
    assert again.history.pop("mine").tolist() == [1.5, 2.5, 3.5]
    assert_same(expected, again)


# --- optimizers that cannot be known from the file -------------------------------------------------------


class Adam(fastopt.Adam):
    """A class of the user's, with the name of one of fastopt."""


def own_schedule(t):
    return 0.5 / (1 + t)


SCHEDULES = {
    "constant": schedules.constant(0.1),
    "cosine": schedules.cosine_decay(0.1, 30, alpha=0.1),
    "exponential": schedules.exponential_decay(0.1, 3, 0.5, staircase=True),
    "inverse": schedules.inverse_time_decay(0.1, 3, 0.5),
    "one cycle": schedules.one_cycle(0.1, 20, anneal="linear"),
    "piecewise": schedules.piecewise_constant([2, 5], [0.3, 0.2, 0.1]),
    "polynomial": schedules.polynomial_decay(0.1, 9, 0.01),
    "step": schedules.step_decay(0.1, 3, 0.5),
    "plateau": schedules.reduce_on_plateau(0.5, factor=0.5, patience=0),
    "warm-up": schedules.warmup(schedules.warmup(schedules.reduce_on_plateau(0.5, patience=0), 2), 3),
}


def test_all_schedules_are_tried():
    tried = {type(rate).__name__ for rate in SCHEDULES.values()}
    assert tried == set(schedules.__all__)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_of_the_package_come_back(name):
    options = {"maxiter": 7, "epoch_length": 2}
    res = minimize(bowl, np.zeros(3), method="adam", jac=True, options=options | {"learning_rate": SCHEDULES[name]})
    again = saved(res)
    assert again.optimizer.learning_rate == res.optimizer.learning_rate is not again.optimizer.learning_rate
    ends = [minimize(bowl, each.x, method=each.optimizer, jac=True, options=options) for each in (res, again)]
    assert outcome(ends[0]) == outcome(ends[1])


def test_result_of_the_default_method_goes_on():
    res = minimize(bowl, np.zeros(3), jac=True, options={"maxiter": 50})
    again = saved(res)
    assert bits(again.optimizer) == bits(res.optimizer)
    for each in (res, again):
        stuck = minimize(bowl, each.x.copy(), method=each.optimizer, jac=True, options={"maxiter": 1})
        assert stuck.status == 7 and stuck.message.endswith(
            "assign another to it, such as optimizer.learning_rate = 0.1."
        )
        each.optimizer.learning_rate = 0.1
    ends = [minimize(bowl, each.x, method=each.optimizer, jac=True, options={"maxiter": 5}) for each in (res, again)]
    assert outcome(ends[0]) == outcome(ends[1]) and ends[0].success


def test_schedules_and_classes_of_users_need_a_method():
    options = {"maxiter": 7, "epoch_length": 2}
    made = {own_schedule: lambda x: fastopt.Adam(x, own_schedule)}
    within = schedules.warmup(own_schedule, 3)
    made[within] = lambda x: fastopt.Adam(x, within)
    runs = [
        (minimize(bowl, np.zeros(3), method="adam", jac=True, options=options | {"learning_rate": rate}), method)
        for rate, method in made.items()
    ]
    runs.append((minimize(bowl, np.zeros(3), method=Adam, jac=True, options=options | RATE), Adam))
    for res, method in runs:
        file = io.BytesIO()
        save(file, res)
        alone = load_result(io.BytesIO(file.getvalue()))
        assert alone.optimizer is None and alone.x.tobytes() == res.x.tobytes()
        again = load_result(io.BytesIO(file.getvalue()), method)
        assert bits(again.optimizer) == bits(res.optimizer) and again.x is again.optimizer.params
        assert type(again.optimizer) is type(res.optimizer)
        ends = [minimize(bowl, each.x, method=each.optimizer, jac=True, options=options) for each in (res, again)]
        assert outcome(ends[0]) == outcome(ends[1])


def test_files_without_a_schedule_load_as_before(path):
    """As versions wrote them that saved none."""
    for rate, kind in [(0.1, fastopt.Adam), (SCHEDULES["step"], type(None))]:
        options = {"maxiter": 3, "learning_rate": rate}
        save(path, minimize(bowl, np.zeros(3), method="adam", jac=True, options=options))
        tree = fastopt._checkpoint.read(path, "result")
        del tree["schedule"]
        fastopt._checkpoint.write(path, "result", tree)
        assert type(load_result(path).optimizer) is kind


def test_method_that_does_not_fit():
    file = io.BytesIO()
    save(file, minimize(bowl, np.zeros(3), method="adam", jac=True, options=RATE | {"maxiter": 1}))

    def load_with(method):
        return load_result(io.BytesIO(file.getvalue()), method)

    with pytest.raises(TypeError, match=r"^`method` must be callable, got str"):
        load_with("adam")
    with pytest.raises(TypeError, match=r"^`method` must return a fastopt optimizer of the array it is called with"):
        load_with(lambda x: fastopt.Adam(x.copy()))
    with pytest.raises(ValueError, match=r"does not fit the optimizer: `state_dict\['optimizer'\]` must be 'SGD', got"):
        load_with(fastopt.SGD)
    with pytest.raises(ValueError, match=r"does not fit the optimizer: .* must be a schedule like the optimizer's"):
        load_with(lambda x: fastopt.Adam(x, schedules.constant(0.1)))
    with pytest.raises(ZeroDivisionError):
        load_with(lambda x: 1 / 0)


# --- what is not saved -----------------------------------------------------------------------------------


def test_what_is_no_result_is_refused_and_writes_nothing(path):
    save(path, fastopt.SGD(np.ones(2)))
    before = Path(path).read_bytes()
    res = minimize(bowl, np.zeros(3), method="adam", jac=True, options={"maxiter": 1})
    of_scipy = scipy.optimize.minimize(bowl, np.zeros(3), jac=True)
    message = "`optimizer` must be a fastopt.Optimizer or a result of fastopt.minimize, got {}."
    for result, error, words in [
        (of_scipy, TypeError, message.format("OptimizeResult")),
        ({}, TypeError, message.format("dict")),
        (np.ones(3), TypeError, "`optimizer` must be a fastopt.Optimizer, got ndarray."),
        ({"optimizer": res.optimizer}, ValueError, None),
        ({name: each for name, each in res.items() if name != "nit"}, ValueError,
         "`optimizer` must be a whole result of fastopt.minimize, got none of its ['nit']."),
    ]:  # fmt: skip
        with pytest.raises(error, match=None if words is None else exactly(words)):
            save(path, result)
    tuples = minimize(
        lambda x: (0.0, {("a", 1): np.zeros(2)}), {("a", 1): np.ones(2)}, jac=True, options={"maxiter": 1}
    )
    words = "`x` of a result must have strings or integers as keys to be saved, got ('a', 1)."
    with pytest.raises(TypeError, match=exactly(words)):
        save(path, tuples)
    assert Path(path).read_bytes() == before


def test_files_of_other_kinds_are_refused(path):
    opt, res = fastopt.SGD(np.ones(3)), minimize(bowl, np.zeros(3), method="adam", jac=True, options={"maxiter": 1})
    save(path, opt)
    with pytest.raises(CheckpointError, match="it is of kind 'optimizer', expected 'result'"):
        load_result(path)
    save(path, res)
    with pytest.raises(CheckpointError, match="it is of kind 'result', expected 'optimizer'"):
        fastopt.load(path, opt)
    with pytest.raises(CheckpointError, match="it is of kind 'result', expected 'minimize'"):
        minimize(bowl, np.zeros(3), method="adam", jac=True, resume=path)
    contents = bytearray(Path(path).read_bytes())
    contents[len(contents) // 2] ^= 1
    with pytest.raises(CheckpointError, match="it is damaged"):
        load_result(io.BytesIO(contents))


def test_changed_entries_name_file_and_field(path):
    res = minimize(bowl, np.zeros(3), method="adam", jac=True, options={"maxiter": 3})
    save(path, res)
    tree = fastopt._checkpoint.read(path, "result")
    for field, value, message in [
        ("status", 100, "`result['status']` must be at most 99, got 100"),
        ("message", 3, "`result['message']` must be a string, got int"),
        ("keys", ["a", "a"], "`result['keys']` must be a list of different strings and integers, got ['a', 'a']"),
        ("x", [np.ones(2)], "`result['x'][0]` must be a float64 array of shape (3,), got float64 (2,)"),
        ("params", [np.ones(3, int)], "`result['params'][0]` must be a float32 or float64 array, got array([1, 1, 1])"),
        ("jac", [{"kind": "csr"}], "`result['jac'][0]['kind']` must be one of dense, rows, sparse, none, got 'csr'"),
        ("history", {}, "`result['history']` must have the entries"),
        ("schedule", {"class": "eval", "parameters": {}}, "`result['schedule']['class']` must be one of 'constant', "),
        ("schedule", {"class": "constant", "parameters": {}}, "must have the entries ['lr'"),
        ("schedule", {"class": "constant", "parameters": {"lr": -1.0}}, "`result['schedule']` must have parameters of"),
        ("schedule", {"class": "constant", "parameters": {"lr": 1.0, "x": 1}}, "constant: "),
    ]:
        fastopt._checkpoint.write(path, "result", tree | {field: value})
        with pytest.raises(CheckpointError) as caught:
            load_result(path)
        assert caught.value.path == path and message in str(caught.value)


# --- optimizers of methods for built-in objectives -------------------------------------------------------


@pytest.mark.parametrize("cls", fastopt.FINITE_SUM_METHODS.values())
def test_methods_for_objectives_are_saved_and_loaded(cls, path):
    res = minimize(LOGISTIC, np.zeros(4), method=cls.__name__.lower(), rng=0, options={"epochs": 2})
    save(path, res.optimizer)
    new = cls(np.ones(4))
    fastopt.load(path, new)
    assert bits(new) == bits(res.optimizer) and new.learning_rate == res.optimizer.learning_rate
    ends = [minimize(LOGISTIC, each.params, method=each, rng=1, options={"epochs": 2}) for each in (res.optimizer, new)]
    assert outcome(ends[0]) == outcome(ends[1])
    other = fastopt.SVRG if cls is fastopt.SAGA else fastopt.SAGA
    for wrong in (other(np.ones(4)), cls(np.ones(3)), cls(np.ones(4, np.float32)), fastopt.SGD(np.ones(4))):
        before = bits(wrong)
        with pytest.raises(ValueError, match="does not fit the optimizer: "):
            fastopt.load(path, wrong)
        assert bits(wrong) == before


def test_schedule_of_saga(path):
    rate = schedules.step_decay(0.1, 60, factor=0.5)
    objective = objectives.LeastSquares(np.random.default_rng(0).standard_normal((30, 4)), np.arange(30.0))
    res = minimize(objective, np.zeros(4), method="saga", rng=0, options={"epochs": 3, "learning_rate": rate})
    save(path, res)
    results = res, load_result(path), load_result(path, lambda x: fastopt.SAGA(x, rate))
    ends = [minimize(objective, each.x, method=each.optimizer, rng=1, options={"epochs": 3}) for each in results]
    assert outcome(ends[0]) == outcome(ends[1]) == outcome(ends[2])


def test_method_that_has_not_run_has_nothing_to_save(path):
    message = (
        "`optimizer` must have run to be saved, got SAGA without a state; pass the one in a result of fastopt.minimize."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        save(path, fastopt.SAGA(np.ones(4)))
    assert not os.path.exists(path)


def test_arrays_of_a_loaded_result_are_writable_and_its_own():
    res = minimize(
        by_name, {"table": np.ones((5, 2)), "v": np.ones(3), "b": 1.0}, method="adam", jac=True, options={"maxiter": 2}
    )
    again = saved(res)
    assert all(each.flags.writeable and each.flags.c_contiguous for each in flat(again.x))
    assert not any(np.shares_memory(one, other) for one in flat(res.x) for other in flat(again.x))
