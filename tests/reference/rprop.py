"""Rprop: Riedmiller & Braun, "A Direct Adaptive Method for Faster Backpropagation Learning", 1993.

In the form iRprop- of Igel & Huesken, "Improving the Rprop Learning Algorithm", 2000.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.1}


def initial(p, h):
    return {"prev_grad": np.zeros_like(p), "step_size": np.full_like(p, h["learning_rate"])}


def update(p, g, state, t, lr, h):
    agreement = g * state["prev_grad"]
    larger = np.minimum(state["step_size"] * h["eta_plus"], h["step_max"])
    smaller = np.maximum(state["step_size"] * h["eta_minus"], h["step_min"])
    step_size = np.where(agreement > 0, larger, np.where(agreement < 0, smaller, state["step_size"]))
    g = np.where(agreement < 0, 0.0, g)
    state.update(prev_grad=g, step_size=step_size)
    return p - np.sign(g) * step_size
