"""The report on state in fewer bits: a row for each target, and accuracies that are reached in short runs."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "asv_benchmarks"
if not FOLDER.exists():
    pytest.skip("asv_benchmarks is not beside the tests", allow_module_level=True)

sys.path.append(str(FOLDER))
import state_report  # noqa: E402


def rows(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["state_report.py", "--threads", "1", *arguments])
    state_report.main()
    return [line for line in capsys.readouterr().out.splitlines() if line.endswith(("reached", "missed"))]


def test_a_row_for_each_speed(monkeypatch, capsys):
    for name, value in {"QUICK_SIZES": (640,), "QUICK_ROUNDS": 1, "IN_CACHE": (100,)}.items():
        assert hasattr(state_report, name)
        monkeypatch.setattr(state_report, name, value)
    found = rows(monkeypatch, capsys, "--quick", "--only", "speed")
    assert len(found) >= sum(len(targets) for *_, targets in state_report.STEPS)


@pytest.mark.parametrize("quick", [["--quick"], pytest.param([], marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_accuracies(monkeypatch, capsys, quick):
    """Of short runs; and of whole ones, the longest of a million steps."""
    found = rows(monkeypatch, capsys, *quick, "--only", "accuracy")
    assert len(found) == 10 and all(row.endswith("reached") for row in found)
