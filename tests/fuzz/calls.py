"""Sequences without a hostile actor: the same bits on every instruction set, and objects without initialisation."""

import sys
import types
import warnings

import finite_sums
import numpy as np
import optimizers
import scipy.sparse
from deeds import value_for

import fastopt
from fastopt import _core
from fastopt._finite_sum import epochs
from fastopt._minimize import csr_batches, native  # noqa: F401

EXTREMES = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-40, 1e-30, 1e19, -1e19, 3e38, -3e38]
WIDE = [*EXTREMES, 5e-324, -1e-310, 1e-200, 1e154, -1e155, 1.7e308, -1.7e308]


def extremes(seq, shape, dtype, more=()):
    with np.errstate(over="ignore", under="ignore"):
        made = np.array(seq.numbers.choice([*(EXTREMES if dtype == "float32" else WIDE), *more], shape)).astype(dtype)
        made *= seq.numbers.choice([1.0, 1.0, 0.7, 1.3], shape).astype(dtype)
    return made


def bits(seq):
    """Numbers that overflow, on each instruction set and on one thread and two: the same bits.

    Where NaN is passed in, sign and payload of NaN may differ.
    """
    for _ in range(4):
        if not seq.findings:
            nan_passed_in = seq.chance(0.3)
            more = (np.inf, -np.inf, np.nan, -np.nan) if nan_passed_in else (np.inf, -np.inf)
            run = seq.rng.choice([steps, gradients, epochs_of])(seq, more)
            on_all_processors(seq, run, equal_numbers if nan_passed_in else equal_bits)


def steps(seq, more):
    """Steps of an optimizer, dense and sparse ones."""
    n, cls = seq.rng.choice([200, 1000, 70_000]), seq.rng.choice(list(fastopt.OPTIMIZERS.values()))
    keywords = optimizers.options(seq, cls) | {
        "nonfinite": "propagate",
        "learning_rate": seq.rng.choice([1e-3, 1.0, 1e30]),
    }
    dtype = seq.rng.choice(["float32", "float64"])
    start, grads = extremes(seq, n, dtype, more), [extremes(seq, n, dtype, more) for _ in range(seq.rng.randint(1, 4))]
    rows = seq.numbers.permutation(n)[: n // 3]
    seq.write(f"{cls.__name__}({dtype} of {n} extreme numbers, {keywords}), {len(grads)} steps")

    def run(threads):
        x = start.copy()
        opt = cls(x, **keywords | {"num_threads": threads})
        for k, grad in enumerate(grads):
            opt.step(grad if k % 2 == 0 else fastopt.RowSparse(rows, grad[rows].copy()), *value_for(opt))
        return x

    return run


def extreme_objective(seq):
    name, dtype = seq.rng.choice(fastopt.objectives.__all__), seq.rng.choice(["float32", "float64"])
    X = np.nan_to_num(extremes(seq, (seq.rng.choice([5, 50, 3000]), 9), dtype))
    X = scipy.sparse.csr_array(X) if seq.chance(0.5) else X
    seq.write(f"{name}({X.shape}, {dtype}, {type(X).__name__})")
    return getattr(fastopt.objectives, name)(
        X, finite_sums.labels(seq, name, X.shape[0]), l2=seq.rng.choice([0.0, 0.1])
    )


def gradients(seq, more):
    """Value and gradient of an objective."""
    objective = extreme_objective(seq)
    x = extremes(seq, objective.n_parameters, objective.dtype.name, more)

    def run(threads):
        with fastopt.threads(threads), np.errstate(all="ignore"):
            value, gradient = objective.value_and_gradient(x)
        return np.append(gradient, value)

    return run


def epochs_of(seq, more):
    """Mini-batches of an objective through an optimizer."""
    objective, method = extreme_objective(seq), seq.rng.choice([*fastopt.OPTIMIZERS])
    x = extremes(seq, objective.n_parameters, objective.dtype.name)
    seq.write(f"epochs of {method}")

    def run(threads):
        options = {"epochs": 2, "nonfinite": "propagate", "num_threads": threads, "learning_rate": 1.0}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            done = fastopt.minimize(objective, x, method=method, rng=0, batch_size=3, options=options)
        return done.optimizer.params

    return run


def equal_bits(a, b):
    return a.tobytes() == b.tobytes()


def equal_numbers(a, b):
    nan = np.isnan(a)
    return np.array_equal(nan, np.isnan(b)) and equal_bits(a[~nan], b[~nan])


def on_all_processors(seq, run, same):
    """Run it for each instruction set and number of threads, and compare."""
    first, before = None, _core.isa_in_use()
    try:
        for isa in filter(_core.isa_supported, _core.isa_names()):
            _core.use_isa(isa)
            for threads in (1, 2):
                x = seq.call(f"on {isa}, {threads} threads", lambda threads=threads: run(threads))
                first = x if first is None else first
                if x is not None and not same(x, first):
                    signs = "only of NaN" if np.array_equal(x, first, equal_nan=True) else "numbers"
                    seq.find("wrong", f"other bits on {isa}, {threads} threads: {signs}")
                    return
    finally:
        _core.use_isa(before)


# --- objects that were never initialised --------------------------------------------------------------------


def classes():
    """All classes of fastopt, in a fixed order, with private ones: Python code finds its way to them."""
    found = {}
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] == "fastopt" and module is not None:
            for each in vars(module).values():
                if isinstance(each, type) and not issubclass(each, BaseException):
                    found[f"{each.__module__}.{each.__qualname__}"] = each
    return [found[name] for name in sorted(found) if name.startswith("fastopt.")]


