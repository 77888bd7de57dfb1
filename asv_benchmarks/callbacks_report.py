"""What callbacks and a validation loss add to epochs in C: ratios to the same epochs without them.

    python asv_benchmarks/callbacks_report.py            (a minute and 1 GB)
    python asv_benchmarks/callbacks_report.py --quick    (a tenth of the data)

Logistic regression over 200,000 x 200,000 CSR samples, 40 nonzeros a row, in batches of 256, on one thread. Prints a
Markdown table: milliseconds an epoch, then ratios. All contenders of a row take turns; ratios are medians of the ratios
of a round. Seconds are of the processor, as other processes do not count in them.
"""

import argparse
import functools
import itertools
import statistics
import time

import numpy as np
import problems

import fastopt
from fastopt import objectives

EPOCHS = 5
HELD_OUT = 20_000


def ignore_epoch(state):
    """An epoch callback that does nothing."""


def read_epoch(state):
    """An epoch callback that asks for x."""
    return state.x


def ignore_step(intermediate_result):
    """A callback after each step that does nothing."""


class Contenders:
    """Runs of a method over one objective; a callable for each column of the table."""

    def __init__(self, X, y, method, penalties):
        n = X.shape[0]
        self.objective = objectives.Logistic(X, y, **penalties)
        rows = slice(n - min(HELD_OUT, n // 10), n)
        self.held_out = objectives.Logistic(X[rows], y[rows])
        self.method = method

    def run(self, **arguments):
        x0, options = np.zeros(self.objective.n_parameters), {"epochs": EPOCHS, "learning_rate": 0.1}
        fastopt.minimize(self.objective, x0, method=self.method, batch_size=256, rng=0, options=options, **arguments)

    def evaluate(self):
        """What a validation loss takes in any case."""
        for _ in range(EPOCHS):
            self.held_out(np.full(self.objective.n_parameters, 0.1))

    def all(self):
        return {
            "plain": self.run,
            "epoch_callback": functools.partial(self.run, epoch_callback=ignore_epoch),
            "reading x": functools.partial(self.run, epoch_callback=read_epoch),
            "validation": functools.partial(self.run, validation=self.held_out),
            "callback": functools.partial(self.run, callback=ignore_step),
            "evaluation alone": self.evaluate,
        }


def measured(contenders, rounds):
    """Seconds of the processor, by contender and round."""
    times = {name: [] for name in contenders}
    for _, (name, run) in itertools.product(range(rounds + 1), contenders.items()):
        start = time.process_time()
        run()
        times[name].append(time.process_time() - start)
    return {name: np.array(each[1:]) for name, each in times.items()}  # the first is to warm up


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, to see whether it works")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    n = 20_000 if arguments.quick else 200_000
    X, y = problems.csr_samples(n, n, 40)
    columns = ["epoch_callback", "reading x", "validation", "validation less its evaluation", "callback"]
    print(f"| method | l2 | plain, ms | {' | '.join(columns)} |\n|---|---|{'---:|' * (len(columns) + 1)}")
    for method, penalties in itertools.product(("adagrad", "sgd"), ({}, {"l2": 1e-6})):
        with fastopt.threads(1):
            times = measured(Contenders(X, y, method, penalties).all(), arguments.rounds)
        times["validation less its evaluation"] = times["validation"] - times["evaluation alone"]
        ratios = [f"{statistics.median(times[name] / times['plain']):.3f}" for name in columns]
        plain = statistics.median(times["plain"]) * 1000 / EPOCHS
        print(f"| {method} | {penalties.get('l2', 0)} | {plain:.1f} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
