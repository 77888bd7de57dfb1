"""What the caller may do to arrays that C uses: refused in words, or without effect; never read or written outside.

Arrays are large where memory is given back, so that a look at it would end the process.
"""

import signal
import threading

import numpy as np
import pytest
import scipy.sparse
from cases import OPTIMIZERS
from helpers import bits, exactly, refused
from objectives import evaluations_of_all

import fastopt
from fastopt import RowSparse, minimize, objectives

LARGE = 200_000


def given_away(array):
    """Resize an array so that the system takes its memory back."""
    array.resize(1, refcheck=False)


# --- parameters --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("dtype", np.int64, "an array re-typed from float64 to int64"),
        ("dtype", np.dtype(">f8"), "an array re-typed from float64 to >f8"),
        ("shape", (10, 10), "an array reshaped from (100,) to (10, 10)"),
    ],
)
@pytest.mark.parametrize("in_list", [False, True])
def test_parameter_that_is_made_another(name, value, got, in_list):
    x = np.ones(100)
    opt = fastopt.Adam([x] if in_list else x)
    setattr(x, name, value)
    message = exactly(
        f"`params{'[0]' if in_list else ''}` must stay where it was when the optimizer was made, got {got}; "
        "make a new optimizer."
    )
    with pytest.raises(ValueError, match=message):
        opt.step([np.ones(100)] if in_list else np.ones(100))
    assert opt.step_count == 0


@pytest.mark.parametrize("grad", [np.ones(LARGE), RowSparse([3], [1.0])], ids=["dense", "sparse"])
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_parameter_whose_base_is_resized(cls, grad):
    base = np.ones(2 * LARGE)
    opt = cls(base[:LARGE])
    given_away(base)
    with pytest.raises(ValueError, match=r"^`params` must stay where it was when the optimizer was made"):
        opt.step(grad)


def test_base_that_is_resized_beside_the_parameter():
    """Where the memory of the parameter itself is as it was, nothing is wrong."""
    base = np.ones(2 * LARGE)
    opt = fastopt.SGD(base[:10], learning_rate=1.0)
    base.resize(2 * LARGE, refcheck=False)
    opt.step(np.ones(10))
    assert not base[:10].any()


@pytest.mark.parametrize("cls", [each for each in OPTIMIZERS.values() if each.__name__ in ("FTRL", "ASGD", "SGD")])
def test_schedule_that_resizes_while_the_optimizer_is_made(cls):
    x = np.ones(LARGE)

    def schedule(t):
        given_away(x)
        return 0.1

    with pytest.raises(ValueError, match=r"^`params` must stay where it was"):
        cls(x, schedule).step(np.ones(LARGE))


# --- gradients ---------------------------------------------------------------------------------------------------


def test_gradient_whose_base_has_been_resized():
    base = np.ones(2 * LARGE)
    grad = base[LARGE:]
    opt = fastopt.Adam(np.ones(LARGE))
    given_away(base)
    message = "`grad` must keep its memory during the step, got an array that has been resized; make it anew."
    with refused(opt, ValueError, exactly(message)):
        opt.step(grad)


class Resizing(scipy.sparse.lil_array):
    """A gradient that gives away another one's memory when it is converted."""

    other = None

    def tocoo(self, copy=False):
        given_away(self.other)
        return super().tocoo(copy)


