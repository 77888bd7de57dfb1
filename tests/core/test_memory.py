"""Memory that overlaps, moves or shrinks: refused before anything is read or written through an old pointer."""

import numpy as np
import pytest
import scipy.sparse
from cases import OPTIMIZERS
from helpers import bits, exactly, refused
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import fastopt
from fastopt import RowSparse, objectives

# --- overlap -------------------------------------------------------------------------------------------------

SIZE = 64
ENDS = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted)


@st.composite
def strided_views(draw, memory, shape):
    """Any view of the memory with this shape: forwards, backwards, repeating, interleaving."""
    strides = [draw(st.integers(-6, 6)) for _ in shape]
    reach = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    low, high = sum(min(each, 0) for each in reach), sum(max(each, 0) for each in reach)
    if high - low >= SIZE:
        return memory[: int(np.prod(shape))].reshape(shape)
    start = draw(st.integers(-low, SIZE - 1 - high))
    return as_strided(memory[start:], shape, [8 * stride for stride in strides])


@given(data=st.data())
def test_gradient_that_may_overlap_a_parameter(data):
    """Refused exactly if a number of the gradient is one of a parameter, as NumPy's search finds out."""
    memory = np.random.default_rng(0).standard_normal(SIZE)
    shape = data.draw(st.sampled_from([(4,), (7,), (2, 3), (3, 1, 2), (1,)]))
    size = int(np.prod(shape))
    starts = data.draw(st.lists(st.integers(0, SIZE - size), min_size=1, max_size=2, unique=True))
    if len(starts) == 2 and abs(starts[0] - starts[1]) < size:
        starts.pop()
    params = [memory[start : start + size].reshape(shape) for start in starts]
    grads = [data.draw(strided_views(memory, shape)) for _ in params]
    opt = fastopt.SGD(params, learning_rate=0.5)
    shared = any(np.shares_memory(grad, param) for grad in grads for param in params)
    expected = [param - 0.5 * grad for param, grad in zip(params, grads, strict=True)]
    if shared:
        with refused(opt, ValueError, "must not share memory with the parameters or the state"):
            opt.step(grads)
    else:
        opt.step(grads)
        assert all(np.array_equal(*pair) for pair in zip(params, expected, strict=True))


@given(first=ENDS, second=ENDS, third=ENDS)
def test_parameters_that_may_overlap(first, second, third):
    memory = np.ones(SIZE)
    params = [memory[start:stop] for start, stop in (first, second, third)]
    if any(np.shares_memory(params[j], params[k]) for j, k in ((0, 1), (0, 2), (1, 2))):
        with pytest.raises(ValueError, match="must not share memory"):
            fastopt.Adam(params)
    else:
        fastopt.Adam(params).step([np.ones(len(param)) for param in params])


@given(data=st.data())
def test_sparse_gradient_that_may_overlap_a_parameter(data):
    """Both of its arrays; the positions are integers that lie in the memory of the parameter."""
    memory = np.zeros(SIZE)
    start = data.draw(st.integers(0, SIZE - 10))
    k = data.draw(st.integers(1, 5))
    param = memory[start : start + 10]
    rows = data.draw(strided_views(memory, (k,)))
    index = data.draw(strided_views(memory.view(np.int64), (k,)))
    opt = fastopt.SGD(param)
    if np.shares_memory(rows, param) or np.shares_memory(index, param):
        # A copy is made of what is not contiguous, so that only contiguous arrays can be in the way.
        if all(each.flags.c_contiguous for each in (rows, index)):
            with refused(opt, ValueError, "must not share memory"):
                opt.step(RowSparse(index, rows))
    else:
        opt.step(RowSparse(index, rows))
        assert opt.step_count == 1


# --- arrays that are resized ---------------------------------------------------------------------------------


def resized(array, *shape):
    """The same array with other memory: NumPy's way to invalidate pointers."""
    array.resize(shape, refcheck=False)
    return array


@pytest.mark.parametrize("size", [1, 3, 100_000])
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_gradient_resized_between_steps(cls, size):
    """Each step reads where the gradient is and what shape it has; nothing is kept from the one before."""
    opt, twin = cls(np.ones(1000)), cls(np.ones(1000))
    grad = np.full(1000, 0.5)
    opt.step(grad)
    message = f"`grad` must have the shape (1000,) of its parameter, got ({size},)."
    with refused(opt, ValueError, exactly(message)):
        opt.step(resized(grad, size))
    resized(grad, 1000)
    grad[...] = 0.25
    opt.step(grad)
    for value in (0.5, 0.25):
        twin.step(np.full(1000, value))
    assert bits(opt) == bits(twin)


