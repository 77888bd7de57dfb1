"""A step from compiled code against one from Python and against the kernel itself, on 100 numbers.

    python asv_benchmarks/compiled_report.py            (some 10 seconds, alone on the machine; needs a C compiler)

The loop is in C and calls the function of the handle. The kernel itself is the part of a step that grows with its
size: the difference between steps on 200 and on 100 numbers.
"""

import compiled_loop
import numpy as np
from timing import interleaved

import fastopt

N, CALLS = 100, 1000


def problem(n):
    x = np.ones(n, np.float32)
    return fastopt.Adagrad(x, learning_rate=0.01), np.full(n, 0.5, np.float32)


def main():
    opt, g = problem(N)
    twice, g_twice = problem(2 * N)
    times = interleaved(
        {
            "Python": lambda: opt.step(g),
            "compiled": lambda: compiled_loop.steps(opt, [g], CALLS),
            "compiled, twice as many numbers": lambda: compiled_loop.steps(twice, [g_twice], CALLS),
        }
    )
    python, compiled, doubled = times["Python"], *(seconds / CALLS for seconds in [*times.values()][1:])
    kernel = doubled - compiled
    fastopt.show_versions()
    print(f"\nAdagrad, {N} float32 numbers, nanoseconds a step")
    for what, seconds in (("from Python", python), ("from C", compiled), ("kernel", kernel)):
        print(f"{what:<14}{seconds * 1e9:8.0f}")
    more, ratio = (compiled - kernel) * 1e9, python / compiled
    print(f"a step from C takes {more:.0f} ns more than the kernel, and {ratio:.1f} times less than from Python")


if __name__ == "__main__":
    main()
