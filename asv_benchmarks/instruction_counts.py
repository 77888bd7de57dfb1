"""Instructions per element of the kernels, counted by valgrind: a measure of speed without a clock.

    python asv_benchmarks/instruction_counts.py                        (all kernels)
    python asv_benchmarks/instruction_counts.py "dense adam" epoch       (those whose name contains one of these)
    python asv_benchmarks/instruction_counts.py --save counts.json
    python asv_benchmarks/instruction_counts.py --against counts.json    (fails if any has grown by more than 2 %)

Needs valgrind with its headers, and a C compiler. The counts are the same to the digit in every run of a build.

Starting Python under valgrind takes seconds and counting a kernel a tenth of one, so a single process runs all kernels.
Between marks (callgrind_marks.c) each runs K times, and then 2 K times: the difference is K runs and nothing else, each
with its call from Python. Valgrind does not know AVX-512, so the AVX2 kernels are run.
"""

import argparse
import ctypes
import functools
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import problems
from registry import DTYPES, FINITE_SUM_METHODS, LOSSES, OPTIMIZERS

import fastopt
from fastopt import _core

MARKS = Path(__file__).with_name("callgrind_marks.c")
K = 8
LARGEST_GROWTH = 0.02
INHERITED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
DUMP = re.compile(r"^desc: Trigger: Client Request: ([^\n]+)$.*?^summary: (\d+)$", re.MULTILINE | re.DOTALL)

CALLS = 100
DENSE_SIZE = 16_384
COMPILED_SIZE = 100
TABLE, ROWS = (4096, 64), 256
VECTOR, ENTRIES = 65_536, 4096
LARGE_VECTOR, MANY_ENTRIES = 2**21, 16_384  # from this on, entries are sorted by region before they are updated
SAMPLES, FEATURES, PER_ROW = 256, 64, 8


class Kernel(NamedTuple):
    """A function that prepares a callable run(times), and by how many elements its count is divided."""

    make: Callable
    elements: int


# What is counted

#: Options with loops of their own.
FORMS = {
    "sgd, momentum": ("sgd", {"momentum": 0.9}),
    "sgd, nesterov": ("sgd", {"momentum": 0.9, "nesterov": True}),
    "rmsprop, centered": ("rmsprop", {"centered": True}),
    "adam, amsgrad": ("adam", {"amsgrad": True}),
    "adam, weight_decay": ("adam", {"weight_decay": 0.01}),
    "adam, clip_value": ("adam", {"clip_value": 1.0}),
    "adam, clip_norm": ("adam", {"clip_norm": 1.0}),
    "adam, nonfinite": ("adam", {"nonfinite": "skip"}),
}

#: Sparse gradients that have to be put in order first: shape, positions, duplicates, promise that there are none.
UNORDERED = {
    "checked": ((VECTOR,), ENTRIES, "none", False),
    "few duplicates": ((VECTOR,), ENTRIES, "few", False),
    "zipf duplicates": ((VECTOR,), ENTRIES, "zipf", False),
    "zipf duplicates of rows": (TABLE, ROWS, "zipf", False),
    "sorted by region": ((LARGE_VECTOR,), MANY_ENTRIES, "none", True),
}


def _dense(name, n, dtype="float32", **hyper):
    return Kernel(functools.partial(problems.dense_steps, name, n, dtype, 1, **hyper), n)


def _repeated(make, repeats=CALLS):
    """A kernel of which a single run is small beside what the interpreter does now and then."""

    def make_repeated():
        run = make()
        return lambda times: run(repeats * times)

    return Kernel(make_repeated, repeats)


def _sparse(name, shape, k, duplicates="none", unique=True):
    def make():
        index = problems.DUPLICATES[duplicates](shape[0], k)
        return problems.sparse_steps(name, shape, [index], unique=unique)

    return Kernel(make, k * int(np.prod(shape[1:])))


#: Layout -> a function that makes samples, and how many entries these have.
SAMPLES_OF = {
    "dense": (functools.partial(problems.dense_samples, SAMPLES, FEATURES), SAMPLES * FEATURES),
    "csr": (functools.partial(problems.csr_samples, SAMPLES, FEATURES, PER_ROW), SAMPLES * PER_ROW),
}


def _gradient(loss, layout):
    samples, elements = SAMPLES_OF[layout]

    def make():
        objective = problems.objective_of(loss, *samples())
        x = np.zeros(objective.n_parameters)

        def run(times):
            with fastopt.threads(1):
                for _ in range(times):
                    objective.value_and_gradient(x)

        return run

    return Kernel(make, elements)


def _epoch(loss, layout, method, batch_size):
    samples, elements = SAMPLES_OF[layout]

    def make():
        objective = problems.objective_of(loss, *samples(), l2=1e-3)
        return lambda times: problems.epochs_of(objective, method, times, batch_size)

    return Kernel(make, elements)