@pytest.mark.parametrize("part", ["indices", "rows"])
def test_row_sparse_resized_since_it_was_made(part):
    opt = fastopt.Adam(np.ones((50, 4)))
    grad = RowSparse(np.arange(20), np.ones((20, 4)))
    opt.step(grad)
    for n in (3, 10_000):
        grad = RowSparse(np.arange(20), np.ones((20, 4)))
        resized(getattr(grad, part), *{"indices": (n,), "rows": (n, 4)}[part])
        with refused(opt, ValueError, "`grad` must have rows of the shape "):
            opt.step(grad)


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
@pytest.mark.parametrize("n", [1, 5000])
def test_csr_gradient_resized_since_it_was_made(part, n):
    opt = fastopt.Adam(np.ones((8, 3)))
    grad = scipy.sparse.csr_array((np.ones(4), np.array([0, 2, 1, 1]), np.array([0, 1, 1, 2, 2, 3, 4, 4, 4])), (8, 3))
    opt.step(grad)
    setattr(grad, part, getattr(grad, part).copy())  # views cannot be resized
    resized(getattr(grad, part), n)
    if part != "indptr" and n > 4:  # scipy allows more memory than entries need
        opt.step(grad)
        assert opt.step_count == 2
    else:
        with refused(opt, ValueError, "`grad`.indptr must "):
            opt.step(grad)


def test_state_cannot_be_taken_away():
    """Its arrays are views of memory that the optimizer owns; what is done to the views does not reach it."""
    opt, twin = fastopt.Adam(np.ones(50)), fastopt.Adam(np.ones(50))
    view = opt.state["m"]
    with pytest.raises(ValueError, match="does not own its data"):
        view.resize(3, refcheck=False)
    view.flags.writeable = False
    view.shape = (5, 10)
    for each in (opt, twin):
        each.step(np.ones(50))
    assert bits(opt) == bits(twin) and view[0, 0] == opt.state["m"][0]
    assert opt.state["m"].flags.writeable and opt.state["m"].shape == (50,)
    twin.load_state_dict(opt.state_dict())
    opt.load_state_dict(twin.state_dict())


def data(kind):
    """Arrays that an objective keeps, by the names they have in messages."""
    rng = np.random.default_rng(0)
    X, y, weights = rng.standard_normal((60, 5)), rng.standard_normal(60), rng.random(60)
    if kind == "dense":
        return X, y, weights, {"X": X}
    X = scipy.sparse.csr_array(X * (rng.random(X.shape) < 0.5))
    parts = {}
    for name in ("data", "indices", "indptr"):
        parts[f"X.{name}"] = getattr(X, name).copy()  # views cannot be resized
        setattr(X, name, parts[f"X.{name}"])
    return X, y, weights, parts


@pytest.mark.parametrize("n", [1, 100_000])
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("dense", "sparse") for name in data(kind)[3]], ids=str
)
def test_data_of_an_objective_resized_since_it_was_made(kind, name, n):
    """The objective reads the caller's samples without a copy, so it looks whether they are still there."""
    X, y, weights, parts = data(kind)
    objective = objectives.LeastSquares(X, y, sample_weight=weights)
    value = objective(np.ones(5))
    resized(parts[name], n)
    message = exactly(
        f"`{name}` must stay where it was when the objective was made, got an array that has been resized; "
        "make a new objective."
    )
    with pytest.raises(ValueError, match=message):
        objective(np.ones(5))
    with pytest.raises(ValueError, match=message):
        objective.value_and_gradient(np.ones(5), [0, 1])
    for method in ("sgd", "adam", "saga", "svrg", "vw"):
        options = {"epochs": 1, "learning_rate": 0.01}
        with pytest.raises(ValueError, match=message):
            fastopt.minimize(objective, np.zeros(5), method=method, options=options, rng=0)
    assert np.isfinite(value)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_labels_and_weights_resized_since_the_objective_was_made(kind):
    """Of these it has copies."""
    X, y, weights, _ = data(kind)
    objective = objectives.LeastSquares(X, y, sample_weight=weights)
    value = objective(np.ones(5))
    resized(y, 1)
    resized(weights, 100_000)
    assert objective(np.ones(5)) == value


@pytest.mark.parametrize("method", ["sgd", "adam", "saga", "svrg", "vw"])
def test_data_of_an_objective_resized_during_a_run(method):
    X, y, weights, _ = data("dense")
    objective = objectives.LeastSquares(X, y, sample_weight=weights)

    def callback(x):
        resized(X, 1, 1)

    with pytest.raises(ValueError, match=r"^`X` must stay where it was"):
        fastopt.minimize(
            objective, np.zeros(5), method=method, callback=callback, options={"learning_rate": 0.01}, rng=0
        )
