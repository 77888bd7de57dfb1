"""
An objective that samples by itself: a variational posterior
============================================================

Which pixels tell a 3 from an 8, and how sure can one be of it? Bayesian logistic regression has no closed answer. A
normal distribution with a mean and a standard deviation for every weight is fitted to the posterior, by maximizing
the evidence lower bound. Its gradient is an expectation over that distribution, and estimated from a few draws from it
(Kingma & Welling 2014): the objective is noisy, although it is given all samples.

`fastopt.minimize` takes such a function as it is, and never assumes that two calls at one point agree.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

import fastopt
from fastopt.data import load_digits

DIGITS = (3, 8)
DRAWS = 4
STEPS = 3000
SEED = 0


def load():
    """Images of the two digits, and 1 for the second of them."""
    X, y = load_digits()
    chosen = np.isin(y, DIGITS)
    return X[chosen].astype(np.float64), (y[chosen] == DIGITS[1]).astype(np.float64)


# %%
# The parameters are the means and the logarithms of the standard deviations. Prior of each weight: normal, 0 and 1.


def negative_bound(parameters, X, y, rng):
    """Minus the evidence lower bound per sample, estimated from DRAWS draws, and its gradient."""
    mean, log_deviation = np.split(parameters, 2)
    deviation = np.exp(log_deviation)
    noise = rng.standard_normal((DRAWS, len(mean)))
    weights = mean + deviation * noise
    margins = weights @ X.T
    misfit = np.mean(np.sum(np.logaddexp(0, margins) - y * margins, axis=1))
    by_weights = (expit(margins) - y) @ X / DRAWS
    divergence = 0.5 * np.sum(mean**2 + deviation**2 - 1) - np.sum(log_deviation)
    by_mean = by_weights.sum(axis=0) + mean
    by_log_deviation = np.sum(by_weights * noise, axis=0) * deviation + deviation**2 - 1
    return (misfit + divergence) / len(y), np.concatenate([by_mean, by_log_deviation]) / len(y)


def fit(X, y):
    """The fitted parameters, averaged over the second half of the run to remove what noise remains."""
    rate = fastopt.schedules.cosine_decay(0.05, STEPS, alpha=0.02)
    options = {"learning_rate": rate, "maxiter": STEPS, "average": "polyak", "average_start": STEPS // 200}
    x0 = np.concatenate([np.zeros(X.shape[1]), np.full(X.shape[1], -1.0)])
    generator = np.random.default_rng(SEED)
    return fastopt.minimize(negative_bound, x0, args=(X, y, generator), method="adam", jac=True, options=options)


def draw(res, X):
    """The bound, the mean of each weight, and its standard deviation, as pictures of pixels."""
    mean, log_deviation = np.split(res.x, 2)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    fastopt.plot.trace(res, ax=axes[0])
    axes[0].set_title("Minus the bound, per sample")
    limit = np.abs(mean).max()
    pictures = {
        f"Mean: red says {DIGITS[1]}, blue says {DIGITS[0]}": (mean, {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}),
        "Standard deviation": (np.exp(log_deviation), {"cmap": "viridis", "vmin": 0}),
    }
    for ax, (title, (values, style)) in zip(axes[1:], pictures.items(), strict=True):
        figure.colorbar(ax.imshow(values.reshape(8, 8), **style), ax=ax)
        ax.set(title=title, xticks=[], yticks=[])
    plt.show()


# %%
# Pixels that are blank in every image say nothing: their weights keep the prior's mean 0 and deviation 1.


def main():
    X, y = load()
    res = fit(X, y)
    mean, log_deviation = np.split(res.x, 2)
    blank = X.max(axis=0) == 0
    print(res.optimizer)
    print(f"accuracy of the mean: {np.mean((X @ mean > 0) == y):.1%} of {len(y)} images")
    print(f"weights of {blank.sum()} blank pixels: deviation {np.exp(log_deviation[blank]).mean():.2f} (prior: 1)")
    print(f"all others: {np.exp(log_deviation[~blank]).mean():.2f}")
    draw(res, X)


if __name__ == "__main__":
    main()
