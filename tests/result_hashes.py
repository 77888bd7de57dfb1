"""Hashes of the results of every rule, layout, loss and method: the same on every processor, before and after a change.

    python tests/result_hashes.py > before.txt       (then after a change: > after.txt; diff before.txt after.txt)
    python tests/result_hashes.py --write            (after one that is meant to change results: tests/data/bits.json)

A change that is meant to leave results alone leaves each line as it is. tests/core/test_same_bits.py compares the file,
which has one hash for all lines that begin with the same three words. What goes in is exact, and nothing here rounds
with the C library or BLAS. Runs in about half a minute.
"""

import functools
import hashlib
import itertools
import json
import math
import sys
from pathlib import Path

import numpy as np
from cases import CASES, MODES, OPTIMIZERS, couples_arrays, form_id, is_refused, own_numbers
from exact_numbers import ExactNumbers

import fastopt
from fastopt import RowSparse, _core, schedules

DTYPES = (np.float32, np.float64)
STORED = Path(__file__).with_name("data") / "bits.json"
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
STORAGES = ((np.float64, "float32"), (np.float32, "bfloat16"), (np.float32, "log8"))
#: Whose rates need none of the C library's functions, or only where these are exact.
SCHEDULES = {
    "constant": schedules.constant(0.01),
    "step_decay": schedules.step_decay(0.01, 8, 0.5),
    "exponential_decay": schedules.exponential_decay(0.01, 8, 0.25, staircase=True),
    "inverse_time_decay": schedules.inverse_time_decay(0.01, 10, 0.7),
    "one_cycle": schedules.one_cycle(0.01, 40, anneal="linear"),
    "piecewise_constant": schedules.piecewise_constant([5, 20], [0.1, 0.03, 0.007]),
    "polynomial_decay": schedules.polynomial_decay(0.01, 32, 0.001, power=2.0),
    "warmup": schedules.warmup(schedules.inverse_time_decay(0.01, 10, 0.7), 7),
}


#: Optimizers that multiply matrices with BLAS, which rounds as it likes.
WITH_BLAS = {name for name, cls in OPTIMIZERS.items() if _core.takes_matrices(cls.rule)}
NAMED_CASES = [(name, *case) for case in CASES for name, cls in OPTIMIZERS.items() if cls is case[0]]


