"""The examples for several processes run as they say, and print the same on any number of them."""

import re
import sys
from pathlib import Path

import pytest
from ranks import finish, start

pytest.importorskip("mpi4py")

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
PRINTED = {
    "mpi_digits.py": r"1440 samples, 480 steps, loss 0\.\d{4}, \d\d\.\d% of 357 others right\n",
    "mpi_text.py": r"1600 lines, 4194304 rows; \d\d% of 400 others right\n",
}


def printed(example, n_ranks):
    process = start(n_ranks, [sys.executable, "-W", "error", str(EXAMPLES / example)], FASTOPT_EXAMPLE_LINES="2000")
    output, code = finish(process, 120)
    assert code == 0, output
    return output


@pytest.mark.parametrize("example", PRINTED)
def test_example_runs_and_prints_the_same_on_any_number_of_ranks(example):
    output = printed(example, 2)
    assert re.fullmatch(PRINTED[example], output)
    assert printed(example, 3) == output
