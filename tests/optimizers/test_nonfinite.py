"""NaN and infinity in gradients: used, skipped or refused."""

import math

import numpy as np
import pytest
from cases import CASES, DTYPES, OPTIMIZERS, couples_arrays, couples_entries, form_id, reached
from helpers import bits, exactly, refused, spread

import fastopt

THREADS = [1, 2, 3, 7]
VALUES = [math.nan, math.inf, -math.inf]
LAYOUTS = {"contiguous": np.asarray, "strided": spread, "reversed": lambda grad: grad[::-1].copy()[::-1]}
# Shared by up to seven threads, and not a multiple of any block.
LARGE = 7 * 128 * 1024 // 4 + 13


def positions(n):
    """First, last, and around the edges of vectors, buffers and blocks."""
    return [0, 1, 15, 16, 2047, 2048, n // 2, n - 2, n - 1]


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_found_wherever_it_is(dtype, layout, n_threads):
    grad = LAYOUTS[layout](np.ones(LARGE, dtype))
    opts = [fastopt.SGD(np.ones(LARGE, dtype), nonfinite=policy, num_threads=n_threads) for policy in ("skip", "raise")]
    skips, refuses = opts
    before = bits(skips)[2]
    for k, (at, value) in enumerate((at, value) for at in positions(LARGE) for value in VALUES):
        grad[at] = value
        skips.step(grad)
        assert (skips.skipped_steps, skips.step_count) == (k + 1, 0)
        with pytest.raises(FloatingPointError):
            refuses.step(grad)
        grad[at] = 1.0
    assert bits(skips)[2] == bits(refuses)[2] == before
    for opt in opts:
        opt.step(grad)
        assert opt.step_count == 1
    assert refuses.skipped_steps == 0


@pytest.mark.parametrize("clip_value", [None, 2.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_found_in_the_pass_of_the_norm(dtype, clip_value):
    """Which takes the squares of clipped values, and lets the largest numbers of a dtype pass."""
    grad = np.full(LARGE, np.finfo(dtype).max, dtype)
    opt = fastopt.SGD(np.ones(LARGE, dtype), nonfinite="skip", clip_norm=1.0, clip_value=clip_value)
    opt.step(grad)
    for at, value in zip((0, LARGE // 2, LARGE - 1), VALUES, strict=True):
        grad[at] = value
        opt.step(grad)
        grad[at] = 1.0
    assert (opt.step_count, opt.skipped_steps) == (1, 3)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_every_rule_is_left_as_it_was(case, value, rng):
    cls, keywords = case
    shapes = [(3, 4), (), (0,), (2050,)]
    grads = [np.asarray(rng.standard_normal(shape)) for shape in shapes]
    skips, refuses, plain = (
        cls([np.ones(shape) for shape in shapes], nonfinite=policy, clip_norm=1.0, **keywords)
        for policy in ("skip", "raise", "propagate")
    )
    for opt in (skips, refuses, plain):
        opt.step(grads)
    state = bits(skips)[2]
    for k, at in ((0, (0, 0)), (0, (2, 3)), (1, ()), (3, 0), (3, 2049)):
        bad = [grad.copy() for grad in grads]
        bad[k][at] = value
        skips.step(bad)
        assert bits(skips)[2] == state and skips.step_count == 1
        message = (
            "`grad` must be finite, got NaN or infinity in step 1; parameters and state are as before. "
            'A smaller learning rate, `clip_value`, or nonfinite="skip" may help.'
        )
        with refused(refuses, FloatingPointError, exactly(message)):
            refuses.step(bad)
    assert skips.skipped_steps == 5 and refuses.skipped_steps == 0
    assert skips.last_grad_norm == plain.last_grad_norm
    for opt in (skips, refuses, plain):
        opt.step(grads)
    assert bits(skips)[2] == bits(refuses)[2] == bits(plain)[2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_propagated_no_further_than_the_formula_takes_it(case, dtype, rng):
    """Entries that it does not reach have the bits that they have without it: all others, for most rules."""
    cls, keywords = case
    shape, at = (1000, 3), ([0, 17, 683, 999], [0, 2, 1, 2])
    start, grad = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype)
    bad, wrong, nans = grad.copy(), np.zeros(shape, bool), np.zeros(shape, bool)
    bad[at], wrong[at] = [math.nan, math.inf, -math.inf, math.nan], True
    nans[[0, 999], [0, 2]] = True
    in_next_step = cls is fastopt.Prodigy  # NaN in its sums, of which there is no larger estimate then
    others = ~wrong if in_next_step else ~reached(cls, wrong)
    opt, plain = cls(start.copy(), **keywords), cls(start.copy(), **keywords)
    for _ in range(2):
        opt.step(bad)
        plain.step(grad)
    for array, expected in zip([opt.params, *opt.state.values()], [plain.params, *plain.state.values()], strict=True):
        if array.shape == shape:
            assert array[others].tobytes() == expected[others].tobytes()
        elif array.shape == shape[:1]:
            free = others.all(axis=1)
            assert array[free].tobytes() == expected[free].tobytes()
    assert np.isnan(opt.params[nans if in_next_step else reached(cls, nans)]).all()
    assert opt.step_count == 2 and opt.skipped_steps == 0


@pytest.mark.parametrize("cls", [cls for cls in OPTIMIZERS.values() if couples_entries(cls)])
def test_arrays_with_scalars_of_their_own(cls, rng):
    """Of rules with sums over each array NaN stays in its array; other sums take it to all."""
    params, grads = ([rng.standard_normal(shape) for shape in ((10, 4), (6, 5), (10, 5))] for _ in range(2))
    twins = [param.copy() for param in params]
    opt, plain = cls(params), cls(twins)
    grads[1][1, 2] = math.nan
    opt.step(grads)
    plain.step([np.nan_to_num(grad) for grad in grads])
    assert np.isnan(params[1]).all() or (cls is fastopt.Prodigy and np.isnan(params[1]).sum() == 1)
    for k in (0, 2):
        own = params[k].tobytes() == twins[k].tobytes()
        assert own or (couples_arrays(cls) and np.isnan(params[k]).all())


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_skipped_steps_do_not_move_the_schedule(cls):
    asked = []

    def schedule(t):
        asked.append(t)
        return 0.1

    opt = cls(np.ones(3), schedule, nonfinite="skip")
    asked.clear()
    for value in (1.0, math.nan, math.nan, 1.0, 1.0):
        opt.step(np.full(3, value))
    assert asked == [0, 1, 1, 1, 2]
    assert (opt.step_count, opt.skipped_steps) == (3, 2)


@pytest.mark.parametrize("policy", ["skip", "raise"])
def test_clipping_does_not_hide_infinity(policy):
    opt = fastopt.SGD(np.ones(3), clip_value=1.0, nonfinite=policy)
    grad = np.array([1.0, math.inf, 1.0])
    if policy == "skip":
        opt.step(grad)
        assert opt.skipped_steps == 1
    else:
        with refused(opt, FloatingPointError, "`grad` must be finite"):
            opt.step(grad)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_finite_numbers_are_finite(dtype):
    """Sums of them overflow; the check must not."""
    most = np.finfo(dtype).max
    for grad in (np.full(5000, most, dtype), np.full(5000, -most, dtype)):
        opt = fastopt.SGD(np.zeros(5000, dtype), nonfinite="raise")
        opt.step(grad)
        assert opt.step_count == 1
