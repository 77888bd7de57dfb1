"""What one rank has ends a run of all: none waits, and each knows the reason and the rank."""

import ctypes
import os
import signal
import sys
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy
from ranks import finish, on_ranks, start
from thread_ranks import on_threads

import fastopt
from fastopt import objectives

pytest.importorskip("mpi4py")

N, D = 240, 5
X = np.random.default_rng(0).standard_normal((N, D))
Y = X @ np.arange(float(D))
SECONDS = 120


def squares(w, A, b):
    residual = A @ w - b
    return residual @ residual / (2 * len(b)), A.T @ residual / len(b)


def mine(comm):
    return slice(comm.Get_rank() * N // comm.Get_size(), (comm.Get_rank() + 1) * N // comm.Get_size())


def minimized(comm, fun=squares, samples=(X, Y), **keywords):
    """A run over the samples of this rank."""
    samples = tuple(each[mine(comm)] for each in samples)
    keywords = {"jac": True, "batch_size": 24, "rng": 0, "method": "adam", **keywords}
    return fastopt.minimize(fun, np.zeros(D), data=samples, comm=comm, **keywords)


def built_in(comm, x0=None, samples=(X, Y), cls=objectives.LeastSquares, **keywords):
    A, b = (each[mine(comm)] for each in samples)
    keywords = {"batch_size": 24, "rng": 0, "method": "adam", **keywords}
    return fastopt.minimize(cls(A, b), np.zeros(D) if x0 is None else x0, comm=comm, **keywords)


class Countdown:
    """Calls something at the n-th call, on the last rank."""

    def __init__(self, comm, n, act):
        self.left = n if comm.Get_rank() == comm.Get_size() - 1 else -1
        self.act = act

    def __call__(self, *arguments):
        self.left -= 1
        if self.left == 0:
            self.act()


def fail():
    raise LookupError("no such sample")


def stop():
    raise StopIteration


def press():
    os.kill(os.getpid(), signal.SIGINT)


def in_fun(comm, call):
    def fun(*arguments):
        call()
        return squares(*arguments)

    return minimized(comm, fun)


def in_jac(comm, call):
    def jac(*arguments):
        call()
        return squares(*arguments)[1]

    return minimized(comm, lambda *arguments: squares(*arguments)[0], jac=jac)


# Where -> a run in which a function of the caller's is called often.
PLACES = {
    "fun": in_fun,
    "jac": in_jac,
    "callback": lambda comm, call: minimized(comm, callback=call),
    "callback of one rank": lambda comm, call: minimized(comm, callback=None if call.left < 0 else call),
    "epoch_callback": lambda comm, call: minimized(comm, epoch_callback=call),
    "validation": lambda comm, call: minimized(comm, validation=lambda x: call() or 1.0),
    "built-in, callback": lambda comm, call: built_in(comm, callback=call),
    "built-in, epoch_callback": lambda comm, call: built_in(comm, epoch_callback=call),
    "built-in, learning rate": lambda comm, call: built_in(comm, options={"learning_rate": lambda t: call() or 0.1}),
    "local, epoch_callback": lambda comm, call: built_in(comm, epoch_callback=call, options={"parallel": "local"}),
    "svrg, epoch_callback": lambda comm, call: built_in(comm, epoch_callback=call, method="svrg", batch_size=1),
}


def outcome(run):
    """What a run returns or raises."""
    try:
        res = run()
    except BaseException as error:
        return type(error).__name__, str(error)
    return res.status, res.message, res.nit, res.x.tobytes()


def all_places(comm, act, names=tuple(PLACES)):
    return {name: outcome(lambda name=name: PLACES[name](comm, Countdown(comm, 3, act))) for name in names}


@pytest.mark.parametrize("n_ranks", [2, 4])
def test_exception_of_one_rank_ends_all(n_ranks):
    *others, own = on_ranks(n_ranks, all_places, fail, seconds=SECONDS)
    assert own == dict.fromkeys(PLACES, ("LookupError", "no such sample"))
    for seen in others:
        assert seen == dict.fromkeys(PLACES, ("RankError", f"Rank {n_ranks - 1} failed: LookupError: no such sample"))


def test_end_by_a_callback_of_one_rank_is_the_end_of_all():
    names = tuple(name for name in PLACES if "callback" in name)
    first, second, third = on_ranks(3, all_places, stop, names, seconds=SECONDS)
    assert first == second == third
    for name, (status, message, nit, _) in first.items():
        by = "epoch_callback" if "epoch" in name else "callback"
        assert (status, message) == (99, f"`{by}` raised `StopIteration` on rank 2.")
        assert nit == {"callback": 3, "epoch_callback": 30}[by] * (24 if "svrg" in name else 1)


def test_interrupt_of_one_rank_is_one_of_all():
    *others, own = on_ranks(3, all_places, press, seconds=SECONDS)
    assert own == dict.fromkeys(PLACES, ("KeyboardInterrupt", ""))
    for seen in others:
        assert seen == dict.fromkeys(PLACES, ("KeyboardInterrupt", "rank 2 was interrupted"))


def non_finite(comm):
    """Of the last rank: a value, samples that overflow, and a gradient."""
    last = comm.Get_rank() == comm.Get_size() - 1

    def from_call(n, of_value, of_gradient):
        """The function with factors from the n-th call on."""
        calls = iter(range(1_000_000))

        def fun(*arguments):
            value, gradient = squares(*arguments)
            bad = last and next(calls) > n
            return (of_value if bad else 1.0) * value, (of_gradient if bad else 1.0) * gradient

        return fun

    huge = X * np.where(np.arange(N) >= N - 20, 1e200, 1.0)[:, None]
    with np.errstate(all="ignore"):
        return [
            outcome(lambda: minimized(comm, from_call(15, np.nan, 1.0))),
            outcome(lambda: minimized(comm, from_call(15, 1.0, np.inf))),
            outcome(lambda: minimized(comm, from_call(15, 1.0, np.inf), options={"nonfinite": "skip", "epochs": 5})),
            outcome(lambda: built_in(comm, x0=np.ones(D), samples=(huge, Y))),
            outcome(lambda: built_in(comm, x0=np.ones(D), samples=(huge, Y), options={"parallel": "local"})),
        ]


def test_numbers_that_are_not_finite_end_the_run_of_all_or_are_left_out_by_all():
    first, second, third = on_ranks(3, non_finite, seconds=SECONDS)
    assert first == second == third
    value, gradient, skipped, loss, local = first
    assert value[0] == 2 and value[1].startswith("The objective became NaN or infinite in iteration")
    assert "on rank 2. Try" in value[1]
    assert gradient[0] == 3 and "gradient became NaN or infinite" in gradient[1] and "on rank 2. " in gradient[1]
    assert skipped[2] == 50
    assert loss[0] == local[0] == 2 and "NaN or infinite at the start on rank 2." in loss[1]


# --- arguments -----------------------------------------------------------------------------------------------------


def refused(comm):
    """Arguments of which those of the last rank are bad, or others than those of the rest."""
    last = comm.Get_rank() == comm.Get_size() - 1
    A, b = X[mine(comm)], Y[mine(comm)]

    def run(**keywords):
        return lambda: minimized(comm, **keywords)

    def of_loss(cls, **keywords):
        return lambda: fastopt.minimize(cls(A, b, **keywords), np.zeros(D), comm=comm)

    calls = {
        "type": run(tol="x" if last else 1e-3),
        "tol": run(tol=1e-2 if last else 1e-3),
        "rate": run(options={"learning_rate": 0.1 if last else 0.2}),
        "method": run(method="sgd" if last else "adam"),
        "rng": run(rng=comm.Get_rank()),
        "parts": run(options={"parts": 6 if last else 12}),
        "batch": run(batch_size=24 if last else 12),
        "validation": run(validation=None if last else (A, b)),
        "l2": of_loss(objectives.LeastSquares, l2=0.1 if last else 0.2),
        "loss": of_loss(objectives.Huber if last else objectives.LeastSquares),
        "delta": of_loss(objectives.Huber, delta=1.0 if last else 2.0),
        "x0": lambda: fastopt.minimize(
            squares, np.full(D, 1.0 * last), jac=True, data=(A, b), comm=comm, options={"epochs": 1}
        ),
        "bad x0": lambda: fastopt.minimize(objectives.LeastSquares(A, b), np.zeros(D + last), comm=comm),
    }
    return {name: outcome(call) for name, call in calls.items()}


SAME = {
    "tol": "`tol` must be the same on all ranks, got 0.001 on rank 0 and 0.01 on rank 1.",
    "rate": "`hyper-parameters` must be the same on all ranks",
    "method": "`method` must be the same on all ranks, got 'Adam' on rank 0 and 'SGD' on rank 1.",
    "rng": "`rng` must be the same on all ranks",
    "parts": "`parts` must be the same on all ranks, got 12 on rank 0 and 6 on rank 1.",
    "batch": "`batch_size` must be the same on all ranks, got 12 on rank 0 and 24 on rank 1.",
    "validation": "`validation` must be the same on all ranks",
    "l2": "`l2` must be the same on all ranks, got 0.2 on rank 0 and 0.1 on rank 1.",
    "loss": "`fun` must be the same on all ranks, got 'LeastSquares' on rank 0 and 'Huber' on rank 1.",
    "delta": "`delta` must be the same on all ranks, got 2.0 on rank 0 and 1.0 on rank 1.",
    "x0": "`x0` must be the same on all ranks",
}


def test_bad_and_different_arguments_are_refused_on_all_ranks():
    first, second = on_ranks(2, refused, seconds=SECONDS)
    assert second["type"][0] == "TypeError" and "`tol`" in second["type"][1]
    assert first["type"] == ("RankError", f"Rank 1 failed: TypeError: {second['type'][1]}")
    assert first["bad x0"][0] == "RankError" and second["bad x0"] == ("ValueError", "`x0` must have length 5, got 6.")
    for name, message in SAME.items():
        assert first[name] == second[name]
        assert first[name][0] == "ValueError" and first[name][1].startswith(message), first[name]


REALS = ctypes.POINTER(ctypes.c_double)
COMPILED = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_ssize_t, REALS, REALS, ctypes.c_void_p)(lambda *arguments: 0.0)


