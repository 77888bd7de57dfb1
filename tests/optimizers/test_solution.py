"""What `solution` returns: copies of the parameters, or the average that a rule keeps beside them."""

import threading

import numpy as np
import pytest
from cases import CASES, DTYPES, OPTIMIZERS, form_id
from helpers import bits, refused

import fastopt

AVERAGING = {
    "asgd": dict(learning_rate=0.1, t0=2),
    "dog": dict(reps_rel=0.1),
    "schedulefreeadamw": dict(learning_rate=0.1),
    "schedulefreesgd": dict(learning_rate=0.1),
}
SCHEDULE_FREE = [name for name in AVERAGING if name.startswith("schedulefree")]


def averages(name, opt):
    """The averages of an optimizer of a list, from what they are defined by."""
    if name in ("asgd", "dog"):
        return opt.state["average"]
    return [(y - (1 - opt.beta_1) * z) / opt.beta_1 for y, z in zip(opt.params, opt.state["z"], strict=True)]


def some_steps(opt, rng, n=5):
    for _ in range(n):
        opt.step(opt._structured(tuple(rng.standard_normal(p.shape).astype(p.dtype) for p in opt._flat_params)))


def test_which_optimizers_read_off():
    assert [name for name, cls in OPTIMIZERS.items() if cls(np.ones(3))._reads_off] == [*AVERAGING]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "case", [(cls, each) for cls, each in CASES if not cls(np.ones(1), **each)._reads_off], ids=form_id
)
def test_of_most_optimizers_it_is_copies_of_the_parameters(case, dtype, rng):
    cls, keywords = case
    opt = cls([rng.standard_normal(3).astype(dtype), rng.standard_normal((2, 3)).astype(dtype)], **keywords)
    some_steps(opt, rng)
    for copy, param in zip(opt.solution(), opt.params, strict=True):
        assert copy.tobytes() == param.tobytes() and copy.dtype == param.dtype and copy.shape == param.shape
        assert not np.shares_memory(copy, param) and copy.flags.writeable


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", AVERAGING)
def test_of_rules_that_average_it_is_the_average(name, dtype, rng):
    opt = OPTIMIZERS[name]([rng.standard_normal(n).astype(dtype) for n in (3, 40)], **AVERAGING[name])
    some_steps(opt, rng)
    before = bits(opt)
    for solution, average, param in zip(opt.solution(), averages(name, opt), opt.params, strict=True):
        assert solution.dtype == dtype
        np.testing.assert_allclose(solution, average, rtol=1e-5 if dtype == "float32" else 1e-13)
        assert not np.allclose(solution, param)
        solution[...] = 0.0
    assert bits(opt) == before


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_before_the_first_step_it_is_the_parameters(cls, rng):
    start = rng.standard_normal(5)
    assert np.array_equal(cls(start.copy()).solution(), start)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_has_the_structure_of_the_parameters(cls):
    a, b = np.ones(3), np.ones((2, 2), np.float32)
    assert isinstance(cls(a).solution(), np.ndarray)
    assert [each.shape for each in cls([a, b]).solution()] == [(3,), (2, 2)]
    assert {key: each.dtype.name for key, each in cls({"a": a, "b": b}).solution().items()} == {
        "a": "float64",
        "b": "float32",
    }
    assert cls(np.ones(())).solution().shape == ()


