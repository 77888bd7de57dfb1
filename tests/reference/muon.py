"""Muon: Jordan et al., 2024, with the mean of gradients, the decay and the factors of the rate of torch.optim.Muon."""

import numpy as np

from . import norm

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.2}


def initial(p, h):
    return {"m": np.zeros(p.shape)}


def orthogonal(x, h):
    """The Newton-Schulz iteration of one matrix, from the shorter side."""
    if x.shape[0] > x.shape[1]:
        return orthogonal(x.T, h).T
    x = x / max(norm(x), h["epsilon"])
    for _ in range(h["ns_steps"]):
        gram = x @ x.T
        x = h["ns_a"] * x + (h["ns_b"] * gram + h["ns_c"] * (gram @ gram)) @ x
    return x


def factor(rows, columns, h):
    return 0.2 * np.sqrt(max(rows, columns)) if h["match_rms_adamw"] else np.sqrt(max(1.0, rows / columns))


def update(p, g, state, t, lr, h):
    if p.size == 0:
        return p
    momentum = h["momentum"]
    m = momentum * state["m"] + (1 - momentum) * g
    state.update(m=m)
    direction = (1 - momentum) * g + momentum * m if h["nesterov"] else m
    rows, columns = (1, p.size) if p.ndim < 2 else p.shape[-2:]
    stack = direction.reshape(-1, rows, columns)
    steps = np.stack([orthogonal(x, h) for x in stack])
    return p - lr * factor(rows, columns, h) * steps.reshape(p.shape)