def refused_on_all(comm):
    empty = X[:0], Y[:0]
    calls = [
        lambda: minimized(comm, samples=empty),
        lambda: fastopt.minimize(objectives.LeastSquares(*empty), np.zeros(D), comm=comm),
        lambda: fastopt.minimize(lambda x: x @ x, np.zeros(D), comm=comm),
        lambda: fastopt.minimize(squares, np.zeros(D), jac=True, data=[(X, Y)].__iter__(), comm=comm),
        lambda: minimized(comm, options={"prefetch": 2}),
        lambda: fastopt.minimize(
            lambda w, k: squares(w, X[k], Y[k]), np.zeros(D), jac=True, n_samples=100, comm=comm, options={"parts": 7}
        ),
        lambda: fastopt.minimize(scipy.LowLevelCallable(COMPILED), np.zeros(D), n_samples=10, comm=comm),
        lambda: built_in(comm, method="saga", batch_size=1),
        lambda: built_in(comm, options={"parallel": "hogwild"}),
        lambda: built_in(comm, method="lamb", options={"parallel": "local"}),
        lambda: built_in(comm, method="svrg", batch_size=1, options={"checkpoint": "x.npz"}),
        lambda: fastopt.distributed.objective(3, comm),
        lambda: fastopt.minimize(squares, np.zeros(D), data=(X, Y), comm=3),
    ]
    return [outcome(call) for call in calls]


