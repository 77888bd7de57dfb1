"""Pictures: what is drawn where, and what is refused before anything is."""

import sys

import numpy as np
import pytest
import scipy.optimize
from helpers import exactly, run_python
from scipy.optimize import OptimizeResult, rosen, rosen_der

import fastopt

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from fastopt import plot


@pytest.fixture
def ax():
    """Axes without a window, and without pyplot's list of open figures."""
    return Figure().subplots()


@pytest.fixture(scope="module")
def result():
    objective = fastopt.objectives.LeastSquares(np.eye(6), np.arange(6.0))
    options = {"learning_rate": 0.5, "epochs": 4}
    return fastopt.minimize(objective, np.zeros(6), method="sgd", batch_size=2, rng=0, options=options)


def history(fun, **columns):
    return {"fun": fun, "epoch": np.arange(1, len(fun) + 1)} | columns


def spiral(n):
    angle = np.linspace(0, 6, n)
    return np.column_stack([angle * np.cos(angle), angle * np.sin(angle)])


@pytest.mark.parametrize("x", ["iteration", "epoch", "time"])
def test_trace_draws_the_history(result, ax, x):
    assert plot.trace(result, x, ax=ax) is ax
    (line,) = ax.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), result.history[x])
    np.testing.assert_array_equal(line.get_ydata(), result.history["fun"])
    assert ax.get_xlabel() == {"time": "time [s]"}.get(x, x)
    assert (ax.get_ylabel(), ax.get_yscale()) == ("loss", "log")


def test_trace_of_a_history_is_that_of_its_result(result, ax):
    plot.trace(result, ax=ax)
    plot.trace(result.history, ax=ax)
    first, second = (line.get_xydata() for line in ax.get_lines())
    np.testing.assert_array_equal(first, second)


def test_line_settings_are_the_callers(result, ax):
    plot.trace(result, ax=ax, label="SGD", color="red", marker="s")
    (line,) = ax.get_lines()
    assert (line.get_label(), line.get_color(), line.get_marker()) == ("SGD", "red", "s")


def test_losses_above_the_minimum(ax):
    plot.trace(history([3.0, 2.5]), "epoch", minimum=2.0, ax=ax)
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), [1.0, 0.5])
    assert ax.get_ylabel() == "loss above the minimum"


@pytest.mark.parametrize("losses", [[1.0, -1.0], [1.0, 0.0]], ids=["negative", "zero"])
def test_scale_is_linear_where_a_logarithm_is_impossible(ax, losses):
    plot.trace(history([3.0, 2.0]), "epoch", ax=ax)
    assert ax.get_yscale() == "log"
    plot.trace(history(losses), "epoch", ax=ax)
    assert ax.get_yscale() == "linear"


def test_nan_is_a_gap(ax):
    plot.trace(history([3.0, np.nan, 2.0]), "epoch", ax=ax)
    assert ax.get_yscale() == "log" and np.isnan(ax.get_lines()[0].get_ydata()[1])


@pytest.mark.parametrize("n", [0, 1, 1000])
def test_runs_of_every_length(ax, n):
    plot.trace(history(np.ones(n)), "epoch", ax=ax)
    assert ax.get_lines()[0].get_marker() == ("." if n < 1000 else "None")


def test_counts_are_labelled_with_integers(ax):
    plot.trace(history([3.0, 2.0, 1.0]), "epoch", ax=ax)
    assert all(tick == round(tick) for tick in ax.get_xticks())


def test_compare_draws_all_in_their_order(result, ax):
    assert plot.compare({"b": result, "a": history([2.0], iteration=[7])}, ax=ax, linewidth=3) is ax
    assert [line.get_label() for line in ax.get_lines()] == ["b", "a"]
    assert {line.get_linewidth() for line in ax.get_lines()} == {3}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["b", "a"]


def test_compare_subtracts_the_minimum_from_all(ax):
    plot.compare({"a": history([3.0]), "b": history([4.0])}, "epoch", minimum=1.0, ax=ax)
    assert [line.get_ydata()[0] for line in ax.get_lines()] == [2.0, 3.0]


def test_new_figure_without_axes(result, monkeypatch):
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    try:
        axes = [plot.trace(result), plot.compare({"a": result}), plot.path(spiral(5))]
        assert len({ax.figure.number for ax in axes}) == 3 == len(plt.get_fignums())
    finally:
        plt.close("all")


