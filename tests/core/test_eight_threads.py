"""Eight threads at once, on what programs share: same bits as alone, whole or refused, and never a crash.

They run at the same time where CPython has no interpreter lock, and take turns elsewhere.
"""

import copy
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
from cases import OPTIMIZERS
from helpers import bits, run_python

import fastopt
from fastopt import objectives

N_THREADS = 8
ROWS, WIDTH = 300, 4
OF_EACH_KIND = ["sgd", "adam", "ftrl", "prodigy", "muon", "adafactor", "rowwiseadagrad", "momo", "schedulefreeadamw"]


def at_once(work, n=N_THREADS):
    """What `work(k)` returns in thread k; all begin at the same time."""
    start = threading.Barrier(n)

    def begin(k):
        start.wait()
        return work(k)

    with ThreadPoolExecutor(n) as pool:
        return [future.result() for future in [pool.submit(begin, k) for k in range(n)]]


def gradients():
    """Of a matrix, in each form."""
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((ROWS, WIDTH))
    index = rng.integers(0, ROWS, 40)
    return [
        dense,
        rng.standard_normal((ROWS, 2 * WIDTH))[:, ::2],
        fastopt.RowSparse(index, rng.standard_normal((40, WIDTH))),
        fastopt.RowSparse(np.arange(0, ROWS, 7), rng.standard_normal((-(-ROWS // 7), WIDTH)), unique=True),
        scipy.sparse.csr_array(np.where(dense > 1, dense, 0)),
        scipy.sparse.coo_array(np.where(dense < -1, dense, 0)),
    ]


def takes(cls, **settings):
    """Whether an optimizer can be made like this."""
    try:
        cls(np.ones((ROWS, WIDTH)), **settings)
    except ValueError:
        return False
    return True


# --- one optimizer a thread ------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", ["lazy", "exact", "deferred"])
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_own_optimizers_over_shared_gradients(name, sparse):
    cls, shared = OPTIMIZERS[name], gradients()
    if not takes(cls, sparse=sparse):
        pytest.skip(f"no sparse={sparse!r}")

    def run(k):
        opt = cls(np.ones((ROWS, WIDTH)), sparse=sparse, clip_norm=10.0)
        order = random.Random(k).sample(shared, len(shared))
        for grad in 3 * order:
            opt.step(grad)
        return bits(opt), opt.last_grad_norm

    assert at_once(run) == [run(k) for k in range(N_THREADS)]


def test_shared_gradients_own_their_memory_again():
    """Steps of several threads pin them; afterwards they can be resized as before."""
    grad = np.full(1000, 0.5)

    def run(k):
        opt = fastopt.Adam(np.ones(1000))
        for _ in range(200):
            opt.step(grad)
        return bits(opt)

    assert len({repr(each) for each in at_once(run)}) == 1
    assert grad.flags.owndata
    grad.resize(10)


def test_one_objective_evaluated_by_all():
    rng = np.random.default_rng(1)
    X, y = scipy.sparse.random_array((500, 60), density=0.1, format="csr", rng=rng), rng.standard_normal(500)
    objective = objectives.Huber(X, y, l2=0.1)

    def run(k):
        x = np.random.default_rng(k).standard_normal(60)
        found = [objective.value_and_gradient(x, rng.permutation(500)) for rng in map(np.random.default_rng, range(9))]
        return [(value, gradient.tobytes()) for value, gradient in found], repr(objective), objective.max_smoothness

    assert at_once(run) == [run(k) for k in range(N_THREADS)]


@pytest.mark.parametrize("method", ["adam", "sgd", "saga", "svrg", "vw", None])
@pytest.mark.parametrize("form", ["dense", "csr"])
def test_runs_over_one_objective(form, method):
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((200, 20)), rng.standard_normal(200)
    objective = objectives.LeastSquares(X if form == "dense" else scipy.sparse.csr_array(X), y, l2=0.01)
    x0 = np.zeros(20)

    def run(seed):
        result = fastopt.minimize(objective, x0, method=method, rng=seed, options={"epochs": 2})
        return result.x.tobytes(), result.fun, result.nit

    assert at_once(run) == [run(seed) for seed in range(N_THREADS)]


def test_runs_over_one_function_and_its_data():
    rng = np.random.default_rng(3)
    data = (scipy.sparse.csr_array(rng.standard_normal((100, 10))), rng.standard_normal(100))

    def squares(x, X, y):
        residual = X @ x - y
        return residual @ residual / len(y), 2 * X.T @ residual / len(y)

    def run(seed):
        options = {"epochs": 3, "learning_rate": 0.1}
        return fastopt.minimize(
            squares, np.zeros(10), jac=True, data=data, batch_size=10, rng=seed, options=options
        ).x.tobytes()

    assert at_once(run) == [run(seed) for seed in range(N_THREADS)]


# --- one optimizer, all threads --------------------------------------------------------------------------


def whole_arrays(saved):
    return [array for arrays in saved["state"].values() for array in arrays]


def looks(opt, path):
    """What a program may do with an optimizer while another thread steps it."""
    saved = opt.state_dict()
    fresh = type(opt)(np.ones_like(opt.params), sparse=opt.sparse)

    def load_file():
        fastopt.save(path, opt)
        fastopt.load(path, fresh)

    return [
        lambda: whole_arrays(opt.state_dict()),
        lambda: whole_arrays(copy.deepcopy(opt).state_dict()),
        lambda: whole_arrays(pickle.loads(pickle.dumps(opt)).state_dict()),
        lambda: opt.solution(),
        lambda: opt.gather([0, 5, 5]),
        lambda: opt.catch_up([1, 2]),
        lambda: opt.gradient_stats(np.ones((ROWS, WIDTH))).norm,
        lambda: opt.load_state_dict(saved),
        lambda: setattr(opt, "learning_rate", 0.01),
        lambda: setattr(opt, "clip_value", 3.0),
        lambda: (opt.learning_rate, opt.step_count, opt.skipped_steps, opt.last_grad_norm, getattr(opt, "d", None)),
        lambda: (repr(opt), opt.params.shape, {name: array.shape for name, array in opt.state.items()}),
        lambda: (opt.address, opt.capsule),
        load_file,
    ]


@pytest.mark.parametrize("sparse", ["lazy", "exact", "deferred"])
@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_one_optimizer_is_stepped_looked_at_and_loaded_by_all(name, sparse, path, no_sync):
    """Each call is done as a whole or refused with the documented error."""
    cls, value = OPTIMIZERS[name], 0.5
    if not takes(cls, sparse=sparse):
        pytest.skip(f"no sparse={sparse!r}")
    opt = cls(np.ones((ROWS, WIDTH)), sparse=sparse)
    grads = [np.full((ROWS, WIDTH), value), fastopt.RowSparse(np.arange(ROWS), np.full((ROWS, WIDTH), value))]
    opt.step(grads[0])
    calls = looks(opt, path)

    def work(k):
        done, chance = 0, random.Random(k)
        for turn in range(60):
            try:
                if turn % 2 == k % 2:
                    opt.step(grads[chance.randrange(2)])
                    done += 1
                else:
                    chance.choice(calls)()
            except RuntimeError as error:
                assert "while another step, save or load of this optimizer is under way" in str(error)
        return done

    assert sum(at_once(work)) > 0
    opt.step(grads[0])
    for array in (opt.params, *opt.state.values()):
        if array.shape == (ROWS, WIDTH):
            assert np.isfinite(array).all()
            assert name == "muon" or (array == array[0, 0]).all()  # the same steps for every entry


def test_steps_are_counted():
    opt, twin, grad = fastopt.Adam(np.ones(50)), fastopt.Adam(np.ones(50)), np.full(50, 0.5)

    def work(k):
        done = 0
        for _ in range(300):
            try:
                opt.step(grad)
                done += 1
            except RuntimeError as error:
                assert "is under way" in str(error)
            assert opt.step_count >= done
        return done

    done = sum(at_once(work))
    for _ in range(done):
        twin.step(grad)
    assert opt.step_count == done and bits(opt) == bits(twin)


def test_numbers_set_by_several_threads_are_all_set():
    """None is lost, though each is a new set of all of them."""
    names = ["learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay", "clip_value", "clip_norm"]
    opt = fastopt.Adam(np.ones(10))

    def work(k):
        if k == len(names):
            return
        for turn in range(1, 101):
            while True:
                try:
                    setattr(opt, names[k], turn / 1000)
                    break
                except RuntimeError as error:
                    assert "is under way" in str(error)
            assert getattr(opt, names[k]) == turn / 1000

    at_once(work)
    assert {name: getattr(opt, name) for name in names} == dict.fromkeys(names, 0.1)


def test_made_by_several_threads_at_once():
    """One of them binds, the others are refused; so are those that come before all is there."""
    for _ in range(30):
        opt = fastopt.Adam.__new__(fastopt.Adam)
        objective = objectives.Logistic.__new__(objectives.Logistic)

        def work(k, opt=opt, objective=objective):
            made = 0
            makes = [lambda: opt.__init__(np.ones(20)), lambda: objective.__init__(np.ones((4, 2)), np.ones(4))]
            uses = [lambda: repr(opt), lambda: objective(np.zeros(2)), lambda: objective.total_weight]
            for call in makes + uses:
                try:
                    call()
                    made += call in makes
                except RuntimeError as error:
                    refusal = "__init__() must be called once only" if call in makes else "must be initialised"
                    assert refusal in str(error)
            return made

        assert sum(at_once(work)) == 2
        opt.step(np.ones(20))
        assert objective(np.zeros(2)) == pytest.approx(np.log(2))


# --- the module ------------------------------------------------------------------------------------------


def test_number_of_threads_is_set_while_all_step():
    def run(k):
        opt = fastopt.Adam(np.ones(200_000, np.float32), clip_norm=1.0)
        for turn in range(6):
            fastopt.set_num_threads(1 + (k + turn) % 3)
            with fastopt.threads(1 + turn % 2):
                opt.step(np.full(200_000, 0.25, np.float32))
        return bits(opt)

    try:
        found = at_once(run)
    finally:
        fastopt.set_num_threads(None)
    assert all(each == found[0] for each in found)


def test_one_file_saved_and_loaded_by_all(path, no_sync):
    """What is loaded is one of the files that were saved, whole."""

    def work(k):
        opt, other = fastopt.Adam(np.full(500, float(k))), fastopt.Adam(np.zeros(500))
        opt.step(np.full(500, k + 1.0))
        for _ in range(8):
            fastopt.save(path, opt)
            fastopt.load(path, other)
            assert (other.params == other.params[0]).all() and other.step_count == 1
        return True

    assert all(at_once(work))


def test_names_imported_later_are_first_used_by_all():
    run_python(
        """
        import threading, fastopt
        start, found = threading.Barrier(8), [None] * 8

        def use(k):
            start.wait()
            names = fastopt.__all__[k:] + fastopt.__all__[:k]
            found[k] = {name: getattr(fastopt, name) for name in names if name != "plot"}

        threads = [threading.Thread(target=use, args=(k,)) for k in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert all(each == found[0] for each in found) and len(found[0]) > 30
        """
    )
