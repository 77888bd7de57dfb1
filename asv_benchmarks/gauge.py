"""The speed of a step beside that of memory: the same in-place passes without arithmetic, in turns with it."""

import numpy as np
import problems
from timing import interleaved

from fastopt import _core

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


def streams(opt, size):
    """How many arrays a step only reads, how many it reads and writes, and how many the gauge then does.

    Commits without `_core.streams` do not tell what a step only reads: there all counts as written, as it once was.
    """
    if not hasattr(_core, "streams"):
        readwrite = 1 + sum(slot.size == size for slot in opt.state.values())
        return 1, readwrite, readwrite
    read, readwrite = _core.streams(opt.rule, opt.state, size)
    return read, readwrite, _core.gauge_like(read, readwrite)


def share_of_gauge(name, n, num_threads, dtype="float32", rounds=ROUNDS):
    """GB/s of the gauge, and the share of it that the optimizer's step reaches."""
    x, g = problems.dense_problem(n, dtype)
    opt = problems.optimizer(name, x, num_threads=num_threads)
    step = problems.step_of(opt)
    read, readwrite, in_gauge = streams(opt, x.size)
    first, *others = gauge_streams(x.nbytes, 1 + in_gauge)
    runs = {"gauge": lambda: _core.gauge(first, others, num_threads), "step": lambda: step(g)}
    times = interleaved(runs, rounds)
    bandwidth = (1 + 2 * in_gauge) * x.nbytes / times["gauge"]
    return bandwidth / 1e9, (read + 2 * readwrite) * x.nbytes / times["step"] / bandwidth
