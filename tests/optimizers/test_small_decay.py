"""Decoupled weight decay that float32 cannot hold in one step: the total over many steps is right all the same."""

import copy
import pickle

import numpy as np
import pytest
from cases import OPTIMIZERS, is_refused
from reference import due_decay

import fastopt
from fastopt import RowSparse, minimize, objectives

STEPS = 3000
RATES = (1e-8, 3e-8, 2e-7, 9e-7, 2e-6)
DECOUPLED = [name for name, cls in OPTIMIZERS.items() if not is_refused(cls, {"decoupled_weight_decay": True})]
DECAYING = [*DECOUPLED, "momo"]


# What keeps the decay of a step the same, steps small, and the average of schedule-free steps near their last point.
STEADY = {
    "asgd": {"lambd": 0.0},
    "prodigy": {"d_coef": 1e-30},
    "rprop": {"step_min": 1e-9, "step_max": 1e-9},
    "schedulefreeadamw": {"beta_1": 1e-6},
}


def parameters():
    """Of every size, and such as round in the same way again and again."""
    spread = np.exp(np.random.default_rng(0).uniform(-3, 3, 248))
    return np.float32([*spread, 1, 1.5, 1.25, 1.0001, 1.4999, 0.1, 0.7, 3]).reshape(16, 16)


def optimizer(name, params, rate, learning_rate=1e-6, **keywords):
    """One whose decay is `rate` in each step; that of Prodigy is times its estimate, which is kept at 1e-6."""
    learning_rate = 1.0 if name == "prodigy" else learning_rate
    decay = rate / (1e-6 if name == "prodigy" else learning_rate)
    if name != "momo":
        keywords["decoupled_weight_decay"] = True
    return OPTIMIZERS[name](params, learning_rate, weight_decay=decay, **STEADY.get(name, {}), **keywords)


def total(params, start):
    return (np.float64(params) - start) / start


def exact(rate, steps=STEPS):
    return np.expm1(steps * np.log1p(-rate))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", DECAYING)
def test_total_over_zero_gradients(name, rate):
    start = parameters()
    params, zeros = start.copy(), np.zeros_like(start)
    opt = optimizer(name, params, rate)
    for _ in range(STEPS):
        opt.step(zeros)
    decayed = opt.state["z"] if name == "schedulefreeadamw" else params
    np.testing.assert_allclose(total(decayed, start), exact(rate), rtol=0.05)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", DECAYING)
def test_total_over_small_gradients(name, rate, rng):
    """What decay adds to the movement, in the mean over the entries: each step rounds, which is as much as decay."""
    start = np.ones((24, 24), np.float32) + rng.random((24, 24), np.float32)
    grads = [np.float32(1e-9) * rng.standard_normal(start.shape, np.float32) for _ in range(8)]
    ends = []
    for each in (rate, 0.0):
        params = start.copy()
        opt = optimizer(name, params, each, learning_rate=1e-9)
        for k in range(STEPS):
            opt.step(grads[k % 8])
        ends.append(np.float64(opt.state["z"] if name == "schedulefreeadamw" else params))
    assert np.mean((ends[0] - ends[1]) / start) == pytest.approx(exact(rate), rel=0.05)


@pytest.mark.parametrize("rate", RATES)
def test_decay_of_asgd_is_its_own(rate):
    start = parameters()
    params, zeros = start.copy(), np.zeros_like(start)
    opt = fastopt.ASGD(params, 1e-4, lambd=rate / 1e-4, alpha=0.0)
    for _ in range(STEPS):
        opt.step(zeros)
    np.testing.assert_allclose(total(params, start), exact(rate), rtol=0.05)
    assert ("owed_own_decay" in opt.state_dict()["carry"]) == (rate < 1e-6)


@pytest.mark.parametrize("rate", [1e-6, 2e-6, 1e-3])
def test_from_1e_6_on_each_step_has_its_factor(rate, rng):
    params = parameters()
    expected = params.copy()
    opt = fastopt.SGD(params, 0.5, weight_decay=2 * rate, decoupled_weight_decay=True)
    for _ in range(100):
        opt.step(np.zeros_like(params))
        expected *= np.float32(1 - rate)
        np.testing.assert_array_equal(params, expected)
    assert opt.state_dict()["carry"] == {}


