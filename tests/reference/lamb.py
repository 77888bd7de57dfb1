"""LAMB: You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes", 2020, algorithm 2."""

import numpy as np

from . import norm

LEARNING_RATES = {"quadratic": 0.03, "digits": 0.015}
OWN_WEIGHT_DECAY = True


def initial(p, h):
    return {"m": np.zeros_like(p), "v": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    m = h["beta_1"] * state["m"] + (1 - h["beta_1"]) * g
    v = h["beta_2"] * state["v"] + (1 - h["beta_2"]) * g**2
    state.update(m=m, v=v)
    u = m / (1 - h["beta_1"] ** t) / (np.sqrt(v / (1 - h["beta_2"] ** t)) + h["epsilon"])
    if h["decoupled_weight_decay"]:
        p = (1 - lr * h["weight_decay"]) * p
    else:
        u = u + h["weight_decay"] * p
    p_norm, u_norm = norm(p), norm(u)
    return p - lr * (p_norm / u_norm if p_norm != 0 and u_norm != 0 else 1.0) * u
