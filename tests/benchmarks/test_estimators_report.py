"""The report on estimators as they come: its small data sets, in their own units."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "asv_benchmarks"
if not FOLDER.exists():
    pytest.skip("asv_benchmarks is not beside the tests", allow_module_level=True)
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

sys.path.append(str(FOLDER))
import estimators_report as report  # noqa: E402

FAST = [("iris", "LogisticRegression"), ("wine", "LogisticRegression"), ("diabetes", "Ridge"), ("linnerud", "Ridge")]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("case", [each for each in report.all_cases() if (each.data, each.reference) in FAST], ids=str)
def test_defaults_come_close_to_references(case):
    assert report.outcome(case).is_close


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_cases(capsys):
    assert report.main() == 0
    assert "of 16 within 0.01 of the reference" in capsys.readouterr().out