def test_path_begins_with_a_circle_and_ends_with_a_star(ax):
    points = spiral(30)
    assert plot.path(points, ax=ax, label="run", color="red") is ax
    line, first, last = ax.get_lines()
    np.testing.assert_array_equal(line.get_xydata(), points)
    np.testing.assert_array_equal(first.get_xydata(), points[:1])
    np.testing.assert_array_equal(last.get_xydata(), points[-1:])
    assert (first.get_marker(), last.get_marker()) == ("o", "*")
    assert {each.get_color() for each in (line, first, last)} == {"red"}
    assert ax.get_legend_handles_labels()[1] == ["run"]


def test_path_of_recorded_iterates(ax):
    points = [np.array([-1.5, 1.0])]
    res = fastopt.minimize(rosen, points[0], jac=rosen_der, callback=points.append, options={"maxiter": 9})
    plot.path(points, rosen, ax=ax)
    drawn = ax.get_lines()[0].get_xydata()
    assert len(drawn) == 10
    np.testing.assert_array_equal(drawn[-1], res.x)


def test_path_of_a_scipy_result(ax):
    res = scipy.optimize.minimize(rosen, [-1.5, 1.0], method="BFGS", jac=rosen_der, options={"return_all": True})
    plot.path(res, ax=ax)
    np.testing.assert_array_equal(ax.get_lines()[0].get_xydata()[-1], res.x)


def test_contours_are_those_of_the_function(ax):
    plot.path(spiral(10), lambda v: v[0], ax=ax, levels=7)
    (contours,) = ax.collections
    assert len(contours.levels) == 7 and (np.diff(contours.levels) > 0).all()
    for level, segments in zip(contours.levels, contours.allsegs, strict=True):
        for segment in segments:  # of x[0] the contours are vertical, at the level
            np.testing.assert_allclose(segment[:, 0], level, atol=1e-9)


def test_contours_lie_closer_where_the_function_is_small(ax):
    plot.path(spiral(10), lambda v: v @ v, ax=ax, bounds=[(-1, 1), (-1, 1)])
    steps = np.diff(ax.collections[0].levels)
    assert steps[0] < steps[-1] / 5


def test_function_that_is_not_finite_everywhere(ax):
    plot.path(spiral(10), lambda v: v[0] if v[0] > 0 else np.inf, ax=ax)
    assert (ax.collections[0].levels > 0).all()


def test_constant_function_has_one_level(ax):
    plot.path(spiral(10), lambda v: 1.0, ax=ax)
    assert ax.collections[0].levels.tolist() == [1.0]


