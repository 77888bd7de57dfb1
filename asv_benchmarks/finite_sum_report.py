"""Speed of fastopt.objectives and of epochs in C, against scikit-learn, cyanure, and NumPy and SciPy by hand.

    python asv_benchmarks/finite_sum_report.py                 (half an hour and 6 GB; alone on the machine)
    python asv_benchmarks/finite_sum_report.py --quick sgd full    (two of the cases, a tenth of the data)

Prints a Markdown table per problem. All contenders start with the same arrays and end with weights, whose objective is
computed by one function in float64. Each runs in a process of its own with the threads in the table, in turns with the
others; seconds are medians, ratios the medians of the ratios of a round. Peers that are not installed are left out.
"""

import argparse
import functools
import importlib.util
import statistics
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from contenders import linear, with_cyanure, with_fastopt, with_numpy, with_sklearn
from timing import TellingContender

ACCURACY = 1e-6  # relative suboptimality in the case `saga`
TURN_SECONDS = 0.2  # at least, of what is faster
CYANURE_SOLVERS = ("auto", "qning-miso", "catalyst-miso", "acc-svrg", "svrg")


class Entry(NamedTuple):
    """A contender: a function of contenders/linear.py that runs in its process, its arguments, and what it imports."""

    threads: int
    make: Callable
    arguments: tuple
    module: str = "fastopt"


class Goal(NamedTuple):
    """The fastest of some contenders should be `least` times as fast as the fastest of others; or is just compared."""

    ours: tuple
    theirs: tuple
    least: float | None = None


class Problem(NamedTuple):
    """A table: contenders by name, and what is expected of them."""

    title: str
    entries: dict
    goals: tuple


class Result(NamedTuple):
    """Seconds of each round, and the epochs and the objective that a contender told."""

    seconds: list
    epochs: int | None
    value: float


# Measuring


def start(entry):
    """The contender in its process, ready for its turns, and what it told."""
    contender = TellingContender(entry.threads, entry.make, *entry.arguments)
    contender.repeats = 1
    first = contender.turn()
    contender.repeats = max(1, round(TURN_SECONDS / max(first, 1e-4)))
    return contender, contender.told()


def measured(entries, rounds):
    """Result of each contender. They are made one by one, so that nothing else runs in the rounds."""
    started = {name: start(entry) for name, entry in entries.items()}
    seconds = {name: [] for name in entries}
    for _ in range(rounds):
        for name, (contender, _) in started.items():
            contender.rest()
            seconds[name].append(contender.turn())
    for contender, _ in started.values():
        contender.close()
    return {name: Result(seconds[name], *outcome) for name, (_, outcome) in started.items()}


def installed(entries):
    """The contenders that can run here; a line about each of the others."""
    missing = {name for name, entry in entries.items() if importlib.util.find_spec(entry.module) is None}
    for name in sorted(missing):
        print(f"\n{name}: skipped, {entries[name].module} is not installed")
    return {name: entry for name, entry in entries.items() if name not in missing}


# Tables


def ratio(theirs, ours):
    """By how much `ours` is faster, the median over the rounds."""
    return statistics.median(np.divide(theirs.seconds, ours.seconds))


def fastest(results, names):
    """Name of the contender with the smallest median, or None if none of them was measured."""
    there = [name for name in names if name in results]
    return min(there, key=lambda name: statistics.median(results[name].seconds), default=None)


def print_row(*cells):
    print("| " + " | ".join(map(str, cells)) + " |")


def print_table(results, entries, rivals):
    """A row per contender. The columns of the rivals have by how much it is faster than each of them."""
    with_epochs = any(result.epochs for result in results.values())
    head = ["contender", "threads", "seconds", *(["epochs"] if with_epochs else []), "objective"]
    print_row(*head, *(f"vs {name}" for name in rivals))
    print_row("---", *["---:"] * (len(head) - 1 + len(rivals)))
    for name, result in results.items():
        epochs = [result.epochs] if with_epochs else []
        ratios = [f"{ratio(results[rival], result):.2f}x" for rival in rivals]
        seconds = f"{statistics.median(result.seconds):.4g}"
        print_row(name, entries[name].threads, seconds, *epochs, f"{result.value:.6f}", *ratios)


