"""Print a hash of the results of every rule, layout, loss and method, to compare two versions of the code.

    python tests/result_hashes.py > before.txt       (then after a change: > after.txt; diff before.txt after.txt)

A change that is meant to leave results alone leaves each line as it is, on every processor. Runs in about a minute.
"""

import hashlib
import itertools

import numpy as np
import scipy.sparse
from cases import MODES, OPTIMIZERS, is_refused

import fastopt

DTYPES = (np.float32, np.float64)
STEPS = 12

#: Hyper-parameters that choose other code than the defaults do.
VARIANTS = {
    "plain": {},
    "weight_decay": {"weight_decay": 0.01},
    "decoupled": {"weight_decay": 0.01, "decoupled_weight_decay": True},
    "clipped": {"clip_value": 1.5, "clip_norm": 3.0, "nonfinite": "skip", "maximize": True},
}
OPTIONS = {
    "adam": [{"amsgrad": True}, {"epsilon_hat": True}],
    "adamw": [{"amsgrad": True}],
    "ademamix": [{"warmup_steps": 8}],
    "adopt": [{"clip_delay": 0}, {"clip_exponent": np.inf}],
    "rmsprop": [{"centered": True}, {"momentum": 0.9}, {"momentum": 0.9, "centered": True}],
    "sgd": [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "dampening": 0.5}],
}
LABELS = {
    "EpsilonInsensitive": "real", "Gamma": "positive", "Hinge": "binary", "Huber": "real", "LeastSquares": "real",
    "Logistic": "binary", "ModifiedHuber": "binary", "Poisson": "counts", "Quantile": "real", "Softmax": "classes",
    "SquaredEpsilonInsensitive": "real", "SquaredHinge": "binary", "Tweedie": "counts",
}  # fmt: skip
PENALTIES = ({}, {"l2": 1e-3}, {"l1": 1e-3}, {"l2": 1e-3, "l1": 1e-3, "fit_intercept": True})


