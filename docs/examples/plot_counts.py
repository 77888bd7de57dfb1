"""
A generalised linear model of counts
====================================

How many calls come in during a shift? They are counts: never negative, with a variance that grows with the mean, and
what matters multiplies. A Poisson regression predicts ``exp(X @ w + b)``. Least squares on the same columns predicts
less than nothing for quiet nights.

Shifts are not equally long. The target is then a rate, calls per hour, and the sample weight its exposure, the hours:
this is the likelihood of the counts themselves.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import mean_poisson_deviance
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from fastopt.linear_model import LinearRegressor

N = 6_000
NAMES = ("hour", "weekend", "temperature")

# %%
# Shifts
# ------
# Simulated: calls depend on the hour of the day, the weekend and the temperature, as factors.


def calls_per_hour(X):
    """The rate that the counts are drawn with."""
    hour, weekend, temperature = X.T
    daily = np.exp(1.6 * np.sin((hour - 8) * np.pi / 12))
    return 2.0 * daily * np.where(weekend, 0.4, 1.0) * 1.03**temperature


def shifts(seed):
    """Hour, weekend and temperature; how long each shift was, in hours; and the calls."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.uniform(0, 24, N), rng.random(N) < 2 / 7, rng.normal(12, 8, N)])
    exposure = rng.choice([0.25, 0.5, 1.0, 2.0], N)
    return X, exposure, rng.poisson(exposure * calls_per_hour(X))


# %%
# The models
# ----------
# An hour is a point on a circle: its columns are sines and cosines. The pipelines differ in the loss alone.


def columns(X):
    """Two waves of the day, and the others as they are."""
    angle = X[:, :1] * np.pi / 12 * [1, 2]
    return np.hstack([np.sin(angle), np.cos(angle), X[:, 1:]])


def fitted(loss, X, exposure, calls):
    """A model of calls per hour."""
    model = make_pipeline(FunctionTransformer(columns), StandardScaler(), LinearRegressor(loss, alpha=1e-6))
    return model.fit(X, calls / exposure, linearregressor__sample_weight=exposure)


def report(models, X, exposure, calls):
    """What each predicts for other shifts."""
    rate, constant = calls / exposure, np.full(N, calls.sum() / exposure.sum())
    print(f"deviance of a constant: {mean_poisson_deviance(rate, constant, sample_weight=exposure):.3f}")
    for name, model in models.items():
        found = model.predict(X)
        deviance = mean_poisson_deviance(rate, np.maximum(found, 1e-2), sample_weight=exposure)
        print(f"{name:<14} deviance {deviance:.3f}, predictions below 0: {np.mean(found < 0):.1%}")
    regressor, scaler = models["poisson"][-1], models["poisson"][1]
    for name, weight in zip(NAMES[1:], regressor.coef_[4:] / scaler.scale_[4:], strict=True):
        print(f"{name}: calls times {np.exp(weight):.3f} per unit")


# %%
# Counts over the day, and calibration
# ------------------------------------
# On the left, calls per hour of shifts on workdays at 12 degrees. On the right, shifts in groups by what was predicted
# for them: the points are on the line if predictions are means.


def draw(models, X, exposure, calls):
    """The day, and predicted rates beside those that came."""
    _, (day, groups) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    hours = np.linspace(0, 24, 200)
    workday = np.column_stack([hours, np.zeros(200), np.full(200, 12.0)])
    day.plot(hours, calls_per_hour(workday), color="black", linestyle="--", label="true rate")
    groups.axline((0, 0), slope=1, color="black", linestyle="--")
    for (name, model), colour in zip(models.items(), ("tab:blue", "tab:orange"), strict=True):
        label = name.replace("_", " ")
        day.plot(hours, model.predict(workday), color=colour, label=label)
        found = model.predict(X)
        parts = np.array_split(np.argsort(found), 20)
        predicted = [np.average(found[part], weights=exposure[part]) for part in parts]
        came = [calls[part].sum() / exposure[part].sum() for part in parts]
        groups.plot(predicted, came, "o", color=colour, label=label)
    day.axhline(0, color="black", linewidth=0.8)
    day.set(xlabel="hour of the day", ylabel="calls per hour", xlim=(0, 24), xticks=range(0, 25, 4), title="A workday")
    groups.set(xlabel="calls per hour, predicted", ylabel="calls per hour, that came", title="Twenty groups of shifts")
    day.legend(loc="upper left")
    groups.legend()
    plt.show()


def main():
    models = {loss: fitted(loss, *shifts(0)) for loss in ("poisson", "squared_error")}
    report(models, *shifts(1))
    draw(models, *shifts(1))


if __name__ == "__main__":
    main()
