"""How many threads a step may use, and steps from several threads at once."""

import contextvars
import ctypes
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from cases import OPTIMIZERS
from helpers import bits, exactly, refused, run_python

import fastopt
from fastopt import _core, _threads

LARGE = 7 * 128 * 1024 // 4 + 13

needs_openmp = pytest.mark.skipif(not _core.has_openmp(), reason="built without OpenMP")


@pytest.fixture(autouse=True)
def default_threads():
    yield
    fastopt.set_num_threads(None)


@pytest.fixture
def default():
    return fastopt.get_num_threads()


# --- settings --------------------------------------------------------------------------------------------


@needs_openmp
def test_innermost_setting_holds(default):
    fastopt.set_num_threads(5)
    assert fastopt.get_num_threads() == 5
    with fastopt.threads(3):
        assert fastopt.get_num_threads() == 3
        with fastopt.threads(7):
            assert fastopt.get_num_threads() == 7
            fastopt.set_num_threads(6)
            assert fastopt.get_num_threads() == 7
        assert fastopt.get_num_threads() == 3
        with fastopt.threads(None):
            assert fastopt.get_num_threads() == 6
    assert fastopt.get_num_threads() == 6
    fastopt.set_num_threads(None)
    assert fastopt.get_num_threads() == default


@needs_openmp
def test_number_of_an_optimizer_comes_first():
    opt = fastopt.Adam(np.ones(3), num_threads=4)
    fastopt.set_num_threads(2)
    with fastopt.threads(1):
        assert opt._allowed_threads() == 4
        assert fastopt.Adam(np.ones(3))._allowed_threads() == 1


def test_context_ends_with_an_exception(default):
    with pytest.raises(KeyError), fastopt.threads(1):
        raise KeyError
    assert fastopt.get_num_threads() == default


@needs_openmp
def test_context_holds_in_its_own_thread_only():
    fastopt.set_num_threads(5)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # its thread is there before the block
        with fastopt.threads(2):
            assert pool.submit(fastopt.get_num_threads).result() == 5
            assert pool.submit(contextvars.copy_context().run, fastopt.get_num_threads).result() == 2
            assert fastopt.get_num_threads() == 2


@needs_openmp
def test_threads_that_are_started_in_a_context_inherit_it_where_python_says_so():
    fastopt.set_num_threads(5)
    inherits = getattr(sys.flags, "thread_inherit_context", False)
    with fastopt.threads(2), ThreadPoolExecutor(1) as pool:
        assert pool.submit(fastopt.get_num_threads).result() == (2 if inherits else 5)


@pytest.mark.parametrize(
    "use", [fastopt.set_num_threads, lambda n: fastopt.threads(n).__enter__()], ids=["set", "with"]
)
def test_bad_numbers_of_threads(use, default):
    for value, message in {
        0: "a positive integer, got 0",
        -1: "a positive integer, got -1",
        2**40: "at most 8192, got 1099511627776",
    }.items():
        with pytest.raises(ValueError, match=exactly(f"`num_threads` must be {message}.")):
            use(value)
    for value in (1.0, True, "2", np.ones(2, int)):
        with pytest.raises(TypeError, match=exactly(f"`num_threads` must be an integer, got {value!r}.")):
            use(value)
    assert fastopt.get_num_threads() == default


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_bad_number_of_threads_of_an_optimizer(cls):
    for value in (0, -3, 2**31, 1.0, True, "2"):
        with pytest.raises((TypeError, ValueError), match=r"^`num_threads` must be .*, got "):
            cls(np.ones(3), num_threads=value)
    assert cls(np.ones(3), num_threads=np.int64(2)).num_threads == 2


# --- limits from outside ---------------------------------------------------------------------------------


@needs_openmp
def test_limits_of_threadpoolctl_hold():
    pytest.importorskip("threadpoolctl")
    code = """
        import fastopt, numpy as np
        from threadpoolctl import threadpool_limits
        seen = [fastopt.get_num_threads()]
        with threadpool_limits(1):
            seen.append(fastopt.get_num_threads())
            fastopt.set_num_threads(3)
            seen += [fastopt.get_num_threads(), fastopt.Adam(np.ones(2), num_threads=2)._allowed_threads()]
        print(*seen, fastopt.get_num_threads())
    """
    assert run_python(code, OMP_NUM_THREADS="4") == "4 1 1 2 3"


@needs_openmp
@pytest.mark.parametrize("value, expected", [("3", "3"), ("1", "1"), ("2,4", "2")])
def test_omp_num_threads(value, expected):
    assert run_python("import fastopt; print(fastopt.get_num_threads())", OMP_NUM_THREADS=value) == expected


@pytest.mark.parametrize("first, then", [("os", "fastopt"), ("os, fastopt", "os")], ids=["before", "after"])
def test_affinity_set_before_or_after_import(first, then):
    """The mask is looked at when it is first needed."""
    code = f"""
        import {first}
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
            import {then}, fastopt
            print(fastopt.get_num_threads())
        else:
            print("1")
    """
    assert run_python(code, OMP_NUM_THREADS=None) == "1"