def digest(*parts):
    """A short hash of arrays, numbers and structures of them. The signs of NaN are left out: processors choose them."""
    total = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, dict):
            part = [value for _, value in sorted(part.items())]
        if isinstance(part, (list, tuple)):
            part = digest(*part)
        if isinstance(part, str):
            total.update(part.encode())
        else:
            array = np.asarray(part)
            if array.dtype.kind == "f":
                array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
            total.update(str(array.dtype).encode() + repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def variants(name):
    """The sets of hyper-parameters that an optimizer is run with."""
    for label, values in VARIANTS.items():
        if not is_refused(OPTIMIZERS[name], values):
            yield label, values
    for values in OPTIONS.get(name, []):
        yield "+".join(values), values


def gradients(exact, shape, dtype):
    """Dense, strided and sparse gradients of one parameter: layout -> a function of the step."""
    size = int(np.prod(shape))

    def dense(t):
        return exact.numbers(shape, dtype)

    def strided(t):
        return exact.numbers((*shape[:-1], 2 * shape[-1]), dtype)[..., ::2]

    def touched(t, index_dtype, n):
        index = exact.integers(0, shape[0], n).astype(index_dtype)
        return RowSparse(index, exact.numbers((n, *shape[1:]), dtype))

    return {
        "dense": dense,
        "strided": strided,
        "rows32": lambda t: touched(t, np.int32, 30),
        "rows64": lambda t: touched(t, np.int64, 30),
        "csr": lambda t: exact.csr((1, size) if len(shape) == 1 else shape, 0.05, dtype),
        "mixed": lambda t: dense(t) if t % 4 == 3 else touched(t, np.int64, 30),
    }


def modes(name, values, layout):
    """What sparse gradients of a layout may mean for an optimizer."""
    if layout in ("dense", "strided"):
        return ["lazy"]
    return [mode for mode in MODES if not is_refused(OPTIMIZERS[name], values | {"sparse": mode})]


def hash_rules():
    """Every optimizer, dtype, set of options, layout and meaning of sparse gradients."""
    for name, dtype, shape in itertools.product(OPTIMIZERS, DTYPES, [(1031,), (211, 9)]):
        for label, values in variants(name):
            for layout in ("dense", "strided", "rows32", "rows64", "csr", "mixed"):
                for sparse in modes(name, values, layout):
                    exact = ExactNumbers(7)
                    make = gradients(exact, shape, dtype)[layout]
                    x = exact.numbers(shape, dtype)
                    opt = OPTIMIZERS[name](x, sparse=sparse, **values)
                    for t in range(STEPS):
                        opt.step(make(t))
                    opt.catch_up()
                    yield f"rule {name} {np.dtype(dtype).name} {shape} {label} {layout} {sparse}", digest(x, opt.state)


def hash_small():
    """Numbers that become subnormal, or are from the start."""
    for (name, cls, keywords), dtype in itertools.product(NAMED_CASES, DTYPES):
        exact, tiny = ExactNumbers(12), np.finfo(dtype).tiny
        x = exact.numbers(300, dtype)
        opt = cls(x, **keywords)
        for scale in (tiny * 1e3, 1.0, tiny, tiny / 4, float(tiny) ** 0.5):
            opt.step(exact.numbers(300, dtype) * dtype(scale))
        for _ in range(20):
            opt.step(np.zeros(300, dtype))
        yield f"small {name} {np.dtype(dtype).name} {form_id((cls, keywords))}", digest(x, opt.state)


def hash_groups():
    """Arrays that have numbers of their own."""
    for (name, cls, keywords), dtype, mode in itertools.product(NAMED_CASES, DTYPES, MODES):
        own = own_numbers(cls, keywords)
        if couples_arrays(cls) or is_refused(cls, keywords | own | {"sparse": mode}):
            continue
        exact = ExactNumbers(13)
        params = [exact.numbers(shape, dtype) for shape in ((31,), (40, 3), (7,))]
        opt = cls(params, groups={1: own}, sparse=mode, **keywords)
        for _ in range(STEPS):
            dense, rows = exact.numbers(31, dtype), exact.integers(0, 40, 5)
            opt.step([dense, RowSparse(rows, exact.numbers((5, 3), dtype)), exact.numbers(7, dtype)])
        opt.catch_up()
        yield f"groups {name} {np.dtype(dtype).name} {form_id((cls, keywords))} {mode}", digest(params, opt.state)


def hash_storage():
    """State in fewer bits."""
    for (name, cls, keywords), (dtype, storage) in itertools.product(NAMED_CASES, STORAGES):
        values = {"state_dtype": storage, "state_seed": 5}
        if is_refused(cls, keywords | values) or not _core.slot_storages(
            cls.rule, cls._validated((), keywords | values)
        ):
            continue
        for layout in ("dense", "strided", "rows64"):
            exact = ExactNumbers(14)
            make = gradients(exact, (211, 9), dtype)[layout]
            x = exact.numbers((211, 9), dtype)
            opt = cls(x, **keywords, **values)
            for t in range(STEPS):
                opt.step(make(t))
            yield (
                f"storage {name} {storage} {form_id((cls, keywords))} {layout}",
                digest(x, opt.state_dict()["state"]),
            )


def hash_large():
    """Steps that several threads share, a list of arrays, entries that are sorted by region, and a long schedule."""
    many, order = ExactNumbers(8).numbers(2_200_000), ExactNumbers(16).permutation(2_200_000)
    for name, dtype in itertools.product(OPTIMIZERS, DTYPES):
        exact = ExactNumbers(9)
        params = [exact.numbers(n, dtype) for n in (300_001, 17, 90_000)]
        opt = OPTIMIZERS[name](params, schedules.inverse_time_decay(0.01, 2, 1.0), clip_norm=1.0)
        for _ in range(3):
            opt.step([exact.numbers(p.shape, dtype) for p in params])
        yield f"large {name} {np.dtype(dtype).name}", digest(params, opt.state, opt.last_grad_norm)
        x = many.astype(dtype)
        opt = OPTIMIZERS[name](x)
        opt.step(RowSparse(order[:40_000], exact.numbers(40_000, dtype)))
        yield f"region {name} {np.dtype(dtype).name}", digest(x)
        x = exact.numbers(64, dtype)
        opt = OPTIMIZERS[name](x)
        for _ in range(600):
            opt.step(exact.numbers(64, dtype))
        yield f"long {name} {np.dtype(dtype).name}", digest(x, opt.state)


def hash_schedules():
    for name, rate in SCHEDULES.items():
        exact = ExactNumbers(15)
        x = exact.numbers(50)
        opt = fastopt.Adam(x, rate)
        for _ in range(40):
            opt.step(exact.numbers(50))
        yield f"schedule {name} float64", digest(x, opt.state, [rate(t) for t in range(50)])


def labels(kind, exact, n):
    return {
        "binary": lambda: exact.integers(0, 2, n) * 2.0 - 1.0,
        "real": lambda: exact.numbers(n),
        "counts": lambda: exact.integers(0, 5, n).astype(float),
        "positive": lambda: exact.between(0.5, 2.0, n),
        "classes": lambda: np.r_[np.arange(4), exact.integers(0, 4, n - 4)],
    }[kind]()


def samples(kind, exact, n, k, dtype):
    if kind == "dense":
        return exact.numbers((n, k), dtype)
    X = exact.csr((n, k), 0.08, dtype)
    if kind == "csr64":
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def objectives():
    """Every loss, dtype, layout of the samples and kind of penalty."""
    for loss, dtype, kind in itertools.product(LABELS, DTYPES, ("dense", "csr", "csr64")):
        for values in PENALTIES:
            exact = ExactNumbers(9)
            X, y = samples(kind, exact, 400, 60, dtype), labels(LABELS[loss], exact, 400)
            weights = exact.between(0.5, 2.0, 400)
            objective = getattr(fastopt.objectives, loss)(X, y, sample_weight=weights, **values)
            yield f"{loss} {np.dtype(dtype).name} {kind} {'+'.join(values) or 'none'}", objective


def hash_objectives():
    for label, objective in objectives():
        exact = ExactNumbers(10)
        x = (exact.numbers(objective.n_parameters) / 8).astype(objective.dtype)
        batch = exact.integers(0, 400, 33)
        yield f"objective {label}", digest(*objective.value_and_gradient(x), objective(x, batch),
                                           objective.gradient(x, batch))  # fmt: skip


def hash_epochs():
    """Every method over every kind of objective: batches of one and of 32, lazy and exact, SAGA and SVRG."""
    for label, objective in objectives():
        run = functools.partial(fastopt.minimize, objective, np.zeros(objective.n_parameters), rng=3)
        for name in OPTIMIZERS:
            for size in (1, 32):
                options = {"learning_rate": 0.01, "epochs": 2}
                if size == 32 and "l1" in label:
                    options["sparse"] = "exact"
                res = run(method=name, batch_size=size, options=options)
                yield f"epochs {name} {label} {size}", digest(res.x, res.fun, res.history["fun"], res.optimizer.state)
        for name in fastopt.FINITE_SUM_METHODS:
            if name == "vw" and not objective._takes_targets:
                continue
            res = run(method=name, options={"learning_rate": 0.003, "epochs": 2})
            yield f"epochs {name} {label}", digest(res.x, res.fun, res.history["fun"])
        res = run(method="sgd", options={"learning_rate": 0.01, "epochs": 2, "momentum": 0.9, "clip_norm": 1.0})
        yield f"epochs momentum {label}", digest(res.x, res.fun, res.history["fun"])


def hash_minimize():
    """`minimize` with functions of Python."""
    X = ExactNumbers(11).numbers((300, 5))

    def loss(w, X):
        away = w - X
        return math.fsum((away * away).ravel()) / len(X), 2 * np.add.reduce(away, axis=0) / len(X)

    def run(fun, jac, method="adam", **options):
        res = fastopt.minimize(fun, np.zeros(5), method=method, jac=jac, data=X, batch_size=32, rng=1,
                               options={"epochs": 3, **options})  # fmt: skip
        return digest(res.x, res.fun, res.history["fun"])

    for name in OPTIMIZERS:
        yield f"minimize {name} -", run(loss, True, name)
    for jac, average in itertools.product(("2-point", "3-point"), (None, "polyak")):
        yield f"minimize {jac} {average}", run(lambda w, X: loss(w, X)[0], jac, average=average)


PARTS = {
    "rules": hash_rules,
    "small": hash_small,
    "groups": hash_groups,
    "storage": hash_storage,
    "large": hash_large,
    "schedules": hash_schedules,
    "objectives": hash_objectives,
    "epochs": hash_epochs,
    "minimize": hash_minimize,
}


def grouped(part):
    """One hash for all lines that begin with the same three words, those of optimizers with BLAS apart."""
    found = {}
    for label, value in PARTS[part]():
        if label.split()[1] not in WITH_BLAS:
            found.setdefault(" ".join(label.split()[:3]), []).append(value)
    return {label: digest("".join(values)) for label, values in found.items()}


def main():
    np.seterr(all="ignore")
    if sys.argv[1:] == ["--write"]:
        STORED.parent.mkdir(exist_ok=True)
        STORED.write_text(json.dumps({part: grouped(part) for part in PARTS}, indent=0) + "\n")
    else:
        for part in PARTS.values():
            for label, value in part():
                print(value, label, flush=True)


if __name__ == "__main__":
    main()
