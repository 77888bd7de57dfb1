"""State in fewer bits: how fast steps are, and what optimizers reach with it, beside state in the parameter's dtype.

    python asv_benchmarks/state_report.py            (ten minutes and 2 GB; alone on the machine)
    python asv_benchmarks/state_report.py --quick    (small and short: to see whether it works)

All in one run: what is compared takes turns, and figures are medians. The text is the source code of Python's standard
library, as in the gallery.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import problems
from scipy.special import expit
from timing import interleaved

import fastopt
from fastopt import RowSparse, _core
from fastopt._cli import demo

sys.path.insert(0, str(Path(__file__).parent.parent / "docs" / "examples"))

SIZES, QUICK_SIZES = (2**24, 2**25, 50_000_000), (2**20,)
IN_CACHE = (10**3, 10**4, 10**5, 10**6)
ROUNDS, QUICK_ROUNDS = 11, 3

#: Optimizer, dtype, hyper-parameters, and how many times as fast as with whole state each storage is to be.
STEPS = (
    ("adam", "float32", {}, {"bfloat16": 1.3, "log8": 1.4}),
    ("adagrad", "float32", {}, {"bfloat16": 1.2}),
    ("sgd", "float32", {"momentum": 0.9}, {"bfloat16": 1.2}),
    ("adam", "float64", {}, {"float32": 1.3}),
)
IN_CACHE_TARGETS = {"v4": 0.7, "v3": 0.5}  # by instruction set, of bfloat16
STORAGES = (None, "bfloat16", "log8")


def row(what, measured, target, reached):
    print(f"{what:<72}{measured:>10}{target:>10}  {'reached' if reached else 'missed'}", flush=True)


def repeated(name, n, dtype, threads, **hyper):
    """A step on parameters and a gradient of its own."""
    x, g = problems.dense_problem(n, dtype)
    step = problems.step_of(problems.optimizer(name, x, num_threads=threads, **hyper))
    return lambda: step(g)


def speeds(sizes, threads, rounds):
    for n in sizes:
        for name, dtype, hyper, targets in STEPS:
            runs = {kind: repeated(name, n, dtype, threads, state_dtype=kind, **hyper) for kind in (None, *targets)}
            times = interleaved(runs, rounds)
            for kind, target in targets.items():
                ratio = times[None] / times[kind]
                row(f"{name}, {dtype}, n = {n:,}: {kind} as fast", f"{ratio:.2f}x", f">= {target}x", ratio >= target)


def speeds_in_cache(threads, rounds):
    for isa, target in IN_CACHE_TARGETS.items():
        if isa not in _core.isa_names() or not _core.isa_supported(isa):
            continue
        before = _core.isa_in_use()
        _core.use_isa(isa)
        for n in IN_CACHE:
            runs = {kind: repeated("adam", n, "float32", threads, state_dtype=kind) for kind in (None, "bfloat16")}
            times = interleaved(runs, rounds)
            ratio = times[None] / times["bfloat16"]
            row(f"adam, n = {n:,}, {isa}: bfloat16 as fast", f"{ratio:.2f}x", f">= {target}x", ratio >= target)
        _core.use_isa(before)


def ill_scaled(state_dtype, quick):
    """Curvatures over four decades, mixed inside groups: the distance to the optimum after 400 noisy steps of Adam."""
    n, rng = 2**18, np.random.default_rng(0)
    curvature, target = 10.0 ** rng.uniform(-2, 2, n), rng.standard_normal(n)
    x = np.zeros(n, np.float32)
    opt = fastopt.Adam(x, 0.01, state_dtype=state_dtype)
    for _ in range(40 if quick else 400):
        opt.step((curvature * (x - target + 0.1 * rng.standard_normal(n))).astype(np.float32))
    return float(np.sqrt(np.mean((x - target) ** 2)))


def digits_network(state_dtype, quick):
    """The loss of the network of `fastopt demo`, with Adam, as a mean of the last epochs."""
    (X, y), _ = demo.split_digits()
    rng = np.random.default_rng(0)
    params = demo.initial_parameters(rng)
    opt, losses = fastopt.Adam(params, 0.001, state_dtype=state_dtype), []
    for _ in range(3 if quick else 40):
        order = rng.permutation(len(y))
        for first in range(0, len(y), 32):
            batch = order[first : first + 32]
            opt.step(demo.gradients(params, X[batch], y[batch]))
        losses.append(demo.mean_loss(params, X, y))
    return float(np.mean(losses[-10:]))


def factorization(state_dtype, quick):
    """The loss of a factorization of noisy products of rows, with Adam on sparse gradients of two tables."""
    n, width, rng = (500 if quick else 5000), 16, np.random.default_rng(0)
    true = [rng.standard_normal((n, width)).astype(np.float32) / 2 for _ in range(2)]
    tables = [0.1 * rng.standard_normal((n, width), np.float32) for _ in range(2)]
    opt, losses = fastopt.Adam(tables, 0.005, state_dtype=state_dtype), []
    for _ in range(300 if quick else 6000):
        i, j = rng.integers(0, n, (2, 1024))
        value = np.einsum("kd,kd->k", true[0][i], true[1][j]) + 0.5 * rng.standard_normal(1024, np.float32)
        residual = np.einsum("kd,kd->k", tables[0][i], tables[1][j]) - value
        slope = (2 / 1024 * residual)[:, None]
        opt.step([RowSparse(i, slope * tables[1][j]), RowSparse(j, slope * tables[0][i])])
        losses.append(np.mean(residual**2))
    return float(np.mean(losses[-1000:]))


def text(state_dtype, quick):
    """The loss of logistic regression on hashed lines of Python, with Adagrad on sparse gradients."""
    from python_text import design_matrix, labels, sample_lines

    lines = sample_lines(2000 if quick else 40_000, 100, np.random.default_rng(0))
    X, y = design_matrix(lines), labels(lines)
    w, rng = np.zeros(X.shape[1], np.float32), np.random.default_rng(0)
    opt = fastopt.Adagrad(w, 0.1, state_dtype=state_dtype)
    for _ in range(5):
        order = rng.permutation(len(y))
        for first in range(0, len(y), 256):
            batch = order[first : first + 256]
            part = X[batch]
            residual = (expit(part @ w) - y[batch]) / len(batch)
            opt.step(fastopt.RowSparse(part.indices, part.data * np.repeat(residual, np.diff(part.indptr))))
    margin = X @ w
    return float(np.mean(np.logaddexp(0, margin) - y * margin))


def long_run(state_dtype, quick):
    """Adam's second moment by what it is in double, as a mean over entries, where steps change it by 0.1 % at most."""
    n, phases = 4096, 10 if quick else 1000
    opt = fastopt.Adam(np.zeros(n, np.float32), 0.0, beta_1=0.0, state_dtype=state_dtype)
    grads, exact, ratios = [np.full(n, size, np.float32) for size in (3.0, 1.0)], 0.0, []
    for phase in range(phases):
        for _ in range(1000):
            opt.step(grads[phase % 2])
        exact = 0.999**1000 * exact + (1 - 0.999**1000) * float(grads[phase % 2][0]) ** 2
        ratios.append(float(opt.state["v"].mean()) / exact)
    return float(np.mean(ratios[phases // 2 :]))


def accuracies(quick):
    for what, run, most in (
        ("ill-scaled problem: distance", ill_scaled, 0.03),
        ("network on digits: loss", digits_network, 0.02),
        ("factorization: loss", factorization, 0.02),
        ("text: loss", text, 0.02),
        ("second moment over a long run, by what it is", long_run, 0.02),
    ):
        reached = {kind: run(kind, quick) for kind in STORAGES}
        for kind in STORAGES[1:]:
            change = reached[kind] / reached[None] - 1
            row(f"{what} {reached[None]:.4g}, {kind}", f"{change:+.2%}", f"<= {most:.0%}", abs(change) <= most)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small and short")
    parser.add_argument("--only", choices=("speed", "accuracy"), help="a part of it")
    it = parser.parse_args()
    rounds = QUICK_ROUNDS if it.quick else ROUNDS
    fastopt.show_versions()
    print(f"\nthreads: {it.threads}\n\n{'':<72}{'measured':>10}{'target':>10}")
    if it.only != "accuracy":
        speeds(QUICK_SIZES if it.quick else SIZES, it.threads, rounds)
        speeds_in_cache(it.threads, rounds)
    if it.only != "speed":
        accuracies(it.quick)


if __name__ == "__main__":
    main()
