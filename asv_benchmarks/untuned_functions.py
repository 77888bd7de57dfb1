"""Functions that are not linear models: what untuned_problems.py minimizes with gradients from NumPy.

Each takes x, or x and an array of sample numbers, and returns the mean over these samples and its gradient.
"""

import itertools

import numpy as np
import scipy.optimize
from scipy.special import log_softmax

SEED = 0


class Network:
    """A network with layers of tanh or relu; cross-entropy for integer targets, else half the mean squared error."""

    def __init__(self, X, target, widths, relu=False):
        self.X, self.target, self.relu = X, target, relu
        self.shapes = list(itertools.pairwise(widths))
        self.classes = np.issubdtype(target.dtype, np.integer)

    def initial(self):
        """Glorot's uniform weights and zero offsets."""
        rng = np.random.default_rng(SEED)
        layers = [(rng.uniform(-1, 1, shape) * np.sqrt(6 / sum(shape)), np.zeros(shape[1])) for shape in self.shapes]
        return np.concatenate([part.ravel() for layer in layers for part in layer])

    def layers(self, x):
        """Views of the weights and offsets of each layer."""
        start, views = 0, []
        for rows, columns in self.shapes:
            middle = start + rows * columns
            views.append((x[start:middle].reshape(rows, columns), x[middle : middle + columns]))
            start = middle + columns
        return views

    def output_loss(self, outputs, target):
        """The mean loss, and its derivative by the outputs."""
        n = len(outputs)
        if not self.classes:
            return np.sum((outputs - target) ** 2) / (2 * n), (outputs - target) / n
        log_probabilities = log_softmax(outputs, axis=1)
        slope = np.exp(log_probabilities)
        slope[np.arange(n), target] -= 1
        return -log_probabilities[np.arange(n), target].mean(), slope / n

    def __call__(self, x, index):
        gradient = np.empty_like(x)
        layers, gradients = self.layers(x), self.layers(gradient)
        inputs = [self.X[index]]
        for weights, offset in layers[:-1]:
            z = inputs[-1] @ weights + offset
            inputs.append(np.maximum(z, 0) if self.relu else np.tanh(z))
        value, slope = self.output_loss(inputs[-1] @ layers[-1][0] + layers[-1][1], self.target[index])
        for k in reversed(range(len(layers))):
            gradients[k][0][:] = inputs[k].T @ slope
            gradients[k][1][:] = slope.sum(axis=0)
            if k > 0:
                slope = slope @ layers[k][0].T * (inputs[k] > 0 if self.relu else 1 - inputs[k] ** 2)
        return value, gradient


class Factorization:
    """Half the mean squared error of the entries of a matrix as products of rows of two tables."""

    def __init__(self, matrix, rank):
        self.matrix, self.rank = matrix, rank

    def initial(self):
        return np.random.default_rng(SEED).normal(scale=0.1, size=sum(self.matrix.shape) * self.rank)

    def __call__(self, x, index):
        rows, columns = self.matrix.shape
        i, j = np.divmod(index, columns)
        tables, gradient = x.reshape(-1, self.rank), np.zeros((rows + columns, self.rank))
        left, right = tables[i], tables[rows + j]
        residual = np.einsum("kr,kr->k", left, right) - self.matrix[i, j]
        slope = residual[:, None] / len(index)
        np.add.at(gradient, i, slope * right)
        np.add.at(gradient, rows + j, slope * left)
        return residual @ residual / (2 * len(index)), gradient.ravel()

    def minimum(self):
        """What the singular values beyond the rank leave (Eckart & Young 1936)."""
        rest = np.linalg.svd(self.matrix, compute_uv=False)[self.rank :]
        return float(rest @ rest / (2 * self.matrix.size))


def rosenbrock(x):
    return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)


def beale(x):
    a, b = x
    residuals = np.array([1.5, 2.25, 2.625]) - a + a * b ** np.arange(1, 4)
    slope = np.array([b ** np.arange(1, 4) - 1, a * np.arange(1, 4) * b ** np.arange(3)])
    return residuals @ residuals, 2 * slope @ residuals


def powell(x):
    """Powell's singular function: its Hessian at the minimum has rank 2."""
    a, b, c, d = x[0] + 10 * x[1], x[2] - x[3], x[1] - 2 * x[2], x[0] - x[3]
    by_a, by_b, by_c, by_d = 2 * a, 10 * b, 4 * c**3, 40 * d**3
    gradient = np.array([by_a + by_d, 10 * by_a + by_c, by_b - 2 * by_c, -by_b - by_d])
    return a**2 + 5 * b**2 + c**4 + 10 * d**4, gradient


def distant_bowl(x):
    away = x - 1000
    return away @ away, 2 * away


class NoisyQuadratic:
    """The mean of (x - place)' A (x - place) / 2 over samples whose places are scattered about `centre`.

    The curvatures lie in random directions: along the axes they would be no matter to a rule that scales each entry.
    """

    def __init__(self, condition, centre, n=1000, dimensions=50, scatter=0.1):
        rng = np.random.default_rng(SEED)
        axes, _ = np.linalg.qr(rng.standard_normal((dimensions, dimensions)))
        self.A = axes * np.logspace(0, -np.log10(condition), dimensions) @ axes.T
        self.places = centre + scatter * rng.standard_normal((n, dimensions))

    def __call__(self, x, index):
        away = x - self.places[index]
        slopes = away @ self.A
        return float(np.sum(slopes * away) / (2 * len(index))), slopes.mean(axis=0)

    def minimum(self):
        return float(self(self.places.mean(axis=0), np.arange(len(self.places)))[0])