def test_what_ranks_cannot_do_is_refused_in_words():
    first, second = on_ranks(2, refused_on_all, seconds=SECONDS)
    assert first == second
    words = [
        "a sample on one rank at least",
        "a sample on one rank at least",
        "`data` or `n_samples` must be given with `comm`",
        "`data` must be arrays with `comm`",
        "`prefetch` must be 0 with `comm`",
        "or each rank have whole `parts`, got samples by number",
        "`fun` must have a signature that takes a batch with `comm`",
        '`method` must be "svrg" with `comm`, of methods over single samples, got SAGA',
        '"batch" or "local" with `comm`',
        '"batch" for LAMB',
        "`checkpoint` must be left out for SVRG",
        "`obj` must be an object of fastopt.objectives",
        "`comm` must be a",
    ]
    for (kind, message), part in zip(first, words, strict=True):
        assert kind in ("ValueError", "TypeError") and part in message, (kind, message)


def test_options_for_several_ranks_need_them():
    for options, message in (
        ({"parts": 4}, "`parts` must be left out"),
        ({"parallel": "local"}, '"batch" or "hogwild"'),
    ):
        with pytest.raises(ValueError, match=message):
            fastopt.minimize(objectives.LeastSquares(X, Y), np.zeros(D), options=options)


# --- checkpoints ---------------------------------------------------------------------------------------------------


def saved_and_resumed(comm, path, kind, n_epochs, resume):
    run = {"python": minimized, "csr": built_in}[kind]
    options = {"epochs": n_epochs, "parts": 12, "checkpoint": path, "learning_rate": 0.1}
    keywords = {"tol": 1e-9, "validation": (X[mine(comm)], Y[mine(comm)])}
    keywords["options"] = options | {"return_best": True, "patience": 50}
    res = run(comm, resume=path if resume else None, **keywords)
    return res.x.tobytes(), res.fun, res.nit, res.status, res.history["validation"].tobytes()


@pytest.mark.parametrize("kind", ["python", "csr"])
def test_resumes_on_another_number_of_ranks(kind, tmp_path):
    whole = on_ranks(1, saved_and_resumed, str(tmp_path / "whole.npz"), kind, 6, False)[0]
    path = str(tmp_path / "run.npz")
    on_ranks(3, saved_and_resumed, path, kind, 2, False)
    on_ranks(2, saved_and_resumed, path, kind, 4, True)
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith("run")] == ["run.npz"]
    assert on_ranks(4, saved_and_resumed, path, kind, 6, True) == [whole] * 4


