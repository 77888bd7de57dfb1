"""Every rule in every form, dtype, instruction set and thread count against the float64 oracle."""

import numpy as np
import pytest
from cases import CASES, DTYPES, ISAS, OPTIMIZERS, form_id, is_refused
from hypothesis import given
from hypothesis import strategies as st
from reference import Reference

# Around the widths of vectors (4 to 16 elements), of a block and of a buffer of gathered entries.
SMALL_SIZES = [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 1023, 1025, 2049]
# Shared by 1, 2, 3 and 7 threads: seven need 7 * 128 KiB.
LARGE_SIZE = 7 * 128 * 1024 // 4 + 13
THREADS = [1, 2, 3, 7]

# A rule is a short chain of roundings; over some steps their effect grows by the conditioning of the update.
TOLERANCE = {"float32": dict(rtol=2e-4, atol=2e-5), "float64": dict(rtol=1e-10, atol=1e-12)}


def gradients(rng, shape, dtype, steps):
    """Random gradients over several orders of magnitude, with zeros among them."""
    for _ in range(steps):
        scale = 10.0 ** rng.uniform(-3, 1, shape)
        yield (rng.standard_normal(shape) * scale * (rng.random(shape) > 0.1)).astype(dtype)


def rates(base, steps):
    """A learning rate that changes from step to step, the first being the base."""
    return [base * (1.0 if k == 0 else 0.5 + 0.3 * (k % 5)) for k in range(steps)]


def assert_follows_reference(cls, keywords, params, rng, steps=6):
    """Run optimizer and oracle side by side on the list of arrays and compare parameters and state."""
    opt = cls(params, **keywords)
    oracle = Reference(cls.__name__.lower(), params, opt._values)
    for rate in rates(opt.learning_rate, steps):
        grads = [next(gradients(rng, p.shape, p.dtype, 1)) for p in params]
        before = [g.copy() for g in grads]
        opt.learning_rate = rate
        opt.step(grads)
        oracle.step(grads, rate)
        assert all(np.array_equal(g, b) for g, b in zip(grads, before, strict=True))
    for k, p in enumerate(params):
        np.testing.assert_allclose(p, oracle.params[k], **TOLERANCE[p.dtype.name])
    assert list(opt.state) == list(oracle.state)
    for slot in opt.state:
        for array, expected, p in zip(opt.state[slot], oracle.state[slot], params, strict=True):
            np.testing.assert_allclose(array, expected, **TOLERANCE[p.dtype.name])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_small_sizes(case, dtype, rng):
    cls, keywords = case
    params = [rng.standard_normal(n).astype(dtype) for n in SMALL_SIZES]
    assert_follows_reference(cls, keywords, params, rng)


@pytest.mark.parametrize(
    "modifiers",
    [
        dict(weight_decay=0.05),
        dict(weight_decay=0.05, decoupled_weight_decay=True),
        dict(clip_value=0.3),
        dict(clip_norm=0.7),
        dict(maximize=True),
        dict(weight_decay=0.02, clip_value=2.0, clip_norm=3.0, maximize=True, nonfinite="raise"),
    ],
    ids=lambda each: "-".join(each),
)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_gradient_options(case, dtype, modifiers, rng):
    cls, keywords = case
    if is_refused(cls, modifiers):
        pytest.skip("refused: test_validation.py")
    params = [rng.standard_normal(n).astype(dtype) for n in (5, 40, 2500)]
    assert_follows_reference(cls, keywords | modifiers, params, rng)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_large_arrays_in_every_instruction_set(cls, dtype, isa, rng, use_isa):
    use_isa(isa)
    params = [rng.standard_normal(LARGE_SIZE).astype(dtype)]
    assert_follows_reference(cls, dict(num_threads=2), params, rng, steps=3)


@pytest.mark.parametrize("modified", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_same_bits_for_every_instruction_set_and_thread_count(case, dtype, modified, use_isa):
    """The promise of the package, on one large and several small arrays."""
    cls, keywords = case
    extra = dict(clip_norm=0.5, clip_value=1.5, weight_decay=0.01) if modified else {}

    def run(isa, n_threads):
        rng = np.random.default_rng(7)
        use_isa(isa)
        params = [rng.standard_normal(n).astype(dtype) for n in (17, LARGE_SIZE, 1, 1000)]
        opt = cls(params, num_threads=n_threads, **keywords, **extra)
        for _ in range(2):
            opt.step([next(gradients(rng, p.shape, dtype, 1)) for p in params])
        arrays = [*params, *(array for arrays in opt.state.values() for array in arrays)]
        return opt.last_grad_norm, [array.tobytes() for array in arrays]

    expected = run(ISAS[0], 1)
    assert run(ISAS[0], 7) == expected
    for isa in ISAS[1:]:
        assert run(isa, 1) == expected
        assert run(isa, 3) == expected
    assert run(ISAS[-1], 2) == expected


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_many_steps(cls, rng):
    """Bias corrections, products and counters over a longer run."""
    params = [rng.standard_normal(50)]
    opt = cls(params)
    oracle = Reference(cls.__name__.lower(), params, opt._values)
    for grad in gradients(rng, 50, "float64", 400):
        opt.step([grad])
        oracle.step([grad])
    np.testing.assert_allclose(params[0], oracle.params[0], rtol=1e-8, atol=1e-11)
    assert opt.step_count == 400


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_late_steps(cls, rng):
    """A step count in the millions, as after a resumed run: powers of the betas do not go wrong."""
    x = rng.standard_normal(20)
    opt = cls(x)
    late = opt.state_dict() | {"step_count": 5_000_000_000}
    opt.load_state_dict(late)
    opt.step(rng.standard_normal(20))
    assert np.isfinite(x).all() and opt.step_count == 5_000_000_001


@given(data=st.data())
def test_any_shape_value_and_layout(data):
    """Hypothesis chooses rule, form, dtype, shape, gradient values and memory layout of the gradient."""
    cls, keywords = data.draw(st.sampled_from(CASES))
    dtype = data.draw(st.sampled_from(DTYPES))
    shape = tuple(data.draw(st.lists(st.integers(0, 7), max_size=4)))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    param = rng.standard_normal(shape).astype(dtype)
    twin = param.copy()
    opt, opt_of_twin = cls(param, **keywords), cls(twin, **keywords)
    oracle = Reference(cls.__name__.lower(), [param], opt._values)
    for _ in range(3):
        grad = np.asarray(next(gradients(rng, shape, dtype, 1)), dtype=dtype)
        opt.step(grad)
        opt_of_twin.step(data.draw(st.sampled_from(LAYOUTS))(grad))
        oracle.step([grad])
    np.testing.assert_allclose(param, oracle.params[0], **TOLERANCE[dtype])
    assert param.tobytes() == twin.tobytes()


def spread(grad):
    """Equal values, every second element of a larger array along each axis."""
    wide = np.zeros([2 * n for n in grad.shape], grad.dtype)
    wide[tuple(slice(None, None, 2) for _ in grad.shape)] = grad
    return wide[tuple(slice(None, None, 2) for _ in grad.shape)]


def backwards(grad):
    """Equal values through negative strides."""
    flip = tuple(slice(None, None, -1) for _ in grad.shape)
    return grad[flip].copy()[flip]


def fortran(grad):
    """Equal values in column-major order."""
    return np.array(grad, order="F")


LAYOUTS = [np.asarray, fortran, spread, backwards]
