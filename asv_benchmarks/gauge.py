"""The speed of a step beside that of memory: the same in-place passes without arithmetic, in turns with it."""

import numpy as np
import problems
from timing import interleaved

from fastopt import _core

MOST_STREAMS = 5  # that the gauge reads and writes
ROUNDS = 11


def gauge_streams(nbytes, n):
    """Byte arrays in one block, each starting further into a page than the one before.

    They are written once: memory that never was is read from one shared page of zeros, in the cache.
    """
    apart = nbytes + 4096 - nbytes % 4096 + 12 * 64
    block = np.empty(n * apart + 64, np.uint8)
    _core.advise_huge_pages(block)
    block.fill(1)
    first = -block.ctypes.data % 64
    return [block[first + k * apart :][:nbytes] for k in range(n)]


def share_of_gauge(name, n, num_threads, dtype="float32", rounds=ROUNDS):
    """GB/s of the gauge, and the share of it that the optimizer's step reaches."""
    x, g = problems.dense_problem(n, dtype)
    opt = problems.optimizer(name, x, num_threads=num_threads)
    n_streams = 1 + len(opt.state)
    if n_streams > MOST_STREAMS:
        raise NotImplementedError(f"{name} has {n_streams} arrays to write, the gauge at most {MOST_STREAMS}")
    read, *readwrite = gauge_streams(x.nbytes, 1 + n_streams)
    times = interleaved(
        {"gauge": lambda: _core.gauge(read, readwrite, num_threads), "step": lambda: opt.step(g)}, rounds
    )
    moved = (1 + 2 * n_streams) * x.nbytes
    return moved / times["gauge"] / 1e9, times["gauge"] / times["step"]
