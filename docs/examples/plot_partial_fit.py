"""
Chunks as they come: partial_fit and a world that changes
=========================================================

Every hour brings a hundred new observations, and what they depend on changes slowly, at one hour all at once. A model
that was fitted to the first day gets worse and worse. One that goes on with `partial_fit` after each hour keeps up: its
optimizer keeps its state, and old observations need not be kept.

Each hour is predicted before it is learned from, so that all errors are those of new data.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastopt.linear_model import LinearRegressor

HOURS, PER_HOUR, FEATURES = 240, 100, 20
DAY, BREAK, NOISE = 24, 160, 0.5

# %%
# A stream
# --------
# Coefficients that drift as a random walk, and are drawn anew at hour 160.


def stream():
    """X and y of one hour after the other."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal(FEATURES)
    for hour in range(HOURS):
        w = rng.standard_normal(FEATURES) if hour == BREAK else w + 0.02 * rng.standard_normal(FEATURES)
        X = rng.standard_normal((PER_HOUR, FEATURES))
        yield X, X @ w + NOISE * rng.standard_normal(PER_HOUR)


# %%
# Two models
# ----------
# SGD with a constant rate forgets: old observations count less and less. Adagrad's steps become smaller and smaller,
# which is better where nothing changes, and worse here.


def learners():
    """The models that learn from every hour."""
    return {
        "partial_fit, SGD": LinearRegressor(solver="sgd", learning_rate=0.05, batch_size=10),
        "partial_fit, Adagrad": LinearRegressor(solver="adagrad", batch_size=10),
    }


def errors_of(hours, learning):
    """Root mean square errors of each hour, before it is learned from; the first day is there to begin with."""
    first = [np.concatenate(parts) for parts in zip(*hours[:DAY], strict=True)]
    once = LinearRegressor().fit(*first)
    errors = {"fit once, to the first day": [], **{name: [] for name in learning}}
    for model in learning.values():
        model.partial_fit(*first)
    for X, y in hours[DAY:]:
        for name, model in zip(errors, (once, *learning.values()), strict=True):
            errors[name].append(np.sqrt(np.mean((model.predict(X) - y) ** 2)))
        for model in learning.values():
            model.partial_fit(X, y)
    return errors


# %%
# It does not matter how the stream is cut: chunks of whole mini-batches leave the bits of one pass over all of it.


def same_bits(hours):
    """Whether hours and days as chunks give the same coefficients."""
    by_hour, by_day = (learners()["partial_fit, SGD"] for _ in range(2))
    for X, y in hours:
        by_hour.partial_fit(X, y)
    for first in range(0, HOURS, DAY):
        by_day.partial_fit(*(np.concatenate(parts) for parts in zip(*hours[first : first + DAY], strict=True)))
    return np.array_equal(by_hour.coef_, by_day.coef_)


def draw(errors):
    """The errors over time, and what no model could do better than."""
    _, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    hours = np.arange(DAY, HOURS)
    for (name, values), colour in zip(errors.items(), ("tab:gray", "tab:blue", "tab:orange"), strict=True):
        ax.plot(hours, values, label=name, color=colour)
    ax.axhline(NOISE, color="black", linestyle="--", label="noise")
    ax.axvline(BREAK, color="black", linestyle=":", label="new coefficients")
    ax.set(xlabel="time (hours)", ylabel="root mean square error of the hour", yscale="log", xlim=(DAY, HOURS - 1))
    ax.set_yticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plt.show()


def main():
    hours, learning = list(stream()), learners()
    errors = errors_of(hours, learning)
    for name, values in errors.items():
        print(
            f"{name:<27} {np.mean(values[: BREAK - DAY]):.2f} before the break, {np.mean(values[-DAY:]):.2f} at the end"
        )
    print(f"hours and days as chunks give the same bits: {same_bits(hours)}")
    draw(errors)


if __name__ == "__main__":
    main()
