"""Subclasses of the classes that fastopt takes, which lie about themselves or run hostile code when they are asked."""

import numpy as np
import scipy.sparse

LIES = ("shape", "dtype", "size", "nbytes", "strides", "itemsize", "ndim", "ctypes", "flags")


class LyingAddress:
    data = 8


class LyingArray(np.ndarray):
    """An array with lies about some of its attributes: `told`, by name. `hook` is called when it is asked."""

    told, hook = {}, None

    def __array_finalize__(self, source):
        self.told, self.hook = getattr(source, "told", {}), getattr(source, "hook", None)

    def __getattribute__(self, name):
        told = object.__getattribute__(self, "__dict__").get("told", {})
        if name in told and name in LIES:
            hook = object.__getattribute__(self, "__dict__").get("hook")
            if hook is not None:
                hook(f"the property {name}")
            return told[name]
        return object.__getattribute__(self, name)

    def __len__(self):
        return self.told.get("len", super().__len__())

    def view(self, *arguments):
        return self.told["view"] if "view" in self.told else super().view(*arguments)

    copy = astype = reshape = view


def lying_array(seq, array):
    """The same numbers in memory of its own, and lies."""
    liar = np.ndarray.__new__(LyingArray, array.shape, array.dtype)
    liar[...] = array
    lies = {
        "shape": seq.rng.choice([(1000,), (1000, 1000), (0,), ()]), "dtype": np.dtype("float32"), "size": 10_000,
        "nbytes": seq.rng.choice([0, 10**6]), "strides": (0,) * array.ndim, "itemsize": 1, "ndim": 1,
        "ctypes": LyingAddress, "flags": np.zeros(3).flags, "len": 1000,
        "view": seq.rng.choice([np.zeros(1), np.zeros(1000), None, "text", 7, np.zeros(7, np.float32)]),
    }  # fmt: skip
    told = {name: lies[name] for name in seq.rng.sample(list(lies), seq.rng.randint(1, 3))}
    liar.told, liar.hook = told, seq.hook
    return liar, f"LyingArray({', '.join(told)})"


def claiming(array, n):
    """The first entries of an array, which claim to be all of it."""
    liar = np.ndarray.__new__(LyingArray, (min(n, len(array)), *array.shape[1:]), array.dtype)
    liar[...] = array[:n]
    liar.told = {name: getattr(array, name) for name in ("shape", "size", "nbytes", "strides")} | {"len": len(array)}
    return liar


class Converted:
    """Becomes an array when it is asked to, and lets the hostile actor in."""

    def __init__(self, array, hook):
        self.array, self.hook = array, hook

    def __array__(self, dtype=None, copy=None):
        self.hook("__array__")
        return np.array(self.array, dtype)

    def __len__(self):
        self.hook("__len__")
        return len(self.array)

    @property
    def shape(self):
        self.hook("shape")
        return self.array.shape

    def __getitem__(self, at):
        self.hook("__getitem__")
        return self.array[at]


def odd_gradient(seq, array):
    """Something in the place of a dense gradient, and what it is."""
    return lying_array(seq, array) if seq.chance(0.7) else (Converted(array, seq.hook), "Converted")


def lying_sparse(seq, matrix):
    """A matrix of a subclass whose properties let the actor in, and give something else now and then."""
    base = type(matrix)

    def field(name):
        original = getattr(base, name, None)

        def get(self):
            seq.hook(f"the property {name}")
            value = self.__dict__.get(f"_own_{name}")
            if value is None and isinstance(original, property):
                value = original.fget(self)
            if isinstance(value, np.ndarray) and seq.chance(lie):
                return seq.rng.choice([value[:1].copy(), np.resize(value, 2 * len(value) + 1), value + 1])
            return value

        def put(self, value):
            self.__dict__[f"_own_{name}"] = value

        return property(get, put)

    def tocoo(self, copy=True):
        seq.hook("tocoo")
        return base.tocoo(self, copy)

    def copy(self):
        seq.hook("copy")
        return base(base.shape.fget(self))  # empty: what the actor has broken is not read by SciPy

    lie = seq.rng.choice([0, 0, 0.1, 0.5])
    names = [name for name in ("data", "indices", "indptr") if name in vars(matrix)]
    lying = type("Lying" + base.__name__, (base,), {name: field(name) for name in names})
    lying.tocoo, lying.copy = tocoo, copy
    made = base(matrix)
    kept = {name: np.array(made.__dict__.pop(name)) for name in names}
    seq.targets |= {f"lying.{name}": array for name, array in kept.items()}
    made.__class__ = lying
    for name, value in kept.items():
        setattr(made, name, value)
    return made, f"{lying.__name__}(lies {lie})"


PERMUTATIONS = ["right", "far", "negative", "short", "empty", "long", "float", "int32", "column", "list", "kept"]


class HostileGenerator(np.random.Generator):
    """Permutations that are none."""

    sequence = None
    given = ()

    def permutation(self, n, **keywords):
        seq = self.sequence
        seq.hook("permutation")
        order = super().permutation(n, **keywords)
        kind = seq.rng.choice(PERMUTATIONS)
        seq.write(f"  * permutation: {kind}")
        if kind in ("far", "negative"):
            order[seq.rng.randrange(n)] = seq.rng.choice([n, 10**6, 2**40] if kind == "far" else [-1, -(10**6)])
        if kind == "kept":
            seq.targets["the permutation"] = order
        made = {
            "short": lambda: order[: n // 2].copy(), "empty": lambda: order[:0], "list": order.tolist,
            "long": lambda: np.resize(order, 3 * n), "float": lambda: order + 0.5,
            "int32": lambda: order.astype(np.int32), "column": lambda: order[:, None],
        }  # fmt: skip
        return made.get(kind, lambda: order)()

    def integers(self, low, high, size, **keywords):
        drawn = super().integers(low, high, size, **keywords)
        return drawn if self.sequence.chance(0.7) else np.resize(drawn, 1 + self.sequence.rng.randrange(9))


def hostile_generator(seq):
    generator = HostileGenerator(np.random.PCG64(seq.rng.randrange(1000)))
    generator.sequence = seq
    return generator


def sparse_like(seq, shape, dtype, kind):
    """A random matrix: csr, csc or coo, array or matrix; its three arrays own their memory."""
    size = shape[0] * shape[1]
    at = seq.numbers.choice(size, int(seq.rng.choice([0.02, 0.2, 1.0]) * size), replace=False)
    index_dtype = seq.rng.choice([np.int32, np.int64])
    values = seq.numbers.standard_normal(len(at)).astype(dtype)
    made = scipy.sparse.coo_array((values, np.unravel_index(at, shape)), shape=shape).asformat(kind)
    if seq.chance(0.5):
        made = getattr(scipy.sparse, f"{kind}_matrix")(made)
    if kind == "coo":
        return made
    made.data = made.data.copy()
    made.indices, made.indptr = made.indices.astype(index_dtype), made.indptr.astype(index_dtype)
    return made
