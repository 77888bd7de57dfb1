"""The command ``fastopt bench`` and the NumPy updates that it compares with."""

import itertools
import tracemalloc
import types

import numpy as np
import pytest
from cases import DTYPES

import fastopt
from fastopt import __main__, _core
from fastopt._cli import bench, bench_numpy

LABELS = [" ".join([name, *(f"{key}={value}" for key, value in hyper.items())]) for name, hyper in bench.cases()]
SMALL = ["--size", "1000"]


@pytest.fixture(autouse=True)
def no_budget(monkeypatch):
    """As few rounds as possible: nothing here is about speed."""
    monkeypatch.setattr(bench, "BUDGET_SECONDS", 0.0)
    monkeypatch.setattr(bench, "TURN_SECONDS", 0.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "hyper"), [case for case in bench.cases() if case[0] in bench_numpy.NUMPY_UPDATES], ids=str
)
def test_numpy_updates_compute_what_fastopt_computes(name, hyper, dtype, rng):
    x = rng.standard_normal(100).astype(dtype)
    y = x.copy()
    ours, theirs = fastopt.get_optimizer(name)(x, **hyper), bench_numpy.NUMPY_UPDATES[name](y, **hyper)
    for _ in range(5):
        g = rng.standard_normal(100).astype(dtype)
        ours.step(g)
        theirs.step(g)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


def test_numpy_updates_make_no_temporaries(rng):
    """Comparing with a wasteful NumPy would flatter."""
    x, g = rng.standard_normal(100_000), rng.standard_normal(100_000)
    for cls in bench_numpy.NUMPY_UPDATES.values():
        update = cls(x)
        update.step(g)
        tracemalloc.start()
        update.step(g)
        assert tracemalloc.get_traced_memory()[1] < x.nbytes / 10
        tracemalloc.stop()


def test_seed_methods_have_a_numpy_update():
    assert {"sgd", "adagrad", "rmsprop", "adam"} <= bench_numpy.NUMPY_UPDATES.keys() <= fastopt.OPTIMIZERS.keys()
    assert ("sgd", {"momentum": 0.9}) in bench.cases()


