"""COCOB-Backprop: Orabona & Tommasi, "Training Deep Networks without Learning Rates through Coin Betting", 2017,
algorithm 2.

L starts at epsilon as in its authors' code, and the learning rate is a weight of the gradient as in optax. The bet is
divided by L and by the maximum one after the other, as their product overflows before the bet does.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 1.0, "digits": 1.0}


def initial(p, h):
    theta, G, R = np.zeros((3, *p.shape))
    return {"theta": theta, "G": G, "L": np.full_like(p, h["epsilon"]), "R": R, "p0": p.copy()}


def update(p, g, state, t, lr, h):
    g = lr * g
    p0 = state["p0"]
    L = np.maximum(state["L"], np.abs(g))
    G = state["G"] + np.abs(g)
    R = np.maximum(state["R"] - g * (p - p0), 0)
    theta = state["theta"] - g
    state.update(theta=theta, G=G, L=L, R=R)
    with np.errstate(invalid="ignore"):  # 0 / 0 without epsilon, before the first gradient
        return np.where(g == 0, p, p0 + theta / np.maximum(G + L, h["alpha"] * L) * ((L + R) / L))
