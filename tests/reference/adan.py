"""Adan: Xie et al., "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models", 2022, algorithm 1.

Its betas are one minus these. The moments start at 0 and are corrected for it, as in its authors' code.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}
OWN_WEIGHT_DECAY = True


def initial(p, h):
    return {slot: np.zeros_like(p) for slot in ("m", "d", "v", "prev_grad")}


def update(p, g, state, t, lr, h):
    beta_1, beta_2, beta_3 = h["beta_1"], h["beta_2"], h["beta_3"]
    difference = g - state["prev_grad"] if t > 1 else np.zeros_like(g)
    m = beta_1 * state["m"] + (1 - beta_1) * g
    d = beta_2 * state["d"] + (1 - beta_2) * difference
    v = beta_3 * state["v"] + (1 - beta_3) * (g + beta_2 * difference) ** 2
    state.update(m=m, d=d, v=v, prev_grad=g)
    numerator = m / (1 - beta_1**t) + beta_2 * d / (1 - beta_2**t)
    change = lr * numerator / (np.sqrt(v / (1 - beta_3**t)) + h["epsilon"])
    if h["decoupled_weight_decay"]:
        return (1 - lr * h["weight_decay"]) * p - change
    return (p - change) / (1 + lr * h["weight_decay"])
