"""docs/performance/peers.md and peers.png from the figures in peers.json."""

import importlib.metadata
import json
import platform
import textwrap
from pathlib import Path

from contenders.problems import ADAM_SIZES, TARGETS

PACKAGES = (
    "fastopt", "numpy", "scipy", "torch", "jax", "optax", "schedulefree", "prodigyopt", "dog-optimizer",
    "parameterfree", "pytorch-optimizer", "scikit-learn", "cyanure",
)  # fmt: skip
ADAM_BYTES = 28  # moved by a step for each float32 parameter: p, m and v are read and written, g is read
QUIET = 0.05  # of the processors for others: beyond, no target is said to be reached or missed
UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6))
INTRODUCTION = """# fastopt compared with other libraries

This page is written by `python asv_benchmarks/peers.py`, whose first lines explain the method. All contenders do the
same work in float32, and their results are compared before the timing. Each one runs in a process of its own with the
same number of threads; they take turns, and the figures are medians. The number in brackets is the time of a contender
divided by that of fastopt, the median over the rounds; below 1 the contender was faster. optax runs under `jax.jit`
with donated buffers, torch as a loop over tensors, with `foreach` and with `fused`; its Muon multiplies matrices in
float32. The *reference package* is schedulefree, prodigyopt, dog (DoG), parameterfree (COCOB), or pytorch-optimizer
(ADOPT, Adan, AdEMAMix), over torch. A contender that does other work is left out: no package for torch has the LARS or
LAMB of their papers.

*Busy with others* is the share of the processors' time that other programs used. Where it is not near 0, or not known,
two threads that wait for each other lose much more time than one thread, and the figures of small steps are not
meaningful.

{machine}

![Adam against the number of parameters, and the other problems](peers.png)
"""
TARGET_NOTE = f"""
## Comparison with the targets

Dense Adam, float32. *Measured* is the median over the rounds of the ratio. *Moved* is what fastopt reads and writes per
second, at {ADAM_BYTES} bytes per parameter: beyond the caches, from ten million parameters on, this is the bandwidth
that the memory had at that time.
"""


def time(seconds):
    unit, scale = next((each for each in UNITS if seconds >= each[1]), UNITS[-1])
    return f"{seconds / scale:.3g} {unit}" if seconds < 999 * scale else f"{seconds / scale:.0f} {unit}"


def load(folder):
    path = folder / "peers.json"
    return json.loads(path.read_text()) if path.exists() else {"machine": {}, "problems": {}}


def add(folder, order, threads, key, kind, title, contenders, others):
    """Put the figures of one problem into peers.json, in the place of older ones."""
    kept = load(folder)
    kept["machine"] = machine(threads)
    kept["problems"][key] = {"kind": kind, "title": title, "contenders": contenders, "others": others}
    kept["problems"] = {key: kept["problems"][key] for key in order if key in kept["problems"]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "peers.json").write_text(json.dumps(kept, indent=1) + "\n")


def machine(threads):
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"processor": processor(), "threads": threads, "python": platform.python_version(), "versions": versions}


def processor():
    """The processor's name, where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()


def paragraph(text):
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def of_kind(kept, kind):
    return [each for each in kept["problems"].values() if each["kind"] == kind]


def table(head, rows):
    """Markdown; numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n" + "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def steps_table(problems):
    names = list(dict.fromkeys(name for problem in problems for name in problem["contenders"]))
    rows = [
        [each["title"], *(cell(each["contenders"], name) for name in names), share(each.get("others"))]
        for each in problems
    ]
    return table(["", *names, "busy with others"], rows)


def share(others):
    return "not known" if others is None else f"{others:.0%}"


def cell(contenders, name):
    if name not in contenders:
        return ""
    it = contenders[name]
    return time(it["seconds"]) if name == "fastopt" else f"{time(it['seconds'])} ({it['ratio']:.2f})"


def linear_table(problem):
    rows = [
        [name, it["threads"], time(it["seconds"]), f"{it['value']:.6f}", f"{it['ratio']:.2f}"]
        for name, it in problem["contenders"].items()
    ]
    head = ["contender", "threads", "time", "objective", "relative to fastopt"]
    return f"\n{paragraph(problem['title'] + ':')}\n{table(head, rows)}"


