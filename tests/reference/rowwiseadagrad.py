"""Row-wise Adagrad: Mudigere et al., "Software-Hardware Co-design for ... Recommendation Models", 2022."""

import numpy as np

from . import as_factor, mean_squares_of_rows

LEARNING_RATES = {"quadratic": 0.5, "digits": 0.3}


def initial(p, h):
    return {"accumulator": np.full(p.shape[:1], h["initial_accumulator_value"])}


def update(p, g, state, t, lr, h):
    accumulator = state["accumulator"] + mean_squares_of_rows(g)
    state.update(accumulator=accumulator)
    root = as_factor(np.sqrt(accumulator) + h["epsilon"], p)
    with np.errstate(invalid="ignore"):
        return np.where(g == 0, p, p - lr * g / root)
