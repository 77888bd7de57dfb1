"""Forked and spawned processes, and what importing and stepping leave behind in a process."""

import multiprocessing
import sys

import pytest
from helpers import run_python

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
    code = "import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    if method != "fork":  # the other methods import the main module by its path
        code = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, *sys.argv[1:]]).returncode)"
    from_child, from_parent = run_python(code, str(script), method).splitlines()
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


def test_subnormal_numbers_stay_alive():
    """Kernels take subnormals as zero; the threads that call them must not, neither before nor after."""
    code = """
        import warnings
        warnings.simplefilter("error")  # numpy.finfo warns where subnormals are flushed
        import numpy as np, fastopt

        def alive():
            for dtype in (np.float32, np.float64):
                tiny = np.full(40, np.finfo(dtype).tiny)
                assert np.finfo(dtype).smallest_subnormal != 0
                assert ((tiny / 4) * 4 == tiny).all() and (tiny / 4 != 0).all()
            assert 5e-324 != 0.0 and 5e-324 * 2.0 == 1e-323

        alive()
        for cls in fastopt.OPTIMIZERS.values():
            for n in (10, 300_000):
                opt = cls(np.ones(n, np.float32), num_threads=2, clip_norm=1.0, nonfinite="raise")
                opt.step(np.ones(n, np.float32))
                alive()
                try:
                    opt.step(np.full(n, np.nan, np.float32))
                except FloatingPointError:
                    alive()
        print("alive")
    """
    assert run_python(code) == "alive"


def test_mode_of_the_floating_point_unit_is_as_before():
    """All modes at once, traps and rounding included: fegetenv before and after."""
    code = """
        import ctypes, ctypes.util, platform
        libm = ctypes.util.find_library("m")
        if libm is None or platform.machine() not in ("x86_64", "AMD64"):
            print(True)
        else:
            import numpy as np
            libm = ctypes.CDLL(libm)

            def mode():
                environment = (ctypes.c_uint32 * 8)()
                libm.fegetenv(environment)
                return environment[7] & ~0x3F  # MXCSR without the flags of exceptions that any arithmetic raises

            seen = {mode()}
            import fastopt
            seen.add(mode())
            for n in (10, 300_000):
                opt = fastopt.Adam(np.ones(n), num_threads=2, clip_norm=1.0)
                for _ in range(3):
                    opt.step(np.full(n, 1e-310))
                    seen.add(mode())
            print(seen == {0x1F80})
    """
    assert run_python(code) == "True"
