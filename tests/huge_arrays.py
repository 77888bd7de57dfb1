"""Steps over more than 2^31 entries, where 32-bit sizes and offsets would wrap around. Needs 9 GiB of free memory.

    python tests/huge_arrays.py

Every entry is checked. The gradient is mostly pages of zeros, which take no memory, with marks in it: around 2^31
entries, 2^31 and 2^32 bytes, at the ends, and one in each 2^20 entries.
"""

import sys
import time

import numpy as np
import scipy.sparse

import fastopt
from fastopt import RowSparse

N = 2**31 + 1000
CHUNK = 2**24
WIDTH = 1000  # of the rows in the matrix that the vector is looked at as
EDGES = [0, 2**29, 2**30, 2**31, N]  # 2^29 entries are 2^31 bytes, 2^30 are 2^32
MARKS = sorted({at for edge in EDGES for at in range(edge - 3, edge + 3) if 0 <= at < N} | {*range(77, N, 2**20)})


def expect(param, value, elsewhere, at):
    """Every entry has its value: that of marked positions, and the common one of all others."""
    at = np.asarray(at)
    assert (param[at] == value).all(), (value, np.unique(param[at]))
    param[at] = elsewhere
    for start in range(0, N, CHUNK):
        part = param[start : start + CHUNK]
        assert (part == elsewhere).all(), (start, np.unique(part)[:5])
    param[at] = value


def dense(param, num_threads):
    """SGD with decoupled decay: every entry is halved, marked ones move by 1 besides."""
    grad = np.zeros(N, np.float32)
    grad[MARKS] = 1.0
    opt = fastopt.SGD(
        param, learning_rate=1.0, weight_decay=0.5, decoupled_weight_decay=True, num_threads=num_threads,
        nonfinite="raise", clip_norm=1e6,
    )  # fmt: skip
    param.fill(4.0)
    opt.step(grad)
    assert opt.last_grad_norm == np.float64(len(MARKS)) ** 0.5
    expect(param, 1.0, 2.0, MARKS)
    grad[N - 1] = np.nan
    try:
        opt.step(grad)
    except FloatingPointError:
        expect(param, 1.0, 2.0, MARKS)
    else:
        raise AssertionError("a NaN in the last entry was not seen")


def strided(param, num_threads):
    """A gradient read backwards."""
    grad = np.zeros(N, np.float32)[::-1]
    grad[MARKS] = 1.0
    param.fill(4.0)
    fastopt.SGD(param, learning_rate=1.0, num_threads=num_threads).step(grad)
    expect(param, 3.0, 4.0, MARKS)


def entries(param, num_threads):
    """Single entries, unsorted and twice each: as RowSparse, and in a matrix of one row."""
    param.fill(4.0)
    opt = fastopt.SGD(param, learning_rate=1.0, num_threads=num_threads)
    index = np.repeat(np.asarray(MARKS[::-1]), 2)
    opt.step(RowSparse(index, np.full(len(index), 0.5, np.float32)))
    expect(param, 3.0, 4.0, MARKS)
    values, at = np.ones(len(MARKS), np.float32), (np.zeros(len(MARKS), np.int64), np.asarray(MARKS))
    opt.step(scipy.sparse.csr_array((values, at), shape=(1, N)))
    expect(param, 2.0, 4.0, MARKS)


def rows(param, num_threads):
    """Rows of a matrix whose number is small, and whose offset is not."""
    n_rows = N // WIDTH
    param.fill(4.0)
    touched = np.array([n_rows - 1, 2**29 // WIDTH, 0, 2**30 // WIDTH], np.int32)  # the first goes across 2^31
    opt = fastopt.SGD(param[: n_rows * WIDTH].reshape(n_rows, WIDTH), learning_rate=1.0, num_threads=num_threads)
    opt.step(RowSparse(touched, np.ones((len(touched), WIDTH), np.float32)))
    expect(param, 3.0, 4.0, (touched[:, None].astype(np.int64) * WIDTH + np.arange(WIDTH)).ravel())


def main():
    param = np.empty(N, np.float32)
    for case in (dense, strided, entries, rows):
        for num_threads in (1, 2):
            start = time.perf_counter()
            case(param, num_threads)
            print(f"{case.__name__}, {num_threads} thread(s): {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{N:,} entries: every one as expected")


if __name__ == "__main__":
    sys.exit(main())
