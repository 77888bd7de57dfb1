"""Yogi: Zaheer et al., "Adaptive Methods for Nonconvex Optimization", 2018, algorithm 2."""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}


def initial(p, h):
    return {"m": np.zeros_like(p), "v": np.full_like(p, h["initial_accumulator_value"])}


def update(p, g, state, t, lr, h):
    beta_1, beta_2 = h["beta_1"], h["beta_2"]
    m = beta_1 * state["m"] + (1 - beta_1) * g
    v = state["v"] - (1 - beta_2) * np.sign(state["v"] - g**2) * g**2
    state.update(m=m, v=v)
    if h["bias_correction"]:
        m = m / (1 - beta_1**t)
        v = v / (1 - beta_2**t)
    return p - lr * m / (np.sqrt(v) + h["epsilon"])