def test_region_is_around_the_points_or_the_bounds(ax):
    plot.path([[0.0, 0.0], [2.0, 1.0]], rosen, ax=ax)
    (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert -1 < low < 0 and 2 < high < 3 and -1 < bottom < 0 and 1 < top < 2
    plot.path([[0.0, 0.0], [2.0, 1.0]], ax=ax, bounds=[(-3, 3), (-4, 4)])
    assert (ax.get_xlim(), ax.get_ylim()) == ((-3, 3), (-4, 4))


@pytest.mark.parametrize(
    "points", [[[1.0, 2.0]], [[1.0, 2.0]] * 3, [[1.0, 2.0], [1.0, 5.0]]], ids=["one", "same", "up"]
)
def test_region_is_never_empty(ax, points):
    plot.path(points, rosen, ax=ax)
    assert np.ptp(ax.get_xlim()) > 0 and np.ptp(ax.get_ylim()) > 0


REFUSED = {
    "no history": (
        lambda ax: plot.trace(OptimizeResult(x=1), ax=ax),
        ValueError,
        "`result` must have a history with the columns 'iteration' and 'fun', got none of ['iteration', 'fun']; "
        "results of fastopt.minimize have it.",
    ),
    "column missing": (
        lambda ax: plot.trace(history([1.0]), "time", ax=ax),
        ValueError,
        "`result` must have a history with the columns 'time' and 'fun', got none of ['time']; results of "
        "fastopt.minimize have it.",
    ),
    "columns unequal": (
        lambda ax: plot.trace({"fun": [1.0, 2.0], "epoch": [1]}, "epoch", ax=ax),
        ValueError,
        "`result` must have columns of one length, got 1 'epoch' and 2 'fun'.",
    ),
    "array": (
        lambda ax: plot.trace(np.ones(3), ax=ax),
        TypeError,
        "`result` must be a result of fastopt.minimize or its history, got ndarray.",
    ),
    "axis unknown": (
        lambda ax: plot.trace(history([1.0]), "steps", ax=ax),
        ValueError,
        "`x` must be one of 'iteration', 'epoch', 'time', got 'steps'.",
    ),
    "list of results": (
        lambda ax: plot.compare([history([1.0])], ax=ax),
        TypeError,
        "`results` must be a mapping of labels to results, got list.",
    ),
    "one result": (
        lambda ax: plot.compare(OptimizeResult(x=1, history={}), ax=ax),
        TypeError,
        "`results` must be a mapping of labels to results, got OptimizeResult.",
    ),
    "no results": (
        lambda ax: plot.compare({}, ax=ax),
        ValueError,
        "`results` must hold at least one run, got none.",
    ),
    "second result bad": (
        lambda ax: plot.compare({"a": history([1.0]), "b": {}}, "epoch", ax=ax),
        ValueError,
        "`result` must have a history with the columns 'epoch' and 'fun', got none of ['epoch', 'fun']; results of "
        "fastopt.minimize have it.",
    ),
    "three dimensions": (
        lambda ax: plot.path(np.ones((4, 3)), ax=ax),
        ValueError,
        "`points` must have shape (k, 2), k at least 1, got (4, 3).",
    ),
    "unequal": (
        lambda ax: plot.path([[1.0, 2.0], [3.0]], ax=ax),
        ValueError,
        "`points` must have shape (k, 2), k at least 1, got a sequence of unequal lengths.",
    ),
    "no points": (
        lambda ax: plot.path([], ax=ax),
        ValueError,
        "`points` must have shape (k, 2), k at least 1, got (0,).",
    ),
    "diverged": (
        lambda ax: plot.path([[0.0, 0.0], [np.inf, 0.0]], ax=ax),
        ValueError,
        "`points` must be finite, got NaN or infinity; leave out the iterates of a run that diverged.",
    ),
    "no iterates": (
        lambda ax: plot.path(OptimizeResult(x=np.zeros(2)), ax=ax),
        ValueError,
        "`points` is a result without iterates (`allvecs`); record them with a callback: "
        "fastopt.minimize(..., callback=points.append).",
    ),
    "bounds": (
        lambda ax: plot.path(spiral(3), bounds=[(0, 1), (2, 2)], ax=ax),
        ValueError,
        "`bounds` must be two pairs (low, high) with low < high, got [(0, 1), (2, 2)].",
    ),
    "levels": (
        lambda ax: plot.path(spiral(3), rosen, levels=0, ax=ax),
        ValueError,
        "`levels` must be a positive integer, got 0.",
    ),
    "not a function": (
        lambda ax: plot.path(spiral(3), 3.0, ax=ax),
        TypeError,
        "`fun` must be callable, got float.",
    ),
    "nowhere finite": (
        lambda ax: plot.path(spiral(3), lambda v: np.nan, ax=ax),
        ValueError,
        "`fun` must be finite somewhere in the region, got NaN or infinity only; pass `bounds`.",
    ),
}


@pytest.mark.parametrize("call, error, message", REFUSED.values(), ids=REFUSED)
def test_refused_before_anything_is_drawn(ax, call, error, message):
    with pytest.raises(error, match=exactly(message)):
        call(ax)
    assert not ax.lines and not ax.collections


@pytest.mark.parametrize("call", [plot.trace, plot.compare, plot.path], ids=lambda each: each.__name__)
def test_message_where_matplotlib_is_missing(monkeypatch, result, call):
    for name in [each for each in sys.modules if each.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    argument = {plot.trace: result, plot.compare: {"a": result}, plot.path: spiral(3)}[call]
    message = 'fastopt.plot needs matplotlib, which is not installed; pip install "fastopt[plot]".'
    with pytest.raises(ImportError, match=exactly(message)):
        call(argument)


def test_drawing_into_given_axes_leaves_pyplot_alone():
    code = """
        import sys
        import fastopt
        from matplotlib.figure import Figure
        fastopt.plot.trace({"fun": [2.0, 1.0], "epoch": [1, 2]}, "epoch", ax=Figure().subplots())
        print("matplotlib.pyplot" in sys.modules)
    """
    assert run_python(code) == "False"
