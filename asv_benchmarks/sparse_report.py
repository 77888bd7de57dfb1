"""Speed of sparse steps: rows of a table, entries of a vector, duplicates, few entries of many, deferred steps.

    python asv_benchmarks/sparse_report.py            (two minutes and 4 GB; alone on the machine)

Each way runs in turns with the others, in its own process; figures are medians.
"""

import argparse
import itertools

import numpy as np
import scipy.sparse
from contenders.problems import STEPS, Step
from problems import zipf_positions
from timing import Contender, interleaved

import fastopt
from fastopt._sparse.coalesce import Coalescer


def report(title, times, ours, rivals):
    """Print the microseconds of each, and by how much `ours` is faster than each rival."""
    print(f"\n{title}")
    for name, seconds in times.items():
        print(f"  {name:<34}{seconds * 1e6:10.1f} us")
    for rival in rivals:
        if rival in times:
            print(f"  {ours} is {times[rival] / times[ours]:.1f}x as fast as {rival}")


def ways(name, shape, k, threads, how):
    """A step of fastopt whose gradient is promised to be distinct, has to be checked, or ascends."""
    step = Step(name, shape, k)
    p, values = step.arrays()
    index = np.sort(step.rows) if how == "ascending" else step.rows
    opt = fastopt.get_optimizer(step.method)(p, num_threads=threads, **step.hyper)
    grad = fastopt.RowSparse(index, values, unique=how == "unique=True")
    return lambda: opt.step(grad)


def side_by_side(name, shape, k, threads):
    """What it costs that fastopt has to find out more. peers.py compares with other libraries."""
    runs = {how: Contender(ways, name, shape, k, threads, how) for how in ("unique=True", "checked", "ascending")}
    title = f"{name}: {k:,} random rows of {' x '.join(f'{n:,}' for n in shape)}, float32"
    report(title, interleaved(runs, least_seconds=10e-3), "", ())


def duplicates(threads, n=5_000_000, k=100_000):
    rng = np.random.default_rng(0)
    values = rng.standard_normal(k, dtype=np.float32)
    index = zipf_positions(n, k)
    coalescer = Coalescer()

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


# Of deferred steps: rows of each class rest for as many steps; after RESTS_PERIOD steps all begins again.
RESTS, RESTS_PERIOD = (1, 2, 3, 4, 5, 6, 8, 10), 120
DEFERRED = {
    "momentum": ("sgd", {"momentum": 0.9}),
    "adam": ("adam", {}),
    "adamw": ("adamw", {"weight_decay": 0.01}),
}


def resting_gradients(values, rows):
    """Gradients of these values for some of these rows, as many of which have rested 1, 2, ... 10 steps."""
    parts = iter(np.split(rows, sum(RESTS)))
    classes = [[next(parts) for _ in range(rest)] for rest in RESTS]
    index = [np.concatenate([each[t % len(each)] for each in classes]) for t in range(RESTS_PERIOD)]
    return [fastopt.RowSparse(each, values, unique=True) for each in index]


def warm_up(opt, rng, rows, values, n_steps=1000, mean_rest=250):
    """Steps in which rows, these and others, rest for 1 to 1000 steps."""
    n_rows = len(opt.params)
    touched = min(len(values) // len(RESTS), n_rows // mean_rest)
    pool = np.union1d(rows, rng.choice(n_rows, touched * mean_rest - len(rows), replace=False).astype(np.int32))
    for _ in range(n_steps):
        opt.step(fastopt.RowSparse(rng.choice(pool, touched, replace=False), values[:touched], unique=True))


def deferred_run(name, shape, k, mode, threads):
    """A step of a cycle, after a warm-up in which rows rest for 1 to 1000 steps."""
    rng = np.random.default_rng(0)
    method, hyper = DEFERRED[name]
    opt = fastopt.get_optimizer(method)(np.zeros(shape, np.float32), sparse=mode, num_threads=threads, **hyper)
    share = k // len(RESTS)
    values = rng.standard_normal((share * len(RESTS), *shape[1:]), np.float32)
    rows = rng.choice(shape[0], share * sum(RESTS), replace=False).astype(np.int32)
    warm_up(opt, rng, rows, values)
    cycle = itertools.cycle(resting_gradients(values, rows))
    for _ in range(RESTS_PERIOD):
        opt.step(next(cycle))
    return lambda: opt.step(next(cycle))


def deferred(threads):
    """Deferred steps beside lazy ones, and the same of a parameter that is much smaller."""
    for name in DEFERRED:
        for (n, *width), k in (((20_000_000,), 100), ((1_000_000, 64), 8192)):
            runs = {
                f"{mode}, {size:,} rows": Contender(deferred_run, name, (size, *width), k, mode, threads)
                for size in (n, n // 10)
                for mode in ("lazy", "deferred")
            }
            times = interleaved(runs, least_seconds=20e-3)
            report(f"{name}: {k:,} of {n:,} rows of {width[0] if width else 1}, rests up to 10", times, "", ())
            for size in (n, n // 10):
                ratio = times[f"deferred, {size:,} rows"] / times[f"lazy, {size:,} rows"]
                print(f"  deferred takes {ratio:.2f}x the time of lazy, {size:,} rows")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    for step in STEPS:
        if step.kind == "sparse":
            side_by_side(step.label, step.shape, step.n_rows, threads)
    duplicates(threads)
    few_entries()
    deferred(threads)


if __name__ == "__main__":
    main()
