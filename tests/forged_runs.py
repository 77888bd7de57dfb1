"""Checkpoints with a right checksum in which one field after the other has been changed; a crash ends this process.

    python tests/forged_runs.py [every] [kind of run or of optimizer]

With `every` only each so many-th forgery is tried. A forged file is refused, and nothing has changed, or it makes no
difference; values that could have been saved may be used. What is of another type, shape or dtype never makes a
difference.
"""

import copy
import io
import itertools
import os
import sys
import tempfile
import warnings

import numpy as np
import scipy.sparse
from helpers import bits
from objectives import bowl, bowl_value, outcome
from reference_epochs import problem

import fastopt
from fastopt import _checkpoint, minimize, schedules

TABLE = np.random.default_rng(0).standard_normal((11, 3))
MORE = 13  # iterations that a resumed run goes on for

# --- kinds of runs ---------------------------------------------------------------------------------------


def squares(x, A):
    return float(((A @ x) ** 2).mean()), 2 * A.T @ (A @ x) / len(A)


def mean_square(x):
    return float(sum((each**2).sum() for each in x.values())), {name: 2 * each for name, each in x.items()}


def built_in(layout, **penalties):
    p = problem("logistic", layout, **penalties)
    return dict(fun=p.objective, x0=p.x0, batch_size=7)


def saga(method):
    return built_in("csr32", l2=0.1) | dict(batch_size=1, method=method)


def plateau():
    return schedules.reduce_on_plateau(0.1, factor=0.5, patience=0)


PLAIN = dict(fun=bowl, x0=np.zeros(3), jac=True)
DATA = dict(fun=squares, x0=np.ones(3), jac=True, data=TABLE, batch_size=4)

# Name -> arguments of minimize, its options, the optimizer and its hyper-parameters, the generator.
RUNS = {
    "no samples": (lambda: PLAIN, {"epoch_length": 4}, fastopt.Adam, {}, np.random.PCG64),
    "batches": (lambda: DATA, {}, fastopt.RMSprop, {"momentum": 0.9}, np.random.MT19937),
    "all at once": (lambda: DATA | dict(batch_size=11), {"average": "polyak"}, fastopt.SGD, {}, np.random.Philox),
    "ema": (lambda: DATA, {"average": "ema", "average_start": 0}, fastopt.NAdam, {}, np.random.SFC64),
    "spsa": (
        lambda: PLAIN | dict(fun=bowl_value, jac="spsa"), {"epoch_length": 4}, fastopt.AdamW, {}, np.random.PCG64DXSM,
    ),
    "calibrated": (
        lambda: PLAIN | dict(fun=bowl_value, jac="spsa", method=None), {"epoch_length": 4}, None, {}, np.random.PCG64,
    ),
    "differences": (
        lambda: PLAIN | dict(fun=bowl_value, jac=None), {"epoch_length": 4}, fastopt.SGD, {}, np.random.PCG64,
    ),
    "best": (lambda: DATA | dict(tol=1e-9), {"return_best": True}, fastopt.FTRL, {}, np.random.PCG64),
    "validated": (
        lambda: DATA | dict(tol=1e-9, validation=TABLE + 1.0), {"return_best": True}, fastopt.SGD, {}, np.random.SFC64,
    ),
    "plateau": (lambda: DATA, {}, fastopt.Rprop, {"learning_rate": plateau}, np.random.PCG64),
    "several arrays": (
        lambda: dict(fun=mean_square, x0={"w": np.ones((3, 2)), "v": np.ones(2)}, jac=True), {"epoch_length": 4},
        fastopt.Adam, {}, np.random.PCG64,
    ),
    "lagged gradient": (lambda: built_in("csr32", l1=0.02, l2=0.1), {}, fastopt.Adam, {}, np.random.PCG64),
    "proximal": (lambda: built_in("csr64", l1=0.02, l2=0.1), {}, fastopt.SGD, {}, np.random.Philox),
    "flow": (lambda: built_in("csr32", l1=0.02, l2=0.1), {}, fastopt.Adagrad, {}, np.random.MT19937),
    "dense": (lambda: built_in("dense", l1=0.02), {"average": "polyak"}, fastopt.Yogi, {}, np.random.SFC64),
    "hogwild": (lambda: built_in("csr32"), {"parallel": "hogwild"}, fastopt.SGD, {}, np.random.PCG64),
    "saga": (lambda: saga("saga"), {}, None, {}, np.random.PCG64),
    "svrg": (lambda: saga("svrg"), {}, None, {}, np.random.PCG64),
    "vw": (lambda: saga("vw"), {}, None, {}, np.random.PCG64),
}  # fmt: skip