V2, V1_QUOTA, V1_PERIOD = (
    "/sys/fs/cgroup/" + name for name in ("cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
)
INFINITE = float("inf")


@pytest.mark.parametrize(
    "files, expected",
    [
        ({V2: "max 100000\n"}, INFINITE),
        ({V2: "200000 100000\n"}, 2),
        ({V2: "150000 100000\n"}, 2),
        ({V2: "5000 100000\n"}, 1),
        ({V2: "300000 100000\n", V1_QUOTA: "100000\n", V1_PERIOD: "100000\n"}, 3),
        ({V1_QUOTA: "-1\n", V1_PERIOD: "100000\n"}, INFINITE),
        ({V1_QUOTA: "350000\n", V1_PERIOD: "100000\n"}, 4),
        ({V1_QUOTA: "350000\n"}, INFINITE),
        ({}, INFINITE),
        ({V2: ""}, INFINITE),
        ({V2: "some text"}, INFINITE),
        ({V2: "100000 0"}, INFINITE),
        ({V1_QUOTA: "", V1_PERIOD: ""}, INFINITE),
    ],
)
def test_cgroup_quota(files, expected, monkeypatch):
    def read_text(path):
        try:
            return files[str(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    monkeypatch.setattr(Path, "read_text", read_text)
    assert _threads._cgroup_quota() == expected


@pytest.mark.parametrize(
    "openmp, cores, quota, expected", [(8, 4, 2, 2), (8, 3, INFINITE, 3), (2, 4, 4, 2), (4, 4, 0, 1)]
)
def test_default_is_the_smallest_limit(openmp, cores, quota, expected, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(_threads, "_openmp_at_import", openmp)
    monkeypatch.setattr(_threads, "_cores", lambda: cores)
    monkeypatch.setattr(_threads, "_cgroup_quota", lambda: quota)
    assert _threads._default.__wrapped__() == expected


# --- steps from several threads --------------------------------------------------------------------------


@pytest.mark.parametrize("n", [10, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_concurrent_steps_of_one_optimizer(cls, n):
    """Each is done or refused, none is lost: as many as were done, one after the other, give the same bits."""
    opt, twin, grad = cls(np.ones(n)), cls(np.ones(n)), np.full(n, 0.5)
    start = threading.Barrier(4)

    def steps():
        done = 0
        start.wait()
        for _ in range(20):
            try:
                opt.step(grad)
                done += 1
            except RuntimeError as error:
                assert "while another step, save or load of this optimizer is under way" in str(error)
        return done

    with ThreadPoolExecutor(4) as pool:
        done = sum(future.result() for future in [pool.submit(steps) for _ in range(4)])
    for _ in range(done):
        twin.step(grad)
    assert done >= 1 and opt.step_count == done
    assert bits(opt) == bits(twin)


REFUSAL = exactly(
    "step() must not be called while another step, save or load of this optimizer is under way; "
    "use one optimizer per thread, or a lock."
)


def test_step_during_a_step_in_another_thread():
    entered, leave = threading.Event(), threading.Event()

    def schedule(t):
        entered.set()
        assert leave.wait(30)
        return 0.1

    opt = fastopt.SGD(np.ones(3), schedule)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(opt.step, np.ones(3))
        assert entered.wait(30)
        with refused(opt, RuntimeError, REFUSAL):
            opt.step(np.ones(3))
        leave.set()
        under_way.result()
    opt.step(np.ones(3))
    assert opt.step_count == 2


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_step_inside_the_schedule_is_refused(cls):
    inner = None

    def schedule(t):
        if inner is not None:
            inner.step(np.ones(3))
        return 0.1

    opt, other = cls(np.ones(3), schedule), cls(np.ones(3))
    inner = opt
    with refused(opt, RuntimeError, REFUSAL):
        opt.step(np.ones(3))
    inner = other
    opt.step(np.ones(3))
    assert (opt.step_count, other.step_count) == (1, 1)


@pytest.mark.parametrize("n", [10, LARGE], ids=["small", "large"])
def test_different_optimizers_in_parallel(n):
    """Every class in a thread of its own, all at once, against one after the other."""

    def run(cls):
        rng = np.random.default_rng(3)
        opt = cls(np.ones(n, np.float32), clip_norm=5.0, num_threads=2)
        for _ in range(10):
            opt.step(rng.standard_normal(n, np.float32))
        return bits(opt), opt.last_grad_norm

    with ThreadPoolExecutor(len(OPTIMIZERS)) as pool:
        at_once = list(pool.map(run, OPTIMIZERS.values()))
    assert at_once == [run(cls) for cls in OPTIMIZERS.values()]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "fesetround"), reason="needs a C library that sets the rounding")
def test_workers_round_as_the_caller_does():
    """Also those that were started while another thread rounded otherwise."""
    program = """
        import ctypes
        import numpy as np
        import fastopt
        upward = {"x86_64": 0x800, "aarch64": 0x400000}[__import__("platform").machine()]
        fastopt._core.always_share(True)

        def steps(num_threads):
            x = np.linspace(-1, 1, 300_000)
            opt = fastopt.Adam(x, num_threads=num_threads)
            for k in range(3):
                opt.step(gradients[k])
            return x.tobytes()

        gradients = [np.sin(7 * np.linspace(-1, 1, 300_000) + k) for k in range(3)]
        nearest = steps(1)
        assert steps(2) == nearest
        ctypes.CDLL(None).fesetround(upward)
        found = [steps(n) for n in (1, 4)]
        ctypes.CDLL(None).fesetround(0)
        print(found[0] == found[1], found[0] != nearest, steps(4) == nearest)
    """
    assert run_python(program).split() == ["True"] * 3


@pytest.mark.skipif(not hasattr(signal, "sigwait"), reason="needs signals that can be waited for")
def test_workers_leave_signals_to_the_program():
    program = """
        import os, signal
        import numpy as np
        import fastopt
        fastopt._core.always_share(True)
        fastopt.Adam(np.ones(300_000), num_threads=2).step(np.ones(300_000))
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
        print(int(signal.sigwait({signal.SIGUSR1})) == signal.SIGUSR1)
    """
    assert run_python(program, OPENBLAS_NUM_THREADS="1").strip() == "True"
