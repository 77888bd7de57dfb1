"""fastopt beside NumPy, torch, optax, packages of papers, scikit-learn and cyanure, whichever are installed.

    python asv_benchmarks/peers.py                              (a quarter of an hour and 8 GB; alone on the machine)
    python asv_benchmarks/peers.py --only adam 'sparse/*'       (some of it; what was measured before is kept)
    python asv_benchmarks/peers.py --quick --peers torch        (to see whether it works; writes nothing)

Each contender runs in a process of its own, all with as many threads, in turns with the others. What they compute is
compared first. Writes docs/performance/peers.md and peers.png, and the figures they are made from into peers.json.
"""

import argparse
import functools
import importlib.util
import statistics
import sys
import time
from pathlib import Path

import finite_sum_report
import numpy as np
import peers_page
from contenders import with_fastopt, with_numpy, with_optax, with_references, with_torch
from contenders.problems import STEPS
from neighbours import Neighbours
from selection import selected
from timing import TellingContender

OURS = "fastopt"
LIBRARIES = (with_fastopt, with_numpy, with_torch, with_optax, with_references)
STEPS_COMPARED, ENTRIES_COMPARED = 3, 1000
# Of parameters about 0.5 after some steps of 0.001 to 0.01 in float32. torch's SparseAdam adds epsilon before it
# corrects the bias, which shows where the gradient is near zero.
TOLERANCE = 5e-6
# The norm of 5*10^7 normal numbers is 7071.0; torch's in float32 is 7043.0, and the step of its DoG as much longer.
TOLERANCES = {"dog": 5e-4}
LEAST_SECONDS = 10e-3  # of a turn
LEAST_ROUNDS, MOST_SECONDS = 3, 60.0  # fewer rounds than asked for of steps that take seconds
WARM_UP_TURNS = 2  # of short steps, not counted: threads woken on one core spin there in turns until they are moved
PAGE_FOLDER = Path(__file__).resolve().parents[1] / "docs" / "performance"

#: Cases of finite_sum_report.py of which the first problem is taken.
LINEAR = {f"linear/{name}": finite_sum_report.CASES[name] for name in ("sgd", "dense", "saga")}


# In the process of a contender


def serve_step(outcome, library, name, problem, threads):
    """Sends some of the parameters after some steps, or None if the library cannot do this."""
    made = library_steps(library)[name](problem, threads)
    if made is None:
        outcome.send(None)
        return lambda: None
    step, parameters, *renewals = made
    for _ in range(STEPS_COMPARED):
        step()
        for renew in renewals:
            renew()
    outcome.send(sample(problem, parameters()))
    return step


def library_steps(name):
    return importlib.import_module(name).STEPS


