"""A network on handwritten digits, trained by several processes: `mpiexec -n 2 python mpi_digits.py`.

Each process has a part of the samples, and all make the same steps with the gradient of all: what is printed does not
depend on their number, because sums are made over parts that do not either.
"""

import itertools

import numpy as np
from mpi4py import MPI

import fastopt
from fastopt.data import load_digits
from fastopt.distributed import local_parts

HIDDEN, PARTS, TEST_SAMPLES = 48, 12, 357


def start(rng):
    """Weights and biases of two layers."""
    sizes = (64, HIDDEN, 10)
    weights = [rng.standard_normal(shape) / np.sqrt(shape[0]) for shape in itertools.pairwise(sizes)]
    return {"W": weights[0], "b": np.zeros(HIDDEN), "V": weights[1], "c": np.zeros(10)}


def forward(x, images):
    """Hidden units and log probabilities of the classes."""
    hidden = np.maximum(images @ x["W"] + x["b"], 0.0)
    scores = hidden @ x["V"] + x["c"]
    scores = scores - scores.max(axis=1, keepdims=True)
    return hidden, scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def loss(x, images, digits):
    """Mean cross-entropy, and its gradient by backpropagation."""
    hidden, log_probability = forward(x, images)
    own = np.arange(len(digits)), digits
    slope = np.exp(log_probability)
    slope[own] -= 1.0
    slope /= len(digits)
    back = (slope @ x["V"].T) * (hidden > 0.0)
    gradient = {"W": images.T @ back, "b": back.sum(axis=0), "V": hidden.T @ slope, "c": slope.sum(axis=0)}
    return -log_probability[own].mean(), gradient


def main():
    comm = MPI.COMM_WORLD
    images, digits = load_digits()
    images = images.astype(np.float64)
    n = len(digits) - TEST_SAMPLES
    parts = local_parts(PARTS, comm)
    mine = slice(parts.start * n // PARTS, parts.stop * n // PARTS)

    res = fastopt.minimize(
        loss, start(np.random.default_rng(0)), method="adamw", jac=True, data=(images[mine], digits[mine]),
        batch_size=60, rng=0, comm=comm, options={"learning_rate": 0.003, "epochs": 20, "parts": PARTS},
    )  # fmt: skip

    right = forward(res.x, images[n:])[1].argmax(axis=1) == digits[n:]
    if comm.Get_rank() == 0:
        print(f"{n} samples, {res.nit} steps, loss {res.fun:.4f}, {right.mean():.1%} of {TEST_SAMPLES} others right")


if __name__ == "__main__":
    main()