@pytest.mark.parametrize(
    "first",
    [
        lambda memory: memory,
        lambda memory: memory[::-1],
        lambda memory: RowSparse(np.arange(LARGE), memory),
        lambda memory: scipy.sparse.coo_array((memory, (np.zeros(LARGE, int), np.arange(LARGE))), (1, LARGE)),
    ],
    ids=["dense", "strided", "rows", "coo"],
)
def test_gradient_that_another_one_gives_away(first):
    memory = np.ones(LARGE)
    grad = first(memory)
    other = Resizing((3, 3))
    other.other = getattr(grad, "data", memory) if scipy.sparse.issparse(grad) else memory
    opt = fastopt.Adam([np.ones(LARGE), np.ones((3, 3))])
    with refused(opt, ValueError, r"^`grad\[0\]` must (keep its memory|have)"):
        opt.step([grad, other])


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("indices", [0, 1], TypeError, r"^`grad`\.indices must be a NumPy array, got list; set grad\.indices = "),
        ("rows", None, TypeError, r"^`grad`\.rows must be a NumPy array, got NoneType\.$"),
        ("rows", np.array(1.0), ValueError, r"^`grad`\.rows must have at least one dimension, got none"),
        ("rows", np.ones((2, 4), np.float32), TypeError, "^`grad` must be float64 like its parameter"),
        ("rows", np.ones((2, 3)), ValueError, "^`grad` must have rows of the shape"),
        ("indices", np.array([0, LARGE]), IndexError, r"^`grad` must have indices in \[0, 5\)"),
    ],
)
def test_row_sparse_with_other_fields(name, value, error, message):
    opt = fastopt.Adam(np.ones((5, 4)))
    grad = RowSparse([0, 1], np.ones((2, 4)))
    setattr(grad, name, value)
    with refused(opt, error, message):
        opt.step(grad)


class Lying(np.ndarray):
    """An array that says of itself what is not so."""

    shape = property(lambda self: (LARGE,))
    size = property(lambda self: LARGE)
    nbytes = property(lambda self: 0)
    dtype = property(lambda self: np.dtype(np.float64))
    strides = property(lambda self: (8,))
    ndim = property(lambda self: 1)

    def view(self, *arguments):
        return np.ones(LARGE)

    def __len__(self):
        return LARGE


def test_subclass_that_lies():
    """It is used as what it is."""
    liar = np.ones(3, np.float32).view(Lying)
    opt = fastopt.Adam(np.ones(LARGE))
    with refused(opt, TypeError, "^`grad` must be float64 like its parameter, got float32"):
        opt.step(liar)
    with pytest.raises((TypeError, ValueError), match=r"^`X` must "):
        objectives.LeastSquares(liar, np.ones(3))
    opt = fastopt.SGD(liar, learning_rate=1.0)
    opt.step(np.ones(3, np.float32))
    assert opt.step_count == 1 and not np.ndarray.__getitem__(liar, 0)


def test_gradient_that_shrinks_while_the_number_of_threads_is_asked_for():
    """The last code that can run in between; the address may stay the same."""
    grad = np.ones(20 * LARGE)

    class Asking(fastopt.SGD):
        def _allowed_threads(self):
            grad.resize(10, refcheck=False)
            return 1

    opt = Asking(np.ones(20 * LARGE))
    message = "`grad` must keep its memory during the step, got an array that has been resized"
    with pytest.raises(ValueError, match=message):
        opt.step(grad)
    assert opt.step_count == 0


def test_parameter_over_a_view_of_a_buffer_that_is_resized():
    base = np.ones(2 * LARGE)
    opt = fastopt.SGD(np.asarray(memoryview(base))[LARGE:])
    given_away(base)
    with pytest.raises(ValueError, match=r"^`params` must stay where it was"):
        opt.step(np.ones(LARGE))


# --- state -------------------------------------------------------------------------------------------------------


def arrays_below(array):
    """The arrays that lead to the memory of another one."""
    while isinstance(array, np.ndarray):
        yield array
        array = array.base


def everything_public(kind):
    if kind == "state":
        opt = fastopt.Adam(np.ones((50, 4)), sparse="exact", amsgrad=True)
        opt.step(RowSparse([1], np.ones((1, 4))))
        return [*opt.state.values(), opt.state_dict()["last_steps"][0]]
    X = np.random.default_rng(0).standard_normal((60, 5))
    seen = []
    options = {"learning_rate": 0.01, "epochs": 2}
    if kind == "minimize":
        fun = lambda x, index: seen.extend([x, index]) or (0.0, np.zeros(5))  # noqa: E731
        res = minimize(fun, np.zeros(5), jac=True, n_samples=60, batch_size=7, options=options)
        return seen
    res = minimize(objectives.LeastSquares(X, X[:, 0]), np.zeros(5), method=kind, options=options)
    return [*res.optimizer.state.values()]


