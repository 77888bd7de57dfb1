"""Whether a point is a minimum, as the values of points nearby show it: differences there are never exactly zero."""

import numpy as np

# Most rounding errors by which a point that is no lower may seem to be lower.
ROUNDING_ERRORS = 16

# Two distances, as powers of the rounding error, in units of ``max(1, |x|)``; and the power between those of the ratio
# of the rises there beside a minimum of a smooth function, 1/2, and beside a kink, 1/4.
NEAR, FAR, SMOOTH = 1 / 2, 1 / 4, 3 / 8


def is_minimum(fun, x, value, sense, bounds, error):
    """Whether no point on either side along an axis is lower than x; with ``sense=-1`` higher.

    Beside a minimum of a smooth function values rise with the square of the distance. A rise with the distance itself
    is that of a kink, where a direction between the axes may lead downhill: it counts where bounds leave one side only.

    Parameters
    ----------
    fun : callable
        The objective.
    x : ndarray
    value : float
        The objective at x.
    sense : {1, -1}
    bounds : Projection or None
        No point outside is looked at.
    error : float
        The relative rounding error of the objective.
    """
    scale, unseen = np.maximum(1.0, np.abs(x)), ROUNDING_ERRORS * error * abs(value)
    for k in range(x.size):  # below first: differences are mostly forward, and what they see is known
        sides = [side for side in (-1.0, 1.0) if _is_inside(x, k, side * error**FAR * scale[k], bounds)]
        for side in sides:
            near = sense * (fun(_moved(x, k, side * error**NEAR * scale[k])) - value)
            if not near >= -unseen:
                return False
            far = sense * (fun(_moved(x, k, side * error**FAR * scale[k])) - value)
            if not far >= -unseen or (len(sides) == 2 and near > unseen + error**SMOOTH * far):
                return False
    return True


def _moved(x, k, step):
    """A copy of x in which one entry is another."""
    point = x.copy()
    point[k] += step
    return point


def _is_inside(x, k, step, bounds):
    return bounds is None or bounds.low[k] <= x[k] + step <= bounds.high[k]
