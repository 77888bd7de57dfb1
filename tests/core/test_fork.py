"""Child processes of a process that has run everything on several threads: no hang, and the same bits."""

import multiprocessing

import pytest
from helpers import run_interpreter, run_python

CHILD = """
import multiprocessing, os, sys, warnings
import numpy as np
import fastopt

N = 300_000
rng = np.random.default_rng(0)
X, y = rng.standard_normal((N // 50, 50)), rng.standard_normal(N // 50)


def work(seed):
    '''Each way into the threads: a dense step, a sparse one, an objective, an epoch; all as bytes.'''
    opt = fastopt.Adam(np.ones(N), num_threads=2, clip_norm=1.0)
    opt.step(np.linspace(-1, seed, N))
    opt.step(fastopt.RowSparse(np.arange(N)[::-1].repeat(2), np.ones(2 * N)))
    objective = fastopt.objectives.Logistic(X, (y > 0).astype(float), l2=0.1)
    options = {"epochs": 2, "num_threads": 2}
    res = fastopt.minimize(objective, np.zeros(50), batch_size=1000, rng=seed, options=options)
    value, gradient = objective.value_and_gradient(res.x)
    return opt.params.tobytes(), res.x.tobytes(), value, gradient.tobytes()


def nested(seed):
    '''A child that has run it all starts children of its own.'''
    own = work(seed)
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        return own, pool.apply_async(work, (seed,)).get(20)


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # fork of a process with threads, which is what is tested
    fastopt.set_num_threads(2)
    context = multiprocessing.get_context(sys.argv[1])
    before = [work(seed) for seed in range(3)]
    with context.Pool(2) as pool:
        print(pool.map_async(work, range(3)).get(20) == before)
    process = context.Process(target=nested, args=(0,))
    process.start()
    process.join(20)
    print(process.exitcode, [work(seed) for seed in range(3)] == before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_pools_and_grandchildren(method, tmp_path):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    printed = run_interpreter(str(script), method, timeout=100)  # more than the waits in it, less than a test may take
    assert printed.splitlines() == ["True", "0 True"]


def test_fork_in_the_middle_of_a_step():
    """The child has a copy that is half way; steps of it are refused, those of another one are not."""
    code = """
        import os, threading, warnings
        import numpy as np, fastopt
        warnings.simplefilter("ignore", DeprecationWarning)
        entered, leave = threading.Event(), threading.Event()

        def rate(t):
            entered.set()
            leave.wait(30)
            return 0.1

        opt = fastopt.SGD(np.ones(3), rate)
        thread = threading.Thread(target=opt.step, args=(np.ones(3),))
        thread.start()
        entered.wait(30)
        pid = os.fork()
        if pid == 0:
            try:
                opt.step(np.ones(3))
            except RuntimeError:
                other = fastopt.SGD(np.ones(300_000), 0.5, num_threads=2)
                other.step(np.ones(300_000))
                os._exit(0 if (other.params == 0.5).all() else 1)
            os._exit(2)
        leave.set()
        thread.join()
        print(os.waitpid(pid, 0)[1], opt.step_count)
    """
    assert run_python(code) == "0 1"


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_fork_while_other_threads_compute():
    """Many forks at any moment of steps and epochs in other threads; each child computes and ends."""
    code = """
        import os, threading, time, warnings
        import numpy as np, fastopt
        warnings.simplefilter("ignore", DeprecationWarning)
        over = threading.Event()

        def steps():
            opt = fastopt.Adam(np.ones(300_000, np.float32), num_threads=2)
            while not over.is_set():
                opt.step(np.ones(300_000, np.float32))

        threads = [threading.Thread(target=steps) for _ in range(2)]
        for thread in threads:
            thread.start()
        codes = []
        for _ in range(10):
            time.sleep(0.005)
            pid = os.fork()
            if pid == 0:
                opt = fastopt.SGD(np.ones(300_000), 0.5, num_threads=2)
                opt.step(np.ones(300_000))
                os._exit(0 if (opt.params == 0.5).all() else 1)
            codes.append(os.waitpid(pid, 0)[1])
        over.set()
        for thread in threads:
            thread.join()
        print(codes == [0] * 10)
    """
    assert run_python(code) == "True"