def targets_table(kept):
    rows = []
    for rival, targets in TARGETS.items():
        for n, target in targets.items():
            problem = kept["problems"].get(f"dense/adam/{n}", {"contenders": {}})
            if rival not in problem["contenders"]:
                continue
            measured, others = problem["contenders"][rival]["ratio"], problem.get("others")
            moved = ADAM_BYTES * n / problem["contenders"]["fastopt"]["seconds"] / 1e9
            verdict = "reached" if measured >= target else "missed"
            if others is None or others > QUIET:
                verdict = "not judged: busy"
            figures = f"{target:g}x", f"{measured:.2f}x", verdict, f"{moved:.0f} GB/s"
            rows.append([f"{rival}, {n:,}", *figures, share(others)])
    return table(["against", "target", "measured", "", "moved", "busy with others"], rows) if rows else ""


def page(kept):
    it = kept["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in it["versions"].items())
    where = f"{it['processor']}; threads: {it['threads']}. Python {it['python']}, {versions}."
    parts = [INTRODUCTION.format(machine=paragraph(where))]
    for kind, head in (("dense", "Dense steps"), ("sparse", "Sparse steps")):
        if problems := of_kind(kept, kind):
            parts.append(f"\n## {head}\n{steps_table(problems)}")
    if problems := of_kind(kept, "linear"):
        parts.append("\n## Linear models\n" + "".join(map(linear_table, problems)))
    if targets := targets_table(kept):
        parts.append(TARGET_NOTE + targets)
    return "".join(parts)


# The chart


def draw_sizes(axes, kept):
    """Nanoseconds per parameter of dense Adam against their number, a line per contender."""
    found = {n: kept["problems"].get(f"dense/adam/{n}", {}).get("contenders", {}) for n in ADAM_SIZES}
    names = list(dict.fromkeys(name for contenders in found.values() for name in contenders))
    for name in names:
        points = [(n, it[name]["seconds"] / n * 1e9) for n, it in found.items() if name in it]
        ours = name == "fastopt"
        axes.loglog(*zip(*points, strict=True), marker="o", ms=4, lw=2.5 if ours else 1.3, zorder=3 if ours else 2)
    axes.legend(names, fontsize=9)
    axes.set(xlabel="parameters", ylabel="ns per parameter", title="A step of dense Adam, float32")
    axes.grid(alpha=0.3, which="both", lw=0.5)


def draw_ratios(axes, kept):
    """A bar per peer and problem: how many times as long it took as fastopt."""
    bars = []
    for problem in of_kind(kept, "sparse") + of_kind(kept, "linear"):
        for name, it in problem["contenders"].items():
            if not name.startswith("fastopt"):
                bars.append((problem["title"], name, it["ratio"]))
    labels = [f"{short(title)}\n{name}" for title, name, _ in bars]
    axes.barh(range(len(bars)), [ratio for *_, ratio in bars], color="C0", height=0.7)
    for place, (*_, ratio) in enumerate(bars):
        axes.text(ratio * 1.05, place, f"{ratio:.1f}x", va="center", fontsize=8,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    axes.set_yticks(range(len(bars)), labels, fontsize=7.5)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min([0.5, *(ratio for *_, ratio in bars)]) * 0.8, max([2.0, *(ratio for *_, ratio in bars)]) * 3)
    axes.axvline(1.0, color="0.3", lw=1)
    axes.set(xlabel="time / time of fastopt", title="Sparse steps and linear models")
    axes.grid(alpha=0.3, axis="x", lw=0.5)


def short(title):
    """A title that fits beside a bar: what is done, and the size of the data."""
    what, *details = title.split(", ")
    what = what.split(" to 1 + ")[0]
    sizes = [each for each in details if " x " in each or " of " in each]
    return ", ".join([what, *sizes])


def chart(kept, path):
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    figure = Figure(figsize=(8, 9), layout="constrained")  # one above the other: legible in a narrow column
    above, below = figure.subplots(2, 1, height_ratios=[2, 3])
    draw_sizes(above, kept)
    draw_ratios(below, kept)
    figure.savefig(path, dpi=130)


def write(folder):
    kept = load(folder)
    (folder / "peers.md").write_text(page(kept))
    chart(kept, folder / "peers.png")
