"""Every rule with sparse gradients in every layout, lazy, exact and deferred, against the float64 oracles."""

import numpy as np
import pytest
import scipy.sparse
from cases import CASES, DTYPES, MODES, OPTIMIZERS, form_id, is_refused, skip_if_refused
from helpers import flat
from lazy_reference import REFERENCES

from fastopt import RowSparse

INDEX_DTYPES = [np.int32, np.int64]
TOLERANCE = {"float32": dict(rtol=5e-4, atol=5e-5), "float64": dict(rtol=1e-9, atol=1e-11)}


def as_vector(index, values, shape):
    """A 1-D COO array, which scipy gives indices of the smaller dtype."""
    grad = scipy.sparse.coo_array((values, (index,)), shape=shape)
    grad.coords = (index,)
    return grad


def as_matrix(index, values, shape):
    """A COO matrix of one row."""
    return scipy.sparse.coo_matrix((values, (np.zeros_like(index), index)), shape=(1, *shape))


def as_rows(index, values, shape):
    return RowSparse(index, values)


# Layout -> the shape of the parameter, and a sparse gradient of indices and rows.
LAYOUTS = {
    "rows": ((23, 5), as_rows),
    "wide rows": ((9, 3, 7), as_rows),
    "rows of one": ((40, 1), as_rows),
    "elements": ((150,), as_rows),
    "1-D COO": ((150,), as_vector),
    "COO of one row": ((150,), as_matrix),
}


