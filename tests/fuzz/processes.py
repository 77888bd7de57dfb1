"""Sequences that need a process of their own: forks beside other libraries, threads that cannot be started."""

import ctypes
import os
import resource
import time

import numpy as np
import scipy.optimize  # before there is no room for it
import scipy.sparse  # noqa: F401
from memory import compiled, sanitized

import fastopt

LONGEST_WAIT = 20  # seconds that a child may take for some milliseconds of work, on a machine with other work
NOBODY = 65534


def large_step(seq):
    opt = fastopt.Adam(np.ones(300_000), num_threads=seq.rng.choice([2, 3]))
    opt.step(np.ones(300_000))


def sparse_step(seq):
    opt = fastopt.Adam(np.ones(300_000), num_threads=2)
    opt.step(fastopt.RowSparse(np.arange(300_000)[::-1].repeat(2), np.ones(600_000)))


def evaluation(seq):
    objective = fastopt.objectives.Logistic(np.ones((20_000, 30)), np.arange(20_000) % 2)
    with fastopt.threads(2):
        objective.value_and_gradient(np.zeros(30))


def epochs(seq):
    objective = fastopt.objectives.Logistic(np.ones((20_000, 30)), np.arange(20_000) % 2)
    fastopt.minimize(objective, np.zeros(30), batch_size=10_000, options={"epochs": 1, "num_threads": 2})


WORK = (large_step, sparse_step, evaluation, epochs)


def in_child(seq, text, work):
    """Fork, and let the child do its work, which must end in time and without an error."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    end = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if status:
                seq.find("wrong", f"a forked child ended with status {status}: {text}")
            return
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    seq.find("wrong", f"a forked child hangs: {text}")


def forks(seq):
    """Forks after parallel regions of fastopt and of another library, in any order; children have children."""
    region = ctypes.CDLL(str(compiled("region", seq.libraries, "-fopenmp"))).count_threads

    def foreign_region(seq):
        region(seq.rng.choice([2, 3, 4]))

    def child():
        for deed in inside:
            deed(seq)
        if grandchild:
            in_child(seq, "grandchild", lambda: large_step(seq))

    for _ in range(2):
        for deed in seq.rng.choices([*[foreign_region] * 8, *WORK], k=seq.rng.randint(0, 2)):
            seq.call(f"{deed.__name__}()", lambda deed=deed: deed(seq))
        inside, grandchild = seq.rng.choices(WORK, k=seq.rng.randint(1, 2)), seq.chance(0.3)
        text = ", ".join(deed.__name__ for deed in inside) + (", a grandchild" if grandchild else "")
        seq.call(f"fork: {text}", lambda text=text: in_child(seq, text, child))
        if seq.findings:
            return


def threads(seq):
    """Work when no thread can be started, or no more of them: fewer threads or an exception, but never the end."""
    limits = [resource.RLIMIT_NPROC] if sanitized() else [resource.RLIMIT_NPROC, resource.RLIMIT_AS]
    before = seq.rng.choices(WORK, k=seq.rng.choice([0, 0, 1]))
    for deed in before:
        seq.call(f"{deed.__name__}()", lambda deed=deed: deed(seq))
    limit = seq.rng.choice(limits)
    seq.write("  * no more threads: " + ("number of processes" if limit == resource.RLIMIT_NPROC else "address space"))
    if limit == resource.RLIMIT_NPROC:
        if os.getuid() == 0:  # to whom the limit does not apply
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        resource.setrlimit(limit, (1, 1))
    else:
        pages = int(open("/proc/self/statm").read().split()[0])
        room = pages * resource.getpagesize() + seq.rng.choice([6, 20, 60]) * 2**20
        resource.setrlimit(limit, (room, room))
    for deed in seq.rng.choices(WORK, k=3):
        seq.call(f"{deed.__name__}()", lambda deed=deed: deed(seq), expected=(RuntimeError, OSError, MemoryError))
