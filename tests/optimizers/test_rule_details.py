"""What single rules promise beside their formula, and hyper-parameters that the tests of all rules leave alone."""

import numpy as np
import pytest
from cases import DTYPES
from helpers import bits
from reference import Reference

import fastopt

# --- AdEMAMix ----------------------------------------------------------------------------------------------------


def slow_decay(beta_1, beta_3, t, warmup_steps):
    """The decay of the slow mean in step t, from one step of the optimizer."""
    opt = fastopt.AdEMAMix(np.zeros(1), beta_1=beta_1, beta_3=beta_3, warmup_steps=warmup_steps)
    opt.load_state_dict(opt.state_dict() | {"step_count": t - 1})
    opt.step(np.ones(1))
    return 1 - opt.state["m_slow"][0]


@pytest.mark.parametrize(("beta_1", "beta_3"), [(0.9, 0.9999), (0.5, 0.99), (0.99, 0.9), (0.9, 0.9)])
def test_ademamix_warms_up_as_in_the_paper(beta_1, beta_3, rng):
    start = rng.standard_normal(30)
    opt = fastopt.AdEMAMix(start.copy(), learning_rate=0.1, beta_1=beta_1, beta_3=beta_3, warmup_steps=7)
    oracle = Reference("ademamix", [start], opt._values)
    for _ in range(10):
        grad = rng.standard_normal(30)
        opt.step(grad)
        oracle.step([grad])
    np.testing.assert_allclose(opt.params, oracle.params[0], rtol=1e-11)


def test_half_life_of_ademamix_rises_on_a_line_and_stays():
    lives = [np.log(0.5) / np.log(slow_decay(0.9, 0.9999, t, 100)) for t in (10, 50, 99, 100, 101, 10_000)]
    first, last = np.log(0.5) / np.log([0.9, 0.9999])
    assert lives == pytest.approx([first + s * (last - first) for s in (0.1, 0.5, 0.99, 1, 1, 1)], rel=1e-10)


def test_decay_of_ademamix_without_a_fast_mean():
    """The limit of the formula for beta_1 = 0, where it has the logarithm of 0; and a slow mean that is none."""
    assert slow_decay(0.0, 0.9999, 5, 10) == pytest.approx(0.9999**2, rel=1e-12)
    assert slow_decay(0.0, 0.0, 5, 10) == 0.0


# --- ADOPT -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_first_step_of_adopt_does_not_move(dtype, rng):
    start = rng.standard_normal(100).astype(dtype)
    opt = fastopt.ADOPT(start.copy(), learning_rate=0.5)
    grad = rng.standard_normal(100).astype(dtype)
    opt.step(grad)
    assert opt.params.tobytes() == start.tobytes()
    assert opt.state["v"].tobytes() == (grad * grad).tobytes() and not opt.state["m"].any()


@pytest.mark.parametrize(
    ("options", "bound"), [({}, 2.0), (dict(clip_delay=0.0), 17**0.25), (dict(clip_exponent=0), 1)]
)
def test_bound_of_adopt_in_step_17(options, bound):
    opt = fastopt.ADOPT(np.zeros(2), learning_rate=1.0, beta_1=0.0, **options)
    opt.load_state_dict(opt.state_dict() | {"step_count": 16})
    opt.step(np.array([1.0, -1e300]))
    assert opt.params == pytest.approx([-bound, bound], rel=1e-14)


def test_adopt_without_clipping():
    opt = fastopt.ADOPT(np.zeros(1), learning_rate=1.0, beta_1=0.0, clip_exponent=np.inf)
    opt.step(np.array([2.0]))
    opt.step(np.array([-3e6]))
    assert opt.params[0] == 1.5e6


# --- COCOB -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("still", [dict(grad=0.0), dict(rate=0.0)], ids=str)
def test_cocob_keeps_still(dtype, still, rng):
    """Parameter and state, whatever has been written into them."""
    opt = fastopt.COCOB(rng.standard_normal(50).astype(dtype))
    for _ in range(3):
        opt.step(rng.standard_normal(50).astype(dtype))
    opt.params[:4] = np.inf, -np.inf, np.nan, np.finfo(dtype).smallest_subnormal
    _, _, before = bits(opt)
    opt.learning_rate = still.get("rate", 1.0)
    opt.step(np.full(50, still.get("grad", 0.5), dtype))
    assert bits(opt) == (4, 0, before)


def test_constant_rate_of_cocob_cancels(rng):
    start = rng.standard_normal(50)
    plain, quick = fastopt.COCOB(start.copy()), fastopt.COCOB(start.copy(), learning_rate=4.0, epsilon=4e-8)
    for _ in range(20):
        grad = rng.standard_normal(50)
        plain.step(grad)
        quick.step(grad)
    assert plain.params.tobytes() == quick.params.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_cocob_does_not_depend_on_the_scale_of_gradients(dtype, rng):
    """Up to the largest that have a sum, as no product of two is formed."""
    start, grads = rng.standard_normal(50).astype(dtype), rng.uniform(-1, 1, (20, 50)).astype(dtype)
    exponent = np.finfo(dtype).maxexp - 8
    plain, large = fastopt.COCOB(start.copy(), epsilon=0.0), fastopt.COCOB(start.copy(), epsilon=0.0)
    for grad in grads:
        plain.step(grad)
        large.step(np.ldexp(grad, exponent))
    assert plain.params.tobytes() == large.params.tobytes()


def test_start_of_cocob_is_kept(rng):
    """Also for rows of sparse gradients, and in what is saved."""
    start = rng.standard_normal((20, 3))
    opt = fastopt.COCOB(start.copy())
    for k in range(5):
        opt.step(rng.standard_normal((20, 3)))
        opt.step(fastopt.RowSparse([k, k + 3], np.ones((2, 3))))
    assert opt.state["p0"].tobytes() == start.tobytes() == opt.state_dict()["state"]["p0"][0].tobytes()
    assert (opt.params != start).all()
