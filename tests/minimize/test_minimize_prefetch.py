"""`prefetch`: the next batches are read on a thread, with the same results, and no thread is left."""

import signal
import threading
import time

import numpy as np
import pytest
from helpers import exactly, run_python
from minimizing import stop_now
from scipy import sparse
from streaming import START, A, B, Loader, N, no_thread_is_left, parts, result_of, run, squares, squares_value

import fastopt
from fastopt import minimize

DATA = {
    "arrays": lambda: (A, B),
    "CSR": lambda: (sparse.csr_array(A), B),
    "loader": Loader,
    "iterator": lambda: iter(parts()),
    "function": lambda: lambda epoch: parts()[epoch % 2 :],
}


@pytest.fixture(autouse=True)
def no_thread():
    yield
    assert no_thread_is_left()


@pytest.mark.parametrize("ahead", [1, 2, 100])
@pytest.mark.parametrize("size", [None, 4])
@pytest.mark.parametrize("form", DATA)
def test_results_are_the_same_bits(form, size, ahead):
    for options in ({}, {"maxiter": 7}, {"jac": "spsa", "fun": lambda *args: squares(*args)[0]}):
        expected = result_of(DATA[form](), batch_size=size, **options)
        assert result_of(DATA[form](), batch_size=size, prefetch=ahead, **options) == expected


def test_items_are_read_on_a_thread_of_their_own_only_if_asked():
    for ahead, expected in ((0, threading.current_thread().name), (1, "fastopt-prefetch_0")):
        loader = Loader()
        run(loader, prefetch=ahead)
        assert loader.threads == {expected}


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_no_more_items_are_read_ahead_than_asked_for(ahead):
    """Once the objective has item k, that many more are being read, or have been."""
    loader, seen = Loader(parts(1)), []

    def slope(x, A, b):
        deadline = time.monotonic() + 5
        k = len(seen)
        while ahead and len(loader.read) < min(k + 1 + ahead, N) and time.monotonic() < deadline:
            time.sleep(0.001)
        seen.append(len(loader.read))
        return squares(x, A, b)[1]

    run(iter(loader), fun=squares_value, jac=slope, maxiter=10, prefetch=ahead)
    assert seen == [k + 1 + ahead for k in range(10)]


def test_reading_overlaps_with_computing():
    """Each batch takes the thread as long as the objective takes: they wait for each other, not one after the other."""
    pause, started, ended = 0.02, [], []

    def items():
        for part in parts(4):
            started.append(time.perf_counter())
            time.sleep(pause)
            yield part

    def slope(x, A, b):
        time.sleep(pause)
        ended.append(time.perf_counter())
        return squares(x, A, b)[1]

    run(items(), fun=squares_value, jac=slope, prefetch=1)
    assert sum(start < end for start, end in zip(started[1:], ended, strict=False)) == len(started) - 1


@pytest.mark.parametrize("data", ["arrays", "loader"])
def test_early_ends_leave_no_thread(data):
    def failing(x, A, b):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(DATA[data](), fun=failing, batch_size=4, prefetch=2)
    assert no_thread_is_left()
    assert run(DATA[data](), callback=stop_now, batch_size=4, prefetch=2).status == 99
    assert no_thread_is_left()
    assert run(DATA[data](), fun=lambda x, A, b: (np.nan, x), batch_size=4, prefetch=2).status == 2


def test_exceptions_at_the_end_leave_no_thread():
    """In the evaluation over all samples, whose reading has a thread of its own."""

    def fun(x, A, b):
        if len(calls) == 15 + 2:
            raise LookupError("mine")
        calls.append(1)
        return squares(x, A, b)

    calls = []
    try:
        run(Loader(), fun=fun, prefetch=2)
    except LookupError:
        assert no_thread_is_left()
    else:
        raise AssertionError("no exception")


class Broken:
    """Samples that cannot be selected from the second batch on."""

    shape = A.shape

    def __init__(self):
        self.selected = 0

    def __getitem__(self, rows):
        self.selected += len(rows) <= 10  # those of a batch
        if self.selected > 1:
            raise OSError("no such disk")
        return A[rows]


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_exceptions_of_arrays_come_where_their_batch_would_have_been(ahead):
    heard = []
    with pytest.raises(OSError, match=r"^no such disk$"):
        run((Broken(), B), batch_size=10, prefetch=ahead, callback=heard.append)
    assert len(heard) == 1


def test_context_is_that_of_the_caller():
    def items():
        for part in parts():
            yield part[0] / 0.0 if items.divide else part[0], part[1]

    items.divide = True
    with np.errstate(divide="raise", invalid="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        run(items, prefetch=1)


def test_without_a_thread_items_are_read_in_place(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    expected = result_of(Loader(), batch_size=4)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert result_of(Loader(), batch_size=4, prefetch=2) == expected


@pytest.mark.parametrize("arguments", [{}, {"n_samples": N}])
def test_nothing_can_be_read_ahead_without_data(arguments):
    message = "`prefetch` must be 0 without `data`, of which it reads ahead, got 2."
    with pytest.raises(ValueError, match=exactly(message)):
        minimize(lambda x, *k: (0.0, x), START, jac=True, options={"prefetch": 2}, **arguments)
    with pytest.raises(ValueError, match=exactly(message)):
        minimize(fastopt.objectives.LeastSquares(A, B), START, options={"prefetch": 2})


def test_ctrl_c_ends_the_thread():
    """While the main thread waits for an item, too."""

    def items():
        yield from parts()[:2]
        signal.raise_signal(signal.SIGINT)  # the main thread gets it
        time.sleep(0.05)
        yield from parts()[2:]

    with pytest.raises(KeyboardInterrupt):
        run(items(), prefetch=1)


def test_fork_during_a_run():
    """A child that leaves the run by an exception does not wait for the thread, which it does not have."""
    code = """
import os, sys, time, numpy as np, fastopt
def items():
    for _ in range(6):
        time.sleep(0.01)
        yield np.ones((4, 3))
pids = []
def fun(x, rows):
    pid = os.fork()
    if pid == 0:
        raise SystemExit(7)
    pids.append(pid)
    return float(x @ x), 2 * x
fastopt.minimize(fun, np.ones(3), method="sgd", jac=True, data=items(), options={"prefetch": 2})
print({os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids})
"""
    assert run_python(code).strip() == "{7}"
