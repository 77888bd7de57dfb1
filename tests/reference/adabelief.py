"""AdaBelief: Zhuang et al., "Adapting Stepsizes by the Belief in Observed Gradients", 2020, algorithm 2."""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}


def initial(p, h):
    return {"m": np.zeros_like(p), "s": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    beta_1, beta_2 = h["beta_1"], h["beta_2"]
    m = beta_1 * state["m"] + (1 - beta_1) * g
    s = beta_2 * state["s"] + (1 - beta_2) * (g - m) ** 2 + h["epsilon_root"]
    state.update(m=m, s=s)
    m_hat = m / (1 - beta_1**t)
    s_hat = s / (1 - beta_2**t)
    return p - lr * m_hat / (np.sqrt(s_hat) + h["epsilon"])