def test_a_row_for_each_optimizer(capsys):
    assert __main__.main(["bench", *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = lines[lines.index(bench.HEAD.splitlines()[1]) + 1 : lines.index("", 4)]
    assert [row[:20].rstrip() for row in rows] == LABELS
    assert {name for name, _ in bench.cases()} == set(fastopt.OPTIMIZERS)
    for row in rows:
        ratio = row.split()[-1]
        assert (ratio != "-") == (row.split()[0] in bench_numpy.NUMPY_UPDATES)
        assert ratio == "-" or float(ratio.removesuffix("x")) > 0
    assert "1,000 float32 parameters" in lines[1]
    assert lines[-1] == "The bandwidth is measured from 65,536 parameters on."


def test_bandwidth_of_large_parameters(capsys):
    size = bench.GAUGE_FROM // 8
    assert __main__.main(["bench", "--size", str(size), "--dtype", "float64", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert "threads: 1;" in out and f"{size:,} float64 parameters" in out
    assert out.count("%") == len(LABELS)
    assert "Bandwidth of this machine" in out.splitlines()[-1] and out.endswith("GB/s\n")


def test_what_a_row_says():
    row = bench.Row(
        "adam", seconds=2e-3, gauge_bandwidth=18.7e9, numpy_seconds=9e-3, bytes_per_parameter=28, size=10**6
    )
    assert bench.format_row(row).split() == ["adam", "2", "ms", "28", "14.0", "75%", "9", "ms", "4.5x"]
    row = bench.Row("lion", seconds=2e-6, gauge_bandwidth=None, numpy_seconds=None, bytes_per_parameter=20, size=100)
    assert bench.format_row(row).split() == ["lion", "2", "us", "20", "1.0", "-", "-", "-"]
    assert len(bench.format_row(row)) == len(bench.HEAD.splitlines()[0]) == len(bench.HEAD.splitlines()[1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2.5, "2.5 s"), (0.99951, "1000 ms"), (0.0123456, "12.3 ms"), (1e-6, "1 us"), (2.44e-7, "0.244 us")],
)
def test_times(seconds, text):
    assert bench.format_time(seconds) == text


@pytest.mark.parametrize(
    ("name", "hyper", "shape", "expected"),
    [
        ("sgd", {}, (6, 4), (1, 1)),
        ("sgd", {"momentum": 0.9}, (6, 4), (1, 2)),
        ("adam", {}, (6, 4), (1, 3)),
        ("lars", {}, (6, 4), (1, 2)),
        ("cocob", {}, (6, 4), (2, 5)),  # the starting point is only read
        ("rowwiseadagrad", {}, (6, 4), (1, 1)),  # a number per row is nothing beside a matrix
        ("rowwiseadagrad", {}, (6,), (1, 2)),
    ],
)
def test_arrays_that_a_step_reads_and_writes(name, hyper, shape, expected):
    x = np.zeros(shape)
    opt = fastopt.get_optimizer(name)(x, **hyper)
    assert _core.streams(opt.rule, opt.state, x.size) == expected


@pytest.mark.parametrize(
    ("read", "readwrite", "in_gauge"),
    [(1, 1, 1), (1, 3, 3), (1, 6, 6), (2, 1, 1), (2, 2, 1), (2, 4, 2), (2, 5, 3), (9, 1, 1)],
)
def test_the_gauge_writes_nearly_the_same_share(read, readwrite, in_gauge):
    assert _core.gauge_like(read, readwrite) == in_gauge


class Clock:
    """A clock that moves only when something runs, so that the medians are known."""

    now = 0.0

    def __call__(self):
        return self.now

    def task(self, seconds):
        def run():
            self.now += seconds

        return run


def test_medians_in_turns():
    clock = Clock()
    calls = []
    runs = {"a": clock.task(1.0), "b": lambda: calls.append(clock.task(3.0)())}
    assert bench.medians(runs, budget=0.0, clock=clock) == {"a": 1.0, "b": 3.0}
    rounds = len(calls) - bench.WARM_UP_CALLS - 1
    assert rounds == bench.LEAST_ROUNDS


def test_rounds_within_the_budget():
    clock = Clock()
    calls = []
    bench.medians({"a": lambda: calls.append(clock.task(1.0)())}, budget=10.0, clock=clock)
    assert len(calls) == bench.WARM_UP_CALLS + 1 + 10
    calls.clear()
    bench.medians({"a": lambda: calls.append(clock.task(1.0)())}, budget=1e9, clock=clock)
    assert len(calls) == bench.WARM_UP_CALLS + 1 + bench.MOST_ROUNDS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "0"], "argument --size: must be an integer >= 1, got '0'."),
        (["--size", "1e6"], "argument --size: must be an integer >= 1, got '1e6'."),
        (["--threads", "0"], "argument --threads: must be an integer >= 1, got '0'."),
        (["--dtype", "float16"], "argument --dtype: invalid choice: 'float16'"),
        (["--only", "adam"], "unrecognized arguments: --only adam"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        __main__.main(["bench", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_more_than_the_memory_is_refused_before_it_is_taken(monkeypatch, capsys):
    memory = types.SimpleNamespace(
        sysconf={"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.get, sysconf_names=["SC_PHYS_PAGES", "SC_PAGE_SIZE"]
    )
    monkeypatch.setattr(bench, "os", memory)
    most = 1000 * 4096 // (16 * 4)
    assert __main__.main(["bench", "--size", str(most + 1)]) == 2
    message = f"fastopt: --size must be at most {most} for the memory of this machine, got {most + 1}.\n"
    assert capsys.readouterr() == ("", message)
    bench.check_memory(most, "float32")


def test_gauge_streams_do_not_overlap():
    streams = bench.gauge_streams(10_000, 4)
    spans = sorted((each.ctypes.data, each.ctypes.data + each.nbytes) for each in streams)
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(spans))
    assert {start % 64 for start, _ in spans} == {0} and len({start % 4096 for start, _ in spans}) == 4
