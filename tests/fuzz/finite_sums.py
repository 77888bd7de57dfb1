"""Sequences over a built-in objective: evaluations, copies, and runs of `minimize`."""

import copy
import pickle
import warnings

import numpy as np
from liars import hostile_generator, lying_array, lying_sparse, sparse_like

import fastopt

CLASS_LABELS = ("Softmax",)
SIGNS = ("Logistic", "Hinge", "ModifiedHuber", "SquaredHinge")


def labels(seq, name, n):
    if name in CLASS_LABELS:
        return seq.numbers.integers(0, 3, n)
    if name in SIGNS:
        return seq.numbers.choice([-1.0, 1.0], n)
    return seq.numbers.poisson(1.5, n) + (1.0 if name == "Gamma" else 0.0)


def samples(seq, n, n_features, odd=0.0, kinds=("dense", "csr", "csr")):
    """Dense samples or a CSR matrix, which become targets of the actor; and what they are."""
    dtype, kind = seq.rng.choice(["float32", "float64"]), seq.rng.choice(kinds)
    if kind == "dense":
        X = seq.numbers.standard_normal((n, n_features)).astype(dtype)
        X, text = lying_array(seq, X) if seq.chance(odd) else (X, f"dense {dtype} {X.shape}")
        seq.targets["X"] = X
        return X, text
    X = sparse_like(seq, (n, n_features), dtype, "csr")
    seq.targets |= {"X": X} | {f"X.{name}": getattr(X, name) for name in ("data", "indices", "indptr")}
    return lying_sparse(seq, X) if seq.chance(odd) else (X, f"csr {dtype} {X.shape} nnz={X.nnz}")


class FiniteSumWorld:
    """An objective, and what can be done with it; `odd` is the share of inputs that lie."""

    def __init__(self, seq, odd=0.0, hostile_rng=0.0, copying=0.2, most_samples=400):
        self.seq, self.odd, self.hostile_rng, self.copying = seq, odd, hostile_rng, copying
        rng = seq.rng
        name = rng.choice(fastopt.objectives.__all__)
        n, self.n_features = rng.choice([1, 3, 60, most_samples]), rng.choice([1, 5, 30, 300])
        X, text = samples(seq, n, self.n_features, odd)
        y = labels(seq, name, n)
        weights = seq.numbers.uniform(0.5, 2, n) if seq.chance(0.3) else None
        keywords = {"l2": rng.choice([0.0, 0.1]), "l1": rng.choice([0.0, 0.0, 0.01]), "fit_intercept": seq.chance(0.3)}
        if weights is not None and seq.chance(odd):
            weights, _ = lying_array(seq, weights)
        cls = getattr(fastopt.objectives, name)
        self.objective = seq.call(f"{name}({text}, {keywords})", lambda: cls(X, y, sample_weight=weights, **keywords))
        if self.objective is not None:
            self.length, self.dtype = self.objective.n_parameters, self.objective.dtype
            self.n = n
            seq.targets["the objective"] = self.objective

    def x(self):
        n = self.length
        if self.seq.chance(0.3):
            n = getattr(self.objective, "n_parameters", n)
        return np.full(n if isinstance(n, int) and 0 <= n < 10**6 else 1, 0.1, self.dtype)

    def evaluate(self):
        idx = self.seq.numbers.integers(0, self.n, 5) if self.seq.chance(0.4) else None
        x, objective = self.x(), self.objective
        if self.seq.chance(self.odd):
            x, _ = lying_array(self.seq, x)
        name = self.seq.rng.choice(["__call__", "gradient", "value_and_gradient"])
        self.seq.call(f"{name}(x, idx={idx is not None})", lambda: getattr(objective, name)(x, idx))

    def look(self):
        self.seq.call("max_smoothness", lambda: self.objective.max_smoothness)
        self.seq.call("repr()", lambda: repr(self.objective))

    def copied(self):
        how = self.seq.rng.choice([copy.copy, copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
        made = self.seq.call("a copy()", lambda: how(self.objective))
        if made is not None:
            self.objective = made
            self.seq.targets["the objective"] = made

    def minimize(self):
        rng, seq = self.seq.rng, self.seq
        method = rng.choice([*fastopt.OPTIMIZERS, *fastopt.FINITE_SUM_METHODS])
        finite_sum = method in fastopt.FINITE_SUM_METHODS

        def rate(t):
            seq.hook("the schedule")
            return 0.01

        def callback(x):
            seq.hook("the callback")

        def look(intermediate_result):
            seq.hook("the callback")
            if rng.random() < 0.5:
                return intermediate_result.x

        options = {"epochs": rng.choice([1, 2]), "learning_rate": rng.choice([0.01, rate])}
        if finite_sum:
            options["learning_rate"] = 0.01
        else:
            options |= {"sparse": rng.choice(["lazy", "exact"]), "parallel": rng.choice(["batch", "batch", "hogwild"])}
        if seq.chance(0.2):
            options["average"] = rng.choice(["polyak", "ema"])
        bounds = [(-1, 1)] * self.length
        keywords = {"callback": rng.choice([None, callback, look]), "bounds": rng.choice([None, None, bounds])}
        keywords |= {"epoch_callback": rng.choice([None, callback]), "validation": rng.choice([None, self.objective])}
        batch = 1 if finite_sum else rng.choice([1, min(7, self.n), self.n])
        generator = hostile_generator(seq) if seq.chance(self.hostile_rng) else rng.randrange(100)
        x = self.x()
        shown = {name: getattr(value, "__name__", value) for name, value in options.items()}
        text = f"minimize(objective, x0, {method!r}, batch_size={batch}, rng={type(generator).__name__}, {shown}"
        text += "".join(f", {name}" for name, value in keywords.items() if value is not None) + ")"

        def run():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return fastopt.minimize(
                    self.objective, x, method=method, batch_size=batch, rng=generator, options=options, **keywords
                )

        seq.call(text, run)

    def run(self, n_calls):
        calls = [self.evaluate] * 3 + [self.minimize] * 3 + [self.look]
        for _ in range(n_calls if self.objective is not None else 0):
            if self.seq.chance(0.4):
                self.seq.act()
            if self.seq.chance(self.copying):
                self.copied()
            self.seq.rng.choice(calls)()
