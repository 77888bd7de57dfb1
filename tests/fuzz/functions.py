"""Sequences of runs of `minimize` over functions of the user, with samples or without."""

import warnings

import numpy as np
from finite_sums import samples
from liars import hostile_generator, odd_gradient, sparse_like
from sequence import Mischief

import fastopt


def held(x):
    """A copy of the parameters, unless the actor has resized the array that they are a view of."""
    if isinstance(x.base, np.ndarray) and (x.base.size != x.size or x.base.ctypes.data != x.ctypes.data):
        raise Mischief
    return np.array(x)


class FunctionWorld:
    """A function, its samples, and runs over it; `odd` is the share of gradients that lie."""

    def __init__(self, seq, odd=0.0, hostile_rng=0.0, kinds=("data", "csr", "n_samples", "none")):
        self.seq, self.odd, self.hostile_rng = seq, odd, hostile_rng
        self.n, self.length = seq.rng.choice([3, 50, 300]), seq.rng.choice([1, 4, 12])
        self.source = seq.rng.choice(kinds)
        self.data = self.text = None
        if self.source in ("data", "csr"):
            storage = ("csr",) if self.source == "csr" else ("dense", "csr")
            X, self.text = samples(seq, self.n, self.length, odd, storage)
            y = seq.numbers.standard_normal(self.n)
            seq.targets["y"] = y
            self.data = (X, y) if seq.chance(0.7) else (X,)

    def fun(self, x, *batch):
        x = held(x)
        self.seq.hook("fun")
        return float(x @ x)

    def gradient(self, x, *batch):
        made = 2 * held(x)
        self.seq.hook("jac")
        kind = self.seq.rng.choice(["dense", "dense", "csr", "rows", "list", "x"])
        if self.seq.chance(self.odd):
            made, text = odd_gradient(self.seq, made)
            self.seq.write(f"  * a gradient is a {text}")
            return made
        if kind == "csr":
            return sparse_like(self.seq, (1, self.length), made.dtype, "csr")
        if kind == "rows":
            return fastopt.RowSparse([0, self.length - 1], np.ones(2, made.dtype))
        return {"list": made.tolist(), "x": x}.get(kind, made)

    def both(self, x, *batch):
        copy = held(x)
        return self.fun(copy, *batch), self.gradient(copy, *batch)

    def minimize(self):
        seq, rng = self.seq, self.seq.rng

        def rate(t):
            seq.hook("the schedule")
            return 0.01

        def callback(intermediate_result):
            seq.hook("the callback")

        def validation(x):
            seq.hook("the validation loss")
            return 1.0

        def make(x):
            optimizer = rng.choice(list(fastopt.OPTIMIZERS.values()))(x, learning_rate=rate)
            seq.targets |= {"the optimizer": optimizer, "x": x}
            return optimizer

        jac = rng.choice([True, True, self.gradient, None, "3-point", "spsa"])
        method = rng.choice([*fastopt.OPTIMIZERS, None, make])
        options = {"maxiter": rng.choice([1, 3, 8]), "average": rng.choice([None, None, "polyak", "ema"])}
        bounds = [(-1, 1)] * self.length
        keywords = {"callback": rng.choice([None, callback]), "bounds": rng.choice([None, None, bounds])}
        keywords |= {"epoch_callback": rng.choice([None, callback]), "validation": rng.choice([None, validation])}
        if self.source != "none":
            keywords |= {"batch_size": rng.choice([1, min(7, self.n), self.n])}
            keywords |= {"data": self.data} if self.data else {"n_samples": self.n}
        generator = hostile_generator(seq) if seq.chance(self.hostile_rng) else rng.randrange(100)
        shown = {"jac": getattr(jac, "__name__", jac), "method": getattr(method, "__name__", method), **options}
        shown |= {name: keywords[name] for name in ("batch_size", "n_samples") if name in keywords}
        text = f"minimize(fun, x0 of {self.length}, data={self.text}, rng={type(generator).__name__}, {shown})"
        x0 = np.full(self.length, 0.5, rng.choice(["float32", "float64"]))

        def run():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return fastopt.minimize(
                    self.both if jac is True else self.fun, x0, jac=jac, method=method, rng=generator, options=options,
                    **keywords,
                )  # fmt: skip

        seq.call(text, run)

    def run(self, n_calls):
        for _ in range(min(n_calls, 4)):
            if self.seq.chance(0.4):
                self.seq.act()
            self.minimize()
