"""minimize against the contract of scipy.optimize.minimize: what it prints."""

import sys
import types

import numpy as np
import pytest
from helpers import exactly
from minimizing import STEPS
from objectives import Counted, bowl

from fastopt import minimize


def test_silent_by_default(capfd):
    minimize(bowl, np.zeros(3), jac=True, options=STEPS)
    minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"disp": False})
    assert capfd.readouterr() == ("", "")


def test_disp_prints_a_summary(capfd):
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"disp": True})
    lines = capfd.readouterr().out.splitlines()
    assert lines == [
        res.message,
        f"         Current function value: {res.fun:f}",
        "         Iterations: 5",
        "         Epochs: 5",
        "         Function evaluations: 6",
        "         Gradient evaluations: 6",
    ]


class Bar:
    """What minimize uses of tqdm."""

    made = None

    def __init__(self, **arguments):
        self.arguments, self.updates, self.postfix, self.closed = arguments, 0, [], 0
        Bar.made = self

    def update(self, n=1):
        self.updates += n

    def set_postfix(self, **postfix):
        self.postfix.append(postfix["fun"])

    def close(self):
        self.closed += 1


@pytest.fixture
def bar(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))


def test_progress_is_a_bar_over_iterations(bar):
    res = minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"progress": True, "epoch_length": 2})
    assert (Bar.made.arguments["total"], Bar.made.arguments["initial"]) == (5, 0)
    assert (Bar.made.updates, Bar.made.closed) == (5, 1)
    assert Bar.made.postfix == [f"{loss:.6g}" for loss in res.history["fun"][:2]]


def test_progress_of_a_resumed_run_begins_where_it_was(bar, tmp_path):
    path = tmp_path / "run.npz"
    minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"checkpoint": path, "maxiter": 3})
    minimize(bowl, np.zeros(3), jac=True, resume=path, options=STEPS | {"progress": True})
    assert (Bar.made.arguments["total"], Bar.made.arguments["initial"], Bar.made.updates) == (5, 3, 2)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), StopIteration()])
def test_progress_bar_is_closed_whatever_happens(bar, error):
    arguments = dict(jac=True, options=STEPS | {"progress": True}, callback=Counted(lambda x: None, error, 3))
    if isinstance(error, StopIteration):
        minimize(bowl, np.zeros(3), **arguments)
    else:
        with pytest.raises(type(error)):
            minimize(bowl, np.zeros(3), **arguments)
    assert (Bar.made.closed, Bar.made.updates) == (1, 3)


def test_progress_with_the_real_tqdm(capfd):
    pytest.importorskip("tqdm")
    minimize(bowl, np.zeros(3), jac=True, options=STEPS | {"progress": True})
    out, err = capfd.readouterr()
    assert out == "" and "5/5" in err


def test_progress_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fun = Counted(bowl)
    with pytest.raises(ImportError, match=exactly("`progress` needs tqdm, which is not installed; "
                                                  'pip install "fastopt[progress]".')):  # fmt: skip
        minimize(fun, np.zeros(3), jac=True, options={"progress": True})
    assert fun.calls == 0
    minimize(fun, np.zeros(3), jac=True, options=STEPS)
