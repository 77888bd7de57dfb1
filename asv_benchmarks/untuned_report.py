"""Optimizers whose learning rate nobody has tuned, against Adam with the best of 13 learning rates.

    python asv_benchmarks/untuned_report.py                        (ten minutes; needs scikit-learn and matplotlib)
    python asv_benchmarks/untuned_report.py --methods 'Adagrad*'   (measures these again; keeps the other figures)
    python asv_benchmarks/untuned_report.py --only '*Rosenbrock*'  (some problems: prints, and writes nothing)
    python asv_benchmarks/untuned_report.py --page                 (measures nothing: page and chart from the figures)

Writes docs/performance/untuned.md and untuned.png, and the figures they are made from into untuned.json. The figures
do not depend on the speed of the machine, so anything else may run meanwhile. A method is a line of METHODS. What
`minimize` reaches without any option is measured, too.
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
from fastopt.schedules import cosine_decay, polynomial_decay

RATES = np.logspace(-5, 1, 13)
SEEDS = (0, 1, 2)  # of the order of the samples
PAGE_FOLDER = Path(__file__).resolve().parents[1] / "docs" / "performance"


def falling(rate, iterations):
    """A rate that falls linearly to 0 over the budget."""
    return polynomial_decay(rate, iterations, end=0.0)


def fell(cls, rate=1.0, schedule=falling, **hyper):
    """What makes an optimizer whose rate falls."""
    return functools.partial(_with_schedule, cls=cls, rate=rate, schedule=schedule, hyper=hyper)


def _with_schedule(x, iterations, cls, rate, schedule, hyper):
    return cls(x, learning_rate=schedule(rate, iterations), **hyper)


def plain(cls):
    """What makes an optimizer as it comes."""
    return functools.partial(_as_it_comes, cls=cls)


def _as_it_comes(x, iterations, cls):
    return cls(x)


#: Name -> what makes the optimizer from the parameters and the number of iterations; None is the default of `minimize`.
METHODS = {
    "`method=None`": None,
    "Prodigy, 1 falling": fell(fastopt.Prodigy),
    "Prodigy": plain(fastopt.Prodigy),
    "DoG": plain(fastopt.DoG),
    "COCOB": plain(fastopt.COCOB),
    "MoMo": plain(fastopt.MoMo),
    "MoMo, 1 falling": fell(fastopt.MoMo),
    "ScheduleFreeAdamW": plain(fastopt.ScheduleFreeAdamW),
    "ScheduleFreeSGD": plain(fastopt.ScheduleFreeSGD),
    "Adam, 0.1 falling": fell(fastopt.Adam, 0.1),
    "Adam, 0.05 by cosine": fell(fastopt.Adam, 0.05, cosine_decay),
    "Adam": plain(fastopt.Adam),
    "RMSprop": plain(fastopt.RMSprop),
    "Adagrad": plain(fastopt.Adagrad),
    "Adadelta": plain(fastopt.Adadelta),
    "Lion": plain(fastopt.Lion),
    "Rprop": plain(fastopt.Rprop),
    "Adan": plain(fastopt.Adan),
    "ADOPT": plain(fastopt.ADOPT),
    "LAMB": plain(fastopt.LAMB),
    "FTRL": plain(fastopt.FTRL),
    "SGD": plain(fastopt.SGD),
}
TUNED = {f"{rate:.3g}": fell(fastopt.Adam, rate) for rate in RATES}

#: What a user writes who gives no option -> the method.
CALLS = {"`minimize(fun, x0)`": None, '`method="adam"`': "adam"}


@functools.cache
def problems():
    return {each.name: each for each in untuned_problems.all_problems()}


# In a process of the pool


def reached(problem, settings, seed):
    """The objective over all samples at the result; None if it is not finite."""
    if problem.n_samples is not None:
        settings = settings | {"rng": seed}
    if not problem.built_in:
        settings = settings | {"jac": True, "n_samples": problem.n_samples}
    with np.errstate(all="ignore"):  # of rates that are too large
        result = fastopt.minimize(problem.fun, problem.x0, **settings)
        value = problem.value(result.x)
    return result.nit, value if np.isfinite(value) else None


def all_seeds(problem, settings):
    """Iterations, and the values reached; functions without samples are the same with every seed."""
    found = [reached(problem, settings, seed) for seed in (SEEDS if problem.n_samples is not None else SEEDS[:1])]
    return found[0][0], [value for _, value in found]


def in_budget(problem, make):
    """The values that a method reaches in the iterations of the problem."""
    method = None if make is None else functools.partial(make, iterations=problem.iterations)
    settings = {"method": method, "options": {"maxiter": problem.iterations}, "batch_size": problem.batch_size}
    return all_seeds(problem, settings)[1]


def without_options(problem):
    """What calls without any option reach; one budget, so only for one of the problems that differ in theirs."""
    if problem.iterations == untuned_problems.SHORT:
        return None
    found = {call: all_seeds(problem, {"method": method}) for call, method in CALLS.items()}
    return {"iterations": found[next(iter(CALLS))][0], "calls": {call: values for call, (_, values) in found.items()}}


def measured(name, methods):
    """The figures of a problem: what all methods named, the tuned Adam and calls without options reach."""
    problem = problems()[name]
    return name, {
        "parameters": problem.x0.size,
        "iterations": problem.iterations,
        "start": problem.value(problem.x0),
        "minimum": problem.minimum(),
        "tuned": {rate: in_budget(problem, make) for rate, make in TUNED.items()},
        "methods": {method: in_budget(problem, METHODS[method]) for method in methods},
        "without_options": without_options(problem),
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
