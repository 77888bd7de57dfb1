"""Simultaneous perturbation (Spall 1992, 1998): gradients of noisy objectives from two evaluations, and their gains."""

import functools
import math
from typing import NamedTuple

import numpy as np

from .._validation import saved_runs
from .._validation.scalars import flag, integer
from ..optimizers import SGD
from . import precision
from .evaluation import Evaluator
from .gain import Gain
from .stopping import NONFINITE_LOSS, Stop

# The exponent that Spall (1998) advises for the shifts c / k**GAMMA.
GAMMA = 0.101

# Evaluations at one point that show the noise, directions in which the curvature is measured, evaluations between them.
REPEATS, DIRECTIONS, BETWEEN = 8, 8, 4

# Shifts are such that curvature changes the value by this many times the noise. Where it is less than VISIBLE times the
# noise it cannot be told from it.
WANTED, VISIBLE = 30.0, 5.0

# Most shifts that are tried, and the factor from one to the next while no curvature shows.
TRIALS, GROWTH = 30, 4.0

# After how many iterations shift and gain are measured again.
CALIBRATED_AFTER = frozenset([0, *(4**k for k in range(31))])

# The shift where it is neither given nor calibrated.
USUAL_SHIFT = 0.01

# What runs lack that were saved by versions before 0.2: they calibrated nothing.
FORMER = {"calibrates": False, "shift": USUAL_SHIFT, "rise": 0.0, "caution": 1.0, "alarm": math.inf}

# The shift tried first, and the largest, in units of the largest parameter, or of 1 if that is more.
FIRST_SHIFT, LARGEST_SHIFT = 0.01, 10.0


class Seen(NamedTuple):
    """What shifts of one size show.

    Attributes
    ----------
    centre : ndarray
        The parameters that were shifted.
    value : float
        The objective there.
    rises : ndarray
        How far it lies above that at both ends of each shift, on average.
    slopes : ndarray
        Differences of the values at both ends, over the length of each shift.
    signs : ndarray
        Their directions, in rows.
    """

    centre: np.ndarray
    value: float
    rises: np.ndarray
    slopes: np.ndarray
    signs: np.ndarray

    @property
    def rise(self):
        return float(np.sqrt(np.mean(self.rises**2)))

    def curvature(self, shift):
        """A high estimate of the curvature along directions like these: steps along the steepest ones overshoot."""
        bends = np.abs(self.rises) * 2 / shift**2
        return float(bends.mean() + 2 * bends.std())


