"""Adadelta: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012, algorithm 1."""

import numpy as np

LEARNING_RATES = {"quadratic": 10.0, "digits": 10.0}


def initial(p, h):
    return {"accumulator": np.zeros_like(p), "delta_accumulator": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    rho, epsilon = h["rho"], h["epsilon"]
    accumulator = rho * state["accumulator"] + (1 - rho) * g**2
    delta = np.sqrt(state["delta_accumulator"] + epsilon) / np.sqrt(accumulator + epsilon) * g
    delta_accumulator = rho * state["delta_accumulator"] + (1 - rho) * delta**2
    state.update(accumulator=accumulator, delta_accumulator=delta_accumulator)
    return p - lr * delta
