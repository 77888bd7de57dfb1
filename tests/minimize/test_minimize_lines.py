"""KeyboardInterrupt at each line of the loop, as a second Ctrl-C or a program's own handler brings it.

Whatever is saved then is resumed to the bits of a run that was not interrupted.
"""

import itertools
import os
import signal
import sys

import numpy as np
import pytest
from objectives import bowl_value, outcome
from reference_epochs import problem

from fastopt import _minimize, minimize, schedules
from fastopt._minimize import minibatch_epochs, sample_epochs

FOLDER = os.path.dirname(_minimize.__file__)
FILES = {os.path.join(FOLDER, name) for name in ("averages.py", "batches.py", "ending.py", "evaluation.py",
                                                 "finite_sums.py", "minibatch_epochs.py", "report.py", "run.py",
                                                 "saga_svrg_epochs.py", "sample_epochs.py", "saving.py", "start.py",
                                                 "stopping.py", "structures.py", "vw_epochs.py")}  # fmt: skip


class At:
    """Raises KeyboardInterrupt at the n-th line of the loop."""

    def __init__(self, n):
        self.left = n

    def call(self, frame, event, argument):
        return self.line if frame.f_code.co_filename in FILES else None

    def line(self, frame, event, argument):
        self.left -= event == "line"
        if self.left == 0:
            raise KeyboardInterrupt
        return self.line


def interrupted(run, n):
    """Whether the run had as many lines."""
    before = sys.gettrace()
    sys.settrace(At(n).call)
    try:
        run()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # Python may be interrupted before it leaves a `with`
    return False


def rate():
    return schedules.reduce_on_plateau(0.1, factor=0.5, patience=0, threshold=0.9)


def squares(x, index):
    return float(x @ x) / 2 + index.sum(), x + 0.01 * index.sum()


def by_name(x):
    return float((x["a"] @ x["a"]) + (x["b"] ** 2).sum()) / 2, x


LAZY = problem("logistic", "csr32", n=8, l2=0.3, l1=0.02)
DENSE = problem("logistic", "dense", n=8, l2=0.3)
THREE = np.array([0.3, -0.4, 0.6])
RUNS = {
    "samples": dict(fun=squares, x0=THREE, jac=True, n_samples=8, batch_size=4, options={"average": "ema"}),
    "dict": dict(fun=by_name, x0={"a": THREE, "b": THREE[:2, None]}, jac=True, options={"epoch_length": 2}),
    "spsa": dict(fun=bowl_value, x0=THREE, jac="spsa", options={"epoch_length": 2, "return_best": True}),
    "sgd": dict(fun=LAZY.objective, x0=LAZY.x0, method="sgd", batch_size=2),
    "adam": dict(fun=LAZY.objective, x0=LAZY.x0, method="adam", batch_size=2),
    "ftrl": dict(fun=LAZY.objective, x0=LAZY.x0, method="ftrl", batch_size=2, options={"average": "polyak"}),
    "saga": dict(fun=LAZY.objective, x0=LAZY.x0, method="saga", options={"learning_rate": 0.1}),
    "svrg": dict(fun=LAZY.objective, x0=LAZY.x0, method="svrg", options={"learning_rate": 0.1}),
    "vw": dict(fun=LAZY.objective, x0=LAZY.x0, method="vw"),
    "dense svrg": dict(fun=DENSE.objective, x0=DENSE.x0, method="svrg", options={"learning_rate": 0.1}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_interrupt_at_each_line(name, path, no_sync, monkeypatch):
    monkeypatch.setattr(minibatch_epochs, "SEGMENT_ENTRIES", 20)
    monkeypatch.setattr(minibatch_epochs, "ENTRIES_TO_FLUSH", 1)
    monkeypatch.setattr(sample_epochs, "SEGMENT_ENTRIES", 20)

    def run(seed=3, resume=None, **more):
        options = {"learning_rate": rate(), "epochs": 2, **RUNS[name].get("options", {}), **more}
        return outcome(minimize(**{**RUNS[name], "tol": 1e-9, "rng": seed, "resume": resume, "options": options}))

    expected, saved = run(), 0
    for n in itertools.count(1):
        if os.path.exists(path):
            os.remove(path)
        if not interrupted(lambda: run(checkpoint=path), n):
            break
        if os.path.exists(path):
            saved += 1
            assert run(seed=99, resume=path) == expected, f"line {n}"
    assert saved > n / 2
