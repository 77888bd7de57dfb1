"""The suites of asv_benchmarks: each benchmark runs, every optimizer is in them, and what a commit lacks is skipped."""

import importlib
import importlib.util
import inspect
import itertools
import json
import math
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastopt
from fastopt import _core

FOLDER = Path(__file__).parents[2] / "asv_benchmarks"
if not FOLDER.exists():
    pytest.skip("asv_benchmarks is not beside the tests", allow_module_level=True)

sys.path.append(str(FOLDER))
import benchmarks  # noqa: E402
import instruction_counts  # noqa: E402
import problems  # noqa: E402
import registry  # noqa: E402

BENCHMARK = re.compile(r"(time|track|peakmem)_.+")  # of what asv takes for a benchmark, all that is used here
SUITES = {
    each.name: importlib.import_module(f"benchmarks.{each.name}") for each in pkgutil.iter_modules(benchmarks.__path__)
}
SMALL = {
    "sparse": {
        "TABLE": (1000, 64),
        "ROWS": 50,
        "VECTOR": (10_000,),
        "ENTRIES": 500,
        "COALESCED": {"entries": ((10_000,), 500), "rows": ((1000, 64), 50)},
    },
    "objectives": {
        layouts: {"dense": (problems.dense_samples, (100, 8)), "csr": (problems.csr_samples, (100, 40, 4))}
        for layouts in ("LAYOUTS", "LARGE_LAYOUTS")
    },
    "memory": {"SAMPLES": (problems.csr_samples, (100, 40, 4))},
    "startup": {"PROCESSES": 1},
}
"""Sizes of the suites that are no parameters."""


def benchmark_classes():
    """Name in asv -> class."""
    return {
        f"{suite}.{name}": cls
        for suite, module in SUITES.items()
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and not name.startswith("_")
    }


CLASSES = benchmark_classes()
TIMED_CLASSES = [name for name in CLASSES if not name.startswith("instructions.")]


def parameters(cls):
    """All combinations of the parameters."""
    return list(itertools.product(*getattr(cls, "params", ())))


def smallest_parameters(cls):
    """The first of each kind; sizes that are parameters stay below a hundred thousand."""
    first = [values[0] for values in getattr(cls, "params", ())]
    return [min(value, 10_000) if isinstance(value, int) else value for value in first]


def run_once(cls, method, arguments):
    """What asv does with a benchmark."""
    it = cls()
    if hasattr(it, "setup_cache"):
        arguments = [it.setup_cache(), *arguments]
    if hasattr(it, "setup"):
        it.setup(*arguments)
    return getattr(it, method)(*arguments)


@pytest.mark.parametrize(
    "read, registered",
    [
        (registry.OPTIMIZERS, fastopt.OPTIMIZERS),
        (registry.LOSSES, fastopt.objectives.__all__),
        (registry.FINITE_SUM_METHODS, fastopt.FINITE_SUM_METHODS),
        (registry.DTYPES, _core.dtype_names()),
    ],
    ids=["optimizers", "losses", "finite-sum methods", "dtypes"],
)
def test_what_is_read_from_the_sources_is_the_registry(read, registered):
    assert sorted(read) == sorted(registered) != []


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMED_CLASSES)
def test_benchmarks_run(name, monkeypatch):
    cls = CLASSES[name]
    suite = name.split(".")[0]
    for constant, value in SMALL.get(suite, {}).items():
        assert hasattr(SUITES[suite], constant)
        monkeypatch.setattr(SUITES[suite], constant, value)
    monkeypatch.setenv("FASTOPT_BENCH_EVERYTHING", "1")
    methods = [each for each in dir(cls) if BENCHMARK.fullmatch(each)]
    assert methods
    for method in methods:
        result = run_once(cls, method, smallest_parameters(cls))
        assert not method.startswith("track_") or math.isfinite(result)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", fastopt.OPTIMIZERS)
@pytest.mark.parametrize(
    "name",
    """dense.SmallStep dense.BeyondCaches sparse.Rows sparse.Elements sparse.Exact minimize.Overhead
    objectives.Methods""".split(),
)
def test_benchmarks_run_with_every_optimizer(name, optimizer, monkeypatch):
    """Also with rules that look at rows, at all entries or at the value of the objective; some take no vectors."""
    for constant, value in SMALL.get(name.split(".")[0], {}).items():
        monkeypatch.setattr(SUITES[name.split(".")[0]], constant, value)
    monkeypatch.setenv("FASTOPT_BENCH_EVERYTHING", "1")
    cls = CLASSES[name]
    (method,) = [each for each in dir(cls) if BENCHMARK.fullmatch(each)]
    arguments = [optimizer, *smallest_parameters(cls)[1:]]
    if problems.takes_vectors(optimizer) or name.startswith("dense.") or name == "sparse.Rows":
        run_once(cls, method, arguments)
    else:
        with pytest.raises(NotImplementedError, match="takes no vectors"):
            run_once(cls, method, arguments)


