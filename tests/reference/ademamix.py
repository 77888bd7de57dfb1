"""AdEMAMix: Pagliardini, Ablin & Grangier, "The AdEMAMix Optimizer: Better, Faster, Older", 2024, algorithm 1.

The warm-ups of alpha and beta_3 are the paper's, over one number of steps.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}


def initial(p, h):
    return {"m": np.zeros_like(p), "m_slow": np.zeros_like(p), "v": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    beta_1, beta_2 = h["beta_1"], h["beta_2"]
    alpha, beta_3 = warmed_up(h, t)
    m = beta_1 * state["m"] + (1 - beta_1) * g
    m_slow = beta_3 * state["m_slow"] + (1 - beta_3) * g
    v = beta_2 * state["v"] + (1 - beta_2) * g**2
    state.update(m=m, m_slow=m_slow, v=v)
    denominator = np.sqrt(v / (1 - beta_2**t) + h["epsilon_root"]) + h["epsilon"]
    return p - lr * (m / (1 - beta_1**t) + alpha * m_slow) / denominator


def warmed_up(h, t):
    """The weight and the decay of the slow mean in step t."""
    alpha, beta_1, beta_3, steps = h["alpha"], h["beta_1"], h["beta_3"], h["warmup_steps"]
    if t >= steps:
        return alpha, beta_3
    done = t / steps
    log_1, log_3 = np.log(beta_1), np.log(beta_3)
    return done * alpha, min(np.exp(log_1 * log_3 / ((1 - done) * log_3 + done * log_1)), beta_3)
