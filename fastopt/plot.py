"""Pictures of results, drawn with matplotlib, which is imported when a function is called.

Every function draws into the axes `ax`, or into a new figure of pyplot's, and returns the axes, on which titles,
limits and scales can be set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _validation
from ._types import Array, ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["compare", "path", "trace"]

AXES = {"iteration": "iteration", "epoch": "epoch", "time": "time [s]"}
GRID_POINTS = 121  # of the contours, along each axis
MARGIN = 0.15  # around the points of a path, as a share of their extent
MARKED_POINTS = 40  # a curve or path with more has no marker at each of them


def __dir__():
    return __all__


def trace(
    result: Mapping[str, Any], x: str = "iteration", *, minimum: float = 0.0, ax: Axes | None = None, **line: Any
) -> Axes:
    """Draw the loss of a run: one point per epoch.

    Parameters
    ----------
    result : OptimizeResult or mapping
        What `fastopt.minimize` returned; or its `history`, a mapping that has ``"fun"`` and the column `x`.
    x : {"iteration", "epoch", "time"}
        What it is drawn against; the time is in seconds.
    minimum : float, default=0.0
        Subtracted from the loss: the curve is how far the loss is above it.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.
    **line
        Settings of the line for `matplotlib.axes.Axes.plot`: ``label``, ``color``, ...

    Returns
    -------
    matplotlib.axes.Axes
        With a logarithmic scale of the loss if all of the losses drawn are positive.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    TypeError, ValueError
        When `result` has no history, or the history not both columns, with one entry for each epoch.

    See Also
    --------
    compare : Several runs in one picture.

    Notes
    -----
    The loss of an epoch is the mean over its batches, each taken before its step: over the first epoch parameters
    change a lot, so its point lies above the loss that the epoch ended with.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X, y = np.eye(4), np.arange(4.0)
    >>> objective = fastopt.objectives.LeastSquares(X, y)
    >>> res = fastopt.minimize(objective, np.zeros(4), method="sgd", options={"learning_rate": 1.0, "epochs": 9})
    >>> ax = fastopt.plot.trace(res, x="epoch", label="SGD")       # doctest: +SKIP
    >>> ax.figure.savefig("trace.png")                             # doctest: +SKIP
    """
    across, losses = _columns(result, x)
    ax = _axes(ax)
    ax.plot(across, losses - minimum, **{"marker": _marker(len(losses)), "markersize": 4} | line)
    drawn = np.concatenate([np.asarray(each.get_ydata(), float) for each in ax.get_lines()])
    ax.set_yscale("log" if drawn.size and np.nanmin(drawn) > 0 else "linear")
    if x != "time" and ax.get_xscale() == "linear":
        ax.locator_params(axis="x", integer=True)
    ax.set(xlabel=AXES[x], ylabel="loss" if minimum == 0 else "loss above the minimum")
    ax.grid(alpha=0.3)
    return ax


def compare(
    results: Mapping[str, Mapping[str, Any]],
    x: str = "iteration",
    *,
    minimum: float = 0.0,
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw the losses of several runs, with a legend.

    Parameters
    ----------
    results : mapping of str to OptimizeResult or mapping
        Label -> result, as for `trace`; drawn in this order.
    x : {"iteration", "epoch", "time"}
        What the losses are drawn against; the time is in seconds.
    minimum : float, default=0.0
        Subtracted from every loss.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.
    **line
        Settings of all lines for `matplotlib.axes.Axes.plot`.

    Returns
    -------
    matplotlib.axes.Axes
        As from `trace`.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    TypeError, ValueError
        When `results` is not a mapping or holds no run; and as `trace`.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> from fastopt.data import load_digits
    >>> X, y = load_digits()
    >>> objective = fastopt.objectives.Softmax(X, y)
    >>> def run(method, rate):
    ...     options = {"learning_rate": rate, "epochs": 5}
    ...     return fastopt.minimize(objective, np.zeros(640), method=method, rng=0, options=options)
    >>> results = {"SGD": run("sgd", 0.5), "Adam": run("adam", 0.01)}
    >>> ax = fastopt.plot.compare(results, x="epoch")              # doctest: +SKIP
    >>> _ = ax.set_title("Softmax regression on digits")           # doctest: +SKIP
    """
    if not isinstance(results, Mapping) or not all(isinstance(each, Mapping) for each in results.values()):
        raise TypeError(f"`results` must be a mapping of labels to results, got {type(results).__name__}.")
    if not results:
        raise ValueError("`results` must hold at least one run, got none.")
    for each in results.values():
        _columns(each, x)  # all of them are checked before the first is drawn
    ax = _axes(ax)
    for label, each in results.items():
        trace(each, x, minimum=minimum, ax=ax, **line | {"label": label})
    ax.legend()
    return ax


