"""Updates in NumPy, as fast as NumPy allows: in place, with out=, without temporary arrays.

``fastopt bench`` and the benchmarks compare with them. Hyper-parameters have the names and defaults of the optimizer.
"""

import numpy as np


class NumpySGD:
    """Gradient descent, optionally with momentum."""

    def __init__(self, p, learning_rate=0.01, momentum=0.0):
        real = p.dtype.type
        self.p, self.rate, self.momentum = p, real(learning_rate), real(momentum)
        self.scratch = np.empty_like(p)
        self.velocity = np.zeros_like(p) if momentum else None

    def step(self, g):
        np.multiply(g, self.rate, out=self.scratch)
        change = self.scratch
        if self.velocity is not None:
            np.multiply(self.velocity, self.momentum, out=self.velocity)
            np.add(self.velocity, change, out=self.velocity)
            change = self.velocity
        np.subtract(self.p, change, out=self.p)


class NumpyAdagrad:
    """Adagrad: the divisor is the root of the sum of squares."""

    def __init__(self, p, learning_rate=0.01, initial_accumulator_value=0.1, epsilon=1e-7):
        real = p.dtype.type
        self.p, self.rate, self.epsilon = p, real(learning_rate), real(epsilon)
        self.accumulator = np.full_like(p, initial_accumulator_value)
        self.a, self.b = np.empty_like(p), np.empty_like(p)

    def step(self, g):
        a, b = self.a, self.b
        np.multiply(g, g, out=a)
        np.add(self.accumulator, a, out=self.accumulator)
        np.sqrt(self.accumulator, out=a)
        np.add(a, self.epsilon, out=a)
        np.multiply(g, self.rate, out=b)
        np.divide(b, a, out=b)
        np.subtract(self.p, b, out=self.p)


class NumpyRMSprop:
    """RMSprop: the divisor is the root of a moving mean of squares."""

    def __init__(self, p, learning_rate=0.001, rho=0.9, epsilon=1e-7):
        real = p.dtype.type
        self.p, self.rate, self.rho, self.new, self.epsilon = p, *map(real, (learning_rate, rho, 1 - rho, epsilon))
        self.mean_square = np.zeros_like(p)
        self.a, self.b = np.empty_like(p), np.empty_like(p)

    def step(self, g):
        a, b = self.a, self.b
        np.multiply(g, g, out=a)
        np.multiply(a, self.new, out=a)
        np.multiply(self.mean_square, self.rho, out=self.mean_square)
        np.add(self.mean_square, a, out=self.mean_square)
        np.sqrt(self.mean_square, out=a)
        np.add(a, self.epsilon, out=a)
        np.multiply(g, self.rate, out=b)
        np.divide(b, a, out=b)
        np.subtract(self.p, b, out=self.p)


class NumpyAdam:
    """Adam with both bias corrections merged into scalar factors."""

    def __init__(self, p, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.p, self.hyper, self.t = p, (learning_rate, beta_1, beta_2, epsilon), 0
        self.m, self.v = np.zeros_like(p), np.zeros_like(p)
        self.a, self.b = np.empty_like(p), np.empty_like(p)

    def step(self, g):
        learning_rate, beta_1, beta_2, epsilon = self.hyper
        self.t += 1
        a, b, m, v, real = self.a, self.b, self.m, self.v, self.p.dtype.type
        root_bc2 = (1 - beta_2**self.t) ** 0.5
        np.multiply(m, real(beta_1), out=m)
        np.multiply(g, real(1 - beta_1), out=a)
        np.add(m, a, out=m)
        np.multiply(g, g, out=a)
        np.multiply(a, real(1 - beta_2), out=a)
        np.multiply(v, real(beta_2), out=v)
        np.add(v, a, out=v)
        np.sqrt(v, out=a)
        np.add(a, real(epsilon * root_bc2), out=a)
        np.multiply(m, real(learning_rate * root_bc2 / (1 - beta_1**self.t)), out=b)
        np.divide(b, a, out=b)
        np.subtract(self.p, b, out=self.p)


#: Name in the registry -> class with the same update.
NUMPY_UPDATES = {"sgd": NumpySGD, "adagrad": NumpyAdagrad, "rmsprop": NumpyRMSprop, "adam": NumpyAdam}
