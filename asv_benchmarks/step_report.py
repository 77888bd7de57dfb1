"""Speed and memory of dense steps: the cost of a call, against NumPy, and against the bandwidth of the machine.

    python asv_benchmarks/step_report.py            (some 3 minutes and 2 GB; alone on the machine)

The rows are those of `fastopt bench`, which explains them, for three methods and several sizes, with more rounds.
"""

import argparse

from memory_use import extra_memory
from timing import interleaved

import fastopt
from fastopt._cli import bench

METHODS = ("sgd", "adagrad", "adam")
LARGE_SIZES = (1_000_000, 2**24, 2**25, 50_000_000)
ROW_SECONDS = 5.0


def call_overhead():
    """Microseconds of a step on one number, less those of calling a function that does nothing."""
    x, g = bench.problem(1, "float32")
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
    for n, n_threads in ((100, 1), *((n, threads) for n in LARGE_SIZES)):
        print(f"\nn = {n:,}, float32, {n_threads} thread(s)\n{bench.HEAD}")
        x, g = bench.problem(n, "float32")
        for name in METHODS:
            row = bench.measure(name, {}, x, g, n_threads, ROW_SECONDS)
            print(bench.format_row(row), flush=True)


if __name__ == "__main__":
    main()
