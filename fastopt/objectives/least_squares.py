"""Least squares: documentation and labels; the loss itself is csrc/losses/least_squares.c."""

from ._base import Objective


class LeastSquares(Objective):
    r"""Linear regression: the loss of a sample is half its squared residual.

    .. math::

        \ell(z, y) = \tfrac12 (z - y)^2

    Parameters
    ----------
    <common X>
    y : array_like of shape (n_samples,) or (n_samples, k)
        Finite real numbers.
    <common parameters>

    Notes
    -----
    <common methods>

    Examples
    --------
    >>> import numpy as np, fastopt
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> objective = fastopt.objectives.LeastSquares(X, [1.0, 2.0, 2.0])
    >>> objective([1.0, 1.0]), objective.gradient([0.0, 0.0])
    (0.0, array([-1., -2.]))
    """

    loss = "least_squares"
    curvature = 1.0
