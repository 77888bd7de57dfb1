"""``fastopt bench``: how fast each optimizer is on this machine, against its memory and against NumPy.

The gauge makes in-place passes over arrays as a step does, without arithmetic: one array is read, and as many are read
and written as in the step. Where a step only reads more arrays than its gradient, that number is the one with which the
share of writes is nearest. For parameters that the caches do not hold, its bandwidth is the most that an optimizer can
reach. What is moved counts each array once: rules with sums before the step read some a second time.
"""

import dataclasses
import math
import os
import statistics
import time
import timeit

import numpy as np

import fastopt

from .. import _core
from .arguments import UsageError, at_least
from .bench_numpy import NUMPY_UPDATES

DEFAULT_SIZE = 2**24  # 64 MiB in float32: more than the caches of most machines hold
BUDGET_SECONDS = 20.0  # for all rounds together, without allocations and first passes
TURN_SECONDS = 1e-3  # least time of a measurement, so that the resolution of the clock does not matter
LEAST_ROUNDS, MOST_ROUNDS = 3, 25
GAUGE_FROM = 256 * 1024  # bytes of parameters: below, a pass of the gauge is mostly the overhead of the call
WARM_UP_CALLS = 3  # touch the memory for the first time, wake the threads
PAGE, LINE = 4096, 64
ROW = 64  # entries in a row of the parameter, if as many divide its size
UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table, times in seconds per step, bandwidths in bytes per second.

    None where there is no gauge, or no such update in NumPy.
    """

    label: str
    seconds: float
    gauge_bandwidth: float | None
    numpy_seconds: float | None
    bytes_per_parameter: int
    size: int

    @property
    def bandwidth(self):
        """Bytes per second that the step moved."""
        return self.bytes_per_parameter * self.size / self.seconds

    @property
    def share(self):
        """Of the bandwidth that the gauge reached."""
        return None if self.gauge_bandwidth is None else self.bandwidth / self.gauge_bandwidth


def cases():
    """(name, hyper-parameters) of each row: every optimizer with its defaults, and those with momentum with it."""
    for name, cls in fastopt.OPTIMIZERS.items():
        yield name, {}
        if name in NUMPY_UPDATES and cls is fastopt.SGD:
            yield name, {"momentum": 0.9}


def problem(size, dtype):
    """A parameter and a gradient, allocated as a user would: a matrix, as some rules look at rows or columns."""
    rng = np.random.default_rng(0)
    shape = size // math.gcd(size, ROW), math.gcd(size, ROW)
    return rng.standard_normal(shape, dtype=dtype), rng.standard_normal(shape, dtype=dtype)


def gauge_streams(nbytes, n):
    """Byte arrays in one block, each starting further into a page than the one before.

    They are written once: memory that was never written is read from one shared page of zeros, in the cache.
    """
    apart = nbytes + PAGE - nbytes % PAGE + 12 * LINE
    block = np.empty(n * apart + LINE, np.uint8)
    _core.advise_huge_pages(block)
    block.fill(1)
    first = -block.ctypes.data % LINE
    return [block[first + k * apart :][:nbytes] for k in range(n)]


def medians(runs, budget, clock=time.perf_counter):
    """Median seconds per call of each callable in the dict `runs`, in turns, until the budget of seconds is used up."""
    timers = {name: timeit.Timer(run, timer=clock) for name, run in runs.items()}
    repeats = {}
    for name, timer in timers.items():
        timer.timeit(WARM_UP_CALLS)
        repeats[name] = max(1, round(TURN_SECONDS / max(timer.timeit(1), 1e-9)))
    turns = {name: [] for name in timers}
    end = clock() + budget
    for done in range(MOST_ROUNDS):
        if done >= LEAST_ROUNDS and clock() >= end:
            break
        for name, timer in timers.items():
            turns[name].append(timer.timeit(repeats[name]) / repeats[name])
    return {name: statistics.median(each) for name, each in turns.items()}


def measure(name, hyper, x, g, num_threads, budget):
    """The row of one optimizer. The parameters `x` are updated."""
    opt = fastopt.get_optimizer(name)(x, num_threads=num_threads, **hyper)
    arguments = (g, 1.0) if _core.uses_value(opt.rule) else (g,)
    runs = {"fastopt": lambda: opt.step(*arguments)}
    read, readwrite = _core.streams(opt.rule, opt.state, x.size)
    in_gauge = _core.gauge_like(read, readwrite)
    if x.nbytes >= GAUGE_FROM:
        first, *others = gauge_streams(x.nbytes, 1 + in_gauge)
        runs["gauge"] = lambda: _core.gauge(first, others, num_threads)
    if name in NUMPY_UPDATES:
        numpy_update = NUMPY_UPDATES[name](x.copy(), **hyper)
        runs["numpy"] = lambda: numpy_update.step(g)
    seconds = medians(runs, budget)
    label = " ".join([name, *(f"{key}={value}" for key, value in hyper.items())])
    gauge_bandwidth = (1 + 2 * in_gauge) * x.nbytes / seconds["gauge"] if "gauge" in seconds else None
    moved = (read + 2 * readwrite) * x.itemsize
    return Row(label, seconds["fastopt"], gauge_bandwidth, seconds.get("numpy"), moved, x.size)


def format_time(seconds):
    """Three or four figures with a suitable unit."""
    unit, scale = next((each for each in UNITS if seconds >= each[1]), UNITS[-1])
    return f"{seconds / scale:.3g} {unit}" if seconds < 999 * scale else f"{seconds / scale:.0f} {unit}"


HEAD = (
    f"{'':<20}{'a step':>10}{'bytes per':>11}{'moved':>9}{'share of':>11}{'NumPy':>10}{'NumPy /':>10}\n"
    f"{'optimizer':<20}{'takes':>10}{'parameter':>11}{'GB/s':>9}{'bandwidth':>11}{'takes':>10}{'fastopt':>10}"
)


def format_row(row):
    """A line under `HEAD`."""
    share = "-" if row.share is None else f"{row.share:.0%}"
    numpy_texts = ("-", "-")
    if row.numpy_seconds is not None:
        numpy_texts = format_time(row.numpy_seconds), f"{row.numpy_seconds / row.seconds:.1f}x"
    return (
        f"{row.label:<20}{format_time(row.seconds):>10}{row.bytes_per_parameter:>11}{row.bandwidth / 1e9:>9.1f}"
        f"{share:>11}{numpy_texts[0]:>10}{numpy_texts[1]:>10}"
    )


def bytes_needed(size, dtype):
    """Memory of the largest row: parameter, gradient, gauge, and NumPy's arrays."""
    return 16 * size * np.dtype(dtype).itemsize


