"""
Softmax regression on handwritten digits, by five methods
=========================================================

One objective, `fastopt.objectives.Softmax`, minimized by five methods. The table says what each of them reached, the
picture how fast. The data come with the package; SciPy's L-BFGS-B, on the same object, says where the minimum is.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize

import fastopt
from fastopt.data import load_digits

TEST_SAMPLES = 360
L2 = 1e-3
EPOCHS = 100
SEED = 0


class Method(NamedTuple):
    """A line of the table."""

    label: str
    name: str
    batch_size: int
    options: dict


# Of 1, 2 and 5 times the powers of ten, each learning rate is the one with the smallest objective after EPOCHS epochs.
# SAGA's is the default, 1 / (2 max_smoothness).
METHODS = (
    Method("SGD", "sgd", 32, {"learning_rate": 0.2}),
    Method("SGD, momentum 0.9", "sgd", 32, {"learning_rate": 0.05, "momentum": 0.9}),
    Method("Adagrad", "adagrad", 32, {"learning_rate": 0.2}),
    Method("Adam", "adam", 32, {"learning_rate": 0.005}),
    Method("SAGA", "saga", 1, {}),
)


def split_digits():
    """The digits as (X_train, y_train), (X_test, y_test)."""
    X, y = load_digits()
    X = X.astype(np.float64)  # L-BFGS-B would end early, on the rounding of float32
    order = np.random.default_rng(SEED).permutation(len(y))
    test, train = order[:TEST_SAMPLES], order[TEST_SAMPLES:]
    return (X[train], y[train]), (X[test], y[test])


def accuracy(objective, x, test_set):
    """Share of samples whose largest margin is that of the right class."""
    X, y = test_set
    return float(np.mean(objective.decision_function(x, X).argmax(axis=1) == y))


def smallest_value(objective):
    """The minimum of the objective, to many digits."""
    start = np.zeros(objective.n_parameters)
    options = {"maxiter": 10_000, "maxfun": 10_000, "ftol": 1e-14, "gtol": 1e-8}
    return scipy.optimize.minimize(
        objective.value_and_gradient, start, jac=True, method="L-BFGS-B", options=options
    ).fun


# %%
# One call for each method. The objective is computed in C, and so are the epochs.


def fit(objective, method):
    """Run one method from zero."""
    options = {"epochs": EPOCHS, **method.options}
    x0 = np.zeros(objective.n_parameters)
    return fastopt.minimize(objective, x0, method=method.name, batch_size=method.batch_size, rng=SEED, options=options)


def print_table(objective, results, test_set):
    """Method, test accuracy, final objective, seconds."""
    print(f"{'method':<20}{'test accuracy':>14}{'objective':>12}{'seconds':>10}")
    for label, res in results.items():
        seconds = res.history["time"][-1]
        print(f"{label:<20}{accuracy(objective, res.x, test_set):>14.1%}{res.fun:>12.5f}{seconds:>10.3f}")


# %%
# Methods with a constant learning rate end where their noise keeps them. SAGA's noise vanishes at the minimum.


def draw(results, minimum):
    """How far the mean objective of an epoch is above the minimum, against time."""
    ax = fastopt.plot.compare(results, x="time", minimum=minimum)
    ax.set(xscale="log", title="Softmax regression on digits")
    plt.show()


def main():
    train_set, test_set = split_digits()
    objective = fastopt.objectives.Softmax(*train_set, l2=L2, fit_intercept=True)
    print(objective)
    minimum = smallest_value(objective)
    results = {method.label: fit(objective, method) for method in METHODS}
    print_table(objective, results, test_set)
    print(f"smallest possible objective: {minimum:.5f}")
    draw(results, minimum)


if __name__ == "__main__":
    main()
