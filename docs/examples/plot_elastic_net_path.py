"""
An elastic-net path with warm starts
====================================

With a strong l1 penalty all coefficients are zero; as it falls, one after the other enters the model. To follow them,
the model is fitted for forty strengths, from the strongest to the weakest. With `warm_start=True` each fit begins at
the coefficients of the one before, which are nearly right already.

The data are the ten measurements of 442 diabetes patients that scikit-learn ships, and the progress of the disease one
year later.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

from fastopt.linear_model import LinearRegressor

STRENGTHS, SMALLEST = 40, 1e-4  # the smallest relative to the largest
SHARES = {"lasso": 1.0, "elastic net, half l1": 0.5}


def samples():
    """Standardised columns, their names, and the targets in units of their deviation."""
    data = load_diabetes(scaled=False)
    y = data.target - data.target.mean()
    return StandardScaler().fit_transform(data.data), data.feature_names, y / y.std()


# %%
# The strongest penalty
# ---------------------
# At zero the gradient of the mean loss is ``X.T @ y / n`` here. All coefficients stay zero as long as no entry of it
# is larger than ``alpha * l1_ratio``.


def strengths(X, y, share):
    """From the one at which all coefficients are zero downwards."""
    largest = np.abs(X.T @ y).max() / len(y) / share
    return largest * np.logspace(0, np.log10(SMALLEST), STRENGTHS)


def path(X, y, share, warm_start):
    """Strengths, the coefficients of each, and the iterations that all of them took."""
    model = LinearRegressor(penalty="elasticnet", l1_ratio=share, warm_start=warm_start, tol=1e-6, max_iter=1000)
    coefficients, iterations = [], 0
    for alpha in strengths(X, y, share):
        model.set_params(alpha=alpha).fit(X, y)
        coefficients.append(model.coef_.copy())
        iterations += model.n_iter_
    return strengths(X, y, share), np.array(coefficients), iterations


def report(paths):
    """Iterations, and how many coefficients are not zero along the path."""
    for name, ((_, coefficients, warm), (_, others, cold)) in paths.items():
        apart = np.abs(coefficients - others).max()
        print(f"{name}: {warm} iterations, {cold} without warm starts; the coefficients differ by {apart:.0e} at most")
        counts = np.count_nonzero(coefficients, axis=1)
        print("  not zero: " + ", ".join(str(n) for n in counts[:: STRENGTHS // 10]))


# %%
# The paths
# ---------
# Coefficients that are zero are exactly zero. The blood values s1 and s2 are nearly the same column: only a weak
# penalty lets them grow against each other, and s3 gives up its place then. Where l1 is half of the penalty,
# coefficients enter at twice the strength, and grow more slowly.


def draw(paths, names):
    """A line for each coefficient, one panel for each penalty."""
    figure, axes = plt.subplots(1, len(paths), figsize=(11, 4.6), sharey=True, layout="constrained")
    for ax, (title, ((alphas, coefficients, _), _)) in zip(axes, paths.items(), strict=True):
        for name, values, colour in zip(names, coefficients.T, plt.get_cmap("tab10").colors, strict=True):
            ax.plot(alphas, values, label=name, color=colour)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set(xscale="log", xlabel="strength of the penalty, alpha", title=title)
        ax.invert_xaxis()
    axes[0].set_ylabel("coefficient (deviations of y per deviation of x)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", title="column")
    plt.show()


def main():
    X, names, y = samples()
    paths = {name: [path(X, y, share, warm_start) for warm_start in (True, False)] for name, share in SHARES.items()}
    report(paths)
    draw(paths, names)


if __name__ == "__main__":
    main()