def run_to_the_end(comm, kind, path, n_epochs=6, killed_at=None):
    """What a run ends with that goes on from what was saved, and its iterations; the last rank may be killed at one."""

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    options = {"epochs": n_epochs, "parts": 12, "checkpoint": path, "learning_rate": 0.1}
    countdown, seen = Countdown(comm, killed_at or 0, kill), []
    run = {"python": minimized, "csr": built_in}[kind]
    resume = path if os.path.exists(path) else None
    res = run(comm, callback=lambda x: seen.append(countdown()), resume=resume, options=options)
    return res.x.tobytes(), res.fun, len(seen)


def program(kind, path):
    """Of ranks one of which is killed in the middle of the fifth epoch."""
    from mpi4py import MPI

    run_to_the_end(MPI.COMM_WORLD, kind, path, killed_at=47)


@pytest.mark.parametrize("kind", ["python", "csr"])
def test_killed_rank_ends_all_and_the_run_goes_on_with_another_number_of_ranks(kind, tmp_path):
    path = str(tmp_path / "run.npz")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_shared_failures as it; it.program(*sys.argv[2:])"
    output, returned = finish(start(2, [sys.executable, "-c", code, str(Path(__file__).parent), kind, path]), SECONDS)
    assert returned != 0, output
    *whole, n = on_ranks(1, run_to_the_end, kind, str(tmp_path / "whole.npz"), seconds=SECONDS)[0]
    assert n == 60
    assert on_ranks(3, run_to_the_end, kind, path, seconds=SECONDS) == [(*whole, 20)] * 3


def full_disk(comm, path):
    """Writing fails on the rank that writes."""
    from fastopt import _checkpoint

    def write(*arguments):
        raise OSError(28, "No space left on device")

    with mock.patch.object(_checkpoint, "write", write), warnings.catch_warnings():
        return outcome(lambda: minimized(comm, options={"checkpoint": path, "epochs": 3}))


def test_full_disk_of_the_rank_that_writes_ends_all(tmp_path):
    first, second = on_ranks(2, full_disk, str(tmp_path / "run.npz"), seconds=SECONDS)
    assert first == ("OSError", "[Errno 28] No space left on device")
    assert second == ("RankError", "Rank 0 failed: OSError: [Errno 28] No space left on device")


def stop_by_hand():
    raise KeyboardInterrupt


def interrupted_by_hand(comm, path, where, n):
    """A function of the user raises KeyboardInterrupt on one rank: in the callback, the objective or the schedule."""
    act = dict.fromkeys(("callback", "objective", "schedule"), lambda: None)
    act[where] = Countdown(comm, n, stop_by_hand)
    options = {"epochs": 4, "checkpoint": path, "learning_rate": lambda t: act["schedule"]() or 0.1}
    seen = outcome(
        lambda: minimized(
            comm, fun=lambda *given: act["objective"]() or squares(*given), callback=lambda x: act["callback"](),
            options=options,
        )
    )  # fmt: skip
    return seen, minimized(comm, resume=path, options=options).nit


@pytest.mark.parametrize("where", ["callback", "objective", "schedule"])
@pytest.mark.parametrize("n", [12, 20])
@pytest.mark.parametrize("n_ranks", [1, 3])
def test_keyboard_interrupt_that_one_rank_raises(n_ranks, n, where, tmp_path):
    *others, own = on_threads(n_ranks, interrupted_by_hand, str(tmp_path / "run.npz"), where, n, seconds=SECONDS)
    assert own == (("KeyboardInterrupt", ""), 40)
    assert others == [(("KeyboardInterrupt", "rank 2 was interrupted"), 40)] * (n_ranks - 1)


def interrupted_and_resumed(comm, path, kind):
    run = {"python": minimized, "csr": built_in}[kind]
    keywords = {"options": {"epochs": 4, "checkpoint": path, "learning_rate": 0.1}}
    seen = outcome(lambda: run(comm, callback=Countdown(comm, 14, press), **keywords))
    resumed = run(comm, resume=path, callback=lambda x: None, **keywords)
    return seen, resumed.x.tobytes(), run(comm, callback=lambda x: None, **keywords).x.tobytes()


@pytest.mark.parametrize("kind", ["python", "csr"])
def test_interrupted_run_is_saved_and_goes_on(kind, tmp_path):
    for seen, resumed, whole in on_ranks(2, interrupted_and_resumed, str(tmp_path / "run.npz"), kind, seconds=SECONDS):
        assert seen[0] == "KeyboardInterrupt" and resumed == whole
