"""What one rank has, all ranks know at the same place: no rank is left waiting."""

import numpy as np
import pytest
from ranks import on_ranks

from fastopt import schedules
from fastopt._validation.distributed import communicator
from fastopt.distributed import RankError, reduce_gradient
from fastopt.distributed._agreement import Together, agree, agree_same

pytest.importorskip("mpi4py")

RANKS = [1, 2, 3, 4]


def caught(function, *arguments):
    """Type and text of what a call raises, and whether it is the exception that was passed."""
    try:
        function(*arguments)
    except BaseException as error:
        return type(error).__name__, str(error), any(error is each for each in arguments)
    return None


def one_has_it(comm):
    """What `agree` does on this rank for each exception of the last rank."""
    last = comm.Get_rank() == comm.Get_size() - 1
    errors = [ValueError("two\nlines"), StopIteration("result"), KeyboardInterrupt(), OSError(28, "No space left")]
    seen = [caught(agree, comm, error if last else None) for error in errors]
    return [*seen, caught(agree, comm, None)]


@pytest.mark.parametrize("n_ranks", RANKS)
def test_exception_of_one_rank_is_one_of_all(n_ranks):
    last = n_ranks - 1
    *others, own = on_ranks(n_ranks, one_has_it)
    assert own == [
        ("ValueError", "two\nlines", True),
        ("StopIteration", "result", True),
        ("KeyboardInterrupt", "", True),
        ("OSError", "[Errno 28] No space left", True),
        None,
    ]
    for seen in others:
        assert seen == [
            ("RankError", f"Rank {last} failed: ValueError: two lines", False),
            ("StopIteration", "", False),
            ("KeyboardInterrupt", f"rank {last} was interrupted", False),
            ("RankError", f"Rank {last} failed: OSError: [Errno 28] No space left", False),
            None,
        ]


def all_have_another(comm):
    error = [StopIteration(), ValueError("b"), KeyboardInterrupt(), ValueError("d")][comm.Get_rank()]
    return caught(agree, comm, error)


def test_failures_count_before_interrupts_and_those_before_ends():
    reason = "Rank 1 failed: ValueError: b"
    seen = on_ranks(4, all_have_another)
    assert seen == [
        ("RankError", reason, False),
        ("ValueError", "b", True),
        ("RankError", reason, False),
        ("ValueError", "d", True),
    ]
    assert on_ranks(3, all_have_another)[2] == ("RankError", reason, False)


def in_a_block(comm):
    def block(error):
        with Together(comm):
            if error is not None and comm.Get_rank() == 0:
                raise error

    return [caught(block, each) for each in (StopIteration(), ZeroDivisionError("here"), None)]


def test_block_that_fails_on_one_rank():
    first, second = on_ranks(2, in_a_block)
    assert first == [("StopIteration", "", True), ("ZeroDivisionError", "here", True), None]
    assert second == [
        ("StopIteration", "", False),
        ("RankError", "Rank 0 failed: ZeroDivisionError: here", False),
        None,
    ]


def module_function():
    """A hyper-parameter that has no value of its own."""


class Plain:
    """An object without a repr, which in each process lies elsewhere."""


def same_and_different(comm):
    rank = comm.Get_rank()
    same = [
        (0.1, "a", None, np.arange(3.0)),
        np.float64(0.1) if rank else 0.1,
        schedules.cosine_decay(0.1, 100),
        module_function,
        Plain(),
        {"a": np.ones((2, 3), np.float32)},
        float("nan"),
    ]
    different = [
        0.1 + rank,
        np.arange(3.0 + rank),
        np.zeros(1000) + (rank == comm.Get_size() - 1),
        {"a": -0.0 if rank else 0.0},
        schedules.cosine_decay(0.1, 100 + rank),
    ]
    return [[caught(agree_same, comm, "x", each) for each in values] for values in (same, different)]


@pytest.mark.parametrize("n_ranks", [1, 3])
def test_values_that_differ_between_ranks_are_found(n_ranks):
    results = on_ranks(n_ranks, same_and_different)
    for same, different in results:
        assert set(same) == {None}
        assert (set(different) == {None}) == (n_ranks == 1)
        assert different == results[0][1]
    if n_ranks > 1:
        assert [each[0] for each in different] == ["ValueError"] * 5
        assert different[0][1] == "`x` must be the same on all ranks, got 0.1 on rank 0 and 1.1 on rank 1."
        assert different[2][1].endswith("(1000,), dtype float64 on rank 0 and another one on rank 2.")


def test_rank_error_can_be_pickled():
    import pickle

    copied = pickle.loads(pickle.dumps(RankError("Rank 3 failed: why", 3)))
    assert (str(copied), copied.rank) == ("Rank 3 failed: why", 3)


def test_what_is_no_communicator():
    with pytest.raises(TypeError, match="got None, which has no method Get_rank, "):
        communicator(None)


class Handle:
    """What of an mpi4py communicator is looked at."""

    is_inter = True
    Get_rank = Get_size = Allgather = Allgatherv = Alltoall = Alltoallv = lambda self: 1

    def __init__(self, null):
        self.null = null

    def __bool__(self):
        return not self.null


def test_what_is_no_communicator_of_one_group():
    with pytest.raises(ValueError, match="that this process is in, got COMM_NULL"):
        communicator(Handle(True))
    with pytest.raises(ValueError, match="got an intercommunicator"):
        communicator(Handle(False))


def other_groups(comm):
    from mpi4py import MPI

    side = comm.Get_rank() % 2
    inter = comm.Split(side, comm.Get_rank()).Create_intercomm(0, comm, 1 - side)
    merged = inter.Merge(side == 1)
    return (
        caught(reduce_gradient, np.ones(3), inter), caught(reduce_gradient, np.ones(3), MPI.COMM_NULL),
        reduce_gradient(np.full(3, float(comm.Get_rank())), merged, reduce="sum").tolist(),
    )  # fmt: skip


def test_communicators_of_mpi():
    pytest.importorskip("mpi4py")
    for inter, null, total in on_ranks(3, other_groups):
        assert inter[0] == null[0] == "ValueError" and "got COMM_NULL" in null[1] and total == [3.0] * 3
