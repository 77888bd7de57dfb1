"""Speed and memory of dense steps: the cost of a call, against NumPy, and against the bandwidth of the machine.

    python asv_benchmarks/step_report.py            (some 3 minutes and 2 GB; alone on the machine)

What is compared runs in turns in this process; figures are medians. The gauge makes the same in-place passes
over as many arrays without arithmetic, in memory laid out for it: what it reaches is what the machine allows.
"""

import argparse

import numpy as np
from gauge import share_of_gauge
from memory_use import extra_memory
from problems import dense_problem
from timing import interleaved

import fastopt
from fastopt._bench_numpy import NUMPY_UPDATES

METHODS = ("sgd", "adagrad", "adam")
MEMORY_SIZES = (2**24, 2**25, 50_000_000)


def check_same_result(name, n=1000, steps=5):
    """The NumPy version computes what fastopt computes, or comparing their speed would mean nothing."""
    x, g = dense_problem(n)
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
        x, g = dense_problem(n)
        ours = fastopt.get_optimizer(name)(x, num_threads=num_threads).step
        theirs = NUMPY_UPDATES[name](x.copy()).step
        times = interleaved({"fastopt": lambda ours=ours, g=g: ours(g), "numpy": lambda theirs=theirs, g=g: theirs(g)})
        yield name, times["fastopt"] * 1e6, times["numpy"] * 1e6, times["numpy"] / times["fastopt"]


def call_overhead():
    """Microseconds of a step on one number, less those of calling a function that does nothing."""
    x, g = dense_problem(1)
    step = fastopt.Adam(x).step
    times = interleaved({"step": lambda: step(g), "nothing": lambda: None})
    return (times["step"] - times["nothing"]) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    threads = parser.parse_args().threads
    memory = extra_memory("adam", clip_norm=1.0, nonfinite="skip")  # first: it reads the high-water mark of the process
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
