"""FTRL-Proximal: McMahan et al., "Ad Click Prediction: a View from the Trenches", 2013, algorithm 1.

The paper starts from p = 0; z starts where the closed form gives back whatever p the caller has.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.5, "digits": 1.0}


def initial(p, h):
    n = np.full_like(p, h["initial_accumulator_value"])
    quadratic = (h["beta"] + np.sqrt(n)) / h["learning_rate"] + h["l2"]
    return {"z": -p * quadratic - h["l1"] * np.sign(p), "n": n}


def update(p, g, state, t, lr, h):
    n = state["n"] + g**2
    sigma = (np.sqrt(n) - np.sqrt(state["n"])) / lr
    z = state["z"] + g - sigma * p
    state.update(z=z, n=n)
    quadratic = (h["beta"] + np.sqrt(n)) / lr + h["l2"]
    return np.where(np.abs(z) <= h["l1"], 0.0, -(z - h["l1"] * np.sign(z)) / quadratic)
