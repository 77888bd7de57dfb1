"""Contenders of asv_benchmarks/peers.py do the same work, and the report of rules has a row for each of its targets."""

import sys
from pathlib import Path

import numpy as np
import pytest

import fastopt

FOLDER = Path(__file__).parents[2] / "asv_benchmarks"
if not FOLDER.exists():
    pytest.skip("asv_benchmarks is not beside the tests", allow_module_level=True)

sys.path.append(str(FOLDER))
import peers  # noqa: E402
import rules_report  # noqa: E402
from contenders import problems, with_fastopt, with_numpy, with_references, with_torch  # noqa: E402

SMALL = [
    problems.Step(label, (8, 6) if label in problems.MATRIX_METHODS else (48,))
    for label, (method, _) in problems.ALL_METHODS.items()
    if method in fastopt.OPTIMIZERS
]


def after_steps(made):
    step, parameters, *renewals = made
    for _ in range(peers.STEPS_COMPARED):
        step()
        for renew in renewals:
            renew()
    return np.array(parameters())


@pytest.mark.parametrize("problem", SMALL, ids=lambda step: step.method)
@pytest.mark.parametrize(
    "make", [with_numpy.step, *with_torch.STEPS.values(), with_references.step], ids=["numpy", *with_torch.STEPS, "own"]
)
def test_contenders_compute_what_fastopt_computes(make, problem, monkeypatch):
    if make is not with_numpy.step:
        torch = pytest.importorskip("torch")
        monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.bfloat16)  # put back what the contender changes
    made = make(problem, 1)
    if made is None:
        pytest.skip("cannot do this, or is not installed")
    ours = after_steps(with_fastopt.step(problem, 1))
    assert np.abs(ours - 0.5).max() > 100 * peers.TOLERANCE  # or the comparison would say nothing
    np.testing.assert_allclose(after_steps(made), ours, rtol=0, atol=peers.TOLERANCE)


def test_steps_have_names_of_their_own_and_rules_that_there_are():
    keys = [step.key for step in problems.EVERY_STEP]
    assert len(set(keys)) == len(keys)
    assert {step.method for step in problems.STEPS} <= set(fastopt.OPTIMIZERS)
    assert all(key in keys for key in rules_report.MUON.values())


def test_a_row_for_each_target(monkeypatch, capsys):
    for name, value in {
        "QUICK_SIZE": 640,
        "QUICK_ROUNDS": 1,
        "TABLE": (100, 64),
        "ROWS": 10,
        "MUON": {True: ""},
    }.items():
        assert hasattr(rules_report, name)
        monkeypatch.setattr(rules_report, name, value)
    monkeypatch.setattr(sys, "argv", ["rules_report.py", "--quick", "--threads", "1"])
    rules_report.main()
    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.endswith(("reached", "missed"))]
    rules = [name for name in (*rules_report.SHARES, *(each[0] for each in rules_report.RATIOS))]
    there = [name for name in rules if name in fastopt.OPTIMIZERS]
    assert [row.split(":")[0].split(",")[0] for row in rows] == [*there, "rowwiseadagrad", "rowwiseadagrad"]
    assert "1/64" in rows[-1] and rows[-1].endswith("reached")