class Resumable:
    """A kind of run; each part of it is made anew for each call, as it may be changed."""

    FILE = "minimize"

    def __init__(self, kind):
        self.arguments, self.options, self.cls, self.hyper, self.bit_generator = RUNS[kind]
        self.optimizer = self.rng = None

    def make(self, x):
        self.optimizer = self.cls(x, **{name: v() if callable(v) else v for name, v in self.hyper.items()})
        return self.optimizer

    def run(self, maxiter, seed, resume=None, **options):
        arguments = dict(self.arguments())
        if self.cls is not None:
            arguments["method"] = self.make
        self.rng, self.optimizer = np.random.Generator(self.bit_generator(seed)), None
        options = {"maxiter": maxiter, **self.options, **options}
        return minimize(rng=self.rng, resume=resume, options=options, **arguments)

    def save(self, path):
        """Stop in the middle of the third epoch."""
        arguments = self.arguments()
        n = getattr(arguments["fun"], "n_samples", 11 if "data" in arguments else 4)
        per_epoch = -(-n // arguments.get("batch_size", 1)) if "batch_size" in arguments else n
        self.nit = 2 * per_epoch + per_epoch // 2
        self.run(self.nit, 3, checkpoint=path)

    def use(self, path):
        """The end of the run that is resumed, to the last bit."""
        return outcome(self.run(self.nit + MORE, 99, resume=path))

    def untouched(self):
        """Whether nothing has changed in what the caller handed over."""
        rng, optimizer = self.rng, self.optimizer
        fresh = np.random.Generator(self.bit_generator(99)).bit_generator.state
        if optimizer is None:
            return same(rng.bit_generator.state, fresh)
        x0 = self.arguments()["x0"]
        new = self.make(x0 if isinstance(x0, dict) else np.array(x0, optimizer.params.dtype))
        rates = [getattr(each.learning_rate, "state_dict", lambda: None)() for each in (optimizer, new)]
        return same(rng.bit_generator.state, fresh) and bits(optimizer) == bits(new) and rates[0] == rates[1]


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return np.array_equal(one, other)


# --- kinds of optimizers ---------------------------------------------------------------------------------

SHAPES = {"w": (40, 6), "v": (30,)}
OPTIMIZERS = {
    "Adam": lambda params: fastopt.Adam(params, amsgrad=True),
    "SGD": lambda params: fastopt.SGD(params, momentum=0.9, nonfinite="skip"),
    "NAdam": fastopt.NAdam,
    "RMSprop, exact": lambda params: fastopt.RMSprop(params, sparse="exact"),
    "RMSprop": fastopt.RMSprop,
    "Adagrad, exact": lambda params: fastopt.Adagrad(params, sparse="exact"),
    "AdamW, plateau": lambda params: fastopt.AdamW(params, plateau()),
}


def some_rows(k):
    draw = np.random.default_rng(k)
    rows = {name: np.arange(k, k + 9) for name in SHAPES}
    return {name: fastopt.RowSparse(rows[name], draw.standard_normal((9, *SHAPES[name][1:]))) for name in SHAPES}


def some_entries(k):
    draw = np.random.default_rng(k)
    entries = scipy.sparse.random_array(SHAPES["w"], density=0.3, random_state=draw)
    return {"w": entries, "v": draw.standard_normal(SHAPES["v"])}


def with_sparse(x):
    rows = fastopt.RowSparse(np.array([2, 7]), x["w"][[2, 7]])
    return mean_square(x)[0], {"w": rows, "v": scipy.sparse.csr_array(x["v"][None])}


BY_NAME = dict(x0={name: np.ones(shape) for name, shape in SHAPES.items()}, jac=True)
RESULTS = {
    "result": lambda: minimize(mean_square, method="adam", options={"maxiter": 5, "epoch_length": 2}, **BY_NAME),
    "result, sparse": lambda: minimize(with_sparse, method="nadam", options={"maxiter": 5}, **BY_NAME),
    "result, average": lambda: minimize(
        mean_square, method="yogi", options={"maxiter": 5, "average": "ema", "average_start": 0}, **BY_NAME
    ),
    "result, schedule": lambda: minimize(
        mean_square, method="adam", options={"maxiter": 5, "learning_rate": plateau()}, **BY_NAME
    ),
    "result, saga": lambda: minimize(**saga("saga"), options={"epochs": 2}, rng=0),
}


class SavedResult:
    """A kind of result."""

    FILE = "result"

    def __init__(self, kind):
        self.result = RESULTS[kind]

    def save(self, path):
        fastopt.save(path, self.result())

    def use(self, path):
        """All that is in a result, and what its optimizer makes of a gradient."""
        res = fastopt.load_result(path)
        opt, again = res.optimizer, io.BytesIO()
        if isinstance(opt, fastopt.Optimizer):
            opt.step(opt._structured(tuple(map(np.ones_like, opt._flat_params))))
            fastopt.save(again, res)
        elif opt is not None:  # a gradient memory may be one of any number of samples, and is filled anew then
            minimize(**saga("saga") | dict(x0=res.x, method=opt), options={"epochs": 1}, rng=0)
            return repr(res.fun)
        return again.getvalue(), repr({**res, "optimizer": None})

    def untouched(self):
        return True


class Loadable:
    """A kind of optimizer, some steps after its start."""

    FILE = "optimizer"

    def __init__(self, kind):
        self.kind = OPTIMIZERS[kind]

    def make(self):
        return self.kind({name: np.ones(shape) for name, shape in SHAPES.items()})

    def save(self, path):
        opt = self.make()
        for k in range(3):
            opt.step(some_rows(k))
        fastopt.save(path, opt)

    def use(self, path):
        self.opt = self.make()
        fastopt.load(path, self.opt)
        for k in range(4):
            self.opt.step([some_entries, some_rows][k % 2](k))
        return bits(self.opt), repr(self.opt)

    def untouched(self):
        return bits(self.opt) == bits(self.make()) and repr(self.opt) == repr(self.make())


# --- forgery ---------------------------------------------------------------------------------------------

DELETED = object()


def leaves(tree, keys=()):
    """The keys that lead to each value of a tree, and the value."""
    if isinstance(tree, (dict, list)):
        yield keys, tree
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, (*keys, key))
    else:
        yield keys, tree