def sample(problem, p):
    """Entries all over the array, or of rows that were touched."""
    touched = p if problem.rows is None else p[problem.rows[:ENTRIES_COMPARED]]
    flat = touched.reshape(-1)
    return flat[:: max(1, flat.size // ENTRIES_COMPARED)].astype(np.float64)


# Here


def installed(libraries):
    return [each for each in libraries if importlib.util.find_spec(each.REQUIRES) is not None]


def contenders(problem, threads, libraries):
    """Name -> process of each contender that can do the problem. Ends if one of them computes something else."""
    started, told = {}, {}
    for library in libraries:
        for name in library.STEPS:  # one after the other: first steps of all at once would take turns on the cores
            started[name] = TellingContender(threads, serve_step, library.__name__, name, problem, threads)
            told[name] = started[name].told()
    for name in [name for name, parameters in told.items() if parameters is None]:
        started.pop(name).close()
    atol = TOLERANCES.get(problem.method, TOLERANCE)
    for name in started:
        message = f"{name} computes something else than fastopt: {problem.title}"
        np.testing.assert_allclose(told[name], told[OURS], rtol=0, atol=atol, err_msg=message)
    return started


def measure_step(problem, threads, rounds, libraries):
    """Contender -> its median seconds, and the median over the rounds of its seconds by fastopt's.

    And the share of the processors that others took meanwhile.
    """
    running = contenders(problem, threads, libraries)
    for each in running.values():
        each.prepare(LEAST_SECONDS)
    seconds = {name: [] for name in running}
    neighbours = Neighbours([each.process.pid for each in running.values()])
    started = time.monotonic()
    for k in range(rounds):
        if k >= LEAST_ROUNDS and time.monotonic() - started > MOST_SECONDS:
            break
        for name, each in running.items():
            each.rest()
            for _ in range(WARM_UP_TURNS if each.repeats > 1 else 0):
                each.turn()
            seconds[name].append(each.turn())
    others = neighbours.share()
    for each in running.values():
        each.close()
    return {name: figures(each, seconds[OURS]) for name, each in seconds.items()}, others


def figures(theirs, ours):
    ratio = statistics.median(np.divide(theirs, ours).tolist())
    return {"seconds": statistics.median(theirs), "ratio": ratio}


def measure_linear(case, scale, rounds, modules):
    """The same for linear models, with the value of the objective; by the fastest contender of fastopt."""
    problem = next(iter(case(scale)))
    entries = {name: each for name, each in problem.entries.items() if each.module in modules}
    results = finite_sum_report.measured(finite_sum_report.installed(entries), rounds)
    results = {name: each for name, each in results.items() if each.epochs != 0}
    ours = results[finite_sum_report.fastest(results, [name for name in results if name.startswith(OURS)])]
    compared = {
        name: figures(each.seconds, ours.seconds) | {"threads": entries[name].threads, "value": each.value}
        for name, each in results.items()
    }
    return problem.title, compared, None


def measurements(keys, arguments):
    """Key, kind, title, figures and what others took, of each problem, as they come."""
    scale, rounds = (0.1, 3) if arguments.quick else (1.0, arguments.rounds)
    modules = {OURS, *arguments.peers}
    libraries = [each for each in installed(LIBRARIES) if each.REQUIRES in modules]
    steps = {step.key: step for step in STEPS}
    for key in keys:
        if key in steps:
            step = steps[key]
            yield key, step.kind, step.title, *measure_step(step, arguments.threads, rounds, libraries)
        else:
            yield key, "linear", *measure_linear(LINEAR[key], scale, min(rounds, 7), modules)


def print_figures(title, contenders):
    print(f"\n{title}")
    for name, it in contenders.items():
        value = f"   objective {it['value']:.6f}" if "value" in it else ""
        print(f"  {name:<24}{peers_page.time(it['seconds']):>10}{it['ratio']:>9.2f}x{value}")


def parser():
    every = sorted({each.REQUIRES for each in LIBRARIES} - {OURS} | {"sklearn", "cyanure"})
    it = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    it.add_argument("--only", nargs="+", metavar="PATTERN", help="problems, or parts of their names: dense, adam, 100")
    it.add_argument("--peers", nargs="+", choices=every, default=every, help="libraries (default: all installed)")
    it.add_argument("--quick", action="store_true", help="up to a million parameters, few rounds; writes nothing")
    it.add_argument("--rounds", type=int, default=11)
    it.add_argument("--threads", type=int, default=2, help="of every contender (default: 2)")
    it.add_argument("--page", action="store_true", help="measure nothing: make page and chart from peers.json again")
    return it


def main(argv=None):
    arguments = parser().parse_args(argv)
    small = [step.key for step in STEPS if not arguments.quick or np.prod(step.shape) <= 1_000_000]
    keys = selected([*small, *LINEAR], arguments.only)
    if not keys:
        print(f"peers: no problem matches; there are {', '.join([*small, *LINEAR])}.", file=sys.stderr)
        return 2
    order = [*(step.key for step in STEPS), *LINEAR]
    keep = functools.partial(peers_page.add, PAGE_FOLDER, order, arguments.threads)
    for key, kind, title, contenders, others in () if arguments.page else measurements(keys, arguments):
        print_figures(title, contenders)
        sys.stdout.flush()
        if not arguments.quick:
            keep(key, kind, title, contenders, others)
    if not arguments.quick:
        peers_page.write(PAGE_FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
