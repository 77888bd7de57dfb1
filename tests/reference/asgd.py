"""Averaged SGD: Polyak & Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.

The step size and the start of the average follow the schedule of Bottou's SGD.
"""

LEARNING_RATES = {"quadratic": 0.1, "digits": 1.0}


def initial(p, h):
    return {"average": p.copy()}


def update(p, g, state, t, lr, h):
    eta = lr / (1 + h["lambd"] * lr * (t - 1)) ** h["alpha"]
    mu = 1 / max(1, t - 1 - h["t0"])
    p = (1 - h["lambd"] * eta) * p - eta * g
    state.update(average=(1 - mu) * state["average"] + mu * p)
    return p
