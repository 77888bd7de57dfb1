"""The fixtures of all tests."""

import os
import shutil
import signal
import subprocess

import hypothesis
import numpy as np
import pytest
from checkpoints import TREE

import fastopt
from fastopt import _core
from fastopt._minimize import finite_sums

hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=500)
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=10_000)
hypothesis.settings.load_profile(os.environ.get("FASTOPT_HYPOTHESIS", "ci"))

_core.always_share(True)  # tests of threads mean threads, however busy the machine is


def pytest_report_header(config):
    if config.option.markexpr == "not slow":
        return "slow tests are left out; `pytest -m ''` runs all tests, `pytest -m slow` those alone"


@pytest.fixture(autouse=True)
def signals_as_at_a_terminal():
    """Python's own handler of Ctrl-C, and no signal blocked, for the test and for the processes that it starts.

    A job that was started in the background, by `&` in a script, inherits that SIGINT is ignored; Python then sets no
    handler, and its children inherit it, too.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ()) if hasattr(signal, "pthread_sigmask") else ()
    yield
    if blocked:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def rng():
    return np.random.default_rng(20260801)


@pytest.fixture
def use_isa():
    """Select an instruction set for one test."""
    before = _core.isa_in_use()
    yield _core.use_isa
    _core.use_isa(before)


@pytest.fixture
def path(tmp_path):
    """Where to write a checkpoint."""
    return str(tmp_path / "run.npz")


@pytest.fixture
def small(path):
    """A small checkpoint."""
    fastopt._checkpoint.write(path, "test", TREE)
    return path


@pytest.fixture
def no_sync(monkeypatch):
    """Do not wait for the disk, in tests that write many files."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


OPENMP_LIBRARY = """
/* How many threads a parallel region has that may have n. */
int region(int n)
{
    int threads = 0;
    #pragma omp parallel num_threads(n) reduction(+ : threads)
    threads += 1;
    return threads;
}
"""


@pytest.fixture(scope="session")
def openmp_library(tmp_path_factory):
    """The path of a shared library with an OpenMP region, as other packages bring."""
    if shutil.which("cc") is None:
        pytest.skip("no compiler here")
    folder = tmp_path_factory.mktemp("openmp")
    (folder / "region.c").write_text(OPENMP_LIBRARY)
    command = ["cc", "-fopenmp", "-shared", "-fPIC", "-O1", "region.c", "-o", "region.so"]
    if subprocess.run(command, cwd=folder, capture_output=True).returncode != 0:
        pytest.skip("the compiler has no OpenMP")
    return str(folder / "region.so")


@pytest.fixture
def act_soon(monkeypatch):
    """A function that has a signal handler do something once in the next run over batches in C, amid a segment.

    The clock starts when C first asks whether to go on, after some steps, and is one of computing: what comes before
    may take long on a machine that is busy, and so may the rest.
    """
    segment = finite_sums.FiniteSumRun.segment
    before = signal.getsignal(signal.SIGVTALRM)

    def armed(self, *arguments):
        monkeypatch.setattr(finite_sums.FiniteSumRun, "segment", segment)
        poll, wanted = self.epochs_in_c.poll, self.epochs_in_c.poll.stop_wanted

        def first():
            poll.stop_wanted = wanted
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.02)
            return wanted()

        poll.stop_wanted = first
        made = segment(self, *arguments)
        if poll.stop_wanted is first:  # lock-free segments, and short ones, do not ask
            first()
        return made

    def start(act):
        signal.signal(signal.SIGVTALRM, lambda number, frame: act())
        monkeypatch.setattr(finite_sums.FiniteSumRun, "segment", armed)

    yield start
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, before)


@pytest.fixture
def press_ctrl_c_soon(act_soon):
    """A function that presses Ctrl-C in this way."""
    return lambda: act_soon(lambda: signal.raise_signal(signal.SIGINT))
