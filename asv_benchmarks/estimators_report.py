"""Estimators as they come, against LogisticRegression, Ridge and HuberRegressor with the same, tuned, penalty.

    python asv_benchmarks/estimators_report.py                 (a minute; needs scikit-learn)
    python asv_benchmarks/estimators_report.py --only 'wine*'  (some cases)

Over the data sets that scikit-learn ships, with standardised columns and in their own units. The score is that of
predictions for samples that were held out, in five folds. The penalty is the one of ALPHAS that is best for the
reference. Prints a table, and ends with status 1 if a fit diverges, or fewer than 90 % of the cases come within 0.01 of
the reference's score.
"""

import argparse
import fnmatch
import sys
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fastopt.linear_model import LinearClassifier, LinearRegressor

ALPHAS = tuple(10.0**k for k in range(-6, 5))
CLOSE, SHARE = 0.01, 0.9
FOLDS = 5
EPSILON = 1.35  # of HuberRegressor, its default


class WithPenaltyOfHuberRegressor(LinearRegressor):
    """`alpha` is that of HuberRegressor, whose loss is a sum, and in units of a scale.

    Equal in both is then the ratio of the penalty to the slopes of the loss where it is linear.
    """

    def fit(self, X, y):
        own = LinearRegressor("huber").fit(X, y).epsilon_[0] * self.alpha / (EPSILON * len(y))
        self.fitted_ = LinearRegressor("huber", alpha=own).fit(X, y)
        return self

    def predict(self, X):
        return self.fitted_.predict(X)


def logistic(n, alpha):
    return LogisticRegression(C=1 / (n * alpha), solver="newton-cholesky", max_iter=1000), LinearClassifier(alpha=alpha)


def ridge(n, alpha):
    return Ridge(alpha=n * alpha), LinearRegressor(alpha=alpha)


def huber(n, alpha):
    theirs = HuberRegressor(epsilon=EPSILON, alpha=n * alpha, max_iter=10_000)
    return MultiOutputRegressor(theirs), MultiOutputRegressor(WithPenaltyOfHuberRegressor(alpha=n * alpha))


#: Name -> the reference, and the estimator with the same penalty.
PAIRS = {"LogisticRegression": logistic, "Ridge": ridge, "HuberRegressor": huber}
CLASSES = {"iris": {}, "wine": {}, "breast_cancer": {}, "digits": {}}
NUMBERS = {"diabetes": {"scaled": False}, "linnerud": {}}


class Case(NamedTuple):
    """A data set in some units, with a pair of estimators."""

    data: str
    units: str
    reference: str

    def __str__(self):
        return f"{self.data} {self.units} {self.reference}"


class Outcome(NamedTuple):
    """The best penalty of the reference, its score, and that of the estimator; None if a fit failed."""

    alpha: float
    reference: float
    score: Any

    @property
    def is_close(self):
        return self.score is not None and self.score >= self.reference - CLOSE


def all_cases():
    names = [(data, "LogisticRegression") for data in CLASSES]
    names += [(data, reference) for data in NUMBERS for reference in ("Ridge", "HuberRegressor")]
    return [Case(data, units, reference) for data, reference in names for units in ("scaled", "raw")]


def samples(case):
    arguments = (CLASSES | NUMBERS)[case.data]
    X, y = getattr(datasets, f"load_{case.data}")(return_X_y=True, **arguments)
    return X, y.reshape(len(y), -1) if case.reference == "HuberRegressor" else y


def score(estimator, X, y, units, classes):
    """Of predictions for the folds that were held out."""
    folds = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), estimator) if units == "scaled" else estimator
    found = cross_val_predict(model, X, y, cv=folds)
    if not classes and not np.isfinite(found).all():
        return None
    return (accuracy_score if classes else r2_score)(y, found.reshape(y.shape))


def outcome(case):
    """Run one case."""
    X, y = samples(case)
    n, classes = len(X) * (FOLDS - 1) // FOLDS, case.data in CLASSES
    pairs = {alpha: PAIRS[case.reference](n, alpha) for alpha in ALPHAS}
    scores = {alpha: score(theirs, X, y, case.units, classes) for alpha, (theirs, _) in pairs.items()}
    best = max(scores, key=scores.get)
    try:
        own = score(pairs[best][1], X, y, case.units, classes)
    except ValueError as error:
        print(f"{case}: {error}", file=sys.stderr)
        own = None
    return Outcome(best, scores[best], own)


def main(pattern="*"):
    warnings.simplefilter("ignore", ConvergenceWarning)
    cases = [case for case in all_cases() if fnmatch.fnmatch(str(case), pattern)]
    with threadpool_limits(1, user_api="blas"):  # threads for matrices as small as these only wait for each other
        outcomes = {case: outcome(case) for case in cases}
    print(f"{'':40} {'alpha':>7} {'reference':>9} {'fastopt':>9}")
    for case, each in outcomes.items():
        own = "diverged" if each.score is None else f"{each.score:.4f}"
        print(f"{case!s:40} {each.alpha:7.0e} {each.reference:9.4f} {own:>9}{'' if each.is_close else '  below'}")
    close = sum(each.is_close for each in outcomes.values())
    print(f"{close} of {len(outcomes)} within {CLOSE} of the reference")
    return close < SHARE * len(outcomes) or any(each.score is None for each in outcomes.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="cases whose name this pattern fits")
    sys.exit(main(parser.parse_args().only))