def path(
    points: ArrayLike | Mapping[str, Any],
    fun: Callable[[Array], float] | None = None,
    *,
    bounds: Sequence[tuple[float, float]] | None = None,
    levels: int = 25,
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw the path of an optimizer in the plane; a circle marks its start, a star its end.

    Parameters
    ----------
    points : array_like of shape (k, 2), or OptimizeResult
        The iterates in their order; or a result with SciPy's `allvecs`, as methods of `scipy.optimize.minimize` with
        ``options={"return_all": True}`` give it. See Notes for the iterates of `fastopt.minimize`.
    fun : callable, optional
        The function of two variables that was minimized, ``fun(x) -> float``: its contours are drawn, too. It is
        called at 14,641 points.
    bounds : sequence of two (low, high), optional
        The region to show; by default the box around the points, and somewhat more.
    levels : int, default=25
        How many contours to draw, at least 1. They lie closer where the function is small.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default the axes of a new figure.
    **line
        Settings of the line for `matplotlib.axes.Axes.plot`: ``label``, ``color``, ...

    Returns
    -------
    matplotlib.axes.Axes
        For a second path in the same picture pass it as `ax`, without `fun`.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    TypeError, ValueError
        When there are no points in the plane, or `bounds`, `levels` or the values of `fun` cannot be drawn.

    Notes
    -----
    `fastopt.minimize` keeps no iterates. A callback records them: what it is called with is a copy. The starting point
    is not among them, as it is called after each step.

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> from scipy.optimize import rosen, rosen_der
    >>> points = [np.array([-1.5, 1.0])]
    >>> res = fastopt.minimize(rosen, points[0], jac=rosen_der, method="adam", callback=points.append,
    ...                        options={"learning_rate": 0.05, "maxiter": 500})
    >>> len(points)
    501
    >>> ax = fastopt.plot.path(points, rosen, label="Adam")        # doctest: +SKIP
    """
    points = _points(points)
    levels = _validation.scalars.integer("levels", levels, 1)
    region = _region(points) if bounds is None else _bounds(bounds)
    surface = None if fun is None else _surface(fun, region)
    ax = _axes(ax)
    if surface is not None:
        _draw_contours(ax, region, surface, levels)
    (drawn,) = ax.plot(*points.T, **{"marker": _marker(len(points)), "markersize": 3, "linewidth": 1.5} | line)
    ends = {"color": drawn.get_color(), "markeredgecolor": "black", "linestyle": "none", "zorder": drawn.get_zorder()}
    ax.plot(*points[0], marker="o", markersize=7, **ends)
    ax.plot(*points[-1], marker="*", markersize=13, **ends)
    if bounds is not None or surface is not None:
        ax.set(xlim=region[0], ylim=region[1])
    ax.set(xlabel="x[0]", ylabel="x[1]")
    return ax


def _axes(ax):
    """The axes to draw into."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'fastopt.plot needs matplotlib, which is not installed; pip install "fastopt[plot]".'
        ) from error
    return plt.subplots(layout="constrained")[1]


def _marker(n):
    return "." if n <= MARKED_POINTS else None


def _columns(result, x):
    """The columns `x` and "fun" of a history, as arrays of float64."""
    _validation.scalars.choice("x", x, tuple(AXES))
    if not isinstance(result, Mapping):
        raise TypeError(f"`result` must be a result of fastopt.minimize or its history, got {type(result).__name__}.")
    history = result.get("history", result)
    missing = [name for name in (x, "fun") if name not in history or np.ndim(history[name]) != 1]
    if missing:
        raise ValueError(
            f"`result` must have a history with the columns {x!r} and 'fun', got none of {missing}; "
            "results of fastopt.minimize have it."
        )
    across, losses = (np.asarray(history[name], float) for name in (x, "fun"))
    if len(across) != len(losses):
        raise ValueError(f"`result` must have columns of one length, got {len(across)} {x!r} and {len(losses)} 'fun'.")
    return across, losses


def _points(points):
    """The iterates as an array of shape (k, 2)."""
    if isinstance(points, Mapping):
        if "allvecs" not in points:
            raise ValueError(
                "`points` is a result without iterates (`allvecs`); record them with a callback: "
                "fastopt.minimize(..., callback=points.append)."
            )
        points = points["allvecs"]
    try:
        array = np.asarray(points, float)
    except ValueError:
        raise ValueError("`points` must have shape (k, 2), k at least 1, got a sequence of unequal lengths.") from None
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise ValueError(f"`points` must have shape (k, 2), k at least 1, got {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError("`points` must be finite, got NaN or infinity; leave out the iterates of a run that diverged.")
    return array


def _region(points):
    """The box around the points and a margin, not empty along either axis."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = high - low
    margin = MARGIN * np.maximum(extent, max(extent.max() / 4, 1e-3))
    return np.transpose([low - margin, high + margin])


def _bounds(bounds):
    region = np.asarray(bounds, float)
    if region.shape != (2, 2) or not np.isfinite(region).all() or (region[:, 0] >= region[:, 1]).any():
        raise ValueError(
            f"`bounds` must be two pairs (low, high) with low < high, got {_validation.text.shown(bounds)}."
        )
    return region


def _surface(fun, region):
    """Values of the function on a grid, shape (GRID_POINTS, GRID_POINTS), rows along the second variable."""
    if not callable(fun):
        raise TypeError(f"`fun` must be callable, got {type(fun).__name__}.")
    across, up = (np.linspace(*side, GRID_POINTS) for side in region)
    values = np.array([[float(fun(np.array([a, b]))) for a in across] for b in up])
    if not np.isfinite(values).any():
        raise ValueError("`fun` must be finite somewhere in the region, got NaN or infinity only; pass `bounds`.")
    return np.ma.masked_invalid(values)


def _draw_contours(ax, region, surface, levels):
    """Contours through equal shares of the area, but closer together where the function is small.

    With equal steps of the values, all contours of a steep function, such as Beale's, would lie on its slopes.
    """
    from matplotlib import colormaps

    shares = np.linspace(0.0, 1.0, levels + 2)[1:-1] ** 2
    heights = np.unique(np.quantile(surface.compressed(), shares))
    across, up = (np.linspace(*side, GRID_POINTS) for side in region)
    # Colours by rank, as the heights may span many powers of ten.
    colours = colormaps["viridis"](np.linspace(0.0, 1.0, len(heights)))
    ax.contour(across, up, surface, levels=heights, colors=colours, linewidths=0.7)
