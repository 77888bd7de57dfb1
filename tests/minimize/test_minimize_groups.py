"""minimize with groups: other numbers for some of the arrays of x0, and gradients that lack some."""

import math
import warnings

import numpy as np
import pytest
from helpers import flat

import fastopt
from fastopt import minimize, objectives, schedules


def start(form):
    arrays = {"w": np.linspace(2.0, 3.0, 6).reshape(3, 2), "b": np.array([4.0, -1.0])}
    return arrays if form == "dict" else [*arrays.values()]


def bowl(x):
    slopes = [2 * (each - 1) for each in flat(x)]
    value = float(sum(((each - 1) ** 2).sum() for each in flat(x)))
    return value, dict(zip(x, slopes, strict=True)) if isinstance(x, dict) else slopes


def bits(structure):
    return [each.tobytes() for each in flat(structure)]


GROUPS = {"dict": {"b": {"learning_rate": 0.05, "weight_decay": 0.0}}, "list": {1: {"learning_rate": 0.05}}}


@pytest.mark.parametrize("form", ["dict", "list"])
def test_groups_come_with_the_options(form):
    options = {"learning_rate": 0.2, "weight_decay": 0.1, "groups": GROUPS[form], "maxiter": 20}
    res = minimize(bowl, start(form), method="adamw", jac=True, options=options)
    params = start(form)
    opt = fastopt.AdamW(params, 0.2, weight_decay=0.1, groups=GROUPS[form])
    for _ in range(20):
        opt.step(bowl(params)[1])
    assert bits(res.x) == bits(params) and res.optimizer.groups == opt.groups


def test_a_run_with_groups_resumes_to_the_same_bits(path):
    def options(n, **more):
        rate = schedules.exponential_decay(0.3, 5, 0.9)
        groups = {"b": {"learning_rate": rate, "beta_1": 0.5}}
        return {"learning_rate": 0.2, "groups": groups, "maxiter": n, "epoch_length": 4, **more}

    whole = minimize(bowl, start("dict"), method="nadam", jac=True, options=options(20))
    minimize(bowl, start("dict"), method="nadam", jac=True, options=options(10, checkpoint=path))
    res = minimize(bowl, start("dict"), method="nadam", jac=True, resume=path, options=options(20))
    assert bits(res.x) == bits(whole.x)
    other = minimize(
        bowl, start("dict"), method="nadam", jac=True, resume=path,
        options=options(20) | {"groups": {"b": {"learning_rate": lambda t: 0.3 * 0.9 ** (t / 5)}}},
    )  # fmt: skip
    assert other.optimizer.groups["b"].beta_1 == 0.5  # hyper-parameters are those of the checkpoint


@pytest.mark.parametrize("jac", [True, "spsa", None])
def test_the_default_method_takes_numbers_that_are_not_in_its_estimate(jac):
    options = {"weight_decay": 0.1, "groups": {"b": {"weight_decay": 0.0}}, "maxiter": 30}
    fun = bowl if jac is True else lambda x: bowl(x)[0]
    res = minimize(fun, start("dict"), jac=jac, options=options, rng=0)
    assert res.optimizer.groups["b"].weight_decay == 0.0 and res.success
    with pytest.raises(
        ValueError, match=r"^`groups\['b'\]` must not have `learning_rate`, as it belongs to all arrays"
    ):
        minimize(bowl, start("dict"), jac=True, options={"groups": {"b": {"learning_rate": 0.1}}})


def test_schedules_of_groups_are_given_the_losses():
    plateau = schedules.reduce_on_plateau(1e-9, patience=0)
    options = {"groups": {"w": {"learning_rate": plateau}, "b": {"learning_rate": plateau}}, "maxiter": 60}
    minimize(lambda x: (1.0, bowl(x)[1]), start("dict"), method="sgd", jac=True, options=options | {"epoch_length": 10})
    assert plateau(0) < 1e-9


def test_one_array_has_no_groups():
    message = "^`groups` must be left out for a single array, got "
    with pytest.raises(ValueError, match=message):
        minimize(lambda x: (x @ x, 2 * x), np.ones(3), method="sgd", jac=True, options={"groups": {0: {"momentum": 0}}})
    objective = objectives.LeastSquares(np.eye(2), [1.0, 2.0])
    for parallel in ("batch", "hogwild"):
        with pytest.raises(ValueError, match=message):
            options = {"groups": {0: {"weight_decay": 0.0}}, "parallel": parallel}
            minimize(objective, np.zeros(2), method="sgd", options=options)