def anything(seq):
    """An argument of some kind."""
    X = np.ones((4, 3))
    return seq.rng.choice([
        0, 1, -1, 2.5, True, None, "step()", b"x", (), [], {}, np.ones(3), np.ones(3, np.float32), np.arange(3),
        np.zeros((0,)), np.arange(3, dtype=np.int32), X, scipy.sparse.csr_array(X), fastopt.SGD(np.ones(3)),
        fastopt.RowSparse([0], np.ones(1)),
        fastopt.objectives.Logistic(X, [0, 1, 0, 1]), fastopt.SGD, epochs.InterruptPoll(1), lambda *arguments: 1,
    ])  # fmt: skip


def uninitialised(seq):
    """Objects of `cls.__new__(cls)`: every method, property and operator of them, with any arguments."""
    cls = seq.rng.choice(classes())
    names = [name for name in dir(cls) if name not in ("__class__", "__dict__", "__init_subclass__")]
    thing = seq.call(f"{cls.__qualname__}.__new__()", lambda: cls.__new__(cls))
    for name in seq.rng.choices(names, k=12) if thing is not None else ():
        if isinstance(getattr(cls, name, None), type):
            continue
        text = f"uninitialised {cls.__qualname__}.{name}"
        attribute = seq.call(text, lambda name=name: getattr(thing, name), expected=Exception)
        if callable(attribute):
            arguments = [anything(seq) for _ in range(n_arguments(seq, attribute))]
            shown = ", ".join(type(each).__name__ for each in arguments)
            seq.call(f"    {name}({shown})", lambda call=attribute, given=arguments: call(*given), expected=Exception)
    if seq.chance(0.5):
        use_in_calls(seq, thing)


def n_arguments(seq, function):
    """How many arguments a function takes, mostly."""
    try:
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        n = code.co_argcount - isinstance(function, types.MethodType) if code is not None else None
    except AttributeError:
        n = None
    return n if n is not None and seq.chance(0.8) else seq.rng.choice([0, 0, 1, 1, 2, 3, 4, 5, 6])


def use_in_calls(seq, thing):
    """Hand it to the functions that take an object of its kind."""
    calls = {
        "minimize(thing, ...)": lambda: fastopt.minimize(thing, np.zeros(3), options={"maxiter": 1}),
        "minimize(..., method=thing)": lambda: fastopt.minimize(lambda x: x @ x, np.zeros(3), method=lambda x: thing),
        "save(thing)": lambda: fastopt.save(f"{seq.folder}/thing.npz", thing),
        "step(thing)": lambda: fastopt.SGD(np.ones(3)).step(thing),
        "SGD(x, thing)": lambda: fastopt.SGD(np.ones(3), thing).step(np.ones(3)),
    }
    for text in seq.rng.sample(list(calls), 2):
        seq.call(text, calls[text], expected=Exception)
