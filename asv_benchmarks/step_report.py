"""Speed and memory of dense steps: the cost of a call, against NumPy, and against the bandwidth of the machine.

    python asv_benchmarks/step_report.py            (some 3 minutes and 2 GB; alone on the machine)

What is compared runs in turns in this process; figures are medians. The gauge makes the same in-place passes
over as many arrays without arithmetic, in memory laid out for it: what it reaches is what the machine allows.
"""

import argparse
import resource

import numpy as np
from numpy_updates import NUMPY_UPDATES
from timing import interleaved

import fastopt
from fastopt import _core

METHODS = ("sgd", "adagrad", "adam")
MEMORY_SIZES = (2**24, 2**25, 50_000_000)


def problem(n, dtype="float32"):
    """A parameter and a gradient, allocated as a user would."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(n, dtype=dtype), rng.standard_normal(n, dtype=dtype)


def check_same_result(name, n=1000, steps=5):
    """The NumPy version computes what fastopt computes, or comparing their speed would mean nothing."""
    x, g = problem(n)
    y = x.copy()
    ours, theirs = fastopt.get_optimizer(name)(x), NUMPY_UPDATES[name](y)
    for _ in range(steps):
        ours.step(g)
        theirs.step(g)
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def against_numpy(n, num_threads):
    """Rows of the method, both times in microseconds, and their ratio."""
    for name in METHODS:
        check_same_result(name)
        x, g = problem(n)
        ours = fastopt.get_optimizer(name)(x, num_threads=num_threads).step
        theirs = NUMPY_UPDATES[name](x.copy()).step
        times = interleaved({"fastopt": lambda ours=ours, g=g: ours(g), "numpy": lambda theirs=theirs, g=g: theirs(g)})
        yield name, times["fastopt"] * 1e6, times["numpy"] * 1e6, times["numpy"] / times["fastopt"]


def call_overhead():
    """Microseconds of a step on one number, less those of calling a function that does nothing."""
    x, g = problem(1)
    step = fastopt.Adam(x).step
    times = interleaved({"step": lambda: step(g), "nothing": lambda: None})
    return (times["step"] - times["nothing"]) * 1e6


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


def share_of_gauge(name, n, num_threads):
    """GB/s of the gauge, and the share of it that the optimizer's step reaches."""
    x, g = problem(n)
    opt = fastopt.get_optimizer(name)(x, num_threads=num_threads)
    n_streams = 1 + len(opt.state)
    read, *readwrite = gauge_streams(x.nbytes, 1 + n_streams)
    times = interleaved(
        {"gauge": lambda: _core.gauge(read, readwrite, num_threads), "step": lambda: opt.step(g)}, rounds=11
    )
    moved = (1 + 2 * n_streams) * x.nbytes
    return moved / times["gauge"] / 1e9, times["gauge"] / times["step"]


def extra_memory(n=2**24):
    """Bytes per parameter that an Adam optimizer and its steps take, besides parameter and gradient."""
    x, g = problem(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    opt = fastopt.Adam(x, clip_norm=1.0, nonfinite="skip")
    for _ in range(3):
        opt.step(g)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / n


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    memory = extra_memory()  # first: it reads the high-water mark of the process
    fastopt.show_versions()
    print(f"\nextra memory of Adam with clip_norm: {memory:.2f} bytes per float32 parameter (slots: 8)")
    print(f"a step on one number costs {call_overhead():.2f} us")
    for n, n_threads in ((100, 1), (1_000_000, threads)):
        print(f"\nn = {n:,}, float32, {n_threads} thread(s)     fastopt us    NumPy us     ratio")
        for name, ours, theirs, ratio in against_numpy(n, n_threads):
            print(f"  {name:<36}{ours:12.2f}{theirs:12.2f}{ratio:10.1f}")
    print(f"\nfloat32, {threads} threads            share of the gauge (gauge GB/s)")
    for n in MEMORY_SIZES:
        shares = (share_of_gauge(name, n, threads) for name in METHODS)
        row = "   ".join(
            f"{name} {share:6.1%} ({gauge:.0f})" for name, (gauge, share) in zip(METHODS, shares, strict=True)
        )
        print(f"  n = {n:<12,}{row}")


if __name__ == "__main__":
    main()