def print_goals(goals, results):
    print()
    for goal in goals:
        ours, theirs = fastest(results, goal.ours), fastest(results, goal.theirs)
        if ours is None or theirs is None:
            print(f"- {goal.ours[0]} against {goal.theirs[0]}: not measured")
            continue
        reached = ratio(results[theirs], results[ours])
        line = f"- {ours}: {reached:.2f}x as fast as {theirs}"
        if goal.least is not None:
            line += f", goal {goal.least:.2f}x: {'reached' if reached >= goal.least else 'MISSED'}"
        print(line)


def report(problem, rounds):
    print(f"\n### {problem.title}")
    entries = installed(problem.entries)
    results = measured(entries, rounds)
    for name in [name for name, result in results.items() if result.epochs == 0]:
        print(f"\n{name}: left out, {linear.MAX_EPOCHS} epochs lead to {results.pop(name).value:.6f} only")
    print()
    rivals = list(dict.fromkeys(fastest(results, goal.theirs) for goal in problem.goals))
    print_table(results, entries, [name for name in rivals if name is not None])
    print_goals(problem.goals, results)


# Cases


def sparse_data(scale, n=200_000):
    n, d = int(n * scale), int(200_000 * scale)
    return functools.partial(linear.zipf_rows, n, d, 40), f"{n:,} x {d:,} CSR, 40 nonzeros a row, float64"


def dense_data(scale, n, d, dtype):
    n = int(n * scale)
    return functools.partial(linear.dense_rows, n, d, dtype), f"{n:,} x {d} dense, {np.dtype(dtype)}"


def trained(threads, data, l2, module, train, **settings):
    return Entry(threads, linear.training, (data, l2, functools.partial(train, **settings)), module)


def trained_to(data, l2, largest_value, module, train, **settings):
    return Entry(1, linear.training_to, (data, l2, largest_value, functools.partial(train, **settings)), module)


def sgd_problems(data, what, learning_rate, goals, l2=1e-6):
    """One epoch, with the checks of the data and the value at the end; and some more, over which these are spread.

    `goals` are by the number of epochs.
    """
    for epochs in (1, 5):
        settings = {"learning_rate": learning_rate, "epochs": epochs}
        hogwild = {"parallel": "hogwild", "num_threads": 2}
        entries = {
            "fastopt, 1": trained(1, data, l2, "fastopt", with_fastopt.fastopt_weights, **settings),
            "fastopt, hogwild 2": trained(2, data, l2, "fastopt", with_fastopt.fastopt_weights, **hogwild, **settings),
            "SGDClassifier": trained(1, data, l2, "sklearn", with_sklearn.sgd_classifier_weights, **settings),
        }
        names = [name for name in entries if name != "SGDClassifier"]
        compared = [Goal((name,), ("SGDClassifier",), goals.get(epochs, {}).get(name)) for name in names]
        title = f"SGD, batches of 1, learning rate {learning_rate}, epochs: {epochs}, {what}"
        yield Problem(title, entries, tuple(compared))


def sgd(scale):
    yield from sgd_problems(*sparse_data(scale), 1.0, {5: {"fastopt, 1": 2.5, "fastopt, hogwild 2": 4.0}})


def dense(scale):
    yield from sgd_problems(*dense_data(scale, 200_000, 512, np.float32), 0.3, {1: {"fastopt, 1": 3.0}})


def adagrad(scale):
    """With l2, which dense steps by hand add to the gradient; and without, where all compute the same weights."""
    yield adagrad_problem(*sparse_data(scale), 1e-6, 9.0)
    yield adagrad_problem(*sparse_data(scale), 0.0, 9.0)


