"""SGD: Robbins & Monro, "A Stochastic Approximation Method", 1951.

Momentum: Polyak, "Some Methods of Speeding up the Convergence of Iteration Methods", 1964.
Nesterov: Sutskever et al., "On the Importance of Initialization and Momentum in Deep Learning", 2013.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 1.0}


def initial(p, h):
    return {"velocity": np.zeros_like(p)} if h["momentum"] else {}


def update(p, g, state, t, lr, h):
    momentum = h["momentum"]
    if not momentum:
        return p - lr * g
    into_velocity, into_p = (lr, 1) if h["scaled_velocity"] else (1, lr)
    undamped = 1 if t == 1 else 1 - h["dampening"]
    velocity = momentum * state["velocity"] + into_velocity * undamped * g
    state.update(velocity=velocity)
    if h["nesterov"]:
        return p - into_p * (momentum * velocity + into_velocity * g)
    return p - into_p * velocity