def test_float64_decays_in_each_step_beside_float32():
    params = {"single": np.ones(3, np.float32), "double": np.ones(3)}
    opt = fastopt.AdamW(params, 1e-6, weight_decay=0.01)
    expected = 1.0
    for _ in range(20):
        opt.step({name: np.zeros_like(p) for name, p in params.items()})
        expected *= 1 - 1e-6 * 0.01
        assert np.all(params["double"] == expected) and np.all(params["single"] == 1)


def documented(p, rate, steps):
    """The formula of docs/optimizers.md."""
    owed = 0.0
    for t in range(1, steps + 1):
        due, owed = due_decay(rate, t, owed)
        p = p * np.float32(1 - due)
    return p, owed


@pytest.mark.parametrize("rate", [1.2e-8, 2e-7, 9e-7])
def test_documented_formula(rate):
    params = parameters()
    expected, owed = documented(params.copy(), rate, 500)
    opt = fastopt.SGD(params, 1.0, weight_decay=rate, decoupled_weight_decay=True)
    for _ in range(500):
        opt.step(np.zeros_like(params))
    np.testing.assert_array_equal(params, expected)
    assert opt.state_dict()["carry"]["owed_decay"] == pytest.approx(owed, abs=1e-12)


def continued(kind, opt, params, folder):
    """An optimizer over a copy of the parameters that goes on where this one is."""
    if kind == "pickle":
        return pickle.loads(pickle.dumps(opt))
    if kind == "copy":
        return copy.deepcopy(opt)
    other = type(opt)(np.full_like(params, 7))
    if kind == "file":
        fastopt.save(folder / "file.npz", opt)
        fastopt.load(folder / "file.npz", other)
    else:
        other.params[...] = params
        other.load_state_dict(opt.state_dict())
    return other


@pytest.mark.parametrize("kind", ["state_dict", "file", "pickle", "copy"])
@pytest.mark.parametrize("name", DECOUPLED)
def test_resumed_in_the_middle(name, kind, tmp_path):
    params = parameters()
    zeros = np.zeros_like(params)
    opt = optimizer(name, params, 7e-8, learning_rate=1e-3)
    for _ in range(33):
        opt.step(zeros)
    assert {"owed_decay", "owed_own_decay"} & set(opt.state_dict()["carry"])
    other = continued(kind, opt, params, tmp_path)
    for _ in range(50):
        opt.step(zeros)
        other.step(zeros)
    assert np.array_equal(other.params, params)
    assert other.state_dict()["carry"] == opt.state_dict()["carry"]


def test_state_without_what_is_owed_loads():
    opt = fastopt.AdamW(np.ones(3, np.float32), 1e-6)
    opt.step(np.zeros(3, np.float32))
    saved = opt.state_dict()
    assert saved["carry"].pop("owed_decay") > 0
    opt.load_state_dict(saved)
    assert opt.state_dict()["carry"] == {}


@pytest.mark.parametrize("value", [1e-5, -1e-5, np.nan, "1", None])
def test_state_that_owes_too_much_is_refused(value):
    opt = fastopt.AdamW(np.ones(3, np.float32), 1e-6)
    saved = opt.state_dict() | {"carry": {"owed_decay": value}}
    with pytest.raises((TypeError, ValueError), match=r"^`state_dict\['carry'\]\['owed_decay'\]` must be "):
        opt.load_state_dict(saved)


@pytest.mark.parametrize("nonfinite", ["skip", "raise"])
@pytest.mark.parametrize("name", DECOUPLED)
def test_step_that_is_not_made_decays_nothing(name, nonfinite):
    params = parameters()
    opt = optimizer(name, params, 3e-7, learning_rate=1e-3, nonfinite=nonfinite)
    opt.step(np.zeros_like(params))
    before, start = opt.state_dict()["carry"], params.copy()
    for bad in (np.full_like(params, np.nan), np.zeros(3)):
        try:
            opt.step(bad)
        except (FloatingPointError, TypeError, ValueError):
            pass
    assert opt.state_dict()["carry"] == before and np.array_equal(params, start)