def forged(tree, keys, value):
    """The tree with another value in one place."""
    if not keys:
        return value
    changed = copy.copy(tree)
    if value is DELETED and len(keys) == 1:
        del changed[keys[0]]
    else:
        changed[keys[0]] = forged(tree[keys[0]], keys[1:], value)
    return changed


HUGE = [-1, 2**31, 2**62, 2**63, -(2**63), 2**200]
WRONG_TYPES = ["1", [], {}, [1.0], {"a": 1}, np.zeros(3), np.zeros((0,)), np.array([1.0]), "nan"]


def hostile(value):
    """Other values for a leaf, and whether they are of a kind that nothing can have saved."""
    if isinstance(value, np.ndarray):
        yield from ((other, True) for other in other_layouts(value))
        yield None, False
        for filling in (0, -1, np.nan, np.inf, 2**62, -(2**62)):
            if value.size and (value.dtype.kind == "f" or (np.isfinite(filling) and filling >= 0)):
                largest = np.iinfo(value.dtype).max if value.dtype.kind in "iu" else np.inf
                yield np.full_like(value, filling if np.isnan(filling) else min(filling, largest)), False
        if value.dtype == np.int64:
            yield np.full_like(value, np.iinfo(np.int64).min), False
            yield np.full_like(value, np.iinfo(np.int64).max), False
    elif isinstance(value, dict):
        yield from ((other, True) for other in (None, 1, "x", np.zeros(3), [*value]))
        yield value | {"another": 1}, False
    elif isinstance(value, list):
        yield from ((other, True) for other in (None, 1, "x", {}, [*value, None], value[:-1] if value else [None]))
    elif isinstance(value, bool):
        yield not value, False
        yield from ((other, True) for other in WRONG_TYPES)
    elif isinstance(value, (int, float)):
        yield from ((other, False) for other in (*HUGE, 0, 1, value + 1, value - 1))
        yield from ((other, False) for other in (float("nan"), float("inf"), -float("inf"), -0.5, 1e308, None, True))
        yield from ((other, True) for other in WRONG_TYPES)
    else:
        yield from ((other, False) for other in (*HUGE, 0.5, float("nan"), "another", True, [], {}, np.zeros(3)))
        yield from ((np.zeros(shape[0], np.int64), False) for shape in SHAPES.values())
    yield DELETED, isinstance(value, np.ndarray)