def pairs(rng, shape, dtype, index_dtype, steps):
    """Gradients (index, rows): nothing, one row, a few, most, all, with and without duplicates and order."""
    n = shape[0]
    for step in range(steps):
        k = [3, 0, n // 2, 1, 2 * n, n // 8 + 1][step % 6]
        index = rng.integers(0, n, k) if step % 4 != 3 else rng.permutation(n)[:k]
        if step % 3 == 2:
            index.sort()
        rows = rng.standard_normal((k, *shape[1:])) * 10.0 ** rng.uniform(-2, 1, (k, *shape[1:]))
        yield index.astype(index_dtype), rows.astype(dtype)


def rate(base, step):
    """A learning rate that changes from step to step, the first being the base."""
    return base * (1.0 if step == 0 else 0.5 + 0.3 * (step % 5))


def assert_matches(opt, oracle):
    """Parameters, state and norm are those of the oracle."""
    opt.catch_up()
    for param, expected in zip(flat(opt.params), oracle.params, strict=True):
        np.testing.assert_allclose(param, expected, **TOLERANCE[param.dtype.name])
    assert list(opt.state) == list(oracle.state)
    for slot, arrays in opt.state.items():
        for array, expected, param in zip(flat(arrays), oracle.state[slot], flat(opt.params), strict=True):
            np.testing.assert_allclose(array, expected, **TOLERANCE[param.dtype.name], err_msg=slot)
    if opt.clip_norm is not None:
        np.testing.assert_allclose(opt.last_grad_norm, oracle.last_grad_norm, rtol=1e-5)


def both(cls, params, mode, **keywords):
    """An optimizer and its oracle."""
    skip_if_refused(cls, keywords | {"sparse": mode})
    opt = cls(params, sparse=mode, **keywords)
    return opt, REFERENCES[mode](cls.__name__.lower(), flat(params), opt._values)


@pytest.mark.parametrize("index_dtype", INDEX_DTYPES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_layouts(case, layout, mode, dtype, index_dtype, rng):
    cls, keywords = case
    shape, sparse = LAYOUTS[layout]
    param = rng.standard_normal(shape).astype(dtype)
    opt, oracle = both(cls, param, mode, **keywords)
    base = opt.learning_rate
    for step, (index, rows) in enumerate(pairs(rng, shape, dtype, index_dtype, steps=9)):
        opt.learning_rate = rate(base, step)
        opt.step(sparse(index, rows, shape))
        oracle.step([(index, rows)], rate(base, step))
    assert_matches(opt, oracle)
    assert opt.step_count == 9


MODIFIERS = [
    dict(weight_decay=0.05),
    dict(weight_decay=0.05, decoupled_weight_decay=True),
    dict(clip_value=0.3),
    dict(clip_norm=0.7),
    dict(maximize=True, nonfinite="skip"),
    dict(weight_decay=0.02, clip_value=2.0, clip_norm=3.0, maximize=True, nonfinite="raise"),
]


@pytest.mark.parametrize("modifiers", MODIFIERS, ids=lambda each: "-".join(each))
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_gradient_options_on_mixed_lists(case, mode, modifiers, rng):
    """A list with rows, elements, and an array that is given dense and sparse gradients in turn."""
    cls, keywords = case
    if is_refused(cls, modifiers):
        pytest.skip("refused: test_validation.py")
    shapes = [(12, 4), (60,), (7, 3), ()]
    params = [np.asarray(rng.standard_normal(shape)) for shape in shapes]
    opt, oracle = both(cls, params, mode, **keywords, **modifiers)
    streams = [pairs(rng, shape, "float64", INDEX_DTYPES[k % 2], 6) for k, shape in enumerate(shapes[:3])]
    for step, (first, second, third) in enumerate(zip(*streams, strict=True)):
        if step % 2:
            third = rng.standard_normal(shapes[2])
        last = np.asarray(rng.standard_normal())
        oracle.step([first, second, third, last])
        opt.step(
            [RowSparse(*first), as_vector(*second, shapes[1]), RowSparse(*third) if step % 2 == 0 else third, last]
        )
    assert_matches(opt, oracle)


@pytest.mark.parametrize("look", [False, True], ids=["", "looking"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_dense_and_sparse_steps_mixed(case, mode, dtype, look, rng):
    """In a dict; dense gradients come when part of the state is not up to date, and looking at it changes nothing."""
    cls, keywords = case
    shapes = {"w": (20, 6), "b": (90,)}
    params = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    opt, oracle = both(cls, params, mode, **keywords)
    streams = [pairs(rng, shape, dtype, np.int64, 12) for shape in shapes.values()]
    for step, (w, b) in enumerate(zip(*streams, strict=True)):
        dense = rng.standard_normal(shapes["w"]).astype(dtype)
        # Of twelve steps: 5 and 10 are dense for one or both, 7 and 8 leave the matrix out.
        w = dense if step in (5, 10) else (w[0][:0], w[1][:0]) if step in (7, 8) else w
        b = rng.standard_normal(90).astype(dtype) if step == 10 else b
        oracle.step([w, b])
        opt.step({name: g if isinstance(g, np.ndarray) else RowSparse(*g) for name, g in (("w", w), ("b", b))})
        if look and step % 3 == 0:
            assert_matches(opt, oracle)
    assert_matches(opt, oracle)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_matrix_gradient_of_a_matrix(case, mode, rng):
    """Single entries of a 2-D parameter, in turn with rows of it."""
    cls, keywords = case
    shape = (17, 6)
    param = rng.standard_normal(shape)
    opt, oracle = both(cls, param.copy(), mode, **keywords)
    for step, (index, values) in enumerate(pairs(rng, (102,), "float64", np.int32, 8)):
        if step % 3 == 2:
            index, values = rng.permutation(17)[:4], rng.standard_normal((4, 6))
            opt.step(RowSparse(index, values))
        else:
            index = divmod(index, 6)
            opt.step(scipy.sparse.coo_array((values, index), shape=shape))
        oracle.step([(index, values)])
    assert_matches(opt, oracle)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_parameters_without_entries(cls, mode):
    """Rows without entries and parameters without rows are gradients like others: to be taken, and nothing moves."""
    params = [np.ones((1000, 0)), np.ones((0, 5)), np.ones(0), np.ones((3, 0, 2)), np.ones(4)]
    skip_if_refused(cls, {"sparse": mode})
    opt = cls(params, sparse=mode)
    for _ in range(3):
        opt.step(
            [
                RowSparse([900, 3, 900], np.ones((3, 0))),
                RowSparse([], np.ones((0, 5))),
                RowSparse([], np.ones(0)),
                RowSparse([2, 0, 1], np.ones((3, 0, 2))),
                RowSparse([3, 1], np.ones(2)),
            ]
        )
        assert all(np.isfinite(array).all() for arrays in opt.state.values() for array in arrays)
    opt.step(params_like := [np.ones(p.shape) for p in params])
    assert opt.step_count == 4 and len(params_like) == 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_large_arrays(case, mode, rng):
    """Many blocks of positions, many rows of state to bring up to date, and rows wider than what is prefetched."""
    cls, keywords = case
    shapes = [(4000, 9), (40_000,), (30, 700)]
    params = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    opt, oracle = both(cls, params, mode, num_threads=2, **keywords)
    for step in range(3):
        grads = []
        for shape in shapes:
            index = rng.permutation(shape[0])[: shape[0] // (2 + 3 * step)]
            grads.append((index, rng.standard_normal((len(index), *shape[1:])).astype(np.float32)))
        opt.step([RowSparse(*grad, unique=step == 1) for grad in grads])
        oracle.step(grads)
    assert_matches(opt, oracle)