@pytest.mark.parametrize("name", DECOUPLED)
def test_threads_and_strides_change_no_bits(name, rng):
    start = np.float32(rng.uniform(0.5, 2, (300, 40)))
    grads = np.float32(1e-3 * rng.normal(size=(60, *start.shape)))
    ends = []
    for n_threads, strided in [(1, False), (2, False), (3, True)]:
        params = start.copy()
        opt = optimizer(name, params, 2.3e-7, learning_rate=1e-3, num_threads=n_threads)
        for grad in grads:
            opt.step(np.asfortranarray(grad) if strided else grad)
        ends.append(params)
    assert np.array_equal(ends[0], ends[1]) and np.array_equal(ends[0], ends[2])


def test_exact_sparse_gradients_are_dense_ones():
    ends = []
    for sparse in (True, False):
        params = parameters()
        opt = fastopt.SGD(params, 1e-3, weight_decay=1e-4, decoupled_weight_decay=True, sparse="exact")
        for k in range(100):
            rows = RowSparse([k % 16], np.full((1, 16), 1e-3, np.float32))
            dense = np.zeros_like(params)
            dense[k % 16] = 1e-3
            opt.step(rows if sparse else dense)
        ends.append(params)
    assert np.array_equal(*ends)


def test_lazy_sparse_gradients_decay_what_they_touch_on_average(rng):
    start = np.float32(rng.uniform(1, 2, (400, 4)))
    params = start.copy()
    opt = fastopt.SGD(params, 1.0, weight_decay=5e-8, decoupled_weight_decay=True)
    for _ in range(6000):
        opt.step(RowSparse(rng.choice(400, 200, replace=False), np.zeros((200, 4), np.float32)))
    assert np.mean(total(params, start)) == pytest.approx(exact(5e-8, 3000), rel=0.05)


def test_changing_rates_owe_what_they_are():
    params = np.ones(1, np.float32)
    opt = fastopt.SGD(params, lambda t: 4e-8 if t < 1500 else 1e-8, weight_decay=1.0, decoupled_weight_decay=True)
    for _ in range(STEPS):
        opt.step(np.zeros(1, np.float32))
    assert total(params, 1)[0] == pytest.approx(1500 * -5e-8, rel=0.05)


def compiled_epochs(method, **options):
    """The end of a run over samples of which all columns but the last are zero: what is left there is decay."""
    samples = np.zeros((30, 6), np.float32)
    samples[:, -1] = 1
    objective = objectives.LeastSquares(samples, np.ones(30, np.float32))
    keywords = {"learning_rate": 1e-6, "weight_decay": 0.03, "decoupled_weight_decay": True, "epochs": 100}
    start = np.float32([1, 1.5, 1.25, 0.7, 3, 0])
    res = minimize(objective, start, method=method, batch_size=1, rng=0, options=keywords | options)
    assert res.nit == STEPS
    return start, res.optimizer


@pytest.mark.parametrize("method", ["adamw", "sgd", "lamb"])
def test_compiled_epochs(method):
    start, opt = compiled_epochs(method)
    np.testing.assert_allclose(total(opt.params[:-1], start[:-1]), exact(3e-8), rtol=0.05)


@pytest.mark.parametrize("method", ["adamw", "asgd"])
def test_lock_free_workers_owe_what_one_owes(method):
    """What they write at the same time may be lost, but not what is owed."""
    start, opt = compiled_epochs(method, parallel="hogwild", num_threads=1)
    np.testing.assert_allclose(total(opt.params[:-1], start[:-1]), exact(3e-8), rtol=0.05)
    expected = compiled_epochs(method)[1].state_dict()["carry"]
    for n_threads in (1, 2, 3):
        found = compiled_epochs(method, parallel="hogwild", num_threads=n_threads)[1].state_dict()["carry"]
        assert found == expected != {}
