"""Child processes of a process that has run everything on several threads: no hang, and the same bits."""

import importlib.util
import multiprocessing
import platform
import sys
import textwrap

import pytest
from helpers import run_interpreter, run_python

from fastopt import _core

needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")

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


@needs_fork
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


FORKS = """
import ctypes, os, sys, threading, warnings

warnings.simplefilter("ignore", DeprecationWarning)  # fork of a process with threads, which is what is tested
N = 300_000


def work():
    '''A step, an objective and epochs on two threads; all as bytes.'''
    import numpy as np, fastopt
    fastopt._core.always_share(True)
    opt = fastopt.Adam(np.ones(N), num_threads=2, clip_norm=1.0)
    opt.step(np.linspace(-1, 1, N))
    X = np.linspace(-1, 1, N).reshape(-1, 50)
    objective = fastopt.objectives.Logistic(X, np.arange(N // 50) % 2.0, l2=0.1)
    options = {"epochs": 2, "num_threads": 2}
    res = fastopt.minimize(objective, np.zeros(50), batch_size=1000, rng=0, options=options)
    return opt.params.tobytes() + res.x.tobytes() + objective.value_and_gradient(res.x)[1].tobytes()


def child(function, fork=os.fork):
    '''What the function returns in a forked child; an error there is an error here.'''
    ours, theirs = os.pipe()
    pid = fork()
    if pid == 0:
        os.close(ours)
        try:
            with open(theirs, "wb") as pipe:
                pipe.write(function())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        returned = pipe.read()
    assert os.waitpid(pid, 0)[1] == 0
    return returned


def in_thread(function):
    returned = []
    thread = threading.Thread(target=lambda: returned.append(function()))
    thread.start()
    thread.join()
    return returned[0]


def n_tasks():
    return len(os.listdir("/proc/self/task"))


"""


def run_forks(code, *arguments, **environment):
    """Run code that forks; a child that waits for threads which it does not have is found soon."""
    return run_python(FORKS + textwrap.dedent(code), *arguments, timeout=30, **environment)


AFTER_A_REGION = {
    "child": "child(work)",
    "child of a child": "child(lambda: child(work))",
    "child of a child that computed": "child(lambda: (work(), child(work))[1])",
    "child of a thread": "in_thread(lambda: child(work))",
    "thread of a child": "child(lambda: in_thread(work))",
    "child of the region's thread": "in_thread(lambda: (region(), child(work))[1])",
}


@needs_fork
@pytest.mark.parametrize("first", ["", "work()", "import fastopt"], ids=["not imported", "used", "imported"])
@pytest.mark.parametrize("how", AFTER_A_REGION.values(), ids=AFTER_A_REGION.keys())
def test_fork_after_a_region_of_another_library(how, first, openmp_library):
    """OpenMP's threads are gone in the child, which nobody can tell who first sees it there."""
    code = f"""
        library = ctypes.CDLL(sys.argv[1])
        region = lambda: library.region(2)
        {first}
        assert region() == 2
        found = {how}
        print(found == work())
    """
    assert run_forks(code, openmp_library) == "True"


@needs_fork
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_fork_after_an_operation_of_torch():
    code = """
        import torch
        torch.set_num_threads(2)
        (torch.ones(3_000_000) * 2).exp().sum()
        found = child(work)
        print(found == work())
    """
    assert run_forks(code) == "True"


@needs_fork
def test_others_may_use_openmp_in_a_child(openmp_library):
    """Work that fastopt shared in the parent does not take the child's threads from other libraries."""
    code = """
        work()
        print(child(lambda: bytes([ctypes.CDLL(sys.argv[1]).region(2)]) + work()) == bytes([2]) + work())
    """
    assert run_forks(code, openmp_library) == "True"


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not _core.has_openmp(), reason="counts the entries of /proc/self/task"
)
def test_number_of_threads_of_a_child_is_true():
    code = """
        import numpy as np, fastopt

        def count():
            '''What is said, and how many there are in a first step.'''
            said, before = fastopt.get_num_threads(), n_tasks()
            fastopt.SGD(np.ones(N)).step(np.ones(N))
            return bytes([said, 1 + n_tasks() - before])

        fastopt._core.always_share(True)
        fastopt.set_num_threads(2)
        print(*child(count), *count(), *child(count))
    """
    assert run_forks(code) == "2 2 2 2 2 2"


CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine())


@pytest.mark.skipif(not sys.platform.startswith("linux") or CLONE is None, reason="a system call of Linux")
def test_child_that_was_not_made_by_fork():
    """The handlers of fork() do not run in it, neither ours nor those of BLAS."""
    code = """
        import signal
        system = ctypes.PyDLL(None)
        clone = lambda: system.syscall(int(sys.argv[1]), int(signal.SIGCHLD), 0, 0, 0, 0)
        print(work() == child(work, clone) == child(lambda: child(work), clone))
    """
    assert run_forks(code, str(CLONE), OPENBLAS_NUM_THREADS="1") == "True"
