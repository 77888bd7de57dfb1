"""Optimizers whose learning rate nobody has tuned, against Adam with the best of 13 learning rates.

    python asv_benchmarks/untuned_report.py                        (two minutes; needs scikit-learn and matplotlib)
    python asv_benchmarks/untuned_report.py --methods 'Adagrad*'   (measures these again; keeps the other figures)
    python asv_benchmarks/untuned_report.py --only '*Rosenbrock*'  (some problems: prints, and writes nothing)
    python asv_benchmarks/untuned_report.py --page                 (measures nothing: page and chart from the figures)

Writes docs/performance/untuned.md and untuned.png, and the figures they are made from into untuned.json. The figures
do not depend on the speed of the machine, so anything else may run meanwhile. A method is a line of METHODS.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each process has one core; before NumPy is imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import functools
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import untuned_page
import untuned_problems
from selection import selected

import fastopt
from fastopt.schedules import polynomial_decay

RATES = np.logspace(-5, 1, 13)
SEEDS = (0, 1, 2)  # of the order of the samples
PAGE_FOLDER = Path(__file__).resolve().parents[1] / "docs" / "performance"


def falling(rate, iterations):
    """A rate that falls linearly to 0 over the budget."""
    return polynomial_decay(rate, iterations, end=0.0)


def adam_falling(x, iterations, rate):
    return fastopt.Adam(x, learning_rate=falling(rate, iterations))


#: Name -> what makes the optimizer from the parameters and the number of iterations; None is the default of `minimize`.
METHODS = {
    "`method=None`": None,
    "Adam, 0.1 falling": functools.partial(adam_falling, rate=0.1),
    "Adam": lambda x, iterations: fastopt.Adam(x),
    "RMSprop": lambda x, iterations: fastopt.RMSprop(x),
    "Adagrad": lambda x, iterations: fastopt.Adagrad(x),
    "Adadelta": lambda x, iterations: fastopt.Adadelta(x),
    "Lion": lambda x, iterations: fastopt.Lion(x),
    "Rprop": lambda x, iterations: fastopt.Rprop(x),
    "FTRL": lambda x, iterations: fastopt.FTRL(x),
    "SGD": lambda x, iterations: fastopt.SGD(x),
}
TUNED = {f"{rate:.3g}": functools.partial(adam_falling, rate=rate) for rate in RATES}


@functools.cache
def problems():
    return {each.name: each for each in untuned_problems.all_problems()}


# In a process of the pool


def reached(problem, make, seed):
    """The objective over all samples at the result; None if it is not finite."""
    settings = {"options": {"maxiter": problem.iterations}, "method": None}
    if problem.n_samples is not None:
        settings |= {"batch_size": problem.batch_size, "rng": seed}
    if not problem.built_in:
        settings |= {"jac": True, "n_samples": problem.n_samples}
    if make is not None:
        settings["method"] = functools.partial(make, iterations=problem.iterations)
    with np.errstate(all="ignore"):  # of rates that are too large
        value = problem.value(fastopt.minimize(problem.fun, problem.x0, **settings).x)
    return value if np.isfinite(value) else None


def all_seeds(name, make):
    """The values reached; functions without samples are the same with every seed."""
    problem = problems()[name]
    return [reached(problem, make, seed) for seed in (SEEDS if problem.n_samples is not None else SEEDS[:1])]


def measured(name, methods):
    """The figures of a problem: what all methods named and the tuned Adam reach."""
    problem = problems()[name]
    return name, {
        "parameters": problem.x0.size,
        "iterations": problem.iterations,
        "start": problem.value(problem.x0),
        "minimum": problem.minimum(),
        "tuned": {rate: all_seeds(name, make) for rate, make in TUNED.items()},
        "methods": {method: all_seeds(name, METHODS[method]) for method in methods},
    }


# Here


def measure(names, methods):
    """Name -> figures, in the order of the names. Ends with a traceback if a method raises."""
    with multiprocessing.get_context("spawn").Pool() as pool:
        found = {}
        for name, figures in pool.imap_unordered(functools.partial(measured, methods=methods), names):
            found[name] = figures
            print(f"{len(found)} of {len(names)}: {name}", flush=True)
    return {name: found[name] for name in names}


def kept_methods(kept, figures):
    """The methods of each problem in the order of METHODS: those just measured, and older ones of the same problem."""
    for name, each in figures.items():
        every = {**kept.get(name, {}).get("methods", {}), **each["methods"]}
        each["methods"] = {method: every[method] for method in METHODS if method in every}
    return figures


def parser():
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--only", nargs="+", metavar="PATTERN", help="problems; writes nothing")
    it.add_argument("--methods", nargs="+", metavar="PATTERN", help="methods that are measured (default: all)")
    it.add_argument("--page", action="store_true", help="measure nothing: make page and chart from untuned.json again")
    return it


def main(argv=None):
    arguments = parser().parse_args(argv)
    if not arguments.page:
        names, methods = selected(problems(), arguments.only), selected(METHODS, arguments.methods)
        if not names or not methods:
            print("untuned_report: no problem or no method matches.", file=sys.stderr)
            return 2
        figures = measure(names, methods)
        if arguments.only:
            print(untuned_page.tables(figures))
            return 0
        untuned_page.keep(PAGE_FOLDER, kept_methods(untuned_page.load(PAGE_FOLDER)["problems"], figures))
    untuned_page.write(PAGE_FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
