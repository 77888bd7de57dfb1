"""scikit-learn's own checks, whole: none is skipped or expected to fail."""

import pytest
from helpers import run_python

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from fastopt.linear_model import _losses, _solvers

LOSSES = {"LinearClassifier": _losses.CLASSIFICATION, "LinearRegressor": _losses.REGRESSION}
SOLVERS = (None, *_solvers.SOLVERS)
PAIRS = [(name, loss, solver) for name, losses in LOSSES.items() for loss in losses for solver in SOLVERS]
# Every loss, and every kind of solver.
FAST = [
    ("LinearClassifier", "log_loss", "auto"),
    ("LinearClassifier", "log_loss", "saga"),
    ("LinearClassifier", "log_loss", "vw"),
    ("LinearClassifier", "hinge", "auto"),
    ("LinearClassifier", "squared_hinge", "svrg"),
    ("LinearClassifier", "modified_huber", "auto"),
    ("LinearClassifier", "modified_huber", "adagrad"),
    ("LinearRegressor", "squared_error", "auto"),
    ("LinearRegressor", "squared_error", "vw"),
    ("LinearRegressor", "huber", "adam"),
    ("LinearRegressor", "poisson", "sgd"),
    ("LinearRegressor", "poisson", None),
    ("LinearRegressor", "epsilon_insensitive", "auto"),
    ("LinearRegressor", "squared_epsilon_insensitive", "auto"),
    ("LinearRegressor", "quantile", "auto"),
    ("LinearRegressor", "quantile", "adagrad"),
    ("LinearRegressor", "gamma", "auto"),
    ("LinearRegressor", "tweedie", "saga"),
]
CHECK = """
    import sys, warnings
    warnings.simplefilter("ignore")
    from sklearn.utils.estimator_checks import check_estimator
    import fastopt.linear_model
    results = []
    for name, loss, solver in {}:
        estimator = getattr(fastopt.linear_model, name)(loss, solver=solver)
        results += check_estimator(estimator, on_skip=None, on_fail=None)
    for each in results:
        if each["status"] != "passed":
            print(each["estimator"], each["check_name"], each["status"], repr(each["exception"])[:500])
    print("passed" if len(results) > 50 else "nothing was checked")
"""


def run_checks(pairs):
    # One check is only made where SciPy dispatches on kinds of arrays, which it decides when it is imported.
    environment = {"SCIPY_ARRAY_API": "1", "OPENBLAS_NUM_THREADS": "1"}
    assert run_python(CHECK.format(pairs), timeout=60 * len(pairs), **environment) == "passed"


@pytest.mark.parametrize("pair", FAST, ids=repr)
def test_checks_of_scikit_learn(pair):
    pytest.importorskip("pandas", reason="some checks need pandas")
    run_checks([pair])


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_checks_of_scikit_learn_for_every_solver(solver):
    pytest.importorskip("pandas", reason="some checks need pandas")
    run_checks([pair for pair in PAIRS if pair[2] == solver and pair not in FAST])
