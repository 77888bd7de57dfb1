"""Sequences over an optimizer: steps, looks at the state, copies, files."""

import copy
import os
import pickle

import numpy as np
from deeds import arrays_of, fields_of, value_for
from liars import lying_array, lying_sparse, odd_gradient, sparse_like
from sequence import whole

import fastopt

SHAPES = [(1,), (7,), (50,), (5, 3), (40, 4), (2, 3, 2), (), (0,), (3000,), (60_000,), (300, 50)]
EVERY_STEP = ("dense", "strided", "rows", "csr", "csc", "coo")
REFUSED = ("half precision", "far rows", "nan", "wrong shape", "overlap", "text", "short list", "frozen")


def layout(array):
    """What the memory of a parameter is known by; of the array itself, whatever a subclass says."""
    known = {name: np.ndarray.__getattribute__(array, name) for name in ("dtype", "size", "flags")}
    return known["dtype"], known["size"], known["flags"].c_contiguous


def named(params):
    """Keys and parameters; None is the key of one array."""
    if isinstance(params, np.ndarray):
        return [(None, params)]
    return params.items() if isinstance(params, dict) else enumerate(params)


def options(seq, cls):
    """Some of the options of an optimizer."""
    choices = {
        "learning_rate": [0.1, 1e-3], "weight_decay": [0.0, 0.1], "decoupled_weight_decay": [False, True],
        "clip_value": [None, 1.0], "clip_norm": [None, None, 0.5], "maximize": [False, True],
        "nonfinite": ["propagate", "skip", "raise"], "num_threads": [None, 1, 2],
        "sparse": ["lazy", "exact", "deferred"],
        "momentum": [0.0, 0.9], "nesterov": [False], "amsgrad": [False, True], "centered": [False, True],
    }  # fmt: skip
    return {name: seq.rng.choice(choices[name]) for name in choices if name in cls._declared and seq.chance(0.5)}


