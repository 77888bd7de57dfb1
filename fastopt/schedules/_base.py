"""What the schedules share: the base class, a check of sequences and two curves."""

from __future__ import annotations

import inspect
import math

from .._validation.scalars import integer
from .._validation.text import shown


def items(name, values, check):
    """`values` as a tuple, every element passed through `check(name, value)`."""
    try:
        values = tuple(values)
    except TypeError:
        raise TypeError(f"`{name}` must be a sequence of numbers, got {shown(values)}.") from None
    return tuple(check(f"{name}[{i}]", value) for i, value in enumerate(values))


def blend(start, end, weight):
    """From `start` (weight 1) to `end` (weight 0).

    Exact at both ends, which ``end + (start - end) * weight`` is not.
    """
    return start * weight + end * (1.0 - weight)


def half_cosine(fraction):
    """Half a period of the cosine, scaled to fall from 1 to 0 as `fraction` goes from 0 to 1."""
    return 0.5 * (1.0 + math.cos(math.pi * fraction))


class Schedule:
    """Base of all schedules: keeps the constructor's parameters as read-only attributes.

    A subclass checks its parameters, hands them to ``super().__init__`` under the names of its signature and
    defines ``_rate(t)``. Pickling and copying need no code: both restore the attributes as they are.
    """

    def __init_subclass__(cls):
        cls._names = tuple(inspect.signature(cls).parameters)

    def __init__(self, **parameters):
        vars(self).update(parameters)

    def __setattr__(self, name, value):
        raise AttributeError(f"a schedule is read-only: cannot set `{name}` of {shown(self)}; make a new one.")

    def __delattr__(self, name):
        raise AttributeError(f"a schedule is read-only: cannot delete `{name}` of {shown(self)}.")

    def _key(self):
        return tuple(getattr(self, name) for name in self._names)

    def __call__(self, t: int) -> float:
        # Optimizers pass an int at every step: for that the full check, of half a microsecond, is left out.
        return self._rate(t if type(t) is int and t >= 0 else integer("t", t, 0))

    def __repr__(self):
        arguments = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names)
        return f"{type(self).__name__}({arguments})"

    def __eq__(self, other):
        return self._key() == other._key() if type(self) is type(other) else NotImplemented

    def __hash__(self):
        return hash((type(self), self._key()))
