"""Learning-rate schedules: callables from the step number to the learning rate.

Pass one as the ``learning_rate`` of an optimizer, which calls it before every step with ``t``, the number of
steps already taken (0, 1, 2, ...), and gets a ``float``. Every count below is in such steps, not in epochs.
Schedules compare, hash and print by their parameters; all but `reduce_on_plateau` are immutable.
"""

from ._by_step import (
    constant,
    cosine_decay,
    exponential_decay,
    inverse_time_decay,
    piecewise_constant,
    polynomial_decay,
    step_decay,
    warmup,
)
from ._one_cycle import one_cycle
from ._plateau import reduce_on_plateau

__all__ = [
    "constant",
    "cosine_decay",
    "exponential_decay",
    "inverse_time_decay",
    "one_cycle",
    "piecewise_constant",
    "polynomial_decay",
    "reduce_on_plateau",
    "step_decay",
    "warmup",
]


def __dir__():
    return __all__
