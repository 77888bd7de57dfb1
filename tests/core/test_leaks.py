"""Many steps of each path leave neither references nor memory behind, that of C included."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import tqdm
from scipy import sparse

import fastopt

pytestmark = pytest.mark.slow

STEPS = 100_000
FEW = 1_000  # of what writes files or starts runs
PAGE = 4096
STATM = Path("/proc/self/statm")


@pytest.fixture(autouse=True, scope="module")
def no_other_thread_allocates():
    """The thread that a progress bar of an earlier test left waking every 10 s would be counted: 9 blocks or so."""
    if tqdm.tqdm.monitor is not None:
        tqdm.tqdm.monitor.exit()
        tqdm.tqdm.monitor = None


def resident():
    """Bytes of this process in memory."""
    return int(STATM.read_text().split()[1]) * PAGE


def clean_up():
    """Collect garbage, and empty the interpreter's cache of attributes, which keeps names that NumPy makes anew."""
    gc.collect()
    (sys._clear_internal_caches if hasattr(sys, "_clear_internal_caches") else sys._clear_type_cache)()


def dense(opt, param, path):
    grad = np.ones_like(param)
    return lambda: opt.step(grad), (grad,)


def strided(opt, param, path):
    grad = np.ones(2 * param.size)[::2]
    return lambda: opt.step(grad), (grad,)


def csr(opt, param, path):
    grad = sparse.csr_array(([1.0, 2.0], ([0, 0], [3, 7])), shape=(1, param.size))
    return lambda: opt.step(grad), (grad, grad.data, grad.indices, grad.indptr)


def rows(opt, param, path):
    grad = fastopt.RowSparse([7, 2, 7], np.ones(3))
    return lambda: opt.step(grad), (grad, grad.indices, grad.rows)


def refused(opt, param, path):
    grad = np.ones(param.size + 1)

    def call():
        try:
            opt.step(grad)
        except ValueError:
            return
        raise AssertionError("a gradient of the wrong shape was taken")

    return call, (grad,)


def state(opt, param, path):
    saved = opt.state_dict()

    def call():
        opt.load_state_dict(saved)
        opt.state_dict()

    return call, (saved, *saved["state"]["m"])


def checkpoint(opt, param, path):
    def call():
        fastopt.save(path, opt)
        fastopt.load(path, opt)

    return call, ()


def construction(opt, param, path):
    return lambda: fastopt.Adam(param, clip_norm=1.0).step(param.copy()), ()


def objective_of(param, data):
    X = np.eye(4, param.size) if data is np.ndarray else data(np.eye(4, param.size))
    return fastopt.objectives.LeastSquares(X, np.ones(4), l2=0.1, l1=0.01)


@pytest.fixture(params=[np.ndarray, sparse.csr_array], ids=["dense", "csr"])
def objective(request):
    return objective_of(np.ones(20), request.param)


def check(call, kept, times, repeats_first=200):
    """Run `call` many times: references to `kept` stay, and neither Python nor C keeps memory."""
    for _ in range(repeats_first):
        call()
    clean_up()
    references = [sys.getrefcount(each) for each in kept]
    blocks = sys.getallocatedblocks()
    memory = resident() if STATM.exists() else 0
    for _ in range(times):
        call()
    clean_up()
    assert [sys.getrefcount(each) for each in kept] == references
    assert sys.getallocatedblocks() - blocks < min(times // 10, 500)
    if STATM.exists():
        assert resident() - memory < max(8 * times, 512 * 1024)  # less than the smallest allocation for each call


@pytest.mark.parametrize(
    ("path_of", "times"),
    [(dense, STEPS), (strided, STEPS), (csr, STEPS), (rows, STEPS), (refused, STEPS // 5), (state, STEPS // 10),
     (construction, STEPS // 10), (checkpoint, FEW // 2)],
)  # fmt: skip
def test_of_an_optimizer(path_of, times, path, no_sync):
    param = np.ones(20)
    opt = fastopt.Adam(param, learning_rate=0.01, clip_norm=1.0)
    call, kept = path_of(opt, param, path)
    call()
    check(call, (param, opt, *kept), times)


def test_of_values_and_gradients(objective):
    x, batch = np.ones(20), np.array([0, 2])
    check(lambda: objective.value_and_gradient(x, batch), (objective, objective.X, x, batch), STEPS // 5)


@pytest.mark.parametrize("method", ["sgd", "adam", "saga", "svrg", "vw"])
def test_of_epochs_in_c(objective, method):
    """Most of the calls is Python: few runs, of many epochs of four steps each."""
    x = np.ones(20)
    options = {"epochs": 25, "learning_rate": 0.01}
    run = lambda: fastopt.minimize(objective, x, method=method, batch_size=1, rng=0, options=options)  # noqa: E731
    check(run, (objective, objective.X, x), FEW // 10, repeats_first=500)


def test_of_the_loop_of_minimize():
    """One long run: what it keeps is kept per epoch, not per iteration."""
    grad, seen = np.full(20, 1e-9), []

    def fun(x):
        if (len(seen) == 0 and fun.calls == 1_000) or fun.calls == STEPS - 1:
            clean_up()
            seen.append((sys.getrefcount(grad), sys.getallocatedblocks(), resident() if STATM.exists() else 0))
        fun.calls += 1
        return 1.0, grad

    fun.calls = 0
    res = fastopt.minimize(fun, np.ones(20), jac=True, options={"maxiter": STEPS, "epoch_length": STEPS})
    assert res.nit == STEPS
    first, last = seen
    assert first[0] == last[0]
    assert last[1] - first[1] < 500
    assert last[2] - first[2] < 8 * STEPS