def adagrad_problem(data, what, l2, least):
    settings = {"batch_size": 256, "learning_rate": 0.3, "initial_accumulator_value": 1e-6}
    ours = {"method": "adagrad", "epochs": 1, **settings}
    entries = {
        f"fastopt, {threads}": trained(threads, data, l2, "fastopt", with_fastopt.fastopt_weights, **ours)
        for threads in (1, 2)
    }
    by_hand = {"dense": with_numpy.dense_by_hand_weights}
    if l2 == 0:
        by_hand["sparse"] = with_numpy.sparse_by_hand_weights
    for steps, train in by_hand.items():
        entries[f"by hand, {steps} steps"] = trained(1, data, l2, "scipy", train, **settings)
    goals = [Goal((name,), ("by hand, dense steps",), least) for name in list(entries)[:2]]
    if l2 == 0:
        goals.append(Goal(("fastopt, 1",), ("by hand, sparse steps",)))
    return Problem(f"Adagrad, an epoch in batches of 256, l2 = {l2:g}, {what}", entries, tuple(goals))


def saga(scale):
    """Below l2 = 1/n the problem is harder, and acceleration begins to pay: there is no goal for that."""
    dense = dense_data(scale, 50_000, 256, np.float64)
    for data, what in (sparse_data(scale, 20_000), sparse_data(scale), dense):
        for factor in (10, 1, 0.1):
            yield saga_problem(data, what, factor)


def saga_problem(data, what, factor):
    """Time from nothing to the accuracy, with the fewest epochs that each contender needs."""
    X, y = data()
    l2 = factor / len(y)
    smallest, error = linear.minimum(X, y, l2)
    assert error < 0.01 * ACCURACY * smallest, "L-BFGS-B did not get close enough to the minimum"
    largest = smallest * (1 + ACCURACY)
    entry = functools.partial(trained_to, data, l2, largest)
    ours = {
        f"fastopt {method}": entry("fastopt", with_fastopt.fastopt_weights, method=method)
        for method in ("saga", "svrg")
    }
    sklearn = {"scikit-learn saga": entry("sklearn", with_sklearn.sklearn_saga_weights)}
    cyanure = {
        f"cyanure {solver}": entry("cyanure", with_cyanure.cyanure_weights, solver=solver) for solver in CYANURE_SOLVERS
    }
    goals = (
        Goal(tuple(ours), tuple(sklearn), 3.0 if factor >= 1 else None),
        Goal(tuple(ours), tuple(cyanure), 1.0 if factor >= 1 else None),
    )
    title = f"Logistic regression to 1 + {ACCURACY:g} times the minimum {smallest:.8f}, l2 = {factor}/n, {what}"
    return Problem(title, ours | sklearn | cyanure, goals)


def full(scale):
    """A value and a gradient against one product with X and one with its transpose."""
    for data, what in (sparse_data(scale), dense_data(scale, 200_000, 512, np.float32)):
        entries, goals = {}, []
        for threads in (1, 2):
            entries[f"fastopt, {threads}"] = Entry(threads, linear.value_and_gradient, (data, 1e-6))
        for threads in (1,) if "CSR" in what else (1, 2):
            entries[f"products, {threads}"] = Entry(threads, linear.bare_products, (data, 1e-6))
            goals.append(Goal((f"fastopt, {threads}",), (f"products, {threads}",), 1 / 1.25))
        goals.append(Goal(("fastopt, 2",), ("fastopt, 1",), 1.7))
        yield Problem(f"Value and gradient of logistic regression, {what}", entries, tuple(goals))


CASES = {case.__name__: case for case in (sgd, adagrad, dense, saga, full)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, to see whether it works")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(CASES):
        parser.error(f"unknown cases: {', '.join(sorted(unknown))}")
    sys.stdout.reconfigure(line_buffering=True)
    for name in arguments.cases or CASES:
        for problem in CASES[name](0.1 if arguments.quick else 1.0):
            report(problem, 3 if arguments.quick else arguments.rounds)


if __name__ == "__main__":
    main()