class Spsa(Evaluator):
    """Simultaneous perturbation: two evaluations on the same batch, whatever the dimension.

    All parameters are moved at once by ``shift / k**0.101`` up or down at random in iteration k, and the difference of
    the two values gives the whole gradient. The value of the iteration is the mean of the two, less what curvature adds
    to it where that was measured.

    A calibrated shift is so large that by curvature the value rises clearly above its noise. The gain of the steps, for
    the optimizer that goes with the gradients, is the inverse of the curvature, as in a search along a line, and is
    halved until steps do not raise the value. Both are measured at the start, and again after 1, 4, 16, ... iterations,
    as noise and curvature may be others there.

    Parameters
    ----------
    shift : float or None
        As the user gives it.
    rng : numpy.random.Generator
    bounds : Projection or None

    Attributes
    ----------
    shift : float
        That of the first iteration.
    drawn : int
        Iterations so far.
    rise : float
        How much the shift adds to the value by curvature.
    caution : float
        What the gain of a step to the minimum is multiplied by, in [0, 1]: half as much after each alarm.
    alarm : float
        A value above this calls for another calibration.
    """

    at_x = False

    def __init__(self, fun, args, shift, rng, bounds):
        super().__init__(fun, args)
        self.given, self.calibrates = shift, False
        self.shift = USUAL_SHIFT if shift is None else shift
        self.rng, self.bounds = rng, bounds
        self.drawn, self.rise, self.caution, self.alarm = 0, 0.0, 1.0, math.inf

    def calibrated(self):
        """Find the shift by calibration, unless it was given."""
        self.calibrates = self.given is None
        return self

    def optimizer(self, x, budget):
        """An optimizer whose learning rate goes with the gradients; all is calibrated from now on."""
        self.gain = Gain(budget)
        self.calibrated()
        return SGD(x, learning_rate=self.gain, nonfinite="raise")

    def mark(self):
        gain = None if self.gain is None else self.gain.state_dict()
        self.before = self.rng.bit_generator.state, [getattr(self, name) for name in self.PLAIN], gain

    def roll_back(self):
        self.rng.bit_generator.state, values, gain = self.before
        for name, value in zip(self.PLAIN, values, strict=True):
            setattr(self, name, value)
        if gain is not None:
            self.gain.load_state_dict(gain)

    def __call__(self, x, batch):
        if self.drawn in CALIBRATED_AFTER and (self.calibrates or self.gain is not None):
            self.caution = min(1.0, 2 * self.caution)
            self.calibrate(x, batch)
        value, gradient = self.estimate(x, batch)
        if self.gain is not None and not value <= self.alarm:
            self.caution /= 2
            self.calibrate(x, batch)
            value, gradient = self.estimate(x, batch)
        self.njev += 1
        self.drawn += 1
        return value, gradient

    def estimate(self, x, batch):
        """Value and gradient from a shift along a new direction."""
        shift = self.shift / (self.drawn + 1) ** GAMMA
        high, low, gap = self.both_sides(x, batch, shift, self.signs(x.shape))
        value = (high + low) / 2 - self.rise / (self.drawn + 1) ** (2 * GAMMA)
        difference = x.dtype.type(high - low)
        if self.gain is None:
            return value, np.divide(difference, gap, out=np.zeros_like(x), where=gap != 0)
        # Where bounds have shortened the shift a step is shorter, too, or noise would throw it across.
        self.gain.slope = abs(high - low) / (2 * shift)
        return value, difference / (2 * shift) * (gap / (2 * shift))

    def signs(self, shape):
        """Directions at random, each entry up or down."""
        return 2 * self.rng.integers(0, 2, shape, dtype=np.int8) - 1

    def both_sides(self, x, batch, shift, signs):
        """Values above and below x along a direction, and how far the two points are apart."""
        step = (shift * signs).astype(x.dtype)
        above, below = self.inside(x + step), self.inside(x - step)
        return self.value(above, batch), self.value(below, batch), above - below

    def inside(self, point):
        if self.bounds is not None:
            self.bounds.project(point)
        return point

    # --- calibration -------------------------------------------------------------------------------------

    def calibrate(self, x, batch):
        """Find the shift, unless it is fixed, and the gain."""
        values = np.array([self.value(x, batch) for _ in range(REPEATS)])
        if not np.isfinite(values).all():
            raise Stop(NONFINITE_LOSS)
        elsewhere = self.both_sides(x, batch, self.shift / 3, self.signs(x.shape))[:2]
        rounding = precision.rounding([*values, *elsewhere]) * np.abs(values).max()
        noise = float(max(values.std(ddof=1), rounding))
        if self.calibrates:
            seen = self.search(x, batch, noise)
        else:
            seen = self.look(x, batch, self.shift)
        rise = float(seen.rises.mean())
        self.rise = rise if math.isfinite(rise) else 0.0
        if self.gain is not None:
            self.find_gain(batch, noise, seen)

    def find_gain(self, batch, noise, seen):
        """Find the gain, the longest step, and the value that is a sign of too large a gain."""
        steepest = float(np.abs(seen.slopes).max())
        change = float(max(np.abs(seen.rises).max(), steepest * self.shift, VISIBLE * noise))
        if not math.isfinite(seen.value + change):  # no shift leads to points where the objective is finite
            self.gain.first, self.gain.longest, self.alarm = 0.0, 0.0, math.inf
            return
        self.gain.first = self.line_search(batch, noise, seen) * self.caution
        self.gain.longest = min(2 * self.gain.first * steepest, np.finfo(float).max)
        self.alarm = math.inf if batch else seen.value + 3 * change  # another batch has other values

    def search(self, x, batch, noise):
        """Find the shift with which curvature raises the value by so many times the noise; returns what it shows."""
        scale = max(1.0, float(np.abs(x).max()))
        least, most = float(np.finfo(x.dtype).eps) ** 0.5 * scale, LARGEST_SHIFT * scale
        if self.bounds is not None:
            most = max(least, min(most, float((self.bounds.high - self.bounds.low).max()) / 2))
        self.shift = min(max(self.shift if self.drawn else FIRST_SHIFT * scale, least), most)
        for _ in range(TRIALS):
            seen = self.look(x, batch, self.shift)
            shift = min(max(self.shift * self.factor(seen.rise, noise), least), most)
            if shift == self.shift:
                break
            self.shift = shift
        return seen

    @staticmethod
    def factor(rise, noise):
        """What a shift that has raised the value this much is to be multiplied by."""
        if not math.isfinite(rise):
            return 1 / GROWTH
        if rise < VISIBLE * noise:
            return GROWTH
        return 1.0 if WANTED / 2 * noise <= rise <= WANTED * 2 * noise else math.sqrt(WANTED * noise / rise)

    def look(self, x, batch, shift):
        """What shifts of this size show around x, or as near to it as bounds leave room for them."""
        if self.bounds is not None:
            room = np.minimum(shift, (self.bounds.high - self.bounds.low) / 2)
            x = np.clip(x, self.bounds.low + room, self.bounds.high - room).astype(x.dtype)
        value = sum(self.value(x, batch) for _ in range(BETWEEN)) / BETWEEN
        signs = self.signs((DIRECTIONS, x.size))
        ends = np.array([self.both_sides(x, batch, shift, each)[:2] for each in signs])
        with np.errstate(all="ignore"):
            slopes = (ends[:, 0] - ends[:, 1]) / (2 * shift)
        return Seen(x, value, ends.mean(1) - value, slopes, signs)

    def line_search(self, batch, noise, seen):
        """The gain: that of a step to the minimum of a parabola, halved until steps do not raise the value."""
        unseen = 2 * VISIBLE * noise / self.shift**2  # so much curvature would not have shown
        gain = 1 / max(seen.curvature(self.shift), unseen, np.finfo(float).tiny)
        while gain > np.finfo(float).tiny and not self.falls(gain, batch, noise, seen):
            gain /= 2
        return gain

    def falls(self, gain, batch, noise, seen):
        """Whether steps with this gain do not raise the value by more than noise, on average."""
        total = 0.0
        for slope, signs in zip(seen.slopes, seen.signs, strict=True):
            with np.errstate(over="ignore"):
                point = (seen.centre - gain * slope * signs).astype(seen.centre.dtype)
            if not np.isfinite(point).all():
                return False
            total += self.value(self.inside(point), batch)
        return total / DIRECTIONS <= seen.value + 2 * noise

    # --- the result and checkpoints ----------------------------------------------------------------------

    def at_end(self, x, last_gradient):
        return self.value(x, ()), last_gradient

    def identity(self):
        return {**super().identity(), "spsa": True}

    PLAIN = ("drawn", "calibrates", "shift", "rise", "caution", "alarm")

    def snapshot(self):
        return {**super().snapshot(), **{name: getattr(self, name) for name in self.PLAIN}}

    def schema(self, done):
        check = super().schema(done)
        return lambda name, saved: check(name, FORMER | saved_runs.entries(name, saved, ()))

    def counters(self, done):
        return {
            **super().counters(done),
            "drawn": functools.partial(integer, minimum=done.nit, maximum=done.nit),
            "calibrates": flag,
            "shift": saved_runs.number("(0, inf)"),
            "rise": saved_runs.number("(-inf, inf)"),
            "caution": saved_runs.number("[0, 1]"),
            "alarm": saved_runs.number("(-inf, inf]"),
        }

    def restore(self, saved):
        super().restore(saved)
        own = {name: saved[name] for name in self.PLAIN}
        if self.given is not None or not saved["calibrates"]:  # the shift is an option of this call
            own |= {"calibrates": False, "shift": self.shift}
        for name, value in own.items():
            setattr(self, name, value)
