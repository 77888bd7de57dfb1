"""Forked and spawned processes, and what importing and stepping leave behind in a process."""

import multiprocessing
import sys

import pytest
from helpers import run_interpreter, run_python

CHILD = """
import multiprocessing, sys, warnings
import numpy as np
import fastopt

N = 300_000


def run(steps):
    opt = fastopt.Adam(np.ones(N), num_threads=2, clip_norm=1.0)
    for _ in range(steps):
        opt.step(np.linspace(-1, 1, N))
    return opt


def child(opt, connection):
    opt.step(np.linspace(-1, 1, N))
    fresh = run(3)
    connection.send((opt.step_count, opt.params.tobytes() == fresh.params.tobytes(), opt.last_grad_norm))


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # fork of a process with threads, which is what is tested
    context = multiprocessing.get_context(sys.argv[1])
    opt = run(2)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(opt, theirs))
    process.start()
    print(*(ours.recv() if ours.poll(40) else ["no answer"]))
    process.join(10)
    if process.is_alive():
        process.kill()
    before = opt.params.copy()
    opt.step(np.linspace(-1, 1, N))
    print(process.exitcode, opt.step_count, opt.params.tobytes() == run(3).params.tobytes())
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_child_processes_step_and_finish(method, tmp_path):
    """After a step on several threads; a forked child has lost those threads and must do without."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    from_child, from_parent = run_interpreter(str(script), method).splitlines()
    steps, same, norm = from_child.split()
    assert (steps, same) == ("3", "True") and float(norm) > 100
    assert from_parent == "0 3 True"


def test_forked_child_of_a_process_without_parallel_steps():
    """There is nothing lost yet: the child starts threads of its own."""
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("no fork here")
    code = """
        import os, numpy as np, fastopt
        opt = fastopt.SGD(np.ones(10))
        opt.step(np.ones(10))
        pid = os.fork()
        if pid == 0:
            big = fastopt.SGD(np.ones(300_000), 0.5, num_threads=2)
            big.step(np.ones(300_000))
            os._exit(0 if (big.params == 0.5).all() else 1)
        print(os.waitpid(pid, 0)[1])
    """
    assert run_python(code) == "0"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the entries of /proc/self/task")
def test_import_starts_no_thread():
    code = """
        import os, threading, numpy, scipy
        before = len(os.listdir("/proc/self/task"))
        import fastopt
        fastopt.Adam(numpy.ones(100)).step(numpy.ones(100))
        print(len(os.listdir("/proc/self/task")) - before, threading.active_count())
    """
    assert run_python(code) == "0 1"


def test_import_and_steps_change_no_setting():
    """Of the process, of Python, NumPy, BLAS or OpenMP."""
    code = """
        import gc, locale, os, random, resource, signal, sys, threading, warnings
        import numpy as np, scipy.optimize, scipy.sparse, threadpoolctl

        def settings():
            return {
                "environment": dict(os.environ),
                "BLAS": sorted((each["filepath"], each["num_threads"]) for each in threadpoolctl.threadpool_info()
                               if each["user_api"] == "blas"),
                "OpenMP": os.environ.get("OMP_NUM_THREADS"),
                "affinity": os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None,
                "signals": [signal.getsignal(each) for each in sorted(signal.valid_signals())],
                "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, []),
                "limits": [resource.getrlimit(each) for each in (resource.RLIMIT_STACK, resource.RLIMIT_NOFILE)],
                "NumPy": (np.geterr(), np.geterrcall(), np.get_printoptions(), np.random.get_state()[1].tobytes()),
                "Python": (sys.getrecursionlimit(), sys.getswitchinterval(), gc.get_threshold(), sys.gettrace()),
                "program": (os.getcwd(), locale.setlocale(locale.LC_ALL), list(warnings.filters), random.getstate()),
                "hooks": (threading.excepthook, sys.excepthook, sys.unraisablehook),
            }

        before = settings()
        import fastopt
        assert settings() == before
        opt = fastopt.Adam(np.ones(300_000), num_threads=2)
        opt.step(np.ones(300_000))
        opt.step(fastopt.RowSparse([1, 1], np.ones(2)))
        fastopt.minimize(fastopt.objectives.LeastSquares(np.ones((9, 2)), np.ones(9)), np.zeros(2), rng=0)
        after = settings()
        print([name for name in before if before[name] != after[name]])
    """
    assert run_python(code) == "[]"
