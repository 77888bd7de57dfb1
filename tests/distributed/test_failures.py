"""What happens to one rank ends the call on all of them, with its reason, and none is left waiting."""

import os
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from ranks import finish, on_ranks, start
from test_agreement import caught

import fastopt
from fastopt import objectives
from fastopt.distributed import ShardedOptimizer, ShardedTable, objective

pytest.importorskip("mpi4py")

SIZE = 20_000


class Schedule:
    """A learning rate that does something on one rank when it is asked for the rate of a step."""

    def __init__(self, action):
        self.action = action

    def __call__(self, t):
        return self.action(t) if t > 0 and self.action else 0.1

    def __repr__(self):
        return "Schedule()"


def interrupt(t):
    os.kill(os.getpid(), signal.SIGINT)
    return 0.1


def end(t):
    raise StopIteration


def fail(t):
    raise ZeroDivisionError("no rate")


def made(comm, schedule=0.1):
    return [
        ShardedOptimizer(fastopt.Adam, np.ones(SIZE), comm, learning_rate=schedule),
        ShardedTable(5000, 8, fastopt.Adam, comm, learning_rate=schedule),
    ]


def step(opt):
    if isinstance(opt, ShardedOptimizer):
        opt.step(np.linspace(-1, 1, SIZE))
    else:
        opt.step(np.arange(0, 5000, 3), np.ones((1667, 8), np.float32))


def contents(opt):
    return opt.params.tobytes() if isinstance(opt, ShardedOptimizer) else opt.lookup(np.arange(5000)).tobytes()


def something_happens(comm):
    """What each rank sees of it, whether all is as before, and whether all can go on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    last, seen = comm.Get_rank() == comm.Get_size() - 1, []
    for action in (interrupt, end, fail, lambda t: 0.1 + 0.1 * last):
        schedule = Schedule(action if last else None)
        for opt in made(comm, schedule):
            step(opt)
            before = contents(opt)
            error = caught(step, opt)
            unchanged = contents(opt) == before and opt.step_count == 1
            schedule.action = None
            step(opt)
            seen.append((error and error[:2], unchanged, opt.step_count, contents(opt)))
            schedule.action = action if last else None
    return seen


def test_interrupts_ends_and_failures_of_one_rank():
    *others, own = on_ranks(3, something_happens)
    expected = made_alone()
    for k, (error, unchanged, count, after) in enumerate(own):
        assert unchanged and count == 2 and after == expected[k % 2]
        assert error[0] == ["KeyboardInterrupt", "StopIteration", "ZeroDivisionError", "ValueError"][k // 2]
    for seen in others:
        assert [each[1:] for each in seen] == [each[1:] for each in own]
        assert seen[0][0] == ("KeyboardInterrupt", "rank 2 was interrupted") and seen[2][0] == ("StopIteration", "")
        assert seen[4][0] == seen[5][0] == ("RankError", "Rank 2 failed: ZeroDivisionError: no rate")
        assert seen[6][0] == own[6][0]
    assert own[6][0][1] == "`learning_rate` must be the same on all ranks, got 0.1 on rank 0 and 0.2 on rank 2."


class Pressing(fastopt.Adam):
    """Ctrl-C is pressed at the end of a step."""

    pressed = False

    def step(self, grad, value=None, stats=None):
        super().step(grad, value, stats)
        if self.pressed:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)


def interrupted_late(comm):
    """What each rank sees of Ctrl-C, also pressed twice, when a step has changed its part."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    Pressing.pressed = comm.Get_rank() == 1
    seen = []
    for opt in (ShardedOptimizer(Pressing, np.ones(SIZE), comm), ShardedTable(5000, 8, Pressing, comm)):
        error = caught(step, opt)
        seen.append((error[:2], opt.step_count, contents(opt)))
    return seen


def test_interrupt_within_a_step_ends_all_after_it():
    first, second, third = on_ranks(3, interrupted_late)
    assert [each[0] for each in second] == [("KeyboardInterrupt", "")] * 2
    assert [each[0] for each in first] == [("KeyboardInterrupt", "rank 1 was interrupted")] * 2
    assert first == third and [each[1:] for each in first] == [each[1:] for each in second]
    assert [each[1] for each in first] == [1, 1]


