"""Lion: Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2."""

import numpy as np

LEARNING_RATES = {"quadratic": 0.03, "digits": 0.01}


def initial(p, h):
    return {"m": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    beta_1, beta_2 = h["beta_1"], h["beta_2"]
    direction = np.sign(beta_1 * state["m"] + (1 - beta_1) * g)
    state.update(m=beta_2 * state["m"] + (1 - beta_2) * g)
    return p - lr * direction