def all_kernels():
    """Name -> Kernel."""
    kernels = {}
    for name in OPTIMIZERS:
        kernels[f"call {name}"] = _repeated(_dense(name, 1).make)
        kernels |= {f"dense {name} {dtype}": _dense(name, DENSE_SIZE, dtype) for dtype in DTYPES}
        kernels[f"rows {name}"] = _sparse(name, TABLE, ROWS)
        kernels[f"elements {name}"] = _sparse(name, (VECTOR,), ENTRIES)
        kernels[f"compiled {name}"] = _repeated(
            functools.partial(problems.compiled_steps, name, COMPILED_SIZE, "float32")
        )
    kernels |= {f"form {what}": _dense(name, DENSE_SIZE, **hyper) for what, (name, hyper) in FORMS.items()}
    kernels |= {f"positions {what}": _sparse("sgd", *each) for what, each in UNORDERED.items()}
    for layout in SAMPLES_OF:
        for loss in LOSSES:
            kernels[f"gradient {loss} {layout}"] = _gradient(loss, layout)
            kernels[f"epoch {loss} {layout} sgd"] = _epoch(loss, layout, "sgd", 1)
        for method in FINITE_SUM_METHODS:
            kernels[f"epoch Logistic {layout} {method}"] = _epoch("Logistic", layout, method, 1)
        kernels[f"epoch Logistic {layout} adagrad"] = _epoch("Logistic", layout, "adagrad", 32)
    kernels["iteration adam"] = _repeated(lambda: functools.partial(problems.free_iterations, "adam"))
    return kernels


# Under valgrind


def run_between_marks(names, marks):
    """Run kernels so that valgrind writes two counts of each, labelled with its name. Those that this commit lacks
    are left out."""
    kernels = all_kernels()
    gc.disable()  # or it would run in one kernel or the other, as objects happen to add up
    marks.start_counting()
    marks.stop_counting(b"the first use of the marks")
    for name in names:
        try:
            run = kernels[name].make()
            for _ in range(2):
                run(2 * K)  # the interpreter adapts its code to what runs
        except NotImplementedError as reason:
            print(f"{name}: {reason}", file=sys.stderr)
            continue
        for times in (K, 2 * K):
            marks.start_counting()
            run(times)
            marks.stop_counting(f"{times} {name}".encode())


# Outside


def unavailable():
    """Why nothing can be counted here, or None."""
    for tool, package in (("valgrind", "valgrind"), (_compiler()[0], "a C compiler")):
        if shutil.which(tool) is None:
            return f"counting instructions needs {package}: {tool!r} was not found (Debian: apt install valgrind gcc)"
    if subprocess.run([*_compiler(), "-fsyntax-only", str(MARKS)], capture_output=True).returncode != 0:
        return "counting instructions needs the headers of valgrind: <valgrind/callgrind.h> was not found"
    return None


def _compiler():
    return (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()


def _compile_marks(folder):
    library = Path(folder) / "callgrind_marks.so"
    subprocess.run([*_compiler(), "-O2", "-shared", "-fPIC", str(MARKS), "-o", str(library)], check=True)
    return library


def instruction_set():
    """Whose kernels are counted: the widest that valgrind knows and this processor has."""
    return "v3" if "v3" in _core.isa_names() and _core.isa_supported("v3") else "baseline"


def _environment():
    """As little as possible, and the same everywhere: what is on the stack moves what is computed from addresses."""
    fixed = {
        "PYTHONHASHSEED": "0",
        "FASTOPT_ISA": instruction_set(),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    return {name: os.environ[name] for name in INHERITED if name in os.environ} | fixed


def _dumps(folder):
    """Label -> count of every dump that callgrind wrote."""
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in Path(folder).glob("out.*"))
    return {label: int(count) for text in texts for label, count in DUMP.findall(text)}


def per_element(dumps, names):
    """Name -> instructions per element, from the counts of K and of 2 K runs."""
    kernels = all_kernels()
    return {
        name: (dumps[f"{2 * K} {name}"] - dumps[f"{K} {name}"]) / (K * kernels[name].elements)
        for name in names
        if f"{2 * K} {name}" in dumps
    }


def count(names):
    """Name -> instructions per element, of the kernels that this commit has."""
    with tempfile.TemporaryDirectory() as folder:
        marks = _compile_marks(folder)
        valgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        kernels = [sys.executable, __file__, "--marks", str(marks), *names]
        # First without valgrind, so that all bytecode is cached: to compile it moves what is allocated afterwards, and
        # the interpreter hashes addresses.
        for command in (kernels, [*valgrind, *kernels]):
            subprocess.run(command, check=True, env=_environment(), cwd=folder)
        return per_element(_dumps(folder), names)


def grown(before, after, largest_growth=LARGEST_GROWTH):
    """Name -> (before, after) of the kernels that take more instructions than they did."""
    both = [name for name in after if name in before]
    return {name: (before[name], after[name]) for name in both if after[name] > before[name] * (1 + largest_growth)}


# The command


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kernels", nargs="*", metavar="kernel", help="what their names contain; all by default")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the counts as JSON")
    parser.add_argument("--against", type=Path, metavar="FILE", help="fail if a count has grown since this was saved")
    parser.add_argument("--marks", type=Path, help=argparse.SUPPRESS)  # inside valgrind: names in full
    return parser


def main():
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.marks:
        run_between_marks(arguments.kernels, ctypes.CDLL(str(arguments.marks)))
        return 0
    if reason := unavailable():
        parser.error(reason)
    names = [name for name in all_kernels() if not arguments.kernels or any(each in name for each in arguments.kernels)]
    if not names:
        parser.error(f"no kernel has a name with {' or '.join(map(repr, arguments.kernels))} in it")
    counts = count(names)
    for name, each in counts.items():
        print(f"{name:<40}{each:14.4f}")
    if arguments.save:
        arguments.save.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    if arguments.against is None:
        return 0
    more = grown(json.loads(arguments.against.read_text(encoding="utf-8")), counts)
    for name, (before, after) in more.items():
        print(f"{name}: {before:.4f} to {after:.4f} instructions per element, {after / before - 1:+.1%}")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main())
