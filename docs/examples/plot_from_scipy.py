"""
Moving from scipy.optimize
==========================

One objective, a logistic regression written in NumPy, first with SciPy's L-BFGS-B, then on mini-batches. What changes
in the call is where the samples go. L-BFGS-B looks at all samples for each of its steps; Adam makes 45 steps in that
time, and is near the minimum after a few passes; close to the minimum L-BFGS-B wins.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.optimize

import fastopt
from fastopt.data import load_digits

DIGIT = 8
L2 = 1e-3
BATCH_SIZE = 40
PASSES = 60
SEED = 0

# %%
# The objective
# -------------
# A *mean* over the samples it is given, so that it means the same for all of them and for forty.


def loss(w, X, y):
    """Mean logistic loss with an l2 penalty, and its gradient."""
    margin = X @ w
    probability = 1 / (1 + np.exp(-margin))
    value = np.mean(np.logaddexp(0, margin) - y * margin) + L2 / 2 * w @ w
    return value, X.T @ (probability - y) / len(y) + L2 * w


# %%
# Two calls
# ---------


def with_scipy(X, y):
    """L-BFGS-B; the history counts passes over the data."""
    history = {"epoch": [], "fun": []}

    def counted(w, X, y):
        value, gradient = loss(w, X, y)
        history["epoch"].append(len(history["epoch"]) + 1)
        history["fun"].append(value)
        return value, gradient

    options = {"maxfun": 10 * PASSES, "maxiter": 10 * PASSES, "ftol": 1e-14, "gtol": 1e-9}
    res = scipy.optimize.minimize(counted, np.zeros(64), args=(X, y), jac=True, method="L-BFGS-B", options=options)
    return res, {name: column[:PASSES] for name, column in history.items()}


def with_fastopt(X, y, method, learning_rate):
    """The same objective on mini-batches, with a rate that falls to 0."""
    steps = PASSES * -(-len(y) // BATCH_SIZE)
    options = {"learning_rate": fastopt.schedules.cosine_decay(learning_rate, steps), "epochs": PASSES}
    data = {"data": (X, y), "batch_size": BATCH_SIZE}
    return fastopt.minimize(loss, np.zeros(64), jac=True, method=method, rng=SEED, options=options, **data)


def draw(results, minimum):
    """Loss above the minimum, by passes over the data."""
    ax = fastopt.plot.compare(results, x="epoch", minimum=minimum)
    ax.set(xlabel="passes over the data", title=f"Is it a digit {DIGIT}?", ylim=(1e-6, 1))
    plt.show()


def main():
    X, y = load_digits()
    X, y = X.astype(np.float64), (y == DIGIT).astype(np.float64)
    exact, history = with_scipy(X, y)
    adam = with_fastopt(X, y, "adam", 0.1)
    sgd = with_fastopt(X, y, "sgd", 1.0)
    for name, res in {"L-BFGS-B": exact, "Adam": adam, "SGD": sgd}.items():
        print(f"{name:<9} loss {res.fun:.6f}, accuracy {np.mean((X @ res.x > 0) == y):.1%}")
    draw({"SciPy's L-BFGS-B": history, "Adam": adam, "SGD": sgd}, exact.fun)


if __name__ == "__main__":
    main()
