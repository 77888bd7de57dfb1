"""Row-wise Adam: Kingma & Ba 2015, algorithm 1, with one second moment a row, as in FBGEMM's partial row-wise Adam."""

import numpy as np

from . import as_factor, mean_squares_of_rows

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}


def initial(p, h):
    return {"m": np.zeros_like(p), "v": np.zeros(p.shape[:1])}


def update(p, g, state, t, lr, h):
    m = h["beta_1"] * state["m"] + (1 - h["beta_1"]) * g
    v = h["beta_2"] * state["v"] + (1 - h["beta_2"]) * mean_squares_of_rows(g)
    state.update(m=m, v=v)
    root = as_factor(np.sqrt(v / (1 - h["beta_2"] ** t)) + h["epsilon"], p)
    return p - lr * m / (1 - h["beta_1"] ** t) / root
