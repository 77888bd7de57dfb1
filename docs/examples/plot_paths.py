"""
Paths over three surfaces
=========================

What momentum and adaptive learning rates do shows best in two dimensions. Five methods set out from the same point on
three surfaces: Beale's function, which is flat around a narrow minimum; a ravine, a hundred times as steep across
as along; and a saddle, where the gradient nearly vanishes beside the way down.

The gradients here have no noise, so that what remains is the method.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

import fastopt


def beale(p):
    """Beale (1958): minimum 0 at (3, 0.5)."""
    x, y = p
    terms = np.array([1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3])
    by_x = 2 * terms @ [y - 1, y**2 - 1, y**3 - 1]
    by_y = 2 * terms @ [x, 2 * x * y, 3 * x * y**2]
    return terms @ terms, np.array([by_x, by_y])


def ravine(p):
    """A quadratic whose curvatures differ by a factor of 100, turned by 30 degrees."""
    along, across = np.array([[0.866, 0.5], [-0.5, 0.866]]) @ p
    gradient = np.array([[0.866, -0.5], [0.5, 0.866]]) @ [along, 100 * across]
    return 0.5 * (along**2 + 100 * across**2), gradient


def saddle(p):
    """Down along the second axis, to minima at (0, 1) and (0, -1); a saddle at (0, 0)."""
    x, y = p
    return x**2 + (y**2 - 1) ** 2, np.array([2 * x, 4 * y * (y**2 - 1)])


class Surface(NamedTuple):
    """A function, where the methods start, what is shown of it, and how long they run."""

    title: str
    fun: callable
    start: tuple
    bounds: tuple
    steps: int


SURFACES = (
    Surface("Beale", beale, (1.0, 1.6), ((-1.0, 4.5), (-1.0, 2.0)), 400),
    Surface("Ravine", ravine, (-4.0, 0.5), ((-4.6, 1.0), (-2.6, 1.4)), 100),
    Surface("Saddle", saddle, (1.5, 0.001), ((-0.6, 1.8), (-0.5, 1.3)), 60),
)

# The rates are by hand, the same for a method on all surfaces: large enough to arrive, small enough not to diverge.
METHODS = {
    "SGD": ("sgd", {"learning_rate": 0.01}),
    "momentum 0.9": ("sgd", {"learning_rate": 0.01, "momentum": 0.9}),
    "Adagrad": ("adagrad", {"learning_rate": 0.4}),
    "RMSprop": ("rmsprop", {"learning_rate": 0.05}),
    "Adam": ("adam", {"learning_rate": 0.1}),
}
COLOURS = ("tab:red", "tab:orange", "tab:blue", "tab:pink", "black")

# %%
# ``minimize`` keeps no iterates; the callback is given a copy of each, and appends it to a list.


def iterates(surface, method, options):
    """The starting point, and the point after each step."""
    points = [np.array(surface.start)]
    options = {"maxiter": surface.steps, "clip_norm": 5.0, **options}
    fastopt.minimize(surface.fun, points[0], method=method, jac=True, callback=points.append, options=options)
    return points


def report(paths):
    """The value each method ended with."""
    print(f"{'':<14}" + "".join(f"{surface.title:>12}" for surface in SURFACES))
    for name in METHODS:
        values = (surface.fun(paths[surface.title, name][-1])[0] for surface in SURFACES)
        print(f"{name:<14}" + "".join(f"{value:>12.2g}" for value in values))


def draw(paths):
    """One surface beside the other; a circle is the start, a star the end."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), layout="constrained")
    for ax, surface in zip(axes, SURFACES, strict=True):
        contours = lambda p, fun=surface.fun: fun(p)[0]  # noqa: E731
        for name, colour in zip(METHODS, COLOURS, strict=True):
            line = {"label": name, "color": colour, "bounds": surface.bounds, "ax": ax}
            fastopt.plot.path(paths[surface.title, name], contours, **line)
            contours = None  # once for all paths
        ax.set_title(surface.title)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(METHODS))
    plt.show()


def main():
    paths = {
        (surface.title, name): iterates(surface, method, options)
        for surface in SURFACES
        for name, (method, options) in METHODS.items()
    }
    report(paths)
    draw(paths)


# %%
# SGD follows the gradient, across the ravine first and slowly along it. Momentum overshoots and swings back, but is
# soon through. Adaptive methods divide by the size of past gradients in each direction: they leave the saddle at once,
# as the tiny gradient of the way down is scaled up, and take the ravine's diagonal, which is not along its axes.

if __name__ == "__main__":
    main()
