"""NAdam: Dozat, "Incorporating Nesterov Momentum into Adam", 2016, in the form of torch and Keras.

The paper's algorithm 2 lets m decay with mu(t), torch and Keras with beta_1; the look-ahead is the paper's.
"""

import numpy as np

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}


def initial(p, h):
    return {"m": np.zeros_like(p), "v": np.zeros_like(p)}


def update(p, g, state, t, lr, h):
    beta_1, beta_2 = h["beta_1"], h["beta_2"]
    m = beta_1 * state["m"] + (1 - beta_1) * g
    v = beta_2 * state["v"] + (1 - beta_2) * g**2
    state.update(m=m, v=v)

    def mu(step):
        return beta_1 * (1 - 0.5 * 0.96 ** (step * h["momentum_decay"]))

    product = np.prod([mu(step) for step in range(1, t + 1)])
    m_hat = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
    v_hat = v / (1 - beta_2**t)
    return p - lr * m_hat / (np.sqrt(v_hat) + h["epsilon"])