@pytest.mark.parametrize("kind", ["state", "minimize", "adam", "saga", "svrg", "vw"])
def test_nothing_leads_to_an_array_that_can_be_resized(kind):
    for array in everything_public(kind):
        for each in arrays_below(array):
            if each.flags.owndata and each.base is None and each is array:
                continue  # a copy, of which nothing else knows
            with pytest.raises(ValueError, match="cannot resize this array"):
                each.resize(each.size + 1, refcheck=False)


@pytest.mark.parametrize("by", ["the callback", "the function", "the generator"])
@pytest.mark.parametrize("deed", ["resize", "dtype"])
def test_parameters_of_a_run_stay_where_they_are(deed, by):
    """Only a function that makes the optimizer is given them."""
    bound = []

    def done():
        if deed == "resize":
            bound[0].resize(1, refcheck=False)
        bound[0].dtype = np.float32

    class Generator(np.random.Generator):
        def permutation(self, *arguments, **keywords):
            if by == "the generator":
                done()
            return super().permutation(*arguments, **keywords)

    def fun(x, index):
        if by == "the function":
            done()
        return float(x @ x), 2 * x

    message = "cannot resize this array" if deed == "resize" else "must stay where it was when the optimizer was made"
    rng, options = Generator(np.random.PCG64(0)), {"epochs": 3}
    callback = (lambda xk: done()) if by == "the callback" else None
    method = lambda x: bound.append(x) or fastopt.Adam(x)  # noqa: E731
    with pytest.raises(ValueError, match=message):
        minimize(fun, np.ones(LARGE), jac=True, method=method, n_samples=3, batch_size=1, rng=rng, callback=callback,
                 options=options)  # fmt: skip


def test_arguments_of_an_objective_cannot_be_made_writable():
    for array in everything_public("minimize"):
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            array.flags.writeable = True


# --- objectives --------------------------------------------------------------------------------------------------


def problem(layout, n=200, n_features=50):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, n_features))
    if layout != "dense":
        X = scipy.sparse.csr_array(X * (rng.random(X.shape) < 0.3))
        for name in ("data", "indices", "indptr"):
            setattr(X, name, getattr(X, name).copy())
    return X, rng.standard_normal(n)


def outcomes(objective):
    """Bits of a value, a gradient and runs."""
    x = np.linspace(-1, 1, objective.n_parameters)
    found = [np.array(objective(x)), objective.gradient(x), objective.decision_function(x)]
    for method in ("sgd", "adagrad", "saga", "svrg", "vw"):
        res = minimize(objective, x, method=method, rng=0, options={"epochs": 2, "learning_rate": 0.01})
        found += [res.x, np.array(res.fun)]
    return [each.tobytes() for each in found]


@pytest.mark.parametrize("layout", ["dense", "csr"])
@pytest.mark.parametrize(
    "name", ["X", "l2", "l1", "fit_intercept", "n_samples", "n_features", "n_outputs", "n_parameters", "dtype"]
)
def test_attributes_are_read_only(layout, name):
    X, y = problem(layout)
    objective = objectives.LeastSquares(X, y)
    before = outcomes(objective)
    with pytest.raises(AttributeError):
        setattr(objective, name, getattr(objective, name))
    vars(objective)[name] = 10**9  # where a descriptor of the class goes first
    assert outcomes(objective) == before


@pytest.mark.parametrize("name", ["indices", "indptr"])
@pytest.mark.parametrize("value", [2**30, -1, 0])
def test_contents_of_csr_indices_written_over(name, value):
    """Objectives have a copy of them."""
    X, y = problem("csr")
    objective, expected = (objectives.LeastSquares(X.copy(), y) for _ in range(2))
    objective = objectives.LeastSquares(X, y)
    getattr(X, name)[1:] = value
    assert outcomes(objective) == outcomes(expected)


