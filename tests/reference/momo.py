"""MoMo: Schaipp et al., "MoMo: Momentum Models for Adaptive Learning Rates", 2024, algorithm 1."""

import numpy as np

LEARNING_RATES = {"quadratic": 1.0, "digits": 1.0}
OWN_WEIGHT_DECAY = True


def initial(p, h):
    return {"m": np.zeros_like(p)}


def update_all(params, grads, states, t, lr, h):
    beta, carry = h["beta"] if t > 1 else 0.0, h["carry"]
    for g, state in zip(grads, states, strict=True):
        state["m"] = beta * state["m"] + (1 - beta) * g
    m = [state["m"] for state in states]
    carry["value"] = beta * carry.get("value", 0.0) + (1 - beta) * h["value"]
    carry["gp"] = beta * carry.get("gp", 0.0) + (1 - beta) * dot(grads, params)
    grown = 1 + lr * h["weight_decay"]
    above = grown * (carry["value"] - h["lower_bound"] - carry["gp"]) + dot(m, params)
    squares = dot(m, m)
    tau = min(lr, max(above, 0.0) / squares) if squares > 0 else 0.0
    return [p / grown - tau * each for p, each in zip(params, m, strict=True)]


def dot(a, b):
    return sum(np.sum(x * y) for x, y in zip(a, b, strict=True))
