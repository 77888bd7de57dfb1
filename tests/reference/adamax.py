"""Adamax: Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 2."""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.1}


def initial(p, h):
    return {"m": np.zeros_like(p), "u": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    beta_1, beta_2 = h["beta_1"], h["beta_2"]
    m = beta_1 * state["m"] + (1 - beta_1) * g
    u = np.maximum(beta_2 * state["u"], np.abs(g) + h["epsilon_max"])
    state.update(m=m, u=u)
    return p - lr / (1 - beta_1**t) * m / (u + h["epsilon"])
