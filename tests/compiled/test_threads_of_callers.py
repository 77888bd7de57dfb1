"""Eight Python threads at once, each with optimizers of its own over gradients and objectives that all share."""

import threading

import numpy as np
import pytest
from helpers import bits

import fastopt
import fastopt.ctypes as interface

THREADS = 8


def in_threads(work):
    """Run work(k) in all threads, from one moment on; returns what they return."""
    start, results = threading.Barrier(THREADS), [None] * THREADS

    def run(k):
        start.wait(30)
        try:
            results[k] = work(k)
        except BaseException as error:
            results[k] = error

    threads = [threading.Thread(target=run, args=(k,)) for k in range(THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for each in results:
        if isinstance(each, BaseException):
            raise each
    return results


@pytest.mark.parametrize("n", [100, 40_000])
@pytest.mark.parametrize("sparse", ["lazy", "exact"])
def test_optimizers_that_share_gradients(n, sparse):
    rng = np.random.default_rng(0)
    dense, index = rng.standard_normal(n), rng.choice(n, 10, replace=False)
    rows = fastopt.RowSparse(index, rng.standard_normal(10))

    def work(k):
        x = np.ones(n)
        opt = fastopt.Adam(x, clip_norm=1.0, nonfinite="skip", sparse=sparse, num_threads=1 + k % 2)
        for _ in range(60):
            opt.step(dense)
            opt.step(rows)
            opt.learning_rate = 0.5 / (1 + opt.step_count)
        return x.tobytes()

    assert len(set(in_threads(work))) == 1


def test_objectives_that_are_shared():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    objective = fastopt.objectives.LeastSquares(X, X @ np.ones(5))

    def work(k):
        x = np.zeros(5)
        values = [objective.value_and_gradient(x)[0] for _ in range(20)]
        run = fastopt.minimize(objective, x, method="adagrad", batch_size=10, rng=0, options={"maxiter": 5})
        return np.float64(values[-1]).tobytes() + run.x.tobytes()

    assert len(set(in_threads(work))) == 1


@pytest.mark.parametrize("compiled", [False, True])
def test_one_optimizer_takes_one_step_at_a_time(compiled):
    n = 20_000
    x, g = np.zeros(n), np.ones(n)
    opt = fastopt.SGD(x, learning_rate=1.0)
    address, table = opt.address, np.array([g.ctypes.data], np.uintp)

    def work(k):
        done = refused = 0
        for _ in range(100):
            if compiled:
                status = interface.step_dense(address, table.ctypes.data)
                assert status in (0, 1)
            else:
                try:
                    opt.step(g)
                    status = 0
                except RuntimeError:
                    status = 1
            done, refused = done + (status == 0), refused + (status == 1)
        return done, refused

    results = in_threads(work)
    done = sum(each for each, _ in results)
    assert done + sum(each for _, each in results) == THREADS * 100
    assert opt.step_count == done
    assert (x == -done).all()


def test_handles_are_made_once():
    opt = fastopt.SGD(np.zeros(10))

    def work(k):
        while True:
            try:
                return opt.address
            except RuntimeError:  # another thread is making it
                pass

    assert len(set(in_threads(work))) == 1


def test_arrays_that_are_shared_are_pinned_until_all_are_done():
    g, before = np.ones(40_000), np.zeros(40_000)

    def work(k):
        opt = fastopt.SGD(before.copy(), learning_rate=1.0)
        for _ in range(30):
            opt.step(g)
        return bits(opt) is not None

    assert all(in_threads(work))
    assert g.flags.owndata
