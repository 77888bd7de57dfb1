"""DoG and L-DoG: Ivgi, Hinder & Carmon, "DoG is SGD's Best Friend", 2023; the averages of Shamir & Zhang, 2013."""

import numpy as np

from . import kept_sum

LEARNING_RATES = {"quadratic": 1.0, "digits": 2.0}


def initial(p, h):
    average = {"average": p.copy()} if h["averaging"] else {}
    numbers = {"distance": np.zeros(()), "grad_norm": np.zeros(()), "moved_squares": kept_sum(0.0)}
    return average | {"p0": p.copy()} | numbers


def update_all(params, grads, states, t, lr, h):
    groups = [[k] for k in range(len(params))] if h["layerwise"] else [range(len(params))]
    new = list(params)
    for group in groups:
        p0_norm = np.sqrt(sum(np.sum(states[k]["p0"] ** 2) for k in group))
        moved = np.sqrt(sum(states[k]["moved_squares"][0] for k in group))
        first = h["reps_rel"] * (1 + p0_norm)
        for k in group:
            state = states[k]
            distance = np.maximum(state["distance"], moved if t > 1 else first)
            squares = state["grad_norm"] ** 2 + sum(np.sum(grads[i] ** 2) for i in group)
            new[k] = params[k] - lr * distance / np.sqrt(squares + h["epsilon"]) * grads[k]
            moved_squares = kept_sum(np.sum((new[k] - state["p0"]) ** 2))
            state.update(distance=distance, grad_norm=np.sqrt(squares), moved_squares=moved_squares)
            if h["averaging"]:
                weight = (h["gamma"] + 1) / (h["gamma"] + t)
                state["average"] = (1 - weight) * state["average"] + weight * new[k]
    return new
