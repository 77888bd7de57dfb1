"""ADOPT: Taniguchi et al., "ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate", 2024, algorithm 2.

The paper's step t is t + 1 here, as the gradient that starts v is counted.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}


def initial(p, h):
    return {"m": np.zeros_like(p), "v": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    if t == 1:
        state.update(v=g**2)
        return p
    bound = (t - h["clip_delay"]) ** h["clip_exponent"] if np.isfinite(h["clip_exponent"]) else np.inf
    normalised = np.clip(g / np.maximum(np.sqrt(state["v"]), h["epsilon"]), -bound, bound)
    m = h["beta_1"] * state["m"] + (1 - h["beta_1"]) * normalised
    state.update(m=m, v=h["beta_2"] * state["v"] + (1 - h["beta_2"]) * g**2)
    return p - lr * m
