"""Prodigy: Mishchenko & Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", 2024, algorithm 4.

With the options of the package prodigyopt. Two things are told apart from it: the epsilon of a step has the d of that
step, not of the next one; and what a step sums is used by the next one, which comes to the same.
"""

import numpy as np

from . import due_decay, kept_sum

LEARNING_RATES = {"quadratic": 1.0, "digits": 1.0}
OWN_WEIGHT_DECAY = True


def initial(p, h):
    zeros = {slot: np.zeros_like(p) for slot in ("m", "v", "s")}
    return zeros | {"p0": p.copy(), "progress": kept_sum(0.0), "s_norm": kept_sum(0.0)}


def estimate(states, beta_3, h):
    """d, by the sums of the last step."""
    carry = h["carry"]
    if not carry:
        carry.update(d=h["d0"], d_max=h["d0"], numerator=0.0)
        return
    d, d_max = carry["d"], carry["d_max"]
    carry["numerator"] *= beta_3
    carry["numerator"] += d / h["d0"] * carry["rate"] * sum(state["progress"][0] for state in states)
    denominator = sum(state["s_norm"][0] for state in states)
    if denominator == 0:
        return
    d_hat = h["d_coef"] * carry["numerator"] / denominator
    if d == h["d0"]:
        d = max(d, d_hat)
    d_max = max(d_max, d_hat)
    carry.update(d=min(d_max, d * h["growth_rate"]), d_max=d_max)


def update_all(params, grads, states, t, lr, h):
    beta_3 = np.sqrt(h["beta_2"]) if h["beta_3"] is None else h["beta_3"]
    estimate(states, beta_3, h)
    rate = h["carry"]["d"] * lr
    if h["use_bias_correction"]:
        rate *= np.sqrt(1 - h["beta_2"] ** t) / (1 - h["beta_1"] ** t)
    h["carry"]["rate"] = rate
    decay = rate * h["weight_decay"] if h["decoupled_weight_decay"] else 0.0
    due, h["carry"]["owed"] = due_decay(decay, t, h["carry"].get("owed", 0.0))
    decays = [due if dtype == np.float32 else decay for dtype in h["dtypes"]]
    arrays = zip(params, grads, states, decays, strict=True)
    return [update_one(p, g, state, rate, beta_3, decay, h) for p, g, state, decay in arrays]


def update_one(p, g, state, rate, beta_3, decay, h):
    d = h["carry"]["d"]
    if not h["decoupled_weight_decay"]:
        g = g + h["weight_decay"] * p
    m = h["beta_1"] * state["m"] + (1 - h["beta_1"]) * d * g
    v = h["beta_2"] * state["v"] + (1 - h["beta_2"]) * d**2 * g**2
    s = beta_3 * state["s"] + d / h["d0"] * (d if h["safeguard_warmup"] else rate) * g
    state.update(m=m, v=v, s=s, progress=kept_sum(np.sum(g * (state["p0"] - p))), s_norm=kept_sum(np.sum(np.abs(s))))
    step = rate * m / (np.sqrt(v) + d * h["epsilon"])
    return p - step - decay * p
