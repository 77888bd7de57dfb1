"""What the hostile actor does to the objects that a sequence has given to fastopt.

A deed takes the sequence, the name of a target and the target; it does what any Python code may do, and returns a
description. What NumPy or SciPy refuses has no effect.
"""

import contextlib

import numpy as np
from liars import claiming
from sequence import Mischief

import fastopt

ODD_NUMBERS = [-1, 0, 1, 3, 2**31 - 1, -(2**31), 2**40]
DTYPES = ["float32", "float64", "int32", "int64", "int8", "complex128"]


def odd_length(rng, n):
    return rng.choice([0, 1, n // 2, max(n - 1, 0), n + 1, 2 * n, 3 * n + 5])


def resize(seq, array):
    fields = [field for thing in seq.targets.values() for field in fields_of(thing).values()]
    if any(array is field.base for field in fields):
        yield "is left as it is: the caller's own matrix has a view of it"
        return
    new = odd_length(seq.rng, array.size)
    yield f"resize(({new},), refcheck=False)"
    array.resize((new,), refcheck=False)


def disguise(seq, array):
    """Another dtype and less memory, and size and address as before."""
    if array.dtype.itemsize == 8:
        n, dtype = array.size, "int32" if array.dtype.kind in "iu" else "float32"
        yield f"dtype = {dtype}; resize(({n},), refcheck=False)"
        array.dtype = np.dtype(dtype)
        array.resize((n,), refcheck=False)


def retype(seq, array):
    dtype = seq.rng.choice(DTYPES)
    yield f"dtype = {dtype}"
    array.dtype = np.dtype(dtype)


def restride(seq, array):
    strides = tuple(seq.rng.choice([0, -step, 2 * step, step // 2, step + 1]) for step in array.strides)
    yield f"strides = {strides}"
    array.strides = strides


def reshape(seq, array):
    shape = seq.rng.choice([(array.size,), (1, array.size), (array.size, 1), array.shape[::-1], (2, array.size // 2)])
    yield f"shape = {shape}"
    array.shape = shape


def overwrite(seq, array):
    value = seq.rng.choice(ODD_NUMBERS if array.dtype.kind in "iu" else [np.nan, np.inf, -np.inf, 1e300, -0.0, 1e-320])
    value = np.array(value).astype(array.dtype)
    at = seq.rng.choice([slice(None), slice(0, 1), slice(-1, None), slice(None, None, 3)])
    yield f"[{at.start}:{at.stop}:{at.step}] = {value}"
    array[..., at] = value


def freeze(seq, array):
    yield "flags.writeable = False"
    array.flags.writeable = False


def odd_array(seq, like):
    """An array that may take the place of another one, and does not fit."""
    n, rng = len(like), seq.rng
    kind = rng.choice(["short", "long", "empty", "dtype", "far", "column", "list", "claiming", "claiming"])
    if kind == "dtype":
        return kind, like.astype(rng.choice(DTYPES))
    if kind == "far":
        return kind, np.full(n, rng.choice(ODD_NUMBERS)).astype(like.dtype)
    made = {
        "claiming": lambda: claiming(like, max(n // 2, 1)),
        "short": lambda: like[: n // 2].copy(), "long": lambda: np.resize(like, 2 * n + 3), "list": like.tolist,
        "empty": lambda: like[:0].copy(), "column": lambda: like.reshape(n, -1).copy(),
    }  # fmt: skip
    return kind, made[kind]()


def swap_field(seq, matrix):
    field = seq.rng.choice([*fields_of(matrix)])
    kind, other = odd_array(seq, getattr(matrix, field))
    yield f"{field} = another array ({kind})"
    setattr(matrix, field, other)


def fields_of(matrix):
    """The arrays of a sparse matrix by name; none of anything else."""
    fields = {name: getattr(matrix, name, None) for name in ("data", "indices", "indptr") if hasattr(matrix, "tocsr")}
    return {name: field for name, field in fields.items() if isinstance(field, np.ndarray)}


def resize_matrix(seq, matrix):
    rows, columns = (odd_length(seq.rng, n) or 1 for n in matrix.shape)
    yield f"resize({rows}, {columns}) in place"
    matrix.resize(rows, columns)


def reshape_matrix(seq, matrix):
    shape = seq.rng.choice([(1, 1), matrix.shape[::-1], tuple(10 * n for n in matrix.shape)])
    yield f"_shape = {shape}"
    matrix._shape = shape


def assign(seq, thing):
    """Assign any attribute of an objective, also those that say how much memory there is."""
    names = [*vars(thing), "X", "n_samples", "n_features", "n_parameters", "n_outputs", "dtype", "l1", "fit_intercept"]
    name = seq.rng.choice([name for name in names if name != "_values"])
    old = getattr(thing, name, None)
    if isinstance(old, np.ndarray) and old.size:
        kind, new = odd_array(seq, old)
    elif name == "dtype":
        kind = new = np.dtype(seq.rng.choice(DTYPES))
    elif hasattr(old, "indptr"):
        kind, new = "a matrix of another size", old[: max(1, old.shape[0] // 2), : max(1, old.shape[1] // 2)]
    else:
        kind = new = seq.rng.choice([*ODD_NUMBERS, 7, 1000, None, "x"])
    if seq.chance(0.3):
        yield f"vars(...)[{name!r}] = {kind}"
        vars(thing)[name] = new
    else:
        yield f"{name} = {kind}"
        setattr(thing, name, new)


def swap_rows(seq, gradient):
    field = seq.rng.choice(["rows", "indices", "unique"])
    if field == "unique":
        kind = other = seq.rng.choice([True, None, "yes"])
    elif seq.chance(0.4):
        kind, other = "claiming", claiming(getattr(gradient, field), seq.rng.randrange(len(gradient.indices)))
    elif seq.chance(0.3):
        kind, other = "an object that lies about its length", Pretender(getattr(gradient, field))
    else:
        kind, other = odd_array(seq, getattr(gradient, field))
    yield f"{field} = {kind}"
    setattr(gradient, field, other)


class Pretender:
    """Looks like an array where it is asked, and is none."""

    def __init__(self, array):
        self.dtype, self.shape, self.ndim, self.flags = array.dtype, array.shape, array.ndim, array.flags
        self.length = len(array)

    def __len__(self):
        return self.length

    def __getitem__(self, at):
        return 0.0


def walk_bases(seq, optimizer):
    """Resize or retype what a view of the state is a view of, and that in turn."""
    views = [view for slot in optimizer.state.values() for view in arrays_of(slot)]
    if not views:
        yield "has no state"
        return
    owner = seq.rng.choice(views)
    if isinstance(owner.base, np.ndarray):
        owner = owner.base
    while isinstance(owner.base, np.ndarray) and seq.chance(0.9):
        owner = owner.base
    del views
    yield from seq.rng.choice([resize, resize, retype, freeze])(seq, owner)


def reenter(seq, optimizer):
    def step():
        optimizer.step(fitting_gradient(optimizer.params), *value_for(optimizer))

    what = seq.rng.choice([step, optimizer.state_dict, lambda: optimizer.load_state_dict(optimizer.state_dict())])
    yield "is called again"
    what()


def value_for(optimizer):
    """What a step takes beside the gradient: the value of the objective, for rules that use it."""
    return (1.5,) if optimizer._uses_value else ()


def fitting_gradient(params):
    if isinstance(params, dict):
        return {key: np.ones_like(array) for key, array in params.items()}
    return [np.ones_like(array) for array in params] if isinstance(params, list) else np.ones_like(params)


def arrays_of(structure):
    if isinstance(structure, np.ndarray):
        return [structure]
    return list(structure.values()) if isinstance(structure, dict) else list(structure)


def fail(seq, thing):
    yield "raise"
    raise Mischief


# Deed -> which objects it can be done to.
ARRAY_DEEDS = (resize, disguise, retype, restride, reshape, overwrite, freeze)
DEEDS = {each: lambda thing: isinstance(thing, np.ndarray) and thing.size > 0 for each in ARRAY_DEEDS} | {
    swap_field: lambda thing: hasattr(thing, "tocsr") and thing.nnz > 0,
    resize_matrix: lambda thing: hasattr(thing, "tocsr") and thing.ndim == 2,
    reshape_matrix: lambda thing: hasattr(thing, "tocsr") and thing.ndim == 2,
    assign: lambda thing: isinstance(thing, fastopt.objectives.Objective),
    swap_rows: lambda thing: type(thing) is fastopt.RowSparse and len(thing.indices) > 0,
    walk_bases: lambda thing: isinstance(thing, fastopt.Optimizer),
    reenter: lambda thing: isinstance(thing, fastopt.Optimizer),
    fail: lambda thing: True,
}


class Actor:
    """Does one of some deeds to one of the targets of a sequence."""

    def __init__(self, *deeds):
        self.deeds = deeds

    def __call__(self, seq, where):
        choices = []
        for deed in self.deeds:
            if deed is not fail or where != "between calls":
                choices += [(deed, name) for name, thing in seq.targets.items() if suits(deed, thing)]
        if not choices:
            return
        seq.deeds += 1
        deed = seq.rng.choice(sorted({deed.__name__ for deed, _ in choices}))
        deed, name = seq.rng.choice([each for each in choices if each[0].__name__ == deed])
        with contextlib.suppress(*REFUSALS):
            for description in deed(seq, seq.targets[name]):
                seq.write(f"  * {where}: {name} {description}")


# What NumPy, SciPy and fastopt say to a deed; but what is raised on purpose passes.
REFUSALS = (ValueError, TypeError, AttributeError, IndexError, RuntimeError, OverflowError, ZeroDivisionError)


def suits(deed, thing):
    try:
        return DEEDS[deed](thing)
    except REFUSALS:  # the target is in pieces already
        return False
