"""docs/performance/untuned.md and untuned.png from the figures in untuned.json."""

import importlib.metadata
import json
import platform

import numpy as np
from peers_page import paragraph, table

PACKAGES = ("fastopt", "numpy", "scipy", "scikit-learn")
LEAST_GAP = 1e-4  # smaller ones count as this: nobody needs them
WITHIN = 2.0  # the ratio that is as good as tuned
COLUMNS = 6  # methods in one table
FARTHEST = 1000.0  # ratio, on the chart
LIMITS = (1.0, 0.1, 0.01)  # gaps above each are counted, of calls without options
INTRODUCTION = """# No learning rate to find

`fastopt.minimize` needs no learning rate unless a method is named: [its default](../minimize.md#methods) is the row
`method=None` below.

This page is written by `python asv_benchmarks/untuned_report.py`; the problems are in
`asv_benchmarks/untuned_problems.py`. It compares optimizers as they come, with a learning rate that nobody has chosen
for the problem, with an Adam that was tuned: the best of 13 learning rates from 1e-5 to 10, each of which falls
linearly to 0 over the budget.

Each method starts from the same point and makes the same number of iterations over mini-batches, and its result is the
objective over all samples. The *gap* is the distance of this value from the minimum, divided by that of the start; a
gap below {least:g} counts as {least:g}, a result that is not finite as infinite. Gaps are medians of {seeds} orders of
the samples, also those from which the best learning rate is chosen. The *ratio* is the gap of a method divided by that
of the tuned Adam: below 1 it was better. *Above the start* is a gap above 1: a run that did harm.

Minima of linear models come from L-BFGS-B in coordinates in which the columns are orthonormal, that of the hinge loss
from a linear program, that of the factorization from singular values. For networks, which are not convex, the minimum
is the smallest value that L-BFGS-B or any run here has found. *Scaled* data have columns of mean 0 and variance 1,
*raw* data are in the units of scikit-learn's files. The lines of text are Python's own, so those figures differ between
versions of Python.

{versions}

![Share of the problems against the ratio](untuned.png)
"""
PROFILE_NOTE = """
The chart is a performance profile (Dolan & Moré 2002), with the tuned Adam in the place of the best method: the height
of a curve is the share of the problems on which the ratio is at most what the axis says.
"""


WITHOUT_OPTIONS_NOTE = """
## Without any option

The gaps of `minimize(fun, x0)`, with the samples and the gradient and nothing else: 100 epochs of batches of 200
samples, or of all where there are fewer, and 10,000 iterations of functions without samples. Beside it Adam, with the
same budget and its default learning rate, 0.001. Gaps are not rounded up here.
"""


def load(folder):
    path = folder / "untuned.json"
    return json.loads(path.read_text()) if path.exists() else {"versions": {}, "problems": {}}


def keep(folder, problems):
    """Replace untuned.json. One line per problem, so that a difference can be read."""
    versions = {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}
    lines = [f" {json.dumps(name)}: {json.dumps(figures)}" for name, figures in problems.items()]
    text = f'{{"versions": {json.dumps(versions)},\n"problems": {{\n' + ",\n".join(lines) + "\n}}\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "untuned.json").write_text(text)


# Gaps and ratios


def finite(values):
    return [np.inf if value is None else value for value in values]


def smallest(figures):
    """The minimum, or what a run found below it."""
    calls = figures["without_options"]["calls"] if figures["without_options"] else {}
    every = [*figures["tuned"].values(), *figures["methods"].values(), *calls.values()]
    return min([figures["minimum"], *(value for values in every for value in finite(values))])


def gap(figures, values):
    """The median over the seeds."""
    lowest = smallest(figures)
    return (float(np.median(finite(values))) - lowest) / (figures["start"] - lowest)


def tuned(figures):
    """The learning rate with the smallest gap, and that gap."""
    gaps = {rate: gap(figures, values) for rate, values in figures["tuned"].items()}
    rate = min(gaps, key=gaps.get)
    return rate, max(gaps[rate], LEAST_GAP)


def ratios(figures):
    """Method -> ratio."""
    _, best = tuned(figures)
    return {name: max(gap(figures, values), LEAST_GAP) / best for name, values in figures["methods"].items()}


def above_start(figures, method):
    """Of how many seeds the result is above the start, and of how many there are."""
    values = finite(figures["methods"][method])
    return sum(value > figures["start"] for value in values), len(values)


def methods_of(problems):
    return list(dict.fromkeys(name for each in problems.values() for name in each["methods"]))


