"""When minimize writes a checkpoint, and what a run may be resumed from."""

import itertools

import numpy as np
import pytest
from objectives import bowl, outcome

from fastopt import _checkpoint, minimize


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
