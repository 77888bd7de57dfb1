"""Ranks that are threads of one process, with the methods of mpi4py's communicators that fastopt calls.

They wait for each other without spinning and start at once, so hundreds of runs are soon over. That MPI gives the same
is what `ranks.py` is for: with FASTOPT_TEST_MPI set all tests run on it.
"""

import os
import threading

import numpy as np
from ranks import SECONDS, on_ranks


class ThreadRank:
    """The communicator of one of the threads, which have `slots` and `barrier` in common."""

    def __init__(self, rank, slots, barrier):
        self.rank, self.slots, self.barrier = rank, slots, barrier

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return len(self.slots)

    def _exchange(self, value, take):
        """Call `take` with the values of all ranks, before any of them goes on."""
        self.slots[self.rank] = value
        self.barrier.wait()
        take(self.slots)
        self.barrier.wait()

    def Allgather(self, sent, received):
        def take(all_sent):
            received.reshape(-1)[...] = np.concatenate([np.ravel(each) for each in all_sent])

        self._exchange(sent, take)

    def Allgatherv(self, sent, received):
        array, counts = received

        def take(all_sent):
            assert [each.size for each in all_sent] == list(counts)
            array.reshape(-1)[...] = np.concatenate([np.ravel(each) for each in all_sent])

        self._exchange(sent, take)

    def Alltoall(self, sent, received):
        def take(all_sent):
            received[...] = [each[self.rank] for each in all_sent]

        self._exchange(sent, take)

    def Alltoallv(self, sent, received):
        array, counts = received

        def take(all_sent):
            parts = [self._part(*each) for each in all_sent]
            assert [part.size for part in parts] == list(counts)
            array.reshape(-1)[...] = np.concatenate(parts)

        self._exchange(sent, take)

    def _part(self, array, counts):
        """What another rank sends this one."""
        start = int(sum(counts[: self.rank]))
        return np.ravel(array)[start : start + int(counts[self.rank])]


def on_threads(n_ranks, function, *arguments, seconds=SECONDS):
    """What `function(comm, *arguments)` returns on each of `n_ranks` threads, or processes of MPI if so asked."""
    if os.environ.get("FASTOPT_TEST_MPI"):
        return on_ranks(n_ranks, function, *arguments, seconds=seconds)
    slots, barrier = [None] * n_ranks, threading.Barrier(n_ranks, timeout=seconds)
    results, errors = [None] * n_ranks, []

    def run(rank):
        try:
            results[rank] = function(ThreadRank(rank, slots, barrier), *arguments)
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(n_ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads)
    return results


def alone():
    """The communicator of one rank."""
    return ThreadRank(0, [None], threading.Barrier(1))
