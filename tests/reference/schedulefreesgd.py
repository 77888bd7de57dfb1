"""Schedule-free SGD: Defazio et al., "The Road Less Scheduled", 2024, with the weights and the warm-up of its code.

The parameter is the paper's y; x is made of y and z, as it is no slot.
"""

LEARNING_RATES = {"quadratic": 0.5, "digits": 2.0}


def initial(p, h):
    return {"z": p.copy()}


def warmed_up(rate, t, h):
    """The rate of step t in the warm-up."""
    return rate * min(1, t / h["warmup_steps"]) if h["warmup_steps"] else rate


def share(t, h):
    """c of step t, from the rates of all steps."""
    rates = [warmed_up(rate, k, h) for k, rate in enumerate(h["rates"], 1)]
    weights, largest = [], 0.0
    for k, rate in enumerate(rates, 1):
        largest = max(largest, rate)
        weights.append(k ** h["r"] * largest ** h["weight_power"])
    return weights[-1] / sum(weights) if sum(weights) else 0.0


def averaged(y, z, z_new, t, h):
    """The new y, from the old one with its z, and the new z."""
    x = (y - (1 - h["beta_1"]) * z) / h["beta_1"]
    c = share(t, h)
    x = (1 - c) * x + c * z_new
    return h["beta_1"] * x + (1 - h["beta_1"]) * z_new


def update(p, g, state, t, lr, h):
    z = state["z"] - warmed_up(lr, t, h) * g
    y = averaged(p, state["z"], z, t, h)
    state.update(z=z)
    return y
