"""
Quantile regression: bands instead of a line
============================================

A mean says little where the spread depends on the input, or is not symmetric. Quantile regression asks for the value
that a given share of the targets stays below: five such fits give bands, without an assumption about the distribution.

The curves are linear models over splines. Their losses have no derivative where a target is met exactly, which the
default solver does not mind; it needs no learning rate, and no units.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import mean_pinball_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from fastopt.linear_model import LinearRegressor

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
N, KNOTS = 4_000, 8

# %%
# Waiting times
# -------------
# Simulated minutes in a queue over the hours of a day: longer around noon, and then less certain, with a long tail.


def samples(seed, n=N):
    """Hours and minutes."""
    rng = np.random.default_rng(seed)
    hour = rng.uniform(8, 18, n)
    typical = 4 + 8 * np.exp(-(((hour - 12.5) / 1.5) ** 2))
    return hour[:, None], typical * rng.gamma(4.0, 0.25, n)


# %%
# One model for each quantile
# ---------------------------
# They differ in one number.


def fitted(X, y):
    """Quantile -> the model of it."""
    models = {}
    for quantile in QUANTILES:
        regressor = LinearRegressor("quantile", quantile=quantile, alpha=0, max_iter=200, random_state=0)
        models[quantile] = make_pipeline(SplineTransformer(KNOTS), regressor).fit(X, y)
    return models


def report(models, X, y):
    """The share of other samples below each curve, and the loss next to that of one number for all hours."""
    print("quantile  share below  pinball loss  of a constant")
    for quantile, model in models.items():
        found, constant = model.predict(X), np.full(len(y), np.quantile(y, quantile))
        losses = [mean_pinball_loss(y, each, alpha=quantile) for each in (found, constant)]
        print(f"{quantile:8}  {np.mean(y < found):11.3f}  {losses[0]:12.3f}  {losses[1]:13.3f}")


# %%
# The bands
# ---------
# Half of the waiting times are in the dark band, nine of ten in both. Above the median they are wider: a mean with a
# deviation could not say that.


def draw(models, X, y):
    """Samples, two bands and the median."""
    hours = np.linspace(8, 18, 300)
    curves = {quantile: model.predict(hours[:, None]) for quantile, model in models.items()}
    _, ax = plt.subplots(figsize=(8.5, 4.8), layout="constrained")
    ax.scatter(X[:1000], y[:1000], s=5, color="tab:gray", alpha=0.6, linewidths=0, label="waiting times")
    for low, high, depth in ((0.05, 0.95, 0.2), (0.25, 0.75, 0.4)):
        label = f"{high - low:.0%} of them, {low:.0%} to {high:.0%}"
        ax.fill_between(hours, curves[low], curves[high], color="tab:blue", alpha=depth, linewidth=0, label=label)
    ax.plot(hours, curves[0.5], color="tab:blue", label="median")
    ax.set(xlabel="time of day (hours)", ylabel="waiting time (minutes)", xlim=(8, 18), ylim=(0, None))
    ax.legend(loc="upper right")
    plt.show()


def main():
    X, y = samples(0)
    models = fitted(X, y)
    report(models, *samples(1))
    draw(models, X, y)


if __name__ == "__main__":
    main()