@pytest.mark.parametrize("name", CLASSES)
def test_parameters_have_names(name):
    cls = CLASSES[name]
    assert len(getattr(cls, "param_names", ())) == len(getattr(cls, "params", ()))
    assert len(set(parameters(cls))) == len(parameters(cls)) > 0


@pytest.mark.parametrize(
    "name",
    """dense.SmallStep dense.LargeStep dense.BeyondCaches sparse.Rows sparse.Elements sparse.Exact minimize.Overhead
    objectives.Methods memory.Optimizers instructions.Call instructions.Dense instructions.Rows
    instructions.Elements compiled.CompiledStep""".split(),
)
def test_every_optimizer_is_measured(name):
    assert set(fastopt.OPTIMIZERS) <= {each[0] for each in parameters(CLASSES[name])}


def test_every_loss_and_method_is_measured():
    assert {each[0] for each in parameters(CLASSES["objectives.Losses"])} == set(fastopt.objectives.__all__)
    assert set(fastopt.FINITE_SUM_METHODS) <= {each[0] for each in parameters(CLASSES["objectives.Methods"])}


def test_what_a_commit_lacks_is_skipped(monkeypatch):
    monkeypatch.delattr(fastopt, "RowSparse")
    monkeypatch.delattr(fastopt, "objectives", raising=False)
    monkeypatch.delitem(fastopt._MODULE_OF, "objectives")  # else it is imported again
    monkeypatch.setattr(fastopt, "OPTIMIZERS", {"sgd": fastopt.SGD})
    for name, arguments in {
        "dense.SmallStep": ("adam", 100, "float32"),
        "sparse.Formats": ("csr",),
        "minimize.Overhead": ("adam",),
        "objectives.Losses": ("Hinge", "dense"),
        "memory.Optimizers": ("adam",),
    }.items():
        method = next(each for each in dir(CLASSES[name]) if BENCHMARK.fullmatch(each))
        with pytest.raises(NotImplementedError, match="this commit has no"):
            run_once(CLASSES[name], method, arguments)


def test_vectors_are_skipped_for_optimizers_of_matrices(monkeypatch):
    def of_matrices(params, **hyper):
        if params.ndim == 1:
            raise ValueError("`params` must be matrices.")
        return fastopt.SGD(params, **hyper)

    monkeypatch.setattr(fastopt, "OPTIMIZERS", {"sgd": of_matrices})
    run_once(CLASSES["dense.SmallStep"], "time_1000_steps", ("sgd", 100, "float32"))
    for name, arguments in {"sparse.Elements": ("sgd", 1), "minimize.Overhead": ("sgd",)}.items():
        with pytest.raises(NotImplementedError, match="takes no vectors"):
            CLASSES[name]().setup(*arguments)


def test_rare_sizes_are_skipped_unless_asked_for(monkeypatch):
    monkeypatch.delenv("FASTOPT_BENCH_EVERYTHING", raising=False)
    with pytest.raises(NotImplementedError, match="FASTOPT_BENCH_EVERYTHING"):
        CLASSES["dense.BeyondCaches"]().setup("adam", 100, "float64", 2)
    with pytest.raises(NotImplementedError, match="FASTOPT_BENCH_EVERYTHING"):
        CLASSES["objectives.Large"]().setup("dense", 1)


# Instructions


def test_every_kernel_that_is_counted_is_tracked():
    counts = {name: float(k) for k, name in enumerate(instruction_counts.all_kernels())}
    tracked = set()
    for name in set(CLASSES) - set(TIMED_CLASSES):
        for words in parameters(CLASSES[name]):
            it = CLASSES[name]()
            it.setup(counts, *words)
            tracked.add(it.track_instructions(counts, *words))
    assert tracked == set(counts.values())


def test_counts_that_are_missing_are_skipped():
    dense = CLASSES["instructions.Dense"]()
    with pytest.raises(NotImplementedError, match="no valgrind"):
        dense.setup({"reason": "no valgrind"}, "adam", "float32")
    with pytest.raises(NotImplementedError, match="dense adam float32"):
        dense.setup({"dense sgd float32": 1.0}, "adam", "float32")


