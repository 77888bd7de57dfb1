"""What the schedule-free optimizers share: the average that is read off, and how it stays inside bounds."""

import numpy as np

from ._base import Optimizer


class ScheduleFree(Optimizer):
    """Base of the rules whose parameters are y = beta_1 x + (1 - beta_1) z, with the average x to be read off."""

    def _read_off(self, param, state, values):
        with np.errstate(all="ignore"):  # of parameters that have overflowed
            x = np.subtract(param, state["z"], out=np.empty_like(param))  # an array of no dimension stays one
            x /= values["beta_1"]
            x += state["z"]
        return x

    def _project(self, projections):
        """Put the projected z in the place of z, in the average and in y as well; then see to x and y themselves.

        An average of points inside the bounds is inside, to rounding; a state that was loaded need not be.
        """
        parts = (
            self._flat_params,
            self._state_of_arrays(),
            self._values_of_arrays(),
            self._carry_of_arrays,
            projections,
        )
        for y, state, values, carry, projection in zip(*parts, strict=True):
            x, z, beta_1 = self._read_off(y, state, values), state["z"], values["beta_1"]
            share = 1.0 / carry["averaged"] if carry["averaged"] > 0 else 0.0
            inside = z.copy()
            projection.project(inside)
            with np.errstate(all="ignore"):
                moved = inside - z
                of_average = share * moved
                averaged_inside = np.add(x, of_average, out=np.empty_like(x))
                projection.project(averaged_inside)
                y += beta_1 * (averaged_inside - x) + (1.0 - beta_1) * moved
            z[...] = inside
            projection.project(y)
