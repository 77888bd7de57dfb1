"""What is Muon's own: matrices and stacks of them, what their singular values become, and what it refuses."""

import numpy as np
import pytest
import scipy.sparse
from cases import DTYPES, ISAS
from helpers import run_python
from reference import Reference

import fastopt
from fastopt import _core

SHAPES = [(30, 50), (50, 30), (64, 64), (65, 97), (1, 7), (7, 1), (1, 1), (2, 3, 4), (3, 2, 5, 2), (300, 200), (0, 3)]
TOLERANCE = {"float32": dict(rtol=2e-5, atol=2e-5), "float64": dict(rtol=1e-11, atol=1e-13)}
CONVERGENT = {"ns_steps": 30, "ns_a": 1.875, "ns_b": -1.25, "ns_c": 0.375, "momentum": 0.0}


def step_of(gradient, **keywords):
    """The step from zero, at the rate 1 and without the factor of tall matrices."""
    x = np.zeros_like(gradient)
    opt = fastopt.Muon(x, learning_rate=1.0, weight_decay=0.0, **keywords)
    opt.step(gradient)
    return -x / np.sqrt(max(1.0, x.shape[-2] / x.shape[-1]))


def polar_factor(x):
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    return u @ vt


@pytest.mark.parametrize("keywords", [{}, {"nesterov": False}, {"match_rms_adamw": True, "ns_steps": 2}], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_matrices_and_stacks(dtype, keywords, rng):
    params = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    opt = fastopt.Muon(params, learning_rate=0.1, **keywords)
    oracle = Reference("muon", params, opt._values)
    for _ in range(4):
        grads = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
        opt.step(grads)
        oracle.step(grads)
    for param, m, expected, expected_m in zip(params, opt.state["m"], oracle.params, oracle.state["m"], strict=True):
        np.testing.assert_allclose(param, expected, **TOLERANCE[dtype])
        np.testing.assert_allclose(m, expected_m, **TOLERANCE[dtype])


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (50, 50)], ids=str)
@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-5), ("float64", 1e-12)])
def test_step_that_converges_is_the_polar_factor(dtype, error, shape, rng):
    gradient = rng.standard_normal(shape).astype(dtype)
    expected = polar_factor(gradient.astype(np.float64))
    np.testing.assert_allclose(step_of(gradient, **CONVERGENT), expected, rtol=0, atol=error)


@pytest.mark.parametrize("shape", [(40, 60), (60, 40)], ids=str)
def test_singular_values_of_a_step_are_near_one(shape, rng):
    """The singular vectors are those of the gradient; the values are what docs/optimizers.md says."""
    gradient = rng.standard_normal(shape)
    u, _, vt = np.linalg.svd(gradient, full_matrices=False)
    values = u.T @ step_of(gradient) @ vt.T
    assert np.abs(values - np.diag(np.diag(values))).max() < 1e-12
    assert 0.67 < np.diag(values).min() and np.diag(values).max() < 1.21


