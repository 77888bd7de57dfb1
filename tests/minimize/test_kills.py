"""Runs that are killed while they write checkpoints."""

import signal

import pytest
from kill_checkpoints import survive


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signal that cannot be caught")
@pytest.mark.timeout(300)
def test_killed_runs_are_resumed_with_the_same_bits():
    """A few kills; tests/kill_checkpoints.py does as many as it is asked for."""
    seen = survive(6, seed=20260801)
    assert seen["kills"] == 6 and seen["runs with the same bits"] == 3 and seen["iterations"] > 0