@pytest.mark.parametrize("name", SCHEDULE_FREE)
@pytest.mark.parametrize("beta_1", [0.01, 0.5, 1.0])
def test_schedule_free_average_is_the_weighted_mean_of_all_z(name, beta_1, rng):
    """Also where the rate changes; with beta_1 = 1 the parameters are the average."""
    x = rng.standard_normal(6)
    opt = OPTIMIZERS[name](x, beta_1=beta_1, r=0.5)
    seen, weights, largest = [], [], 0.0
    for t in range(1, 30):
        opt.learning_rate = 0.1 * (1 + t % 5)
        largest = max(largest, opt.learning_rate)
        opt.step(rng.standard_normal(6))
        seen.append(opt.state["z"].copy())
        weights.append(t**0.5 * largest**2)
    np.testing.assert_allclose(opt.solution(), np.average(seen, axis=0, weights=weights), rtol=1e-10, atol=1e-12)
    if beta_1 == 1.0:
        np.testing.assert_allclose(opt.solution(), x, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("weight_power", [0.0, 2.0])
@pytest.mark.parametrize("name", SCHEDULE_FREE)
def test_rates_of_zero_leave_all_in_place_at_the_start(name, weight_power, rng):
    start = rng.standard_normal(6)
    x = start.copy()
    opt = OPTIMIZERS[name](x, lambda t: 0.0 if t < 3 else 0.1, weight_power=weight_power)
    for _ in range(3):
        opt.step(rng.standard_normal(6))
        assert np.array_equal(x, start) and np.array_equal(opt.solution(), start)
    opt.step(np.ones(6))
    if weight_power:  # else the steps that changed nothing are in the average, as in the authors' code
        np.testing.assert_allclose(opt.solution(), opt.state["z"], rtol=1e-13)
    assert np.isfinite(x).all() and not np.allclose(x, start)


@pytest.mark.parametrize("rate", [1e-200, 1e200])
@pytest.mark.parametrize("name", SCHEDULE_FREE)
def test_weights_neither_overflow_nor_underflow(name, rate, rng):
    """Squares of such rates do; the average has the same weights as with any other constant rate."""
    x, twin = np.zeros(6), np.zeros(6)
    opts = [OPTIMIZERS[name](x, rate, r=200.0), OPTIMIZERS[name](twin, 1.0, r=200.0)]
    for _ in range(60):
        grad = rng.standard_normal(6)
        for opt in opts:
            opt.step(grad)
    np.testing.assert_allclose(opts[0].solution() / rate, opts[1].solution(), rtol=1e-12)


@pytest.mark.parametrize("name", AVERAGING)
def test_solution_after_loading_a_state_is_the_same(name, rng):
    params = [rng.standard_normal(4), rng.standard_normal((2, 3))]
    opt = OPTIMIZERS[name](params, **AVERAGING[name])
    some_steps(opt, rng)
    other = OPTIMIZERS[name]([param.copy() for param in params])
    other.load_state_dict(opt.state_dict())
    assert [each.tobytes() for each in other.solution()] == [each.tobytes() for each in opt.solution()]


@pytest.mark.parametrize("mode", ["lazy", "exact"])
@pytest.mark.parametrize("name", AVERAGING)
def test_sparse_gradients(name, mode):
    """Lazy: what no gradient touches keeps its average, too. Exact: the same as with zeros."""
    x, twin = np.ones(4), np.ones(4)
    opt = OPTIMIZERS[name](x, sparse=mode, **AVERAGING[name])
    dense = OPTIMIZERS[name](twin, **AVERAGING[name])
    for each in (opt, dense):
        each.step(np.arange(1.0, 5.0))
    before = opt.solution()
    for _ in range(6):
        opt.step(fastopt.RowSparse([1], [0.5]))
        dense.step(np.array([0.0, 0.5, 0.0, 0.0]))
    np.testing.assert_allclose(opt.solution()[1], dense.solution()[1], rtol=1e-14)
    untouched = [0, 2, 3]
    expected = (before if mode == "lazy" else dense.solution())[untouched]
    np.testing.assert_allclose(opt.solution()[untouched], expected, rtol=1e-14)


class WithReadOff(fastopt.RMSprop):
    """A rule whose state decays where the gradient is zero, with a solution made of that state."""

    def _read_off(self, param, state, values):
        return state["mean_square"].copy()


def test_state_that_lags_behind_is_brought_up_to_date():
    table = np.zeros((4, 2))
    opt = WithReadOff(table, rho=0.5, sparse="exact")
    for row in (0, 1):
        opt.step(fastopt.RowSparse([row], [[1.0, 1.0]]))
    assert opt._slots_by_name()["mean_square"][0][0].tolist() == [0.5, 0.5]
    assert opt.solution()[:2].tolist() == [[0.25, 0.25], [0.5, 0.5]]


@pytest.mark.parametrize("name", ["adam", *AVERAGING])
def test_refused_while_a_step_is_under_way(name):
    asked = []

    def rate(t):
        if t == 1:
            with pytest.raises(
                RuntimeError, match=r"^solution\(\) must not be called while another step, save or load"
            ):
                opt.solution()
            asked.append(t)
        return 0.1

    opt = OPTIMIZERS[name](np.ones(3), rate)
    opt.step(np.ones(3))
    worker = threading.Thread(target=opt.step, args=(np.ones(3),))
    worker.start()
    worker.join()
    assert asked == [1] and opt.solution().shape == (3,)


@pytest.mark.parametrize("name", ["adam", *AVERAGING])
def test_parameters_that_were_resized_are_refused(name):
    x = np.ones(3)
    opt = OPTIMIZERS[name](x)
    x.resize(5, refcheck=False)
    with pytest.raises(ValueError, match="`params`"):
        opt.solution()


def test_refused_step_leaves_the_solution(rng):
    """A step that is refused changes nothing of the solution."""
    opt = fastopt.ScheduleFreeAdamW([rng.standard_normal(3)], learning_rate=0.1, nonfinite="raise")
    some_steps(opt, rng)
    before = opt.solution()[0].tobytes()
    with refused(opt, FloatingPointError, "NaN"):
        opt.step([np.array([1.0, np.nan, 1.0])])
    assert opt.solution()[0].tobytes() == before
