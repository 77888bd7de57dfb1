"""The same updates in NumPy, written as well as they can be there: in place, with out= and no temporaries."""

import numpy as np


class NumpySGD:
    """p -= lr g."""

    def __init__(self, p, learning_rate=0.01):
        self.p, self.rate, self.scratch = p, p.dtype.type(learning_rate), np.empty_like(p)

    def step(self, g):
        np.multiply(g, self.rate, out=self.scratch)
        np.subtract(self.p, self.scratch, out=self.p)


class NumpyAdagrad:
    """Adagrad with the defaults of fastopt.Adagrad."""

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


class NumpyAdam:
    """Adam with the defaults of fastopt.Adam and both bias corrections folded into scalars."""

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


NUMPY_UPDATES = {"sgd": NumpySGD, "adagrad": NumpyAdagrad, "adam": NumpyAdam}
