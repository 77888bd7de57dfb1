"""The schedules whose rate depends on the step number alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from .._validation.scalars import flag, integer, real
from .._validation.text import shown
from ._base import Schedule, blend, half_cosine, items


class constant(Schedule):
    """The same rate at every step: ``lr``.

    Parameters
    ----------
    lr : float
        Learning rate, in [0, inf).

    Examples
    --------
    >>> from fastopt.schedules import constant
    >>> constant(0.1)(1000)
    0.1
    """

    def __init__(self, lr: float) -> None:
        super().__init__(lr=real("lr", lr, "[0, inf)"))

    def _rate(self, t):
        return self.lr


class step_decay(Schedule):
    """Multiply the rate by a factor every so many steps: ``lr * factor ** (t // step_size)``.

    Parameters
    ----------
    lr : float
        Learning rate at the start, in [0, inf).
    step_size : int
        Steps between two reductions, at least 1.
    factor : float
        What the rate is multiplied by, in (0, 1].

    Examples
    --------
    >>> from fastopt.schedules import step_decay
    >>> rate = step_decay(1.0, step_size=10, factor=0.5)
    >>> [rate(t) for t in (0, 9, 10, 20)]
    [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, lr: float, step_size: int, factor: float) -> None:
        super().__init__(
            lr=real("lr", lr, "[0, inf)"),
            step_size=integer("step_size", step_size, 1),
            factor=real("factor", factor, "(0, 1]"),
        )

    def _rate(self, t):
        return self.lr * self.factor ** (t // self.step_size)


class exponential_decay(Schedule):
    """Exponential decay: ``lr * decay_rate ** (t / decay_steps)``.

    Parameters
    ----------
    lr : float
        Learning rate at the start, in [0, inf).
    decay_steps : int
        Steps in which the rate falls by the factor `decay_rate`, at least 1.
    decay_rate : float
        That factor, in (0, 1].
    staircase : bool, default=False
        Round the exponent down, so that the rate falls in jumps (then the same as `step_decay`).

    Examples
    --------
    >>> from fastopt.schedules import exponential_decay
    >>> rate = exponential_decay(1.0, decay_steps=10, decay_rate=0.25)
    >>> [rate(t) for t in (0, 5, 10)]
    [1.0, 0.5, 0.25]
    """

    def __init__(self, lr: float, decay_steps: int, decay_rate: float, staircase: bool = False) -> None:
        super().__init__(
            lr=real("lr", lr, "[0, inf)"),
            decay_steps=integer("decay_steps", decay_steps, 1),
            decay_rate=real("decay_rate", decay_rate, "(0, 1]"),
            staircase=flag("staircase", staircase),
        )

    def _rate(self, t):
        exponent = t // self.decay_steps if self.staircase else t / self.decay_steps
        return self.lr * self.decay_rate**exponent


class inverse_time_decay(Schedule):
    """Decay with the inverse of time (Robbins & Monro 1951): ``lr / (1 + decay_rate * t / decay_steps)``.

    Parameters
    ----------
    lr : float
        Learning rate at the start, in [0, inf).
    decay_steps : int
        Unit of time, in steps, at least 1.
    decay_rate : float
        Decay per unit of time, in [0, inf); with 1 the rate has halved after `decay_steps` steps.

    Examples
    --------
    >>> from fastopt.schedules import inverse_time_decay
    >>> rate = inverse_time_decay(1.0, decay_steps=10, decay_rate=1.0)
    >>> [rate(t) for t in (0, 10, 30)]
    [1.0, 0.5, 0.25]
    """

    def __init__(self, lr: float, decay_steps: int, decay_rate: float) -> None:
        super().__init__(
            lr=real("lr", lr, "[0, inf)"),
            decay_steps=integer("decay_steps", decay_steps, 1),
            decay_rate=real("decay_rate", decay_rate, "[0, inf)"),
        )

    def _rate(self, t):
        return self.lr / (1.0 + self.decay_rate * t / self.decay_steps)


class polynomial_decay(Schedule):
    """Follow a power of the time left: ``end + (lr - end) * (1 - min(t / decay_steps, 1)) ** power``.

    Parameters
    ----------
    lr : float
        Learning rate at the start, in [0, inf).
    decay_steps : int
        Steps until `end` is reached, at least 1.
    end : float
        Learning rate at the end, in [0, inf).
    power : float, default=1.0
        Exponent, in (0, inf); 1 is linear.

    Examples
    --------
    >>> from fastopt.schedules import polynomial_decay
    >>> rate = polynomial_decay(1.0, decay_steps=4, end=0.0, power=2.0)
    >>> [rate(t) for t in (0, 2, 4, 5)]
    [1.0, 0.25, 0.0, 0.0]
    """

    def __init__(self, lr: float, decay_steps: int, end: float, power: float = 1.0) -> None:
        super().__init__(
            lr=real("lr", lr, "[0, inf)"),
            decay_steps=integer("decay_steps", decay_steps, 1),
            end=real("end", end, "[0, inf)"),
            power=real("power", power, "(0, inf)"),
        )

    def _rate(self, t):
        left = 1.0 - min(t, self.decay_steps) / self.decay_steps
        return blend(self.lr, self.end, left**self.power)


class cosine_decay(Schedule):
    """Follow half a period of the cosine (Loshchilov & Hutter 2017).

    ``lr * (alpha + (1 - alpha) * (1 + cos(pi * t / decay_steps)) / 2)``, constant from ``t = decay_steps``.

    Parameters
    ----------
    lr : float
        Learning rate at the start, in [0, inf).
    decay_steps : int
        Steps until the end is reached, at least 1.
    alpha : float, default=0.0
        Rate at the end as a fraction of `lr`, in [0, 1].

    Examples
    --------
    >>> from fastopt.schedules import cosine_decay
    >>> rate = cosine_decay(1.0, decay_steps=10)
    >>> [round(rate(t), 4) for t in (0, 5, 10, 11)]
    [1.0, 0.5, 0.0, 0.0]
    """

    def __init__(self, lr: float, decay_steps: int, alpha: float = 0.0) -> None:
        super().__init__(
            lr=real("lr", lr, "[0, inf)"),
            decay_steps=integer("decay_steps", decay_steps, 1),
            alpha=real("alpha", alpha, "[0, 1]"),
        )

    def _rate(self, t):
        return self.lr * blend(1.0, self.alpha, half_cosine(min(t, self.decay_steps) / self.decay_steps))


class piecewise_constant(Schedule):
    """One rate up to each boundary; a boundary belongs to the value on its left.

    ``values[0]`` for ``t <= boundaries[0]``, ``values[1]`` for ``boundaries[0] < t <= boundaries[1]``, ...,
    ``values[-1]`` for ``t > boundaries[-1]``.

    Parameters
    ----------
    boundaries : sequence of int
        Steps, not negative, strictly increasing.
    values : sequence of float
        Learning rates in [0, inf), one more than there are boundaries.

    Examples
    --------
    >>> from fastopt.schedules import piecewise_constant
    >>> rate = piecewise_constant([10, 20], [1.0, 0.5, 0.1])
    >>> [rate(t) for t in (0, 10, 11, 20, 21)]
    [1.0, 1.0, 0.5, 0.5, 0.1]
    """

    def __init__(self, boundaries: Iterable[int], values: Iterable[float]) -> None:
        steps = items("boundaries", boundaries, lambda name, value: integer(name, value, 0))
        rates = items("values", values, lambda name, value: real(name, value, "[0, inf)"))
        if list(steps) != sorted(set(steps)):
            raise ValueError(f"`boundaries` must be strictly increasing, got {shown(steps)}.")
        if len(rates) != len(steps) + 1:
            raise ValueError(f"`values` must have length {len(steps) + 1}, got {len(rates)}.")
        super().__init__(boundaries=steps, values=rates)

    def _rate(self, t):
        return self.values[bisect_left(self.boundaries, t)]


class warmup(Schedule):
    """Rise linearly to the first rate of a schedule, then follow it (Goyal et al. 2017).

    ``schedule(0) * (t + 1) / steps`` for ``t < steps``, then ``schedule(t - steps)``: the inner schedule
    does not count the steps of the warm-up, so a decay over ``n`` steps ends at step ``steps + n``. The methods of a
    `reduce_on_plateau` are reached through its warm-up.

    Parameters
    ----------
    schedule : float or callable
        A rate in [0, inf), or a schedule.
    steps : int
        Length of the warm-up, at least 1; its last step has the full rate.

    Examples
    --------
    >>> from fastopt.schedules import step_decay, warmup
    >>> rate = warmup(step_decay(1.0, step_size=10, factor=0.5), steps=4)
    >>> [rate(t) for t in (0, 1, 2, 3, 4, 13, 14)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.5]
    """

    def __init__(self, schedule: Callable[[int], float], steps: int) -> None:
        schedule = schedule if callable(schedule) else constant(real("schedule", schedule, "[0, inf)"))
        super().__init__(schedule=schedule, steps=integer("steps", steps, 1))

    def __getattr__(self, name):
        # Optimizers save the state of a schedule that has one; a warm-up must not hide it.
        if name in ("update", "state_dict", "load_state_dict"):
            return getattr(self.schedule, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _rate(self, t):
        if t < self.steps:
            return float(self.schedule(0)) * ((t + 1) / self.steps)
        return float(self.schedule(t - self.steps))