@pytest.mark.parametrize("form", ["dict", "list"])
def test_an_array_without_a_gradient_stays(form):
    def fun(x):
        value, slope = bowl(x)
        if form == "dict":
            del slope["b"]
        else:
            slope[1] = None
        return value, slope

    res = minimize(fun, start(form), method="adam", jac=True, options={"learning_rate": 0.1, "maxiter": 5})
    assert bits(res.x)[1] == bits(start(form))[1] and bits(res.x)[0] != bits(start(form))[0]
    expected = math.sqrt((bowl(res.x)[1]["w" if form == "dict" else 0] ** 2).sum())
    assert res.history["grad_norm"][-1] == pytest.approx(expected, rel=0.2)


def test_a_result_with_a_gradient_that_lacks_arrays_is_saved(path):
    def fun(x):
        value, slope = bowl(x)
        return value, {"w": slope["w"]}

    options = {"learning_rate": 0.1, "maxiter": 5, "groups": {"w": {"weight_decay": 0.1}}}
    res = minimize(fun, start("dict"), method="adam", jac=True, options=options)
    fastopt.save(path, res)
    loaded = fastopt.load_result(path)
    assert loaded.jac["b"] is None and bits({"w": loaded.jac["w"]}) == bits({"w": res.jac["w"]})
    assert loaded.optimizer.groups == res.optimizer.groups


@pytest.mark.parametrize("known", [True, False])
def test_a_result_whose_group_had_a_schedule(known, path):
    """A schedule of fastopt is in the file; any other needs a method."""
    schedule = schedules.step_decay(0.1, 2, 0.5) if known else lambda t: 0.1 * 0.5 ** (t // 2)

    def method(x):
        return fastopt.Adam(x, 0.1, groups={"b": {"learning_rate": schedule}, "w": {"beta_1": 0.5}})

    res = minimize(bowl, start("dict"), method=method, jac=True, options={"maxiter": 5})
    fastopt.save(path, res)
    loaded = fastopt.load_result(path).optimizer
    assert (loaded is not None) == known
    for again in (loaded, fastopt.load_result(path, method).optimizer):
        if again is not None:
            assert again.step_count == 5 and again.groups["w"].beta_1 == 0.5
            again.step(bowl(again.params)[1])
    res.optimizer.step(bowl(res.optimizer.params)[1])
    assert bits(again.params) == bits(res.optimizer.params)


def test_a_start_at_which_the_other_arrays_are_at_their_best_ends_at_once():
    x0 = {"w": np.ones((3, 2)), "b": np.zeros(2)}
    res = minimize(lambda x: (bowl(x)[0], {"w": bowl(x)[1]["w"]}), x0, method="sgd", jac=True)
    assert (res.status, res.nit) == (0, 0)


# --- numbers that are set during a run over a built-in objective -----------------------------------------


@pytest.mark.parametrize("kind", ["sgd", "ftrl", "adagrad", "adam"])
@pytest.mark.parametrize("sparse", [False, True])
def test_numbers_set_between_epochs_hold_from_then_on(kind, sparse, rng):
    """As if another run had gone on with them."""
    import scipy.sparse

    X = rng.standard_normal((60, 8)) * (rng.random((60, 8)) < 0.5)
    X, y = scipy.sparse.csr_array(X) if sparse else X, rng.standard_normal(60)
    objective = objectives.LeastSquares(X, y, l2=0.01, l1=0.001)
    keywords = {"learning_rate": 0.1, "nonfinite": "raise"} | ({"momentum": 0.5} if kind == "sgd" else {})
    changes = {"sgd": {"momentum": 0.8}, "ftrl": {"beta": 0.5}, "adagrad": {"epsilon": 0.1}, "adam": {"beta_1": 0.5}}
    changes = changes[kind] | {"clip_value": 0.5} | ({} if kind == "ftrl" else {"weight_decay": 0.05})

    def run(opt, x0, epochs, seed, **more):
        options = {"epochs": epochs}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return minimize(objective, x0, method=opt, options=options, batch_size=7, rng=seed, **more)

    def set_numbers(opt):
        for name, value in changes.items():
            setattr(opt, name, value)

    def after_epoch(state):
        if state.nepoch == 2:
            set_numbers(opt)

    opt, twin = (fastopt.get_optimizer(kind)(np.zeros(8), **keywords) for _ in range(2))
    generators = np.random.default_rng(1), np.random.default_rng(1)
    res = run(opt, np.zeros(8), 4, generators[0], epoch_callback=after_epoch)
    first = run(twin, np.zeros(8), 2, generators[1])
    set_numbers(twin)
    second = run(twin, first.x.copy(), 2, generators[1])
    assert res.x.tobytes() == second.x.tobytes()
