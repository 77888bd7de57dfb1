"""When minimize writes a checkpoint, and what a run may be resumed from."""

import itertools

import numpy as np
import pytest
from objectives import bowl, outcome
from reference_epochs import MODES, problem

from fastopt import _checkpoint, minimize, schedules


@pytest.fixture
def path(path, no_sync):
    """Where to write a checkpoint, without waiting for the disk."""
    return path


def nit_in(path):
    return _checkpoint.read(path, "minimize")["run"]["nit"]


# --- a good one is not replaced ------------------------------------------------------------------------------


def test_end_by_the_callback_after_an_overflow_keeps_the_checkpoint_before(path):
    """The state of the optimizer has overflowed with the parameters, though those are put back."""

    calls = itertools.count(1)

    def overflows(x):
        value, slope = bowl(x)
        return value, np.full_like(x, np.inf) if next(calls) == 15 else slope

    def stop(x):
        if not np.isfinite(x).all():
            raise StopIteration

    options = {"maxiter": 30, "epoch_length": 10, "learning_rate": 0.1, "nonfinite": "propagate"}
    res = minimize(overflows, np.zeros(3), jac=True, callback=stop, options=options | {"checkpoint": path})
    assert (res.status, res.nit) == (99, 15)
    assert np.isfinite(res.x).all()
    assert nit_in(path) == 10
    resumed = minimize(bowl, np.zeros(3), jac=True, resume=path, options=options)
    assert outcome(resumed) == outcome(minimize(bowl, np.zeros(3), jac=True, options=options))


# --- what a run over a built-in objective goes on with -------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("method", ["ftrl", "sgd", "adagrad", "adam"])
def test_rate_that_an_epoch_has_reduced_counts_from_the_next_step_on(method, mode, path):
    """FTRL makes parameters of its state with the rate of the step before."""
    layout, sparse = MODES[mode]
    p = problem("logistic", layout, l1=0.02, l2=0.1)

    def part(epochs, resume=None, **options):
        rate = schedules.reduce_on_plateau(0.3, factor=0.5, patience=0, threshold=0.5)
        options = {"epochs": epochs, "learning_rate": rate, "sparse": sparse, **options}
        return minimize(p.objective, p.x0, method=method, batch_size=7, rng=0, resume=resume, options=options)

    expected = part(6)
    assert len(set(expected.history["learning_rate"])) > 3
    for epochs in range(6):
        part(epochs, checkpoint=path)
        assert outcome(part(6, resume=path)) == outcome(expected)