def forgeries(tree):
    """The keys of each leaf, another value, and whether nothing can have saved it."""
    for keys, value in leaves(tree):
        for other, never_saved in hostile(value):
            if other is not DELETED:
                # None stands for a schedule that is a function of the user's, which no file has.
                yield keys, other, never_saved and not (other is None and keys == ("schedule",))
            elif keys:
                # Without `touched` it is a checkpoint of a run over dense samples, without `validation` of one without.
                yield keys, other, never_saved and not {"touched", "validation"} & set(keys)


def other_layouts(value):
    """Arrays that NumPy would convert or broadcast to the right one, and others."""
    yield from (1.0, "x", value.tolist(), value[None], value[..., None], value.reshape(-1)[:0])
    yield value.astype(value.dtype.newbyteorder())
    yield from (value.astype(np.float32 if value.dtype == np.float64 else np.float64), value.astype(np.complex128))
    yield value.astype(bool)
    if value.ndim and value.shape[0] > 1:
        yield from (value[:1], value[:-1], np.concatenate([value, value]))
    yield np.zeros((), value.dtype) if value.ndim else np.zeros(1, value.dtype)


def refuses_forgeries(case, every=1):
    """Try every so many-th forgery of a checkpoint; returns how many there were and how many were refused."""
    kind = case.FILE
    n_tried = n_refused = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.npz")
        case.save(path)
        tree, expected = _checkpoint.read(path, kind), case.use(path)
        for keys, other, never_saved in itertools.islice(forgeries(tree), 0, None, every):
            _checkpoint.write(path, kind, forged(tree, keys, other))
            n_tried += 1
            try:
                ended = case.use(path)
            except ValueError as error:
                n_refused += 1
                assert path in str(error) or "`rng` must be a Generator of" in str(error), (keys, other, error)
                assert case.untouched(), (keys, other)
            else:
                assert not never_saved or ended == expected, (keys, other)
    return n_tried, n_refused


def main(arguments):
    every, *kinds = arguments or ["1"]
    os.fsync = lambda handle: None
    warnings.simplefilter("ignore")  # of numbers that overflow on the way
    known = {
        **dict.fromkeys(RUNS, Resumable),
        **dict.fromkeys(OPTIMIZERS, Loadable),
        **dict.fromkeys(RESULTS, SavedResult),
    }
    for kind in kinds or known:
        print(
            kind,
            "{} forged, {} refused".format(*refuses_forgeries(known[kind](kind), int(every))),
            sep=": ",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
