"""Adafactor: Shazeer & Stern, 2018, algorithm 4 without momentum, in the form that torch.optim.Adafactor documents."""

import numpy as np

LEARNING_RATES = {"quadratic": 0.3, "digits": 0.1}
OWN_WEIGHT_DECAY = True


def initial(p, h):
    if p.size == 0:
        return {"row_v": np.zeros(0), "column_v": np.zeros(0)}
    return {"row_v": np.zeros(p.shape[:-1]), "column_v": np.zeros(p.shape[:-2] + p.shape[-1:])}


def rms(x):
    return np.sqrt(np.mean(x * x))


def second_moment(p, state, epsilon):
    rows, columns = state["row_v"], state["column_v"]
    if p.ndim < 2:
        return columns
    scale = np.maximum(rows.mean(axis=-1), epsilon)[..., None, None]
    return rows[..., None] * columns[..., None, :] / scale


def update(p, g, state, t, lr, h):
    if p.size == 0:
        return p
    decay, decoupled = h["weight_decay"], h["decoupled_weight_decay"]
    epsilon = np.finfo(h["dtype"]).eps if h["epsilon_1"] is None else h["epsilon_1"]
    g = g if decoupled else g + decay * p
    weight = t ** h["beta_2_decay"]
    square = g * g
    rows = square.mean(axis=-1) if p.ndim else square
    columns = square.mean(axis=-2) if p.ndim > 1 else square
    state.update(
        row_v=state["row_v"] + weight * (rows - state["row_v"]),
        column_v=state["column_v"] + weight * (columns - state["column_v"]),
    )
    u = g / np.sqrt(np.maximum(second_moment(p, state, epsilon), epsilon**2))
    rate = max(h["epsilon_2"], rms(p)) * min(lr, t**-0.5)
    p = (1 - lr * decay) * p if decoupled else p
    return p - rate / max(1.0, rms(u) / h["clip_threshold"]) * u