def digest(*parts):
    """A short hash of arrays, numbers and structures of them."""
    total = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, dict):
            part = [value for _, value in sorted(part.items())]
        if isinstance(part, (list, tuple)):
            total.update(digest(*part).encode())
        else:
            array = np.asarray(part)
            total.update(str(array.dtype).encode() + repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def variants(name):
    """The sets of hyper-parameters that an optimizer is run with."""
    for label, values in VARIANTS.items():
        if not is_refused(fastopt.OPTIMIZERS[name], values):
            yield label, values
    for values in OPTIONS.get(name, []):
        yield "+".join(values), values


def gradients(rng, shape, dtype):
    """Dense, strided and sparse gradients of one parameter: layout -> a function of the step."""
    size, width = int(np.prod(shape)), shape[1] if len(shape) > 1 else 1

    def dense(t):
        return rng.standard_normal(shape).astype(dtype)

    def strided(t):
        return rng.standard_normal((*shape[:-1], 2 * shape[-1])).astype(dtype)[..., ::2]

    def touched(t, index_dtype, n):
        index = rng.integers(0, shape[0], n).astype(index_dtype)
        rows = rng.standard_normal((n, *shape[1:])).astype(dtype)
        return fastopt.RowSparse(index, rows)

    def csr(t):
        matrix = scipy.sparse.random(1 if len(shape) == 1 else shape[0], size if len(shape) == 1 else width, 0.05,
                                     "csr", dtype, rng)  # fmt: skip
        return matrix

    return {
        "dense": dense,
        "strided": strided,
        "rows32": lambda t: touched(t, np.int32, 30),
        "rows64": lambda t: touched(t, np.int64, 30),
        "csr": csr,
        "mixed": lambda t: dense(t) if t % 4 == 3 else touched(t, np.int64, 30),
    }


def hash_rules():
    """Every optimizer, dtype, set of options, layout and meaning of sparse gradients."""
    for name, dtype, shape in itertools.product(OPTIMIZERS, DTYPES, [(1031,), (211, 9)]):
        for label, values in variants(name):
            for layout in ("dense", "strided", "rows32", "rows64", "csr", "mixed"):
                for sparse in MODES if layout not in ("dense", "strided") else ("lazy",):
                    if is_refused(OPTIMIZERS[name], values | {"sparse": sparse}):
                        continue
                    rng = np.random.default_rng(7)
                    make = gradients(rng, shape, dtype)[layout]
                    x = rng.standard_normal(shape).astype(dtype)
                    opt = OPTIMIZERS[name](x, sparse=sparse, **values)
                    for t in range(STEPS):
                        opt.step(make(t))
                    yield f"rule {name} {np.dtype(dtype).name} {shape} {label} {layout} {sparse}", digest(x, opt.state)


def hash_large():
    """Steps that several threads share, a list of arrays, entries that are sorted by region, and a long schedule."""
    for name, dtype in itertools.product(OPTIMIZERS, DTYPES):
        rng = np.random.default_rng(8)
        params = [rng.standard_normal(n).astype(dtype) for n in (300_001, 17, 90_000)]
        opt = OPTIMIZERS[name](params, fastopt.schedules.cosine_decay(0.01, 20), clip_norm=1.0)
        for _ in range(3):
            opt.step([rng.standard_normal(p.shape).astype(dtype) for p in params])
        yield f"large {name} {np.dtype(dtype).name}", digest(params, opt.state, opt.last_grad_norm)
        x = rng.standard_normal(2_200_000).astype(dtype)
        opt = OPTIMIZERS[name](x)
        index = rng.permutation(x.size)[:40_000]
        opt.step(fastopt.RowSparse(index, rng.standard_normal(index.size).astype(dtype)))
        yield f"region {name} {np.dtype(dtype).name}", digest(x)
        x = rng.standard_normal(64).astype(dtype)
        opt = OPTIMIZERS[name](x)
        for _ in range(600):
            opt.step(rng.standard_normal(64).astype(dtype))
        yield f"long {name} {np.dtype(dtype).name}", digest(x, opt.state)


def labels(kind, rng, n):
    return {
        "binary": lambda: rng.integers(0, 2, n) * 2.0 - 1.0,
        "real": lambda: rng.standard_normal(n),
        "counts": lambda: rng.integers(0, 5, n).astype(float),
        "positive": lambda: rng.uniform(0.5, 2.0, n),
        "classes": lambda: np.r_[np.arange(4), rng.integers(0, 4, n - 4)],
    }[kind]()


def samples(kind, rng, n, k, dtype):
    if kind == "dense":
        return rng.standard_normal((n, k)).astype(dtype)
    X = scipy.sparse.random(n, k, 0.08, "csr", dtype, rng)
    if kind == "csr64":
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def objectives():
    """Every loss, dtype, layout of the samples and kind of penalty."""
    for loss, dtype, kind in itertools.product(LABELS, DTYPES, ("dense", "csr", "csr64")):
        for values in PENALTIES:
            rng = np.random.default_rng(9)
            X, y = samples(kind, rng, 400, 60, dtype), labels(LABELS[loss], rng, 400)
            weights = rng.uniform(0.5, 2.0, 400)
            objective = getattr(fastopt.objectives, loss)(X, y, sample_weight=weights, **values)
            yield f"{loss} {np.dtype(dtype).name} {kind} {'+'.join(values) or 'none'}", objective


def hash_objectives():
    for label, objective in objectives():
        rng = np.random.default_rng(10)
        x = (0.1 * rng.standard_normal(objective.n_parameters)).astype(objective.dtype)
        batch = rng.integers(0, 400, 33)
        yield f"objective {label}", digest(*objective.value_and_gradient(x), objective(x, batch),
                                           objective.gradient(x, batch))  # fmt: skip


def hash_epochs():
    """Every method over every kind of objective: batches of one and of 32, lazy and exact, SAGA and SVRG."""
    for label, objective in objectives():
        for name in OPTIMIZERS:
            for size in (1, 32):
                options = {"learning_rate": 0.01, "epochs": 2}
                if size == 32 and "l1" in label:
                    options["sparse"] = "exact"
                res = fastopt.minimize(objective, np.zeros(objective.n_parameters), method=name, rng=3,
                                       batch_size=size, options=options)  # fmt: skip
                yield f"epochs {name} {size} {label}", digest(res.x, res.fun, res.history["fun"], res.optimizer.state)
        for name in fastopt.FINITE_SUM_METHODS:
            if name == "vw" and not objective._takes_targets:
                continue
            res = fastopt.minimize(objective, np.zeros(objective.n_parameters), method=name, rng=3,
                                   options={"learning_rate": 0.003, "epochs": 2})  # fmt: skip
            yield f"epochs {name} {label}", digest(res.x, res.fun, res.history["fun"])
        momentum = {"learning_rate": 0.01, "epochs": 2, "momentum": 0.9, "clip_norm": 1.0}
        res = fastopt.minimize(objective, np.zeros(objective.n_parameters), method="sgd", rng=3, options=momentum)
        yield f"epochs momentum {label}", digest(res.x, res.fun, res.history["fun"])


def hash_minimize():
    """`minimize` with functions of Python."""
    rng = np.random.default_rng(11)
    X = rng.standard_normal((300, 5))
    y = X @ np.arange(5.0)

    def loss(w, X, y):
        return float(np.mean((X @ w - y) ** 2)), 2 * X.T @ (X @ w - y) / len(y)

    for name in OPTIMIZERS:
        res = fastopt.minimize(loss, np.zeros(5), method=name, jac=True, data=(X, y), batch_size=32, rng=1,
                               options={"epochs": 3})  # fmt: skip
        yield f"minimize {name}", digest(res.x, res.fun, res.history["fun"])
    for jac, average in itertools.product(("2-point", "3-point", "spsa"), (None, "polyak", "ema")):
        res = fastopt.minimize(lambda w, X, y: loss(w, X, y)[0], np.zeros(5), method="adam", jac=jac, data=(X, y),
                               rng=1, options={"epochs": 3, "average": average})  # fmt: skip
        yield f"minimize {jac} {average}", digest(res.x, res.fun)


def main():
    np.seterr(all="ignore")
    for part in (hash_rules, hash_large, hash_objectives, hash_epochs, hash_minimize):
        for label, value in part():
            print(value, label, flush=True)


if __name__ == "__main__":
    main()
