"""NaN has a sign and a payload, too: those that overflow makes have the same bits everywhere, those passed in stay NaN.

Where two NaN meet in an operation, a processor keeps the first operand, and which one that is is the compiler's choice.
All NaN that are made of numbers have the same bits; so that choice does not show, as long as no other is passed in.
"""

import warnings

import numpy as np
import pytest
import scipy.sparse
from cases import CASES, DTYPES, ISAS, form_id, is_refused

import fastopt
from fastopt import RowSparse, objectives

N = 1501  # of float64, three blocks of work and a rest
MODIFIED = {
    "plain": {},
    "clipped": {"clip_norm": 1e300, "clip_value": 1e30, "maximize": True},
    "weight decay": {"weight_decay": 10.0},
    "exact": {"sparse": "exact", "weight_decay": 10.0, "decoupled_weight_decay": True},
}
LAYOUTS = {
    "dense": lambda grad: grad,
    "strided": lambda grad: grad.repeat(2)[::2],
    "elements": lambda grad: RowSparse(np.arange(len(grad))[::-1], grad[::-1].copy(), unique=True),
    "in order": lambda grad: RowSparse(np.arange(len(grad)), grad),
}


def numbers(dtype):
    """Those whose squares, sums or differences are beyond the dtype, among others."""
    info = np.finfo(dtype)
    most, large = float(info.max), float(info.max) ** 0.6
    return np.array([0, -0.0, 1, -2, 0.5, info.tiny, large, -large, most, -most, np.inf, -np.inf], dtype)


def with_nans(dtype):
    """The same, and NaN of both signs, with payloads."""
    nans = np.full(4, np.nan, dtype)
    nans.view(f"u{nans.itemsize}")[2:] += 5
    return np.concatenate([numbers(dtype), np.copysign(nans, np.array([1, -1, 1, -1], dtype))])


def steps(case, dtype, values, layout, modified, n_threads=1):
    """Parameters and state, a matrix of rows among the parameters, after some steps over such values."""
    cls, keywords = case
    if is_refused(cls, modified):
        modified = {name: value for name, value in modified.items() if name != "decoupled_weight_decay"}
    rng = np.random.default_rng(3)
    params = [rng.choice(values, N), rng.choice(values, (N // 3, 3))]
    opt = cls(params, num_threads=n_threads, **keywords, **modified)
    for _ in range(4):
        flat, rows = rng.choice(values, N), rng.choice(values, (N // 3, 3))
        opt.step([LAYOUTS[layout](flat), rows if layout == "dense" else LAYOUTS["in order"](rows)])
    return [*params, *(array for arrays in opt.state.values() for array in arrays)]


def raw(arrays):
    return [array.tobytes() for array in arrays]


def but_for_nans(arrays):
    """The bits, all NaN being the same."""
    return raw([np.where(np.isnan(array), np.float32(np.nan), array) for array in arrays])


@pytest.mark.slow
@pytest.mark.parametrize("modified", MODIFIED)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
@pytest.mark.parametrize(("values", "bits"), [(numbers, raw), (with_nans, but_for_nans)], ids=["made", "passed"])
def test_steps(values, bits, case, dtype, modified, use_isa):
    """On every instruction set, for gradients of any layout that touch all entries, and on several threads."""
    seen = set()
    for isa in ISAS:
        use_isa(isa)
        for layout in LAYOUTS:
            arrays = steps(case, dtype, values(dtype), layout, MODIFIED[modified])
            assert np.isnan(arrays[0]).any() or modified != "weight decay"
            seen.add(tuple(bits(arrays)))
        seen.add(tuple(bits(steps(case, dtype, values(dtype), "dense", MODIFIED[modified], n_threads=3))))
    assert len(seen) == 1


LOSSES = {
    "LeastSquares": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "Logistic": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "Hinge": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "SquaredHinge": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "Huber": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "ModifiedHuber": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "EpsilonInsensitive": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "SquaredEpsilonInsensitive": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "Quantile": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "Poisson": lambda rng, n: rng.integers(0, 5, n).astype(float),
    "Gamma": lambda rng, n: rng.uniform(0.5, 2.0, n),
    "Tweedie": lambda rng, n: rng.integers(0, 5, n).astype(float),
    "Softmax": lambda rng, n: np.arange(n) % 3,
}


def evaluated(objective, x, n_threads):
    fastopt.set_num_threads(n_threads)
    try:
        value, gradient = objective.value_and_gradient(x)
        return np.float64([value, objective(x)]).tobytes(), gradient.tobytes()
    finally:
        fastopt.set_num_threads(None)


def minimized(objective, x, method):
    """The end of a run over parameters that overflow."""
    options = {"epochs": 2, "learning_rate": 1e10}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        res = fastopt.minimize(objective, x.copy(), method=method, batch_size=1, rng=0, options=options)
    return res.x.tobytes(), np.float64(res.fun).tobytes()


def test_every_loss_is_here():
    assert set(LOSSES) == set(objectives.__all__) - {"Objective"}


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LOSSES)
def test_objectives(loss, dtype, kind, use_isa):
    """Values and gradients of samples whose margins overflow, also to infinity less infinity; and runs over them."""
    rng = np.random.default_rng(4)
    large = float(np.finfo(dtype).max) ** 0.7
    for n in [3, 8, 11] * 8:
        X = rng.standard_normal((n, 17)) * rng.choice([0, 1, large], (n, 17))
        y = LOSSES[loss](rng, n)
        objective = getattr(objectives, loss)(
            kind(X.astype(dtype)), y if loss == "Softmax" else y.astype(dtype), l1=0.1
        )
        x = rng.standard_normal((3 if loss == "Softmax" else 1) * 17) * rng.choice(
            [1.0, large], 17 * (3 if loss == "Softmax" else 1)
        )
        seen = set()
        for isa in ISAS:
            use_isa(isa)
            methods = ("sgd", "saga", "adagrad") if loss == "Softmax" else ("sgd", "saga", "adagrad", "vw")
            runs = [minimized(objective, x.astype(dtype), method) for method in methods]
            seen |= {(*evaluated(objective, x.astype(dtype), n_threads), *runs) for n_threads in (1, 2)}
        assert len(seen) == 1, n
