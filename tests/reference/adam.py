"""Adam: Kingma & Ba, "Adam: A Method for Stochastic Optimization", 2015, algorithm 1.

AMSGrad: Reddi, Kale & Kumar, "On the Convergence of Adam and Beyond", 2018.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}


def initial(p, h):
    slots = ["m", "v", "v_max"] if h["amsgrad"] else ["m", "v"]
    return {slot: np.zeros_like(p) for slot in slots}


def update(p, g, state, t, lr, h):
    beta_1, beta_2 = h["beta_1"], h["beta_2"]
    m = beta_1 * state["m"] + (1 - beta_1) * g
    v = beta_2 * state["v"] + (1 - beta_2) * g**2
    state.update(m=m, v=v)
    if h["amsgrad"]:
        v = np.maximum(state["v_max"], v)
        state.update(v_max=v)

    bc1 = 1 - beta_1**t
    bc2 = 1 - beta_2**t
    if h["epsilon_hat"]:
        return p - lr * np.sqrt(bc2) / bc1 * m / (np.sqrt(v + h["epsilon_root"]) + h["epsilon"])
    return p - lr * (m / bc1) / (np.sqrt(v / bc2 + h["epsilon_root"]) + h["epsilon"])
