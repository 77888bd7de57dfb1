"""Speed of sparse steps: rows of a table, entries of a vector, duplicates, few entries of many.

    python asv_benchmarks/sparse_report.py            (a minute and 3 GB; alone on the machine)

Compares with NumPy's fancy indexing, and with torch's sparse optimizers if torch is installed. What is compared does
the same work, which is checked first, and runs in turns, each in its own process; figures are medians.
"""

import argparse

import numpy as np
import scipy.sparse
from problems import zipf_positions
from timing import Contender, interleaved

import fastopt
from fastopt import _sparse

try:
    import torch
except ImportError:
    torch = None


class NumpyRows:
    """Adagrad of some rows by fancy indexing; the rows must be distinct."""

    def __init__(self, p):
        self.p, self.accumulator = p, np.full_like(p, 0.1)

    def step(self, grad):
        accumulator = self.accumulator[grad.indices]
        accumulator += grad.rows * grad.rows
        self.accumulator[grad.indices] = accumulator
        np.sqrt(accumulator, out=accumulator)
        accumulator += np.float32(1e-7)
        self.p[grad.indices] -= np.float32(0.01) * grad.rows / accumulator


def torch_step(name, p, grad):
    """A callable for one step of torch's sparse optimizer on a copy of `p`."""
    parameter = torch.nn.Parameter(torch.from_numpy(p.copy()))
    index, rows = torch.from_numpy(grad.indices[None].astype(np.int64)), torch.from_numpy(grad.rows)
    parameter.grad = torch.sparse_coo_tensor(index, rows, p.shape, check_invariants=True)
    if name == "adagrad":
        opt = torch.optim.Adagrad([parameter], lr=0.01, initial_accumulator_value=0.1, eps=1e-7)
    else:
        opt = torch.optim.SparseAdam([parameter], lr=0.001)
    return opt.step, parameter


def check(p, grad):
    """One step of each gives the same parameters (SparseAdam adds epsilon elsewhere)."""
    ours, theirs = p.copy(), p.copy()
    fastopt.Adagrad(ours).step(grad)
    NumpyRows(theirs).step(grad)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    if torch:
        for name, epsilon in (("adagrad", 1e-7), ("adam", 1e-8)):
            ours = p.copy()
            fastopt.get_optimizer(name)(ours, epsilon=epsilon).step(grad)
            step, parameter = torch_step(name, p, grad)
            step()
            np.testing.assert_allclose(ours, parameter.detach().numpy(), rtol=1e-4, atol=1e-5)


def report(title, times, ours, rivals):
    """Print the microseconds of each, and by how much `ours` is faster than each rival."""
    print(f"\n{title}")
    for name, seconds in times.items():
        print(f"  {name:<34}{seconds * 1e6:10.1f} us")
    for rival in rivals:
        if rival in times:
            print(f"  {ours} is {times[rival] / times[ours]:.1f}x as fast as {rival}")


def problem(shape, k):
    """Parameters of a shape, and a sparse gradient of k distinct random rows."""
    rng = np.random.default_rng(0)
    p = np.empty(shape, np.float32)
    p.fill(0.5)
    values = rng.standard_normal((k, *shape[1:]), dtype=np.float32)
    return p, rng.choice(shape[0], k, replace=False), values


def fastopt_contender(name, shape, k, threads, how):
    """A step of fastopt whose gradient is promised to be distinct, has to be checked, or ascends."""
    p, index, values = problem(shape, k)
    if how == "ascending":
        index = np.sort(index)
    opt = fastopt.get_optimizer(name)(p, num_threads=threads)
    grad = fastopt.RowSparse(index, values, unique=how == "unique=True")
    return lambda: opt.step(grad)


def numpy_contender(shape, k):
    p, index, values = problem(shape, k)
    rows, grad = NumpyRows(p), fastopt.RowSparse(index, values)
    return lambda: rows.step(grad)


def torch_contender(name, shape, k, threads):
    torch.set_num_threads(threads)
    p, index, values = problem(shape, k)
    return torch_step(name, p, fastopt.RowSparse(index, values))[0]


def side_by_side(name, shape, k, threads):
    """All contenders, each in its own process, and what they took."""
    ways = ("unique=True", "checked", "ascending")
    runs = {how: Contender(fastopt_contender, name, shape, k, threads, how) for how in ways}
    if name == "adagrad":
        runs["NumPy"] = Contender(numpy_contender, shape, k)
    if torch:
        runs["torch"] = Contender(torch_contender, name, shape, k, threads)
    title = f"{name}: {k:,} random rows of {' x '.join(f'{n:,}' for n in shape)}, float32"
    report(title, interleaved(runs, least_seconds=10e-3), "unique=True", ("NumPy", "torch"))


def duplicates(threads, n=5_000_000, k=100_000):
    rng = np.random.default_rng(0)
    values = rng.standard_normal(k, dtype=np.float32)
    index = zipf_positions(n, k)
    coalescer = _sparse.Coalescer()

    def numpy_sum():
        distinct, inverse = np.unique(index, return_inverse=True)
        sums = np.zeros(len(distinct), np.float32)
        np.add.at(sums, inverse, values)
        return distinct, sums

    def fastopt_sum():
        return coalescer.distinct(index, values, n, False, False, lambda: threads)

    for ours, theirs in zip(fastopt_sum(), numpy_sum(), strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    share = 1 - len(np.unique(index)) / k
    runs = {"fastopt": fastopt_sum, "np.unique and np.add.at": numpy_sum}
    title = f"summing {k:,} Zipf-distributed entries, {share:.0%} of them duplicates"
    report(title, interleaved(runs), "fastopt", ("np.unique and np.add.at",))


def few_entries(k=100):
    rng = np.random.default_rng(0)
    runs = {}
    for n in (10_000, 10_000_000, 100_000_000):
        index, values = np.sort(rng.choice(n, k, replace=False)), rng.standard_normal(k, dtype=np.float32)
        opt = fastopt.Adagrad(np.zeros(n, np.float32))
        row = scipy.sparse.csr_array((values, index, [0, k]), shape=(1, n))
        entries = fastopt.RowSparse(index, values)
        runs[f"RowSparse, N = {n:,}"] = lambda opt=opt, grad=entries: opt.step(grad)
        runs[f"CSR, N = {n:,}"] = lambda opt=opt, grad=row: opt.step(grad)
    report(f"adagrad: {k} entries of N", interleaved(runs), "", ())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    print(f"torch {torch.__version__}" if torch else "torch is not installed: compared with NumPy alone")
    p, index, values = problem((1000, 64), 300)
    check(p, fastopt.RowSparse(index, values))
    for name in ("adagrad", "adam"):
        side_by_side(name, (1_000_000, 64), 8192, threads)
    side_by_side("adagrad", (5_000_000,), 100_000, threads)
    duplicates(threads)
    few_entries()


if __name__ == "__main__":
    main()