class OptimizerWorld:
    """An optimizer over one array, a list or a dict, and the calls that can be made of it.

    `odd` is the share of gradients that lie, `refused` the share that do not fit.
    """

    def __init__(self, seq, odd=0.0, refused=0.1, rules=None, form=None, schedules=0.3, every_step=EVERY_STEP, **fixed):
        self.seq, self.odd, self.refused = seq, odd, refused
        self.form, self.every_step = form, every_step
        rng = seq.rng
        self.cls = getattr(fastopt, rng.choice(rules)) if rules else rng.choice(list(fastopt.OPTIMIZERS.values()))
        self.dtype = rng.choice(["float32", "float64"])
        self.params = self.make_params()
        self.keywords = options(seq, self.cls)
        if seq.chance(schedules):
            self.keywords["learning_rate"] = self.schedule
        self.keywords |= fixed
        seq.targets |= {f"x{k}": array for k, array in enumerate(arrays_of(self.params))}
        self.optimizer = self.make(self.params)

    # --- making ------------------------------------------------------------------------------------------

    def make_params(self):
        rng, form = self.seq.rng, self.form or self.seq.rng.choice(["array", "list", "dict"])
        n = 1 if form == "array" else rng.randint(1, 4)
        arrays = [self.random(rng.choice(SHAPES)) for _ in range(n)]
        if self.seq.chance(self.odd / 3):
            arrays[0], text = lying_array(self.seq, arrays[0])
            self.seq.write(f"x0 is a {text}")
        return arrays[0] if form == "array" else arrays if form == "list" else dict(zip("abcd", arrays, strict=False))

    def random(self, shape):
        return np.array(self.seq.numbers.standard_normal(shape), self.dtype)

    def schedule(self, t):
        self.seq.hook("the schedule")
        return self.seq.rng.choice([0.1, 0.1, 0.1, 0.1, 0.01, float("nan"), "fast"])

    def make(self, params):
        text = ", ".join(f"{name}={getattr(value, '__name__', value)!r}" for name, value in self.keywords.items())
        shapes = ", ".join(str(np.ndarray.__getattribute__(array, "shape")) for array in arrays_of(params))
        text = f"{self.cls.__name__}({self.dtype} {shapes}; {text})"
        made = self.seq.call(text, lambda: self.cls(params, **self.keywords))
        if made is not None:
            self.seq.targets["the optimizer"] = made
            self.bound = [layout(array) for array in arrays_of(params)]
        return made

    # --- gradients ---------------------------------------------------------------------------------------

    def gradient(self, like):
        """A gradient for one parameter, and what it is."""
        kind = self.seq.rng.choice(REFUSED if self.seq.chance(self.refused) else self.every_step)
        shape = np.ndarray.__getattribute__(like, "shape")
        if (kind == "rows" and len(shape) == 0) or (kind in ("csr", "csc", "coo") and len(shape) not in (1, 2)):
            kind = "dense"
        return getattr(self, kind.replace(" ", "_"))(like, shape), kind

    def dense(self, like, shape):
        made = self.random(shape)
        if self.seq.chance(self.odd):
            made, text = odd_gradient(self.seq, made)
            self.seq.write(f"  * a gradient is a {text}")
        return made

    def strided(self, like, shape):
        return self.random((*shape, 2))[..., 0] if self.seq.chance(0.5) else self.random(shape[::-1]).T

    def rows(self, like, shape):
        k = self.seq.rng.choice([0, 1, 3, 40])
        k = 0 if shape[0] == 0 else k
        indices = self.seq.numbers.integers(0, max(shape[0], 1), k).astype(self.seq.rng.choice(["int32", "int64"]))
        made = fastopt.RowSparse(indices.copy(), self.random((k, *shape[1:])), unique=self.seq.chance(0.2))
        self.seq.targets |= {"g": made, "g.indices": made.indices, "g.rows": made.rows}
        return made

    def sparse(self, shape, kind):
        full = shape if len(shape) == 2 else self.seq.rng.choice([(1, shape[0]), (shape[0], 1)])
        made = sparse_like(self.seq, full, self.dtype, kind)
        self.seq.targets["g"] = made
        self.seq.targets |= {f"g.{name}": array for name, array in fields_of(made).items()}
        return lying_sparse(self.seq, made)[0] if self.seq.chance(self.odd) else made

    def csr(self, like, shape):
        return self.sparse(shape, "csr")

    def csc(self, like, shape):
        return self.sparse(shape, "csc")

    def coo(self, like, shape):
        return self.sparse(shape, "coo")

    def far_rows(self, like, shape):
        n = shape[0] if shape else 1
        return fastopt.RowSparse(np.array([0, self.seq.rng.choice([n, -1, 2**40])]), self.random((2, *shape[1:])))

    def nan(self, like, shape):
        made = self.random(shape)
        made[...] = np.nan
        return made

    def half_precision(self, like, shape):
        return self.random(shape).astype(np.float16)

    def wrong_shape(self, like, shape):
        return self.random((*shape, 2))

    def overlap(self, like, shape):
        return like

    def text(self, like, shape):
        return "gradient"

    def short_list(self, like, shape):
        return [1.0]

    def frozen(self, like, shape):
        made = self.random(shape)
        made.flags.writeable = False
        return made

    # --- calls -------------------------------------------------------------------------------------------

    def step(self):
        """A step; gradients that were made earlier stay targets of the actor while later ones are converted."""
        likes = arrays_of(self.params)
        made = [self.gradient(like) for like in likes]
        self.seq.targets |= {f"g{k}": grad for k, (grad, _) in enumerate(made) if type(grad) is np.ndarray}
        grads = [grad for grad, _ in made]
        text = ", ".join(kind for _, kind in made)
        if isinstance(self.params, dict):
            grads = dict(zip(self.params, grads, strict=True))
        grads = grads[0] if isinstance(self.params, np.ndarray) else grads
        for again in ("", " again") if self.seq.chance(0.3) else ("",):
            if again:
                self.seq.act()
            steps = self.optimizer.step_count
            self.call(f"step({text}){again}", lambda: self.optimizer.step(grads, *value_for(self.optimizer)))
            if self.optimizer.step_count > steps:
                self.check_layout()

    def call(self, text, function, **keywords):
        return self.seq.call(text, function, unchanged=lambda: whole(self.optimizer), **keywords)

    def check_layout(self):
        """A step writes what was bound: it must not be made when the parameters are something else by now."""
        for array, bound in zip(arrays_of(self.params), self.bound, strict=True):
            if layout(array) != bound:
                self.seq.find("wrong", "a step was made with parameters of another dtype, size or strides")
                return

    def look(self):
        self.call("state", lambda: [array.sum() for slot in self.optimizer.state.values() for array in arrays_of(slot)])

    def catch_up(self):
        """Some rows of one parameter; sometimes one that there is not."""
        rng, (key, like) = self.seq.rng, self.seq.rng.choice([*named(self.params)])
        shape = np.ndarray.__getattribute__(like, "shape") or (1,)
        last = max(0, shape[0] - 1) + self.seq.chance(self.refused)
        rows = np.array([rng.randint(0, last) for _ in range(rng.randint(0, 9))], rng.choice(["int32", "int64"]))
        name = rng.choice(["catch_up", "gather"])
        self.call(f"{name}(rows of {key})", lambda: getattr(self.optimizer, name)(rows if key is None else {key: rows}))

    def load_state_dict(self):
        saved = self.call("state_dict()", self.optimizer.state_dict)
        if saved is not None:
            self.call("load_state_dict()", lambda: self.optimizer.load_state_dict(saved))

    def through_a_file(self):
        path = os.path.join(self.seq.folder, "optimizer.npz")
        self.call("save()", lambda: fastopt.save(path, self.optimizer))
        if os.path.exists(path):
            self.call("load()", lambda: fastopt.load(path, self.optimizer))
            os.remove(path)

    def copied(self):
        how = self.seq.rng.choice([copy.copy, copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
        self.keywords["learning_rate"] = 0.1  # a method of this object would be copied as well
        self.call("learning_rate = 0.1", lambda: setattr(self.optimizer, "learning_rate", 0.1))
        made = self.call("a copy()", lambda: how(self.optimizer))
        if made is not None and self.seq.chance(0.5):
            self.optimizer, self.params = made, made.params
            self.seq.targets |= {f"x{k}": array for k, array in enumerate(arrays_of(made.params))}
            self.seq.targets["the optimizer"] = made
            self.bound = [layout(array) for array in arrays_of(made.params)]

    def made_again(self):
        made = self.make(self.params)
        self.optimizer = made if made is not None else self.optimizer

    def run(self, n_calls):
        calls = [self.step] * 6 + [self.look, self.load_state_dict, self.through_a_file, self.copied, self.made_again]
        calls += [self.catch_up] * 2
        for _ in range(n_calls if self.optimizer is not None else 0):
            if self.seq.chance(0.4):
                self.seq.act()
            self.seq.rng.choice(calls)()
