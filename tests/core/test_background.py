"""Tests of Ctrl-C pass in a job in the background, too, which inherits that SIGINT is ignored."""

import signal
from pathlib import Path

import pytest
from helpers import run_python

TESTS = Path(__file__).parents[1]
IN_THE_BACKGROUND = """
    import os, signal, sys

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.execv(sys.executable, [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", *sys.argv[1:]])
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="no signals of POSIX")
@pytest.mark.parametrize(
    "test",
    [
        "minimize/test_minimize_stopping.py::test_second_ctrl_c_does_not_wait",
        pytest.param("minimize/test_minimize_stopping.py::test_real_ctrl_c_at_random_moments", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_in_the_background(test):
    assert "1 passed" in run_python(IN_THE_BACKGROUND, str(TESTS / test))
