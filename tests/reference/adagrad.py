"""Adagrad, diagonal: Duchi, Hazan & Singer, "Adaptive Subgradient Methods for Online Learning", 2011."""

import numpy as np

LEARNING_RATES = {"quadratic": 1.0, "digits": 1.0}


def initial(p, h):
    return {"accumulator": np.full_like(p, h["initial_accumulator_value"])}


def update(p, g, state, t, lr, h):
    accumulator = state["accumulator"] + g**2
    state.update(accumulator=accumulator)
    return p - lr * g / (np.sqrt(accumulator + h["epsilon_root"]) + h["epsilon"])