def ratios_of(problems, method):
    """Over all problems that it was measured on."""
    return np.array([ratios(each)[method] for each in problems.values() if method in each["methods"]])


# Tables


def summary(problems):
    """A row per method."""
    rows = []
    for method in methods_of(problems):
        found = ratios_of(problems, method)
        counts = [above_start(each, method) for each in problems.values() if method in each["methods"]]
        median_above = sum(2 * above > seeds for above, seeds in counts)
        shares = [f"{np.mean(found <= limit):.0%}" for limit in (WITHIN, 10.0)]
        mean = np.exp(np.mean(np.log(np.minimum(found, FARTHEST))))
        rows.append([method, *shares, f"{mean:.2f}", median_above, sum(above > 0 for above, _ in counts)])
    head = ["method", "ratio at most 2", "at most 10", "geometric mean", "above the start", "with any seed"]
    return table(head, rows)


def by_problem(problems, methods):
    """A row per problem: the ratios of some methods; those above the start are marked."""
    rows = []
    for name, each in problems.items():
        rate, best = tuned(each)
        found = ratios(each)
        cells = [cell(each, method, found[method]) if method in found else "" for method in methods]
        rows.append([name, f"{each['parameters']:,}", f"{each['iterations']:,}", rate, f"{best:.2g}", *cells])
    return table(["problem", "parameters", "iterations", "tuned rate", "tuned gap", *methods], rows)


def cell(figures, method, ratio):
    above, seeds = above_start(figures, method)
    text = "inf" if ratio == np.inf else f"{ratio:.2g}"
    return f"{text} (above)" if 2 * above > seeds else text


def without_options(problems):
    """How many gaps are large, and a row per problem."""
    measured = {name: each for name, each in problems.items() if each["without_options"]}
    if not measured:
        return ""
    rows, gaps = [], {}
    for name, each in measured.items():
        found = {call: gap(each, values) for call, values in each["without_options"]["calls"].items()}
        for call, value in found.items():
            gaps.setdefault(call, []).append(value)
        rows.append([name, f"{each['without_options']['iterations']:,}", *(f"{value:.1e}" for value in found.values())])
    counts = [[call, *(sum(value > limit for value in values) for limit in LIMITS)] for call, values in gaps.items()]
    head = [f"of {len(measured)} gaps", *(f"above {limit:g}" for limit in LIMITS)]
    return WITHOUT_OPTIONS_NOTE + table(head, counts) + table(["problem", "iterations", *gaps], rows)


def tables(problems):
    methods = methods_of(problems)
    groups = [methods[k : k + COLUMNS] for k in range(0, len(methods), COLUMNS)]
    each = "\n## Each problem\n" + "".join(by_problem(problems, group) for group in groups)
    return summary(problems) + without_options(problems) + each


def page(kept):
    problems = kept["problems"]
    seeds = max(len(values) for each in problems.values() for values in each["tuned"].values())
    versions = ", ".join(f"{name} {version}" for name, version in kept["versions"].items())
    introduction = INTRODUCTION.format(least=LEAST_GAP, seeds=seeds, versions=paragraph(f"{versions}."))
    note = (
        f"\nGeometric means are over {len(problems)} problems; ratios above {FARTHEST:g} count as {FARTHEST:g} there.\n"
    )
    return introduction + PROFILE_NOTE + "\n## Summary\n" + note + tables(problems)


# The chart


def draw_profile(axes, problems):
    for place, method in enumerate(methods_of(problems)):
        found = np.sort(ratios_of(problems, method))
        shares = np.arange(1, len(found) + 1) / len(found)
        style = {"lw": 2.5, "zorder": 3, "color": "k"} if place == 0 else {"lw": 1.3, "color": f"C{place - 1}"}
        style["ls"] = ("-", "--", ":")[max(place - 1, 0) // 10]  # there are ten colours
        axes.step([1e-9, *found], [0, *shares], where="post", label=method.replace("`", ""), **style)
    axes.axvline(WITHIN, color="0.3", lw=1)
    axes.set(xscale="log", xlim=(0.1, FARTHEST), ylim=(0, 1), xlabel="gap / gap of the tuned Adam, at most")
    axes.set(ylabel="share of the problems", title="Untuned methods against Adam with the best of 13 learning rates")
    axes.grid(alpha=0.3, which="both", lw=0.5)
    axes.legend(fontsize=8, ncols=2)


def chart(kept, path):
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    draw_profile(figure.subplots(), kept["problems"])
    figure.savefig(path, dpi=130)


def write(folder):
    kept = load(folder)
    (folder / "untuned.md").write_text(page(kept))
    chart(kept, folder / "untuned.png")
