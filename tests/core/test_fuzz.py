"""Random sequences of calls by a hostile caller, from fixed seeds: `tests/fuzz` says what it does and looks for."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzz"
SECONDS = float(os.environ.get("FASTOPT_FUZZ_SECONDS", 60))


def fuzz(*arguments, timeout):
    return subprocess.run([sys.executable, FUZZ, *arguments], capture_output=True, text=True, timeout=timeout)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.skipif(shutil.which(os.environ.get("CC", "cc")) is None, reason="needs a C compiler")
def test_hostile_caller_finds_nothing():
    done = fuzz("--seconds", str(SECONDS), "--seed", "0", timeout=SECONDS + 100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.match(r"(\d+) sequences", done.stdout)[1]) > SECONDS
