"""
Gradients from autograd, JAX and torch
======================================

The loss of a small neural network, written for NumPy, autograd, JAX and torch at once, as their functions have the same
names. Where the gradient comes from does not matter to the optimizer: it is an array. What is not installed is left
out, except NumPy's own gradient, which is written by hand.

torch's tensors are views of the optimizer's arrays: both work in the same memory, and nothing is copied back and forth.
"""

import importlib

import matplotlib.pyplot as plt
import numpy as np

import fastopt

SAMPLES, HIDDEN, STEPS = 400, 16, 400
SEED = 0


def two_spirals(rng):
    """Points of two interleaved spirals, and which of the two."""
    turn = np.sqrt(rng.random(SAMPLES)) * 2 * np.pi
    side = np.arange(SAMPLES) % 2
    sign = 2 * side - 1
    points = (turn * sign)[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
    return (points / 6 + rng.normal(0, 0.02, points.shape)).astype(np.float32), side.astype(np.float32)


def initial_parameters():
    """Weights of two layers; fresh arrays, the same in every call."""
    rng = np.random.default_rng(SEED)
    shapes = {"W1": (2, HIDDEN), "b1": (HIDDEN,), "W2": (HIDDEN, HIDDEN), "b2": (HIDDEN,), "w": (HIDDEN,)}
    return {name: rng.normal(0, 1.2 / shape[0] ** 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def margins(params, X, tanh):
    """Output of the network; `tanh` is that of the library in whose arrays it works."""
    hidden = tanh(X @ params["W1"] + params["b1"])
    return tanh(hidden @ params["W2"] + params["b2"]) @ params["w"]


def loss(params, X, y, library):
    """Mean logistic loss, in the library's functions; the margins are small enough for exp."""
    z = margins(params, X, library.tanh)
    return (library.log(1 + library.exp(z)) - y * z).mean()


# %%
# Four ways to a gradient
# -----------------------
# Each function returns one that takes the parameters, a dict of NumPy arrays, to loss and gradients.


def by_hand(X, y):
    """NumPy, the chain rule written out."""

    def value_and_gradient(params):
        h1 = np.tanh(X @ params["W1"] + params["b1"])
        h2 = np.tanh(h1 @ params["W2"] + params["b2"])
        z = h2 @ params["w"]
        d_z = (1 / (1 + np.exp(-z)) - y) / np.float32(len(y))
        d_h2 = np.outer(d_z, params["w"]) * (1 - h2 * h2)
        d_h1 = d_h2 @ params["W2"].T * (1 - h1 * h1)
        gradient = {"W1": X.T @ d_h1, "b1": d_h1.sum(0), "W2": h1.T @ d_h2, "b2": d_h2.sum(0), "w": h2.T @ d_z}
        return float(np.mean(np.log(1 + np.exp(z)) - y * z)), gradient

    return value_and_gradient


def with_autograd(X, y):
    """autograd works on NumPy's arrays, dicts of them included."""
    autograd, anp = importlib.import_module("autograd"), importlib.import_module("autograd.numpy")
    return autograd.value_and_grad(lambda params: loss(params, X, y, anp))


def with_jax(X, y):
    """JAX's arrays become NumPy's without a copy on the CPU; they are read-only, as a gradient may be."""
    jax, jnp = importlib.import_module("jax"), importlib.import_module("jax.numpy")
    compiled = jax.jit(jax.value_and_grad(lambda params: loss(params, X, y, jnp)))

    def value_and_gradient(params):
        value, gradient = compiled(params)
        return float(value), {name: np.asarray(each) for name, each in gradient.items()}

    return value_and_gradient


def with_torch(X, y):
    """torch, in the memory of the parameters: `from_numpy` makes no copy, and neither does `numpy`."""
    torch = importlib.import_module("torch")
    X, y = torch.from_numpy(X), torch.from_numpy(y)

    def value_and_gradient(params):
        tensors = {name: torch.from_numpy(each).requires_grad_() for name, each in params.items()}
        value = loss(tensors, X, y, torch)
        gradients = torch.autograd.grad(value, list(tensors.values()))
        return value.item(), {name: each.numpy() for name, each in zip(tensors, gradients, strict=True)}

    return value_and_gradient


SOURCES = {"by hand": by_hand, "autograd": with_autograd, "JAX": with_jax, "torch": with_torch}

# %%
# The loop is the same for all of them.


def train(value_and_gradient):
    """Fresh parameters, trained by Adam, and the loss before each step."""
    params = initial_parameters()
    optimizer = fastopt.Adam(params, learning_rate=0.02)
    losses = []
    for _ in range(STEPS):
        value, gradient = value_and_gradient(params)
        losses.append(value)
        optimizer.step(gradient)
    return params, {"iteration": range(1, STEPS + 1), "fun": losses}


def draw(histories, params, X, y):
    """The losses, which lie upon each other, and the function that was learnt."""
    _, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for width, (name, history) in zip((7, 5, 3, 1), histories.items(), strict=False):
        fastopt.plot.trace(history, ax=left, label=name, linewidth=width)
    left.legend(title="gradient")
    axis = np.linspace(-1.2, 1.2, 200, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1)
    probability = 1 / (1 + np.exp(-margins(params, grid, np.tanh)))
    right.contourf(axis, axis, probability, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.7)
    right.scatter(*X.T, c=y, cmap="RdBu_r", s=14, edgecolors="black", linewidths=0.4)
    right.set(title="Two spirals", aspect="equal", xticks=[], yticks=[])
    plt.show()


def main():
    X, y = two_spirals(np.random.default_rng(SEED))
    histories = {}
    for name, source in SOURCES.items():
        try:
            value_and_gradient = source(X, y)
        except ModuleNotFoundError as error:
            print(f"{name:<9} left out: {error.name} is not installed")
            continue
        params, histories[name] = train(value_and_gradient)
        accuracy = np.mean((margins(params, X, np.tanh) > 0) == y)
        print(f"{name:<9} loss {histories[name]['fun'][-1]:.4f}, accuracy {accuracy:.1%}")
    draw(histories, params, X, y)


if __name__ == "__main__":
    main()
