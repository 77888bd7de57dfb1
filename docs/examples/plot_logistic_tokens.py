"""
Which lines stand in a docstring? Sparse logistic regression by five methods
============================================================================

Every line of the standard library's Python files is a sample, its tokens and pairs of tokens are hashed into 2**20
columns, and the label says whether it stands in a docstring. One objective, `fastopt.objectives.Logistic` with an l1
penalty, is minimized by five methods. The table says what each of them reached and how many weights it left at
zero, the picture how fast. Times and accuracies depend on the machine and on the version of Python.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from python_text import design_matrix, labels, sample_lines

import fastopt

LINES = 200_000
EPOCHS = 10
L1 = 2e-6
SEED = 0


class Method(NamedTuple):
    """A line of the table."""

    label: str
    name: str
    batch_size: int
    options: dict


# Of 1, 2 and 5 times the powers of ten, each learning rate is the one with the smallest objective after EPOCHS epochs.
# They are large because rows of length 1 with many entries make small gradients. SAGA's is the default,
# 1 / (2 max_smoothness).
METHODS = (
    Method("SGD", "sgd", 32, {"learning_rate": 20.0}),
    Method("Adagrad", "adagrad", 32, {"learning_rate": 10.0}),
    Method("FTRL", "ftrl", 32, {"learning_rate": 10.0}),
    Method("Adam", "adam", 32, {"learning_rate": 0.005}),
    Method("SAGA", "saga", 1, {}),
)


def load_lines():
    """Lines as (X_train, y_train), (X_test, y_test), from different files."""
    lines = sample_lines(LINES, LINES, np.random.default_rng(SEED))
    X, y = unit_rows(design_matrix(lines)), labels(lines)
    n_train = len(y) * 4 // 5
    return (X[:n_train], y[:n_train]), (X[n_train:], y[n_train:])


def unit_rows(X):
    """Scale rows to length 1: a learning rate then suits short lines and long ones."""
    X.sum_duplicates()
    squares = X.multiply(X).sum(axis=1)
    X.data /= np.sqrt(np.repeat(squares, np.diff(X.indptr)))
    return X


def accuracy(objective, x, test_set):
    """Share of lines on the right side."""
    X, y = test_set
    return float(np.mean((objective.decision_function(x, X) > 0) == y))


def share_of_zeros(objective, x):
    """Share of exact zeros among the weights of columns that occur in the training lines."""
    return float(np.mean(x[np.unique(objective.X.indices)] == 0))


# %%
# The penalty costs nothing on columns that a batch does not touch: what they have missed is made up for when they are
# touched next.


def fit(objective, method):
    """Run one method from zero."""
    options = {"epochs": EPOCHS, **method.options}
    x0 = np.zeros(objective.n_parameters)
    return fastopt.minimize(objective, x0, method=method.name, batch_size=method.batch_size, rng=SEED, options=options)


def print_table(objective, results, test_set):
    """Method, test accuracy, final objective, share of zeros, seconds."""
    print(f"{'method':<10}{'test accuracy':>14}{'objective':>12}{'zero weights':>14}{'seconds':>10}")
    for label, res in results.items():
        reached = f"{accuracy(objective, res.x, test_set):>14.2%}{res.fun:>12.5f}"
        print(f"{label:<10}{reached}{share_of_zeros(objective, res.x):>14.1%}{res.history['time'][-1]:>10.2f}")


def draw(results):
    """Objective against seconds, one curve per method."""
    ax = fastopt.plot.compare(results, x="time")
    ax.set(ylabel="objective (mean of an epoch)", title="Logistic regression on lines of Python")
    plt.show()


def main():
    train_set, test_set = load_lines()
    objective = fastopt.objectives.Logistic(*train_set, l1=L1, fit_intercept=True)
    print(objective)
    results = {method.label: fit(objective, method) for method in METHODS}
    print(f"always the more frequent answer: {max(np.mean(test_set[1]), 1 - np.mean(test_set[1])):.1%}")
    print_table(objective, results, test_set)
    draw(results)


if __name__ == "__main__":
    main()
