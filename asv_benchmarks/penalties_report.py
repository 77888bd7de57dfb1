"""What l1 and l2 add to epochs over CSR samples: ratios to the same epochs without a penalty.

    python asv_benchmarks/penalties_report.py                  (ten minutes and 1 GB; alone on the machine)
    python asv_benchmarks/penalties_report.py --quick          (a tenth of the data and fewer rounds)
    python asv_benchmarks/penalties_report.py adagrad ftrl     (some methods only)

Logistic regression over 200,000 x 200,000 samples with 40 nonzeros each. Prints a Markdown table: milliseconds of an
epoch without a penalty, then ratios. The contenders of a row take turns. In each turn they run some epochs, of which
the fastest counts and the first does not; ratios are medians of the ratios of a round.
"""

import argparse
import itertools
import statistics
import time

import numpy as np
import problems

import fastopt
from fastopt import objectives

EPOCHS = 4
LIMIT = 1.4
PENALTIES = {"none": {}, "l2": {"l2": 1e-6}, "l1": {"l1": 1e-6}, "both": {"l1": 1e-6, "l2": 1e-6}}

#: Name in the table -> method of `minimize` and samples in a batch.
METHODS = {
    "sgd, 1": ("sgd", 1),
    "sgd, 256": ("sgd", 256),
    "adagrad, 256": ("adagrad", 256),
    "adam, 256": ("adam", 256),
    "rmsprop, 256": ("rmsprop", 256),
    "ftrl, 256": ("ftrl", 256),
}

#: Name in the table -> threads and options.
WAYS = {"1 thread": (1, {}), "2 threads": (2, {}), "hogwild, 2": (2, {"parallel": "hogwild"})}


def epoch_seconds(objective, method, batch_size, options):
    """Seconds of the fastest epoch of a run but for the first."""
    ends = []
    x0 = np.zeros(objective.n_parameters, objective.dtype)
    fastopt.minimize(
        objective, x0, method=method, batch_size=batch_size, rng=0, options=options | {"epochs": EPOCHS},
        epoch_callback=lambda state: ends.append(time.perf_counter()),
    )  # fmt: skip
    return min(np.diff(ends))


def measured(contenders, rounds):
    """Seconds of an epoch, by penalty and round."""
    times = {name: [] for name in contenders}
    for _, (name, run) in itertools.product(range(rounds), contenders.items()):
        times[name].append(epoch_seconds(*run))
    return {name: np.array(each) for name, each in times.items()}


def rows(dtype, size, methods, rounds):
    """For each way to run each method: names, and the seconds by penalty."""
    X, y = problems.csr_samples(size, size, 40, dtype)
    objective = {name: objectives.Logistic(X, y, **penalty) for name, penalty in PENALTIES.items()}
    for method, way in itertools.product(methods, WAYS):
        name, batch_size = METHODS[method]
        threads, options = WAYS[way]
        options = options | {"learning_rate": 0.1}
        contenders = {penalty: (each, name, batch_size, options) for penalty, each in objective.items()}
        with fastopt.threads(threads):
            yield method, way, measured(contenders, rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("methods", nargs="*", metavar="method", help=f"of {', '.join(METHODS)}, by their beginnings")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, and three rounds")
    parser.add_argument("--dtype", choices=["float64", "float32"], help="both by default")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    methods = [name for name in METHODS if name.startswith(tuple(arguments.methods) or "")]
    size, rounds = (20_000, 3) if arguments.quick else (200_000, arguments.rounds)
    penalties = [name for name in PENALTIES if name != "none"]
    over = []
    print(f"| method, batch | threads | dtype | without, ms | {' | '.join(penalties)} |")
    print(f"|---|---|---|{'---:|' * (len(penalties) + 1)}")
    for dtype in [arguments.dtype] if arguments.dtype else ["float64", "float32"]:
        for method, way, times in rows(dtype, size, methods, rounds):
            ratios = {name: statistics.median(times[name] / times["none"]) for name in penalties}
            over += [f"{method}, {way}, {dtype}, {name}" for name in penalties if ratios[name] > LIMIT]
            cells = " | ".join(f"{ratios[name]:.2f}" for name in penalties)
            print(
                f"| {method} | {way} | {dtype} | {statistics.median(times['none']) * 1000:.1f} | {cells} |", flush=True
            )
    print(f"\nAbove {LIMIT}: {'; '.join(over) or 'none'}")


if __name__ == "__main__":
    main()
