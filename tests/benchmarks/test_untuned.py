"""The report on untuned methods: gradients and minima of its problems, and the page that is made from its figures."""

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize

import fastopt

FOLDER = Path(__file__).parents[2] / "asv_benchmarks"
if not FOLDER.exists():
    pytest.skip("asv_benchmarks is not beside the tests", allow_module_level=True)

sys.path.append(str(FOLDER))
import untuned_functions as functions  # noqa: E402
import untuned_page  # noqa: E402

RNG = np.random.default_rng(0)
CLASSIFIER = functions.Network(RNG.standard_normal((20, 3)), RNG.integers(0, 4, 20), (3, 5, 4))
REGRESSION = functions.Network(RNG.standard_normal((20, 3)), RNG.standard_normal((20, 2)), (3, 6, 5, 2), relu=True)
FACTORIZATION = functions.Factorization(RNG.standard_normal((6, 5)), 2)
QUADRATIC = functions.NoisyQuadratic(100.0, 1.0, n=30, dimensions=4)

FUNCTIONS = {
    "classifier": (lambda x: CLASSIFIER(x, np.array([3, 7, 7])), CLASSIFIER.initial()),
    "regression": (lambda x: REGRESSION(x, np.arange(20)), REGRESSION.initial()),
    "factorization": (lambda x: FACTORIZATION(x, np.array([0, 4, 4, 29])), FACTORIZATION.initial()),
    "quadratic": (lambda x: QUADRATIC(x, np.array([1, 2])), RNG.standard_normal(4)),
    "Rosenbrock": (functions.rosenbrock, RNG.standard_normal(5)),
    "Beale": (functions.beale, RNG.standard_normal(2)),
    "Powell": (functions.powell, RNG.standard_normal(4)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_differences(name):
    fun, x = FUNCTIONS[name]
    differences = scipy.optimize.approx_fprime(x, lambda x: fun(x)[0])
    np.testing.assert_allclose(fun(x)[1], differences, rtol=1e-4, atol=1e-5 * np.abs(differences).max())


@pytest.mark.parametrize("problem, everything", [(FACTORIZATION, np.arange(30)), (QUADRATIC, np.arange(30))])
def test_known_minima_are_reached_and_not_passed(problem, everything):
    x0 = RNG.standard_normal(22 if problem is FACTORIZATION else 4)
    found = scipy.optimize.minimize(problem, x0, args=(everything,), jac=True, options={"gtol": 1e-9}).fun
    assert problem.minimum() == pytest.approx(found, rel=1e-6)


def test_minima_of_linear_models():
    problems = pytest.importorskip("untuned_problems", reason="needs scikit-learn", exc_type=ImportError)
    X = RNG.standard_normal((60, 3)) * [1.0, 1e3, 1e-3] + [5.0, 100.0, 0.0]
    y = X @ [1.0, 1e-3, 1e3] + RNG.standard_normal(60)
    least = np.linalg.lstsq(np.column_stack([X, np.ones(60)]), y)[1][0] / 120
    objective = fastopt.objectives.LeastSquares(X, y, fit_intercept=True)
    assert problems.smooth_minimum(objective) == pytest.approx(least, rel=1e-9)
    labels = np.where(RNG.random(60) < 0.5, 1.0, -1.0)
    hinge = fastopt.objectives.Hinge(X, labels, fit_intercept=True)
    values = [hinge(RNG.standard_normal(4) / [1, 1e3, 1, 1]) for _ in range(100)]
    assert 0 < problems.hinge_minimum(X, labels) <= min([1.0, *values])


def figures(tuned, calls=None, **methods):
    """Of a problem that falls from 1 to 0."""
    without_options = None if calls is None else {"iterations": 500, "calls": calls}
    return {
        "parameters": 2, "iterations": 9, "start": 1.0, "minimum": 0.0, "tuned": tuned, "methods": methods,
        "without_options": without_options,
    }  # fmt: skip


PROBLEMS = {
    "easy": figures({"0.1": [0.5, 0.2, 0.1], "1": [0.3, None, None]}, good=[0.3, 0.1, 0.9], bad=[None, 2.0, 1.5]),
    "solved": figures({"0.1": [1e-9], "1": [0.5]}, {"default": [1e-9], "other": [0.5]}, good=[1e-7], bad=[0.01]),
}


def test_gaps_are_medians_and_small_ones_do_not_count():
    assert untuned_page.tuned(PROBLEMS["easy"]) == ("0.1", 0.2)
    assert untuned_page.ratios(PROBLEMS["easy"]) == {"good": pytest.approx(1.5), "bad": pytest.approx(10.0)}
    assert untuned_page.ratios(PROBLEMS["solved"]) == {"good": 1.0, "bad": pytest.approx(100.0)}


def test_the_minimum_is_what_a_run_has_found_below_it():
    it = figures({"0.1": [0.5]}, good=[-1.0])
    assert untuned_page.tuned(it) == ("0.1", 0.75)
    assert untuned_page.ratios(it) == {"good": pytest.approx(1e-4 / 0.75)}


def test_page_and_chart(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")  # its version is on the page
    untuned_page.keep(tmp_path, PROBLEMS)
    assert untuned_page.load(tmp_path)["problems"] == PROBLEMS
    untuned_page.write(tmp_path)
    text = (tmp_path / "untuned.md").read_text()
    assert "| good | 100% | 100% | 1.22 | 0 | 0 |" in text
    assert "| bad | 0% | 50% | 31.62 | 1 | 1 |" in text
    assert "| easy | 2 | 9 | 0.1 | 0.2 | 1.5 | 10 (above) |" in text
    assert "| of 1 gaps | above 1 | above 0.1 | above 0.01 |" in text and "| other | 0 | 1 | 1 |" in text
    assert "| solved | 500 | 1.0e-09 | 5.0e-01 |" in text
    assert (tmp_path / "untuned.png").stat().st_size > 0
