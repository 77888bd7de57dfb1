"""What all suites have in common: how much is measured, and what is measured only when asked for."""

import functools
import os

#: In a process: 6 to 12 samples, in a second at most. From 6 samples on asv compares by the test of Mann and Whitney.
REPEAT = (6, 12, 1.0)
#: Processes. What differs between them, such as where memory lies, is a part of the spread.
ROUNDS = 2

EVERYTHING = "FASTOPT_BENCH_EVERYTHING"


def rare():
    """Leave this out, unless everything was asked for."""
    if os.environ.get(EVERYTHING) != "1":
        raise NotImplementedError(f"measured only with {EVERYTHING}=1")


def kept(make):
    """`make`, whose last result is kept: asv calls `setup` before each sample, and large problems take long to make."""
    return functools.lru_cache(maxsize=1)(make)