def check_memory(size, dtype):
    """Refuse sizes that do not fit into memory before the operating system ends the process."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if bytes_needed(size, dtype) > there:
        most = there // bytes_needed(1, dtype)
        raise UsageError(f"--size must be at most {most} for the memory of this machine, got {size}.")


def add_arguments(parser):
    """Declare the options of ``fastopt bench``."""
    parser.add_argument(
        "--size",
        type=at_least(1),
        default=DEFAULT_SIZE,
        metavar="N",
        help="number of parameters (default: %(default)s, which most caches do not hold)",
    )
    parser.add_argument(
        "--threads", type=at_least(1), metavar="N", help="threads of fastopt (default: what fastopt info says)"
    )
    parser.add_argument(
        "--dtype", choices=_core.dtype_names(), default="float32", help="of the parameters (default: %(default)s)"
    )


def run(arguments):
    """Measure every optimizer and print a line for each as soon as it is known."""
    size, dtype = arguments.size, arguments.dtype
    check_memory(size, dtype)
    num_threads = arguments.threads or fastopt.get_num_threads()
    print(
        f"fastopt {fastopt.__version__}, {_core.isa_in_use()} kernels, threads: {num_threads}; NumPy {np.__version__}, "
        f"one thread\n{size:,} {dtype} parameters; medians\n\n{HEAD}",
        flush=True,
    )
    x, g = problem(size, dtype)
    all_cases = list(cases())
    gauges = []
    for name, hyper in all_cases:
        row = measure(name, hyper, x, g, num_threads, BUDGET_SECONDS / len(all_cases))
        print(format_row(row), flush=True)
        if row.gauge_bandwidth is not None:
            gauges.append(row.gauge_bandwidth / 1e9)
    if not gauges:
        print(f"\nThe bandwidth is measured from {GAUGE_FROM // np.dtype(dtype).itemsize:,} parameters on.")
        return
    print(
        f"\nBandwidth of this machine, by passes without arithmetic over as many arrays: "
        f"{min(gauges):.1f} to {max(gauges):.1f} GB/s"
    )