def test_nothing_is_counted_without_valgrind(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    reason = instruction_counts.unavailable()
    assert "valgrind" in reason
    assert SUITES["instructions"].setup_cache() == {"reason": reason}
    assert reason in capsys.readouterr().err


@pytest.mark.skipif(shutil.which(instruction_counts._compiler()[0]) is None, reason="needs a C compiler")
def test_nothing_is_counted_without_the_headers_of_valgrind(monkeypatch, tmp_path):
    source = tmp_path / "marks.c"
    source.write_text("#include <valgrind/no_such_header.h>\n")
    monkeypatch.setattr(instruction_counts, "MARKS", source)
    monkeypatch.setattr(instruction_counts.shutil, "which", lambda tool: f"/bin/{tool}")
    assert "headers of valgrind" in instruction_counts.unavailable()


class Recorder:
    """Marks that note what would be counted."""

    def __init__(self):
        self.labels = []

    def start_counting(self):
        """The next label ends it."""

    def stop_counting(self, label):
        self.labels.append(label.decode())


@pytest.fixture
def marks(monkeypatch):
    monkeypatch.setattr(instruction_counts.gc, "disable", lambda: None)
    return Recorder()


def test_all_kernels_run_between_marks(marks):
    names = list(instruction_counts.all_kernels())
    instruction_counts.run_between_marks(names, marks)
    k = instruction_counts.K
    of_matrices = [name for name in fastopt.OPTIMIZERS if not problems.takes_vectors(name)]
    lacking = {f"{what} {name}" for name in of_matrices for what in ("elements", "compiled")} | {"compiled momo"}
    assert marks.labels[1:] == [f"{times} {name}" for name in names if name not in lacking for times in (k, 2 * k)]


def test_kernels_that_a_commit_lacks_are_left_out(marks, monkeypatch, capsys):
    for name in ("RowSparse", "minimize", "objectives", "get_include"):
        getattr(fastopt, name)
        monkeypatch.delattr(fastopt, name)
        monkeypatch.delitem(fastopt._MODULE_OF, name, raising=False)  # else it is imported again
    instruction_counts.run_between_marks(list(instruction_counts.all_kernels()), marks)
    ran = {label.split(" ")[1] for label in marks.labels[1:]}
    assert ran == {"call", "dense", "form"}
    said = capsys.readouterr().err
    assert "fastopt.RowSparse" in said and "fastopt.minimize" in said and "fastopt.objectives" in said


def dump(label, count):
    lines = ("# callgrind format", "part: 2", f"desc: Trigger: Client Request: {label}", "", f"summary: {count}", "0 1")
    return "\n".join(lines)


def test_counts_are_read_from_what_valgrind_writes(tmp_path):
    k, elements = instruction_counts.K, instruction_counts.DENSE_SIZE
    name = "form adam, clip_norm"
    loop, kernel = 1000, 3 * elements
    for part, times in enumerate((k, 2 * k), 1):
        (tmp_path / f"out.{part}").write_text(dump(f"{times} {name}", loop + times * kernel))
    (tmp_path / "out.3").write_text("desc: Trigger: Program termination\nsummary: 5\n")
    dumps = instruction_counts._dumps(tmp_path)
    assert len(dumps) == 2
    assert instruction_counts.per_element(dumps, [name, "call sgd"]) == {name: 3.0}


def test_growth_is_told_from_what_is_new_gone_or_smaller():
    before = {"same": 2.0, "a little": 2.0, "more": 2.0, "less": 2.0, "gone": 1.0}
    after = {"same": 2.0, "a little": 2.03, "more": 2.05, "less": 1.0, "new": 9.0}
    assert instruction_counts.grown(before, after) == {"more": (2.0, 2.05)}


@pytest.mark.slow
@pytest.mark.skipif(instruction_counts.unavailable() is not None, reason="needs valgrind and a C compiler")
def test_valgrind_counts_a_vectorised_step():
    (count,) = instruction_counts.count(["dense sgd float32"]).values()
    lanes = {"v3": 8, "baseline": 4}[instruction_counts.instruction_set()]
    assert 3 / lanes <= count < 3  # at least a load, an operation and a store


# asv


def test_thresholds_are_spelled_as_asv_reads_them():
    text = (FOLDER / "asv.conf.json").read_text(encoding="utf-8")
    conf = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    thresholds = conf["regressions_thresholds"]
    names = [f"{name}.{method}" for name, cls in CLASSES.items() for method in dir(cls) if BENCHMARK.fullmatch(method)]
    assert names
    for name in names:
        matching = [pattern for pattern in thresholds if re.match(pattern, name)]
        assert matching or name.split(".")[-1].startswith("peakmem_"), name
        if name.startswith("instructions."):
            assert [thresholds[pattern] for pattern in matching] == [0.02]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("asv_runner") is None, reason="needs asv")
def test_asv_finds_and_checks_all_of_them(tmp_path):
    code = """
import json, sys
from asv_runner.discovery import list_benchmarks, disc_benchmarks
root, target = sys.argv[1:]
with open(target, "w") as file:
    list_benchmarks(root, file)
sys.exit(not all([each.check(root) for each in disc_benchmarks(root)]))
"""
    found = tmp_path / "benchmarks.json"
    command = [sys.executable, "-c", code, str(FOLDER / "benchmarks"), str(found)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    methods = {f"{name}.{each}" for name, cls in CLASSES.items() for each in dir(cls) if BENCHMARK.fullmatch(each)}
    assert {each["name"] for each in json.loads(found.read_text())} == methods


# Problems


def test_duplicates_are_what_they_are_called():
    n, k = 10_000, 1000
    repeats = {kind: k - len(np.unique(make(n, k))) for kind, make in problems.DUPLICATES.items()}
    assert repeats["none"] == 0
    assert repeats["few"] == k // 50
    assert repeats["zipf"] > k // 5