def interrupted_objective(comm):
    """Ctrl-C is pressed twice while the objective over all samples is computed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    f = objective(objectives.LeastSquares(np.eye(5), np.ones(5)), comm)
    shared = type(f._shared)
    computed = shared.value_and_gradient

    def pressed(self, x):
        if comm.Get_rank() == 1:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return computed(self, x)

    shared.value_and_gradient = pressed
    error = caught(f, np.ones(5))
    shared.value_and_gradient = computed
    return error, f(np.ones(5))[0]


def test_interrupt_within_the_objective_of_all_samples():
    first, second = on_ranks(2, interrupted_objective)
    assert first[0][:2] == ("KeyboardInterrupt", "rank 1 was interrupted") and second[0][:2] == (
        "KeyboardInterrupt",
        "",
    )
    assert first[1] == second[1] == 0.0


def made_alone():
    """What two steps make of one array and of one table, of which three ranks have the same gradients."""
    x, table = np.ones(SIZE), np.zeros((5000, 8), np.float32)
    one, other = fastopt.Adam(x, 0.1), fastopt.Adam(table, 0.1)
    for _ in range(2):
        grad = np.linspace(-1, 1, SIZE)
        one.step((grad + grad + grad) / 3)
        other.step(fastopt.RowSparse(np.arange(0, 5000, 3), np.full((1667, 8), 3, np.float32)))
    return x.tobytes(), table.tobytes()


def full_disk(comm, folder):
    """A save that fails on the last rank, of which files may have some bytes only; the former save is loaded."""
    seen = []
    for k, opt in enumerate(made(comm)):
        path = f"{folder}/{k}"
        step(opt)
        opt.save(path)
        saved = contents(opt)
        step(opt)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if comm.Get_rank() == comm.Get_size() - 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        error = caught(opt.save, path)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        opt.load(path)
        seen.append((error[:2], contents(opt) == saved, opt.step_count))
    return seen


def test_full_disk_of_one_rank(tmp_path):
    *others, own = on_ranks(3, full_disk, str(tmp_path))
    for (error, same, count), theirs in zip(own, others[0], strict=True):
        assert error == ("OSError", "[Errno 27] File too large") and same and count == 1
        assert theirs == (("RankError", "Rank 2 failed: OSError: [Errno 27] File too large"), True, 1)
    for folder in tmp_path.iterdir():
        assert len(list(folder.iterdir())) == 4  # nothing is left of the save that failed


def two_folders(comm, folder):
    """Ranks save to folders of their own, as where a path is not on a file system that they share."""
    seen = []
    for opt in made(comm):
        path = f"{folder}/{comm.Get_rank()}"
        os.makedirs(path, exist_ok=True)
        seen.append((caught(opt.save, path)[:2], os.path.exists(f"{path}/manifest.npz")))
    return seen


def test_folders_that_are_not_shared(tmp_path):
    first, second = on_ranks(2, two_folders, str(tmp_path))
    text = "[Errno 2] `path` must be the same folder for all ranks, got one without the file of rank 1: "
    for (name, message), manifest in first:
        assert name == "FileNotFoundError" and message == f"{text}{str(tmp_path / '0')!r}" and not manifest
    for (name, message), manifest in second:
        assert name == "RankError" and text in message and not manifest


def step_and_save(comm, folder, until, killed_at=None):
    """Steps with gradients of the first rank alone, and a save after each."""
    found = []
    for k, opt in enumerate(made(comm)):
        path = f"{folder}/{k}"
        if os.path.exists(f"{path}/manifest.npz"):
            opt.load(path)
        for t in range(opt.step_count, until):
            if killed_at == t and k == 1 and comm.Get_rank() == comm.Get_size() - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            rng, first = np.random.default_rng(t), comm.Get_rank() == 0
            if k == 0:
                grad = rng.standard_normal(SIZE)
                opt.step(grad * comm.Get_size() if first else np.zeros(SIZE))
            else:
                rows = rng.integers(0, 5000, 300)
                opt.step(rows if first else [], np.ones((300 * first, 8), np.float32))
            opt.save(path)
        found.append(contents(opt))
    return found


def program(folder):
    """Of one rank that is killed."""
    from mpi4py import MPI

    step_and_save(MPI.COMM_WORLD, folder, 6, killed_at=4)


def test_killed_rank_ends_all_and_the_last_checkpoint_resumes_on_another_number_of_ranks(tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_failures; test_failures.program(sys.argv[2])"
    output, returned = finish(start(2, [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]))
    assert returned != 0, output
    expected = on_ranks(1, step_and_save, str(tmp_path / "whole"), 6)
    assert on_ranks(3, step_and_save, str(tmp_path), 6) == expected * 3