@pytest.mark.parametrize("name", ["data", "indices", "indptr"])
def test_csr_matrix_that_is_given_another_array(name):
    X, y = problem("csr")
    objective = objectives.LeastSquares(X, y)
    setattr(X, name, getattr(X, name)[:1].copy())
    message = exactly(
        f"`X.{name}` must stay the array that it was when the objective was made, got another one; "
        "make a new objective."
    )
    for call in (objective, objective.gradient, objective.decision_function):
        with pytest.raises(ValueError, match=message):
            call(np.zeros(50))
    for method in ("adam", "saga", "vw"):
        with pytest.raises(ValueError, match=message):
            minimize(objective, np.zeros(50), method=method, options={"learning_rate": 0.1})


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
@pytest.mark.parametrize(("name", "value"), [("shape", (50, 200)), ("dtype", np.int64), ("shape", (10_000,))])
def test_samples_that_are_made_others(name, value):
    X, y = problem("dense")
    objective = objectives.LeastSquares(X, y)
    setattr(X, name, value)
    with pytest.raises(ValueError, match=r"^`X` must stay where it was when the objective was made"):
        objective(np.zeros(50))


def test_samples_whose_base_is_resized():
    base = np.ones((LARGE, 4))
    objective = objectives.LeastSquares(base[: LARGE // 2], np.ones(LARGE // 2))
    given_away(base)
    with pytest.raises(ValueError, match=r"^`X` must stay where it was"):
        objective.gradient(np.zeros(4))


def test_indices_that_are_read_only_here_and_written_to_elsewhere():
    X, y = problem("csr")
    written = X.indices
    X.indices = np.frombuffer(memoryview(written).toreadonly(), written.dtype)
    objective, expected = objectives.LeastSquares(X, y), objectives.LeastSquares(X.copy(), y)
    written[:] = 2**30
    assert outcomes(objective) == outcomes(expected)


def test_labels_cannot_be_reached():
    X, y = problem("dense")
    objective = objectives.Softmax(X, np.arange(len(y)) % 3)
    before = objective(np.ones(objective.n_parameters))
    for array in (*objective._bound, *objective.__reduce__()[1][1][1:]):
        with pytest.raises(ValueError, match="cannot set WRITEABLE"):
            array.flags.writeable = True
        array.__setstate__((1, array.shape, array.dtype, False, bytes(array.nbytes)))
    assert objective(np.ones(objective.n_parameters)) == before


@pytest.mark.parametrize("labels", [lambda y: (np.full(len(y), 1e9), 1), lambda y: (np.full(len(y), -1.0), 2)])
def test_labels_of_a_subclass_that_are_no_classes(labels):
    class Own(objectives.Softmax):
        def _labels(self, y):
            return labels(y)

    with pytest.raises(ValueError, match=r"^`y` must hold class numbers below"):
        Own(*problem("dense"))


def test_objective_that_is_initialised_twice():
    X, y = problem("dense")
    objective = objectives.LeastSquares(X, y)
    before = outcomes(objective)
    with pytest.raises(RuntimeError, match=r"^LeastSquares\.__init__\(\) must be called once only"):
        objective.__init__(np.ones((3, 2)), np.ones(3))
    assert outcomes(objective) == before


@pytest.mark.parametrize(
    ("loss", "first", "second"),
    [
        (objectives.Huber, {"delta": 0.5}, {"delta": 2.0}),
        (objectives.Quantile, {"q": 0.25}, {"q": 0.75}),
        (objectives.EpsilonInsensitive, {"epsilon": 0.1}, {"epsilon": 0.3}),
        (objectives.SquaredEpsilonInsensitive, {"epsilon": 0.1}, {"epsilon": 0.3}),
        (objectives.Tweedie, {"power": 1.5}, {"power": 0.0}),
    ],
)
def test_parameter_of_a_loss_that_is_initialised_twice(loss, first, second):
    X, y = problem("dense")
    objective = loss(X, np.abs(y), **first)
    with pytest.raises(RuntimeError, match="must be called once only"):
        objective.__init__(X, np.abs(y), **second)
    ((name, value),) = first.items()
    assert getattr(objective, name) == value
    assert objective(np.zeros(X.shape[1])) == loss(X, np.abs(y), **first)(np.zeros(X.shape[1]))


def test_subclass_of_a_csr_matrix():
    class Own(scipy.sparse.csr_array):
        def tocsr(self, copy=False):
            raise AssertionError

        def copy(self):
            raise AssertionError

    X, y = problem("csr")
    assert outcomes(objectives.LeastSquares(Own(X), y)) == outcomes(objectives.LeastSquares(X, y))


class Lied(np.ndarray):
    shape = property(lambda self: (5,))
    dtype = property(lambda self: np.dtype(np.float64))


def test_state_dict_with_an_array_that_lies():
    opt = fastopt.Adam(np.ones(5))
    opt.step(np.ones(5))
    state = opt.state_dict()
    state["state"]["v"][0] = np.zeros(3).view(Lied)
    with refused(opt, ValueError, r"^`state_dict\['state'\]\['v'\]`\[0\] must be a float64 array of shape \(5,\)"):
        opt.load_state_dict(state)


@pytest.mark.parametrize(
    ("cls", "given", "more"),
    [(fastopt.Adam, {}, {"amsgrad": True}), (fastopt.RMSprop, {"centered": True}, {"centered": False})],
)
def test_options_that_need_other_state_than_there_is(cls, given, more):
    opt = cls(np.ones(5), **given)
    with refused(opt, ValueError, "the hyper-parameters must go with the state arrays, got others for `"):
        opt._set_values({**opt._values, **more})
    opt.step(np.ones(5))


# --- while C works -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sgd", "adam", "saga", "vw"])
@pytest.mark.parametrize("layout", ["dense", "csr"])
def test_signal_handler_that_resizes_in_the_middle_of_an_epoch(layout, method):
    X, y = problem(layout, 4000, 1000)
    memory = X if layout == "dense" else X.data
    objective, refusals = objectives.LeastSquares(X, y), []

    def handler(*_):
        try:
            given_away(memory)
        except ValueError as error:
            refusals.append(str(error))
            raise InterruptedError from None
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.15)
    try:
        # Between two segments the array is resized, and the next one refuses it.
        with pytest.raises((InterruptedError, ValueError)):
            options = {"epochs": 10**6, "learning_rate": 1e-6}
            minimize(objective, np.zeros(1000), method=method, batch_size=1, options=options)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all("does not own its data" in each for each in refusals)
    assert memory.flags.owndata


def test_threads_that_resize_what_a_step_uses():
    """They are refused while it runs; after it the arrays are theirs again."""
    done = threading.Event()
    grad, opt = np.ones(2_000_000), fastopt.Adam(np.ones(2_000_000))

    def resize():
        while not done.is_set():
            try:
                grad.resize(2_000_001, refcheck=False)
                grad.resize(2_000_000, refcheck=False)
            except ValueError:
                pass

    thread = threading.Thread(target=resize)
    thread.start()
    try:
        for _ in range(100):
            try:
                opt.step(grad)
            except ValueError as error:
                assert str(error).startswith("`grad` must ")
    finally:
        done.set()
        thread.join()
    assert grad.flags.owndata and opt.params.flags.owndata
    grad.resize(2_000_000, refcheck=False)
    before = opt.step_count
    opt.step(grad)
    assert opt.step_count == before + 1


def test_arrays_that_two_steps_use_at_once():
    grad = np.ones(1_000_000)
    optimizers = [fastopt.SGD(np.ones(1_000_000)) for _ in range(4)]

    def steps(opt):
        for _ in range(50):
            opt.step(grad)

    threads = [threading.Thread(target=steps, args=(opt,)) for opt in optimizers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert grad.flags.owndata and len({bits(opt)[0] if isinstance(bits(opt), tuple) else 0 for opt in optimizers}) == 1


# --- data of minimize --------------------------------------------------------------------------------------------


def with_columns_outside(X):
    X.indices[:] = 10**9


def without_row_pointers(X):
    given_away(X.indptr)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32, np.complex128])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_columns_outside, r"^`data` must have column indices in \[0, 5\), got 1000000000 to 1000000000; "),
        (lambda X: given_away(X.indices), r"^`data\.indices` must stay where it was when the run was made"),
        (lambda X: given_away(X.data), r"^`data\.data` must stay where it was when the run was made"),
    ],
    ids=["columns", "indices", "data"],
)
def test_csr_data_that_the_objective_changes(kind, change, message):
    X, _ = problem("csr", LARGE, 5)
    X.data = X.data.astype(kind)
    calls = []

    def fun(x, X_batch):
        calls.append(X_batch)
        if len(calls) == 2:
            change(X)
        return float(x @ x), 2 * x

    with pytest.raises(ValueError, match=message):
        minimize(fun, np.ones(5), jac=True, data=X, batch_size=100, options={"maxiter": 5})
    assert len(calls) == 2


