"""What rules cost that have more state, sums, or a number for each row, beside the rules that they extend.

    python asv_benchmarks/rules_report.py            (some minutes and 6 GB; alone on the machine)
    python asv_benchmarks/rules_report.py --quick    (a million parameters, few rounds: to see whether it works)

All in one run, float32: what is compared takes turns, and figures are medians. Shares are bytes per second of a step by
bytes per second of the bandwidth gauge, where each array counts once. Rules that the package lacks are left out.
"""

import argparse

import numpy as np
import peers
import problems
from contenders import with_fastopt, with_torch
from contenders.problems import STEPS
from gauge import share_of_gauge
from timing import interleaved

import fastopt

SIZE, QUICK_SIZE = 50_000_000, 1_000_000
ROUNDS, QUICK_ROUNDS = 11, 3

#: Rule -> the least share of the bandwidth gauge.
SHARES = {"schedulefreeadamw": 0.95, "adan": 0.95, "adopt": 0.95, "ademamix": 0.95}

#: A rule and a simpler one, each with hyper-parameters, and how many times as long a step may take.
RATIOS = (
    ("lars", {}, "sgd", {"momentum": 0.9}, 1.5),
    ("lamb", {}, "adam", {}, 1.7),
    ("prodigy", {}, "adam", {}, 1.5),
    ("dog", {"averaging": False}, "sgd", {}, 1.8),
    ("dog", {"averaging": True}, "sgd", {}, 1.8),
)

TABLE, ROWS, GRADIENTS = (1_000_000, 64), 8192, 8
ROWS_SPEEDUP = 1.3  # of one number for each row, over one for each entry
MUON = {False: "dense/muon/4096x4096", True: "dense/muon/1000x1000"}  # quick or not


def row(what, measured, target, reached):
    print(f"{what:<66}{measured:>10}{target:>12}  {'reached' if reached else 'missed'}", flush=True)


def label(name, hyper):
    return ", ".join([name, *(f"{key}={value}" for key, value in hyper.items())])


def shares(n, threads, rounds):
    for name, least in SHARES.items():
        if name in fastopt.OPTIMIZERS:
            bandwidth, share = share_of_gauge(name, n, threads, rounds=rounds)
            row(f"{name}: share of the gauge's {bandwidth:.0f} GB/s", f"{share:.0%}", f">= {least:.0%}", share >= least)


def repeated(name, hyper, n, threads):
    """A step on parameters and a gradient of its own."""
    x, g = problems.dense_problem(n)
    step = problems.step_of(problems.optimizer(name, x, num_threads=threads, **hyper))
    return lambda: step(g)


def ratios(n, threads, rounds):
    for name, hyper, simpler, its_hyper, most in RATIOS:
        if name in fastopt.OPTIMIZERS:
            runs = {
                "rule": repeated(name, hyper, n, threads),
                "simpler": repeated(simpler, its_hyper, n, threads),
            }
            times = interleaved(runs, rounds)
            ratio = times["rule"] / times["simpler"]
            what = f"{label(name, hyper)}: time by that of {label(simpler, its_hyper)}"
            row(what, f"{ratio:.2f}x", f"<= {most}x", ratio <= most)


def rows(threads, rounds):
    """Row-wise Adagrad beside Adagrad: steps on random rows of a table, others each time, and the state."""
    indices = problems.distinct_positions(TABLE[0], ROWS, GRADIENTS)
    steps = {
        name: problems.sparse_steps(name, TABLE, indices, num_threads=threads, unique=True)
        for name in ("rowwiseadagrad", "adagrad")
    }
    times = interleaved({name: lambda run=run: run(GRADIENTS) for name, run in steps.items()}, rounds)
    ratio = times["adagrad"] / times["rowwiseadagrad"]
    what = f"rowwiseadagrad: {ROWS:,} rows of {TABLE[0]:,} x {TABLE[1]}, as fast as adagrad"
    row(what, f"{ratio:.2f}x", f">= {ROWS_SPEEDUP}x", ratio >= ROWS_SPEEDUP)
    sizes = [state_bytes(name) for name in ("rowwiseadagrad", "adagrad")]
    row("rowwiseadagrad: its state by that of adagrad", f"1/{sizes[1] / sizes[0]:g}", f"1/{TABLE[1]}",
        sizes[0] * TABLE[1] == sizes[1])  # fmt: skip


def state_bytes(name):
    opt = fastopt.OPTIMIZERS[name](np.zeros(TABLE, np.float32))
    return sum(array.nbytes for array in opt.state.values())


def muon(quick, threads, rounds):
    """Beside torch.optim.Muon, which multiplies in float32 here; peers.py says how, and compares with optax as well."""
    steps = {step.key: step for step in STEPS}
    if MUON[quick] not in steps:
        return
    figures, others = peers.measure_step(
        steps[MUON[quick]], threads, rounds, peers.installed([with_fastopt, with_torch])
    )
    if "torch" in figures:
        ratio = figures["torch"]["ratio"]
        what = f"{steps[MUON[quick]].title}: as fast as torch ({others or 0:.0%} busy with others)"
        row(what, f"{ratio:.2f}x", ">= 1x", ratio >= 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a million parameters, few rounds")
    it = parser.parse_args()
    n, rounds = (QUICK_SIZE, QUICK_ROUNDS) if it.quick else (SIZE, ROUNDS)
    fastopt.show_versions()
    print(f"\nn = {n:,}, float32, threads: {it.threads}\n")
    print(f"{'':<66}{'measured':>10}{'target':>12}")
    shares(n, it.threads, rounds)
    ratios(n, it.threads, rounds)
    rows(it.threads, rounds)
    muon(it.quick, it.threads, rounds)


if __name__ == "__main__":
    main()
