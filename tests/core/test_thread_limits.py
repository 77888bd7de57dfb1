"""Threads that the system does not give: fewer do the work, with the same bits, and the process goes on."""

import sys
import textwrap

import pytest
from helpers import run_python

from fastopt import _core

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not _core.has_openmp(), reason="limits of Linux on threads"
)

LIMITS = """
import ctypes, os, resource, sys, threading
import numpy as np, fastopt

N = 600_000
fastopt._core.always_share(True)
grad = np.linspace(-1, 1, N)
rows = fastopt.RowSparse(np.arange(N)[::-1].repeat(2), np.ones(2 * N))
with fastopt.threads(1):
    objective = fastopt.objectives.Logistic(np.linspace(-1, 1, N).reshape(-1, 20), np.arange(N // 20) % 2.0)


def step(opt):
    opt.step(grad)
    return opt.params.tobytes()


def work(n_threads):
    '''Each way into the threads; all as bytes.'''
    with fastopt.threads(n_threads):
        opt = fastopt.Adam(np.ones(N), clip_norm=1.0)
        step(opt)
        opt.step(rows)
        res = fastopt.minimize(objective, np.zeros(20), batch_size=1000, rng=0, options={"epochs": 2})
        return opt.params.tobytes() + res.x.tobytes() + objective.value_and_gradient(res.x)[1].tobytes()


def n_tasks():
    return len(os.listdir("/proc/self/task"))


def limit_threads():
    '''No more threads for the user, who is not root, whom the limit does not concern.'''
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return
    print("no limit")
    sys.exit()


def lift_limit():
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))


"""


def run_limited(code, *arguments, **environment):
    """Run code under limits; skip the test where the system does not have them."""
    printed = run_python(LIMITS + textwrap.dedent(code), *arguments, OPENBLAS_NUM_THREADS="1", **environment)
    if printed == "no limit":
        pytest.skip("this user may start threads without limit")
    return printed


BEFORE = {
    "nothing": "",
    "a smaller team": "work(2)",
    "as large a team": "work(4)",
    "a team that another library has made smaller": "work(4); library.region(2)",
    "a region of another library": "library.region(3)",
    "a thread that has gone": "thread = threading.Thread(target=work, args=(4,)); thread.start(); thread.join()",
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())
def test_no_more_threads(before, openmp_library):
    """Whatever threads there were when the limit came."""
    code = f"""
        library = ctypes.CDLL(sys.argv[1])
        expected = work(1)
        {before}
        limit_threads()
        print(work(4) == work(3) == expected)
    """
    assert run_limited(code, openmp_library) == "True"


def test_threads_are_started_as_soon_as_they_can_be():
    code = """
        expected, counts = work(1), []
        before = n_tasks()
        limit_threads()
        for lift in (int, lift_limit):
            lift()
            assert work(3) == expected
            counts.append(n_tasks() - before)
        print(counts)
    """
    assert run_limited(code) == "[0, 2]"


def test_no_more_threads_for_many_callers():
    """Python's own threads step at the same time, and share what workers there are."""
    code = """
        expected, equal, limited = work(1), [], threading.Event()

        def caller():
            limited.wait()
            for _ in range(3):
                equal.append(work(4) == expected)

        work(2)
        callers = [threading.Thread(target=caller) for _ in range(4)]
        for each in callers:
            each.start()
        limit_threads()
        limited.set()
        for each in callers:
            each.join()
        print(equal == [True] * 12)
    """
    assert run_limited(code) == "True"


def test_no_more_threads_in_a_child():
    code = """
        expected = work(2)
        hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
        if (pid := os.fork()) == 0:
            limit_threads()
            os._exit(0 if work(2) == expected else 1)
        print(os.waitpid(pid, 0)[1] == 0 and work(2) == expected)
    """
    assert run_limited(code) == "True"


@pytest.mark.parametrize("before", ["", "work(2)", "work(4)", "work(4); library.region(2)"])
def test_no_more_address_space(before, openmp_library):
    """A call is done with the same bits, or raises MemoryError and has changed nothing; from no room to much."""
    code = f"""
        library = ctypes.CDLL(sys.argv[1])
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        expected, done, unchanged = work(1), step(fastopt.Adam(np.ones(N), num_threads=1)), np.ones(N).tobytes()

        def step_in(room):
            '''What two optimizers and the other ways into the threads make of so many bytes of address space.'''
            opts, ends = [fastopt.Adam(np.ones(N), num_threads=4) for _ in range(2)], []
            size = 1024 * int(open("/proc/self/status").read().split("VmSize:")[1].split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (size + room, hard))
            for opt in opts:
                try:
                    opt.step(grad)
                    ends.append(done)
                except MemoryError:
                    ends.append(unchanged)
            try:
                result = work(4)
            except MemoryError:
                result = expected
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            return [opt.params.tobytes() for opt in opts] == ends and result == expected

        same = []
        for exponent in (0, 12, 16, 18, 20, 21, 22, 23, 24, 25):
            {before}
            same.append(step_in(2**exponent))
        print(all(same), work(4) == expected)
    """
    assert run_limited(code, openmp_library) == "True True"


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_thread_limit_of_openmp(limit):
    """OMP_THREAD_LIMIT counts the caller."""
    code = """
        before = n_tasks()
        same = work(4) == work(1)
        print(same, n_tasks() - before)
    """
    assert run_limited(code, OMP_THREAD_LIMIT=str(limit)) == f"True {limit - 1}"


def test_wait_policy_of_openmp():
    """How long workers look for work before they sleep, in processor time after a step."""
    code = """
        import time
        same = work(2) == work(1)
        start = time.process_time()
        time.sleep(0.5)
        print(same, time.process_time() - start)
    """
    spent = {}
    for policy in (None, "passive", "PASSIVE", "active", "other"):
        same, seconds = run_limited(code, OMP_WAIT_POLICY=policy).split()
        assert same == "True"
        spent[policy] = float(seconds)
    assert max(spent["passive"], spent["PASSIVE"]) < 0.01
    assert max(spent[None], spent["other"]) < 0.1
    assert spent["active"] > spent[None]
