"""Several threads at one optimizer: whole snapshots or refusals; and the interpreter lock during large work."""

import copy
import os
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import DTYPES, OPTIMIZERS
from helpers import FREE_THREADED, bits, exactly, refused

import fastopt
from fastopt import objectives
from fastopt._checkpoint import load, save

LARGE = 2_000_000  # a pass takes longer than it takes another thread to wake up


def refusal(call):
    return exactly(
        f"{call} must not be called while another step, save or load of this optimizer is under way; "
        "use one optimizer per thread, or a lock."
    )


class Paused:
    """A schedule that stops in the middle of a call until it is told to go on."""

    def __init__(self):
        self.entered, self.leave = threading.Event(), threading.Event()
        self.pausing = False

    def pause(self):
        if self.pausing:
            self.entered.set()
            assert self.leave.wait(30)

    def __call__(self, t):
        self.pause()
        return 0.1

    def state_dict(self):
        self.pause()
        return {}

    def load_state_dict(self, state):
        self.pause()

    def during(self, call, *args):
        """A context in which another thread is in the middle of a call."""
        return During(self, call, args)


class During:
    def __init__(self, schedule, call, args):
        self.schedule, self.call, self.args = schedule, call, args

    def __enter__(self):
        self.schedule.pausing = True
        self.pool = ThreadPoolExecutor(1)
        self.future = self.pool.submit(self.call, *self.args)
        assert self.schedule.entered.wait(30)
        self.schedule.pausing = False

    def __exit__(self, *error):
        self.schedule.leave.set()
        self.future.result()
        self.pool.shutdown()


def looks(opt, path):
    """Each look at the whole of an optimizer, and what its refusal calls it."""
    saved = fastopt.Adam(np.zeros(3), Paused()).state_dict()
    return [
        (opt.state_dict, "state_dict()"),
        (lambda: save(path, opt), "save()"),
        (lambda: opt.load_state_dict(saved), "load_state_dict()"),
        (lambda: pickle.dumps(opt), "__reduce__()"),
        (lambda: copy.copy(opt), "__reduce__()"),
        (lambda: copy.deepcopy(opt), "__reduce__()"),
        (lambda: opt.step(np.ones(3)), "step()"),
    ]


def test_whole_is_not_looked_at_during_a_step(path):
    schedule = Paused()
    opt, twin = fastopt.Adam(np.ones(3), schedule), fastopt.Adam(np.ones(3), 0.1)
    with schedule.during(opt.step, np.ones(3)):
        for look, name in looks(opt, path):
            with refused(opt, RuntimeError, refusal(name)):
                look()
    assert not os.path.exists(path)
    for each in (opt, twin):
        each.step(np.ones(3))
    twin.step(np.ones(3))
    assert bits(opt) == bits(twin)


def test_file_is_not_loaded_during_a_step(path):
    schedule = Paused()
    save(path, fastopt.Adam(np.zeros(3), Paused()))
    opt = fastopt.Adam(np.ones(3), schedule)
    with schedule.during(opt.step, np.ones(3)), refused(opt, RuntimeError, refusal("load()")):
        load(path, opt)


