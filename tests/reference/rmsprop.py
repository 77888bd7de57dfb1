"""RMSprop: Tieleman & Hinton, lecture 6.5 of "Neural Networks for Machine Learning", 2012.

Centered: Graves, "Generating Sequences With Recurrent Neural Networks", 2013, equations 38 to 45.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.05, "digits": 0.03}


def initial(p, h):
    slots = ["mean_square"]
    if h["centered"]:
        slots.append("mean_grad")
    if h["momentum"]:
        slots.append("velocity")
    return {slot: np.zeros_like(p) for slot in slots}


def update(p, g, state, t, lr, h):
    rho = h["rho"]
    mean_square = rho * state["mean_square"] + (1 - rho) * g**2
    state.update(mean_square=mean_square)
    variance = mean_square
    if h["centered"]:
        mean_grad = rho * state["mean_grad"] + (1 - rho) * g
        state.update(mean_grad=mean_grad)
        # Never negative in exact arithmetic; rounding can make it so.
        variance = np.maximum(mean_square - mean_grad**2, 0)
    direction = g / (np.sqrt(variance + h["epsilon_root"]) + h["epsilon"])

    if not h["momentum"]:
        return p - lr * direction
    into_velocity, into_p = (lr, 1) if h["scaled_velocity"] else (1, lr)
    velocity = h["momentum"] * state["velocity"] + into_velocity * direction
    state.update(velocity=velocity)
    return p - into_p * velocity
