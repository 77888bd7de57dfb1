"""LARS: You, Gitman & Ginsburg, "Large Batch Training of Convolutional Networks", 2017, algorithm 1."""

import numpy as np

from . import norm

LEARNING_RATES = {"quadratic": 10.0, "digits": 2.0}
OWN_WEIGHT_DECAY = True


def initial(p, h):
    return {"velocity": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    decay, p_norm, g_norm = h["weight_decay"], norm(p), norm(g)
    if p_norm != 0 and g_norm != 0:
        lr = lr * h["trust_coefficient"] * p_norm / (g_norm + decay * p_norm + h["epsilon"])
    change = lr * (g + decay * p)
    velocity = h["momentum"] * state["velocity"] + change
    state.update(velocity=velocity)
    return p - (h["momentum"] * velocity + change if h["nesterov"] else velocity)
