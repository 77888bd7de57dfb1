"""RAdam: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020, algorithm 2."""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.1}


def initial(p, h):
    return {"m": np.zeros_like(p), "v": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    beta_1, beta_2 = h["beta_1"], h["beta_2"]
    m = beta_1 * state["m"] + (1 - beta_1) * g
    v = beta_2 * state["v"] + (1 - beta_2) * g**2
    state.update(m=m, v=v)

    bc1 = 1 - beta_1**t
    bc2 = 1 - beta_2**t
    r_inf = 2 / (1 - beta_2) - 1
    r_t = r_inf - 2 * t * beta_2**t / bc2
    if r_t <= h["threshold"]:
        return p - lr * m / bc1
    rectification = np.sqrt((r_t - 4) * (r_t - 2) * r_inf / ((r_inf - 4) * (r_inf - 2) * r_t))
    if h["epsilon_hat"]:
        return p - lr * rectification * np.sqrt(bc2) / bc1 * m / (np.sqrt(v) + h["epsilon"])
    return p - lr * rectification * (m / bc1) / (np.sqrt(v / bc2) + h["epsilon"])
