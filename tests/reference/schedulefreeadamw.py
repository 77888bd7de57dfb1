"""Schedule-free AdamW: Defazio et al., "The Road Less Scheduled", 2024, algorithm 1."""

import numpy as np

from .schedulefreesgd import averaged, warmed_up

OWN_WEIGHT_DECAY = True
LEARNING_RATES = {"quadratic": 0.3, "digits": 0.03}


def initial(p, h):
    return {"z": p.copy(), "v": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    if not h["decoupled_weight_decay"]:
        g = g + h["weight_decay"] * p
    v = h["beta_2"] * state["v"] + (1 - h["beta_2"]) * g**2
    direction = g / (np.sqrt(v / (1 - h["beta_2"] ** t)) + h["epsilon"])
    if h["decoupled_weight_decay"]:
        direction = direction + h["weight_decay"] * p
    z = state["z"] - warmed_up(lr, t, h) * direction
    y = averaged(p, state["z"], z, t, h)
    state.update(z=z, v=v)
    return y