def test_row_pointers_that_the_objective_changes():
    """Of these there is a copy."""
    X, _ = problem("csr", LARGE, 5)
    seen = []

    def fun(x, X_batch):
        seen.append(X_batch.toarray())
        without_row_pointers(X)
        return float(x @ x), 2 * x

    expected, _ = problem("csr", LARGE, 5)
    minimize(fun, np.ones(5), jac=True, data=X, batch_size=100, options={"maxiter": 3}, rng=0)
    order, first = np.random.default_rng(0).permutation(LARGE), evaluations_of_all(LARGE, 100)
    for k in range(3):
        assert np.array_equal(seen[first + k], expected[order[100 * k : 100 * (k + 1)]].toarray())


class OtherOrders(np.random.Generator):
    """A generator whose permutations are none."""

    order = None

    def permutation(self, n):
        return self.order(n)


@pytest.mark.parametrize(
    "order",
    [lambda n: np.arange(n) + 1, lambda n: -np.arange(n) - 1, lambda n: np.arange(n // 2), lambda n: np.zeros(n),
     lambda n: None, lambda n: np.full(n, 2**62)],
    ids=["beyond", "negative", "short", "float", "none", "huge"],
)  # fmt: skip
@pytest.mark.parametrize("source", ["objective", "data", "n_samples"])
def test_generator_whose_permutations_are_none(source, order):
    X, y = problem("csr", LARGE, 5)
    rng = OtherOrders(np.random.PCG64(0))
    rng.order = order
    arguments = {"objective": {}, "data": {"data": X}, "n_samples": {"n_samples": LARGE}}[source]
    fun = objectives.LeastSquares(X, y) if source == "objective" else lambda x, batch: (0.0, 0 * x)
    with pytest.raises(ValueError, match=r"^`rng` must give permutations of 200000 samples, got .*; pass a seed\.$"):
        minimize(fun, np.zeros(5), jac=True, rng=rng, batch_size=10, **arguments)


# --- objects without __init__ ------------------------------------------------------------------------------------


def classes():
    from fastopt._finite_sum import epochs
    from fastopt._minimize.csr_batches import CsrSamples

    needed = [CsrSamples, epochs.MinibatchSegments, epochs.SagaSvrgSegments, epochs.VWSegments, epochs.InterruptPoll]
    return [*OPTIMIZERS.values(), objectives.LeastSquares, objectives.Softmax, objectives.Huber, *needed]


@pytest.mark.parametrize("cls", classes())
def test_objects_that_were_not_initialised(cls):
    """Those that need arguments cannot be made; the others say so in each method and attribute."""
    try:
        made = cls.__new__(cls)
    except TypeError:
        return
    calls = {"step": (np.ones(3),), "__call__": (np.ones(3),), "gradient": (np.ones(3),), "_flush": (),
             "_set_rate": (0.1,), "value_and_gradient": (np.ones(3),), "state_dict": (), "__reduce__": (),
             "_initialise": (), "_evaluate": (np.ones(3), None, True, 1), "_largest_norm": (1,),
             "decision_function": (np.ones(3),), "load_state_dict": ({},), "_claim": ("x",)}  # fmt: skip
    for name, arguments in calls.items():
        if hasattr(cls, name):
            with pytest.raises((RuntimeError, AttributeError, TypeError, ValueError)):
                claim = getattr(made, name)(*arguments)
                with claim:
                    pass
    for name in ("state", "params", "_carry", "_last_steps", "_slot_arrays", "X", "dtype", "max_smoothness"):
        if hasattr(cls, name):
            with pytest.raises((RuntimeError, AttributeError)):
                getattr(made, name)
    for name in ("step", "state_dict", "gradient"):
        if hasattr(cls, name):
            message = rf"^{cls.__name__} must be initialised before it is used, got one without; call {cls.__name__}"
            with pytest.raises((RuntimeError, AttributeError), match=f"{message}|has no attribute"):
                getattr(made, name)(*calls[name])
