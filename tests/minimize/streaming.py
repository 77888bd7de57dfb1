"""Shared by the tests of data that come in parts: a problem, its samples in batches or chunks, and what was read."""

import threading

import numpy as np
from objectives import outcome

from fastopt import minimize

N = 47
A = np.random.default_rng(0).standard_normal((N, 3))
B = np.random.default_rng(1).standard_normal(N)
START = np.array([0.3, -0.4, 0.6])


def squares(x, A, b):
    residual = A @ x.astype(np.float64) - b
    return float(residual @ residual) / len(b), np.asarray(2 * (A.T @ residual) / len(b), x.dtype)


def squares_value(x, A, b):
    return squares(x, A, b)[0]


def parts(size=10):
    """All samples, as tuples of up to `size` of them."""
    return [(A[first : first + size], B[first : first + size]) for first in range(0, N, size)]


class Loader:
    """An iterable of parts that is iterated anew for each epoch, and keeps what was read, and where."""

    def __init__(self, items=None):
        self.items, self.read, self.threads = parts() if items is None else items, [], set()
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        for number, item in enumerate(self.items):
            self.read.append(number)
            self.threads.add(threading.current_thread().name)
            yield item


def run(data, x0=START, **arguments):
    """A short run; options as keywords, and those of `minimize`."""
    taken = {"jac": True, "method": "adam", "rng": 3, "fun": squares}
    for name in ("batch_size", "resume", "callback", "tol", "bounds", "validation", "epoch_callback", *taken):
        if name in arguments:
            taken[name] = arguments.pop(name)
    return minimize(x0=x0, data=data, options={"learning_rate": 0.05, "epochs": 3, **arguments}, **taken)


def result_of(*args, rng=None, **arguments):
    return outcome(run(*args, **arguments))


def no_thread_is_left():
    return not [each.name for each in threading.enumerate() if each.name.startswith("fastopt-prefetch")]
