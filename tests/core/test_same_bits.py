"""The bits of results, against those in tests/data/bits.json, which every processor has to have."""

import json

import numpy as np
import pytest
import result_hashes

import fastopt

STORED = json.loads(result_hashes.STORED.read_text())
LONG = ("large", "epochs")
SLOW = (pytest.mark.slow, pytest.mark.timeout(3600))  # under an emulator


@pytest.mark.filterwarnings("ignore")  # some runs diverge
@pytest.mark.parametrize("part", [pytest.param(part, marks=SLOW if part in LONG else ()) for part in STORED])
def test_results(part):
    """On the instruction set in use; .ci/instruction_sets and .ci/aarch64 run this on the others."""
    with np.errstate(all="ignore"):
        found = result_hashes.grouped(part)
    assert found == STORED[part], "tests/result_hashes.py prints a line for each result, to compare"


def test_every_part_rule_loss_method_and_schedule_is_there():
    assert {*STORED} == {*result_hashes.PARTS}
    names = {part: {label.split()[1] for label in found} for part, found in STORED.items()}
    own = {*result_hashes.OPTIMIZERS} - result_hashes.WITH_BLAS
    assert names["rules"] == names["small"] == names["large"] == own
    assert names["epochs"] == own | {*fastopt.FINITE_SUM_METHODS, "momentum"}
    assert names["objectives"] == {*fastopt.objectives.__all__} - {"Objective"}
    with_libm = {"cosine_decay", "reduce_on_plateau"}
    assert names["schedules"] == {*fastopt.schedules.__all__} - with_libm