@pytest.mark.parametrize("way", ["state_dict", "save", "load_state_dict", "load"])
def test_step_during_a_look_at_the_whole(way, path):
    """The other way round: what is looked at stays as it is until the look is over."""
    schedule = Paused()
    opt = fastopt.Adam(np.ones(3), schedule)
    opt.step(np.ones(3))
    calls = {
        "state_dict": (opt.state_dict,),
        "save": (save, path, opt),
        "load_state_dict": (opt.load_state_dict, opt.state_dict()),
        "load": (load, path, opt),
    }
    save(path, opt)
    with schedule.during(*calls[way]), refused(opt, RuntimeError, refusal("step()")):
        opt.step(np.ones(3))
    opt.step(np.ones(3))
    assert opt.step_count == 2


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_snapshots_are_whole_while_another_thread_steps(cls, path, no_sync):
    """Entries that get the same gradients are the same at every step boundary, and at no other time."""
    opt = cls(np.ones(LARGE // 10, np.float32), sparse="exact")
    over = threading.Event()

    def steps():
        grad, done = np.full(LARGE // 10, 0.5, np.float32), 0
        while not over.is_set():
            try:
                opt.step(grad)
                done += 1
            except RuntimeError as error:
                assert "is under way" in str(error)
        return done

    def snapshots():
        for turn in range(60):
            try:
                if turn % 3 == 0:
                    save(path, opt)
                    fresh = cls(np.zeros(LARGE // 10, np.float32), sparse="exact")
                    load(path, fresh)
                    yield [fresh.params, *fresh.state.values()]
                else:
                    yield [array for arrays in opt.state_dict()["state"].values() for array in arrays]
            except RuntimeError as error:
                assert "is under way" in str(error)

    with ThreadPoolExecutor(1) as pool:
        stepping = pool.submit(steps)
        try:
            for arrays in snapshots():
                assert all((array == array[0]).all() for array in arrays if array.shape == (LARGE // 10,))
        finally:
            over.set()
        n_steps = stepping.result()  # waits for the last step
        assert opt.step_count == n_steps


def test_loading_in_one_thread_while_another_steps():
    """Whatever the order, what a thread sees is one of the two runs, whole."""
    opt = fastopt.Adam(np.ones(LARGE // 10))
    saved = opt.state_dict()
    over = threading.Event()

    def loads():
        while not over.is_set():
            try:
                opt.load_state_dict(saved)
            except RuntimeError as error:
                assert "is under way" in str(error)

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(loads)
        for _ in range(200):
            try:
                opt.step(np.full(LARGE // 10, 0.5))
            except RuntimeError as error:
                assert "is under way" in str(error)
        over.set()
        loading.result()
    for array in (opt.params, *opt.state.values()):
        assert (array == array[0]).all()


# --- the interpreter lock ----------------------------------------------------------------------------------


@pytest.fixture
def turns():
    """A function: how many turns another thread has had, which gets none unless this one gives the lock away."""
    count, over = [0], threading.Event()

    def take_turns():
        while not over.is_set():
            count[0] += 1
            time.sleep(0)

    before = sys.getswitchinterval()
    thread = threading.Thread(target=take_turns)
    thread.start()
    sys.setswitchinterval(1e6)  # the lock is never taken from a thread that has it
    try:
        yield lambda: count[0]
    finally:
        over.set()
        sys.setswitchinterval(before)
        thread.join()


def row_gradient(dtype):
    index = np.random.default_rng(0).integers(0, LARGE, LARGE // 2)
    return fastopt.RowSparse(index, np.ones(LARGE // 2, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", ["dense", "clipped", "strided", "sparse"])
def test_another_thread_makes_progress_during_a_step(form, dtype, turns):
    opt = fastopt.Adam(np.ones(LARGE, dtype), clip_norm=1.0 if form == "clipped" else None, num_threads=1)
    grad = {
        "dense": lambda: np.ones(LARGE, dtype),
        "clipped": lambda: np.ones(LARGE, dtype),
        "strided": lambda: np.ones(2 * LARGE, dtype)[::2],
        "sparse": lambda: row_gradient(dtype),
    }[form]()
    assert progress(turns, lambda: opt.step(grad))


def progress(turns, work):
    """Whether another thread has a turn during the work; it may take the system some time to wake it."""
    for _ in range(200):
        before = turns()
        work()
        if turns() > before:
            return True
    return False


@pytest.mark.skipif(FREE_THREADED, reason="no interpreter lock to give away")
def test_no_progress_without_giving_the_lock_away(turns):
    """That the tests here can fail."""
    assert not progress(turns, lambda: sum(range(1000)))


def test_another_thread_makes_progress_during_an_objective(turns):
    objective = objectives.LeastSquares(np.ones((20_000, 50)), np.ones(20_000))
    x = np.zeros(50)
    assert progress(turns, lambda: objective.value_and_gradient(x))


def test_another_thread_makes_progress_during_an_epoch(turns):
    objective = objectives.LeastSquares(np.ones((20_000, 50)), np.ones(20_000))
    options = {"epochs": 1, "learning_rate": 1e-6}
    assert progress(turns, lambda: fastopt.minimize(objective, np.zeros(50), options=options, rng=0))


@pytest.mark.parametrize("method", sorted(OPTIMIZERS))
def test_runs_in_parallel(method):
    """minimize in several threads at once, each over its own objective, has the bits of one after the other."""
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((400, 30)), rng.standard_normal(400)
    objective = objectives.LeastSquares(X, y, l2=0.01)

    def run(seed):
        options = {"epochs": 3, "learning_rate": 0.01}
        return fastopt.minimize(objective, np.zeros(30), method=method, batch_size=7, rng=seed, options=options).x

    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(run, range(4)))
    assert [x.tobytes() for x in at_once] == [run(seed).tobytes() for seed in range(4)]