@pytest.mark.parametrize("dtype", DTYPES)
def test_deficient_rank(dtype, rng):
    """What the gradient does not reach stays, to rounding error."""
    gradient = (rng.standard_normal((30, 3)) @ rng.standard_normal((3, 50))).astype(dtype)
    u, _, vt = np.linalg.svd(gradient.astype(np.float64), full_matrices=False)
    reached = np.diag(u.T @ step_of(gradient) @ vt.T)
    assert (0.67 < reached[:3]).all() and (reached[:3] < 1.21).all()
    assert np.abs(reached[3:]).max() < 500 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_gradient_only_decays(dtype):
    x = np.ones((3, 4), dtype)
    fastopt.Muon(x, learning_rate=0.5, weight_decay=0.1).step(np.zeros_like(x))
    np.testing.assert_allclose(x, 0.95, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scale_of_the_gradient_does_not_matter(dtype, rng):
    """Neither where its norm is beyond the dtype, nor where its squares vanish; epsilon is smaller than all of them."""
    gradient = rng.uniform(0.1, 1.0, (20, 30)).astype(dtype)
    expected = step_of(gradient, epsilon=1e-300)
    largest, smallest = np.finfo(dtype).max, np.finfo(dtype).tiny
    for scale in (largest, largest / 1000, smallest * 2**60):
        scaled = gradient * gradient.dtype.type(scale)
        np.testing.assert_allclose(step_of(scaled, epsilon=1e-300), expected, rtol=1e-3)


def test_one_nan_or_infinity_is_everywhere():
    for value in (np.nan, np.inf):
        gradient = np.ones((3, 4))
        gradient[1, 2] = value
        x = np.zeros((3, 4))
        with np.errstate(all="ignore"):
            fastopt.Muon(x).step(gradient)
        assert np.isnan(x).all()


def test_each_matrix_of_a_stack_is_stepped_alone(rng):
    stack, gradient = rng.standard_normal((2, 5, 7)), rng.standard_normal((2, 5, 7))
    alone = [matrix.copy() for matrix in stack]
    fastopt.Muon(stack).step(gradient)
    fastopt.Muon(alone).step(list(gradient))
    assert stack.tobytes() == np.array(alone).tobytes()


@pytest.mark.parametrize("isa", ISAS)
def test_momentum_has_the_same_bits_for_all_threads_and_instruction_sets(isa, rng):
    gradient, states = rng.standard_normal((700, 1100), np.float32), []
    before = _core.isa_in_use()
    try:
        for name, n_threads in ((before, 1), (isa, 1), (isa, 2), (isa, 5)):
            _core.use_isa(name)
            opt = fastopt.Muon(np.ones((700, 1100), np.float32), num_threads=n_threads, ns_steps=1)
            opt.step(gradient)
            opt.step(gradient[::-1])
            states.append(opt.state["m"].tobytes())
    finally:
        _core.use_isa(before)
    assert len(set(states)) == 1


def test_sparse_gradients_are_those_among_zeros(rng):
    dense = rng.standard_normal((6, 4)) * (rng.random((6, 4)) < 0.3)
    dense[[0, 3]] = 0.0
    rows = np.flatnonzero(dense.any(axis=1))
    results = []
    for gradient in (dense, scipy.sparse.csr_array(dense), fastopt.RowSparse(rows, dense[rows])):
        x = np.ones((6, 4))
        opt = fastopt.Muon(x)
        for _ in range(3):
            opt.step(gradient)
        results.append(x.tobytes())
    assert len(set(results)) == 1


def test_vectors_are_refused():
    """By the name that the caller gave them; in a process of its own, as the tests take vectors."""
    code = """
        import numpy as np, fastopt
        for call in (
            lambda: fastopt.Muon(np.ones(3)),
            lambda: fastopt.Muon({"w": np.ones((2, 2)), "b": np.ones(2)}),
            lambda: fastopt.minimize(lambda x: x @ x, np.ones(3), method="muon", jac=lambda x: 2 * x),
        ):
            try:
                call()
            except ValueError as error:
                print(error)
    """
    words = "must be a matrix, or a stack of matrices, as Muon takes no vectors, got shape"
    expected = [
        f"`params` {words} (3,); use another optimizer for it, such as fastopt.AdamW.",
        f"`params['b']` {words} (2,); use another optimizer for it, such as fastopt.AdamW.",
        f'`x0` {words} (3,); pass another `method`, such as "adamw".',
    ]
    assert run_python(code).splitlines() == expected


@pytest.mark.parametrize(("name", "value"), [("ns_steps", 0), ("ns_steps", 100), ("ns_steps", 2.5), ("epsilon", 0.0)])
def test_refused_values(name, value):
    with pytest.raises((TypeError, ValueError), match=f"^`{name}` must be"):
        fastopt.Muon(np.ones((2, 2)), **{name: value})


def test_saved_and_loaded(tmp_path, rng):
    params = {"a": rng.standard_normal((4, 6)), "b": rng.standard_normal((3, 5, 2))}
    opt = fastopt.Muon(params, ns_steps=4)
    grads = {name: rng.standard_normal(each.shape) for name, each in params.items()}
    opt.step(grads)
    fastopt.save(tmp_path / "muon.npz", opt)
    other = {name: np.zeros_like(each) for name, each in params.items()}
    again = fastopt.Muon(other)
    fastopt.load(tmp_path / "muon.npz", again)
    assert again.ns_steps == 4
    for each in (opt, again):
        each.step(grads)
    assert all(params[name].tobytes() == other[name].tobytes() for name in params)
