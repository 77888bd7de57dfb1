"""Value clipping, weight decay and sign: what a step makes of a gradient before the rule sees it."""

import numpy as np
import pytest
from cases import CASES, DTYPES, OPTIMIZERS, form_id, is_refused
from helpers import bits, read_only, spread
from reference import VALUE

import fastopt
from fastopt import _core


def without_zeros(rng, n, dtype="float64"):
    """A gradient whose sign can be turned without making -0.0 of 0.0."""
    return (rng.choice([-1.0, 1.0], n) * rng.uniform(0.1, 3.0, n)).astype(dtype)


@pytest.mark.parametrize("modifiers", [{}, dict(weight_decay=0.1), dict(clip_norm=0.5, clip_value=1.0)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_maximize_is_to_minimize_the_negated(case, dtype, modifiers, rng):
    cls, keywords = case
    start = rng.standard_normal(300).astype(dtype)
    up = cls(start.copy(), maximize=True, **modifiers, **keywords)
    down = cls(start.copy(), **modifiers, **keywords)
    for _ in range(3):
        grad = without_zeros(rng, 300, dtype)
        up.step(grad)
        down.step(-grad, *([-VALUE] if _core.uses_value(cls.rule) else []))
    assert bits(up) == bits(down) and up.last_grad_norm == down.last_grad_norm


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_coupled_weight_decay_is_added_to_the_gradient(case, dtype, rng):
    cls, keywords = case
    if _core.owns_weight_decay(cls.rule):
        pytest.skip("decays in its own way")
    start = without_zeros(rng, 300, dtype)
    opt = cls(start.copy(), weight_decay=0.05, decoupled_weight_decay=False, **keywords)
    plain = cls(start.copy(), weight_decay=0, **keywords)
    for _ in range(3):
        grad = without_zeros(rng, 300, dtype)
        plain.step(grad + start.dtype.type(0.05) * plain.params)
        opt.step(grad)
    assert bits(opt) == bits(plain)


# Rules that leave decoupled weight decay to the loops around them; the oracles of the others have theirs.
SHRINKING = [
    each
    for each in CASES
    if not is_refused(each[0], {"decoupled_weight_decay": True}) and not _core.owns_weight_decay(each[0].rule)
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", SHRINKING, ids=form_id)
def test_decoupled_weight_decay_shrinks_the_parameters_first(case, dtype, rng):
    """By the scheduled rate of the step, also where the rule itself makes no use of it."""
    cls, keywords = case
    start = without_zeros(rng, 300, dtype)
    opt = cls(start.copy(), lambda t: 0.1 / (t + 1), weight_decay=0.5, decoupled_weight_decay=True, **keywords)
    plain = cls(start.copy(), lambda t: 0.1 / (t + 1), weight_decay=0, **keywords)
    for t in range(3):
        grad = without_zeros(rng, 300, dtype)
        plain.params[...] *= start.dtype.type(1 - 0.1 / (t + 1) * 0.5)
        plain.step(grad)
        opt.step(grad)
    assert bits(opt) == bits(plain)


@pytest.mark.parametrize("layout", [np.asarray, spread], ids=["contiguous", "strided"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_clip_value(case, dtype, layout, rng):
    """Entries are limited, infinities too; NaN stays NaN."""
    cls, keywords = case
    grad = rng.standard_normal(300).astype(dtype)
    grad[[0, 17, 299]] = np.inf, -np.inf, -0.25
    opt, plain = cls(np.ones(300, dtype), clip_value=0.25, **keywords), cls(np.ones(300, dtype), **keywords)
    for _ in range(2):
        opt.step(layout(grad))
        plain.step(np.clip(grad, -0.25, 0.25))
    assert bits(opt) == bits(plain)
    grad[5] = np.nan
    opt.step(layout(grad))
    plain.step(np.clip(grad, -0.25, 0.25))
    assert bits(opt) == bits(plain)


def test_clip_value_keeps_nan():
    opt = fastopt.SGD(np.zeros(40), 1.0, clip_value=0.5)
    opt.step(np.where(np.arange(40) == 33, np.nan, 9.0))
    assert np.array_equal(opt.params, np.where(np.arange(40) == 33, np.nan, -0.5), equal_nan=True)


def test_order_of_the_options():
    """Value clipping, then norm clipping of what is left, then weight decay."""
    x = np.array([1.0, 2.0])
    opt = fastopt.SGD(x, 1.0, clip_value=4.0, clip_norm=2.5, weight_decay=0.5, maximize=True)
    opt.step(np.array([3.0, 100.0]))
    assert opt.last_grad_norm == 5.0
    assert x.tolist() == [1 + 1.5 - 0.5, 2 + 2.0 - 1.0]


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_gradient_is_never_written(cls, rng):
    options = dict(clip_value=0.5, clip_norm=0.1, weight_decay=0.1, maximize=True, nonfinite="skip")
    opt = cls([np.ones((30, 20)), np.ones(50_000)], num_threads=2, **options)
    for layout in (np.asarray, read_only, spread, np.asfortranarray):
        grads = [layout(rng.standard_normal((30, 20))), layout(rng.standard_normal(50_000))]
        before = [grad.tobytes() for grad in grads]
        opt.step(grads)
        assert [grad.tobytes() for grad in grads] == before
    assert opt.step_count == 4 and opt.skipped_steps == 0


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_options_that_are_off_change_nothing(cls, rng):
    """Limits that are not reached give the same bits as no limits."""
    start = rng.standard_normal(200)
    opt, plain = cls(start.copy(), clip_value=1e9, clip_norm=1e9, nonfinite="raise"), cls(start.copy())
    for _ in range(3):
        grad = without_zeros(rng, 200)
        opt.step(grad)
        plain.step(grad)
    assert bits(opt) == bits(plain)
    assert plain.last_grad_norm is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_zero_gradients_without_epsilon(case, dtype):
    """0 / 0 where no gradient has been yet: rules that leave such parameters alone do so in dense steps too."""
    cls, keywords = case
    keywords = keywords | {name: 0.0 for name in ("epsilon", "epsilon_root") if name in cls._declared}
    if is_refused(cls, keywords):
        pytest.skip("needs an epsilon")
    opt = cls(np.array([1.0, 2.0], dtype), sparse="exact", **keywords)
    values = {name: getattr(opt, name) for name in opt._declared}
    if _core.on_zero_gradient(opt.rule, values) == "moves":
        pytest.skip("moves parameters with a zero gradient")
    exact = cls(np.array([1.0, 2.0], dtype), sparse="exact", **keywords)
    for _ in range(3):
        opt.step(np.array([0.5, 0.0], dtype))
        exact.step(fastopt.RowSparse([0], np.array([0.5], dtype)))
    assert opt.params[1] == 2.0
    assert bits(opt) == bits(exact)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ftrl_that_knows_nothing_stays_where_it_started(dtype):
    opt = fastopt.FTRL(np.array([1.0, -2.0], dtype), learning_rate=0.1, initial_accumulator_value=0.0, l1=0.5)
    opt.step(np.zeros(2, dtype))
    assert opt.params.tolist() == [1.0, -2.0]
    opt.step(np.array([0.0, 0.5], dtype))  # -2 - learning_rate g / sqrt(g^2)
    np.testing.assert_allclose(opt.params, [1.0, -2.1], rtol=1e-6)
