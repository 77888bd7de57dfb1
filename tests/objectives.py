"""Shared by the tests of minimize: small objectives with known answers, and results compared to the last bit."""

import numpy as np
from helpers import bits, flat

CENTRE = np.array([1.0, -2.0, 0.5])


def bowl(x, *args):
    """Value and gradient of a quadratic whose minimum, 0, is at CENTRE."""
    away = x - CENTRE.astype(x.dtype)
    return float(away @ away) / 2, away


def bowl_value(x, *args):
    return bowl(x)[0]


def bowl_slope(x, *args):
    return bowl(x)[1]


class Counted:
    """A function that counts its calls, and raises an exception instead of answering one of them."""

    def __init__(self, fun, error=None, at=None):
        self.fun, self.error, self.at = fun, error, at
        self.calls = 0

    def __call__(self, *args):
        self.calls += 1
        if self.calls == self.at:
            raise self.error
        return self.fun(*args)


class Recorded:
    """A function that keeps copies of all arguments that it is called with."""

    def __init__(self, fun):
        self.fun, self.calls = fun, []

    def __call__(self, *args):
        self.calls.append(tuple(each.copy() if hasattr(each, "copy") else each for each in args))
        return self.fun(*args)


def next_draws(rng):
    """What tells the states of two random generators apart."""
    return rng.integers(0, 1000, 3, dtype=np.int32).tolist(), rng.random(4).tolist()


def outcome(result, rng=None):
    """All of a result that the same run must give again to the last bit, and what the generator draws next."""
    return {
        "x": [(each.dtype, each.shape, each.tobytes()) for each in flat(result.x)],
        "fun": result.fun,
        "counts": (result.nit, result.nepoch),
        "end": (result.status, result.success, result.message),
        "history": {name: array.tobytes() for name, array in result.history.items() if name != "time"},
        "optimizer": bits(result.optimizer),
        "rng": None if rng is None else next_draws(rng),
    }
