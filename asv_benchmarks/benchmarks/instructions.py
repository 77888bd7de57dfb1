"""Instructions per element, counted by valgrind: the same in every run, so that 2 % more are a regression.

All kernels are counted once, in one process of valgrind, and looked up by their names: what a class calls them, and the
parameters of the benchmark.
"""

import sys

import instruction_counts
from registry import DTYPES, FINITE_SUM_METHODS, LOSSES, OPTIMIZERS

LAYOUTS = list(instruction_counts.SAMPLES_OF)


def setup_cache():
    """The counts of all kernels, or {"reason": why there are none}."""
    reason = instruction_counts.unavailable()
    if reason:
        print(reason, file=sys.stderr)
        return {"reason": reason}
    return instruction_counts.count(list(instruction_counts.all_kernels()))


setup_cache.timeout = 900


class _Kernels:
    unit = "instructions per element"

    def setup(self, counts, *words):
        name = " ".join((self.called, *words))
        if "reason" in counts:
            raise NotImplementedError(counts["reason"])
        if name not in counts:
            raise NotImplementedError(f"this commit has nothing to count as {name!r}")
        self.counted = counts[name]

    def track_instructions(self, counts, *words):
        return self.counted


class Call(_Kernels):
    """A step on one number, with the loop around it."""

    called = "call"
    params = (OPTIMIZERS,)
    param_names = ("optimizer",)
    unit = "instructions per call"


class Compiled(_Kernels):
    """A step on 100 numbers that is called from C."""

    called = "compiled"
    params = (OPTIMIZERS,)
    param_names = ("optimizer",)
    unit = "instructions per call"


class Dense(_Kernels):
    called = "dense"
    params = (OPTIMIZERS, DTYPES)
    param_names = ("optimizer", "dtype")


class Form(_Kernels):
    """Options whose loops are others."""

    called = "form"
    params = (list(instruction_counts.FORMS),)
    param_names = ("form",)


class Rows(_Kernels):
    called = "rows"
    params = (OPTIMIZERS,)
    param_names = ("optimizer",)


class Elements(_Kernels):
    called = "elements"
    params = (OPTIMIZERS,)
    param_names = ("optimizer",)


class Positions(_Kernels):
    """Checking, sorting and summing duplicates."""

    called = "positions"
    params = (list(instruction_counts.UNORDERED),)
    param_names = ("positions",)


class Gradient(_Kernels):
    """Value and gradient of an objective, per entry of its samples."""

    called = "gradient"
    params = (LOSSES, LAYOUTS)
    param_names = ("loss", "layout")


class Epoch(_Kernels):
    """An epoch of SGD in batches of one, per entry of the samples."""

    called = "epoch"
    params = (LOSSES, LAYOUTS, ["sgd"])
    param_names = ("loss", "layout", "method")


class EpochOfMethod(_Kernels):
    """An epoch of logistic regression, per entry of the samples; Adagrad in batches of 32."""

    called = "epoch"
    params = (["Logistic"], LAYOUTS, ["adagrad", *FINITE_SUM_METHODS])
    param_names = ("loss", "layout", "method")


class Iteration(_Kernels):
    """An iteration of minimize whose objective costs next to nothing."""

    called = "iteration"
    params = (["adam"],)
    param_names = ("method",)
    unit = "instructions per iteration"
