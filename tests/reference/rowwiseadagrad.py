"""Row-wise Adagrad: Mudigere et al., "Software-Hardware Co-design for ... Deep Learning Recommendation Models", 2022."""

import numpy as np

LEARNING_RATES = {"quadratic": 0.5, "digits": 0.3}


def initial(p, h):
    return {"accumulator": np.full(p.shape[:1], h["initial_accumulator_value"])}


def update(p, g, state, t, lr, h):
    squares = g.reshape(len(p), -1) ** 2 if p.size else np.zeros((len(p), 1))
    accumulator = state["accumulator"] + squares.mean(axis=1)
    state.update(accumulator=accumulator)
    root = (np.sqrt(accumulator) + h["epsilon"]).reshape(-1, *[1] * (p.ndim - 1))
    with np.errstate(invalid="ignore"):
        return np.where(g == 0, p, p - lr * g / root)
