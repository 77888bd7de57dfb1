"""Slow float64 oracle: each optimizer in textbook NumPy, written from the papers and docs/optimizers.md.

One module per optimizer, with two functions and a dict:

    initial(p, h)                 -> the state slots those hyper-parameters call for, as name -> float64 array
    update(p, g, state, t, lr, h) -> the new parameter; `state` gets new arrays, `t` counts from 1
    LEARNING_RATES                -> a learning rate for each problem that test_minimize_problems.py solves with
                                     every optimizer: "quadratic" and "digits"

A rule with sums over all arrays has, in the place of `update`,

    update_all(params, grads, states, t, lr, h) -> the new parameters, of lists with an entry for each array

`h` holds every hyper-parameter of the optimizer, the common ones included, and `learning_rate` as the number
in force at t = 1; `rates` has those of all steps so far, `carry` is a dict for scalars that pass from step to step, and
`value` is the objective's; `update` also gets the parameter's `dtype`, `update_all` the `dtypes` of all. What happens
to the gradient before the update is the same for all and lives here; an oracle with OWN_WEIGHT_DECAY = True sees to
weight decay itself.
"""

import importlib
import math
import pkgutil

import numpy as np

# The value of the objective in tests that have none.
VALUE = 1.5


def available():
    """Names of the optimizers that have an oracle: the modules of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def prelude(params, grads, lr, h):
    """Clip, negate, decay: parameters and gradients for the update, and the norm if clip_norm needs it."""
    norm = None
    if h["clip_value"] is not None:
        grads = [np.clip(g, -h["clip_value"], h["clip_value"]) for g in grads]
    if h["clip_norm"] is not None:
        norm = np.sqrt(sum(np.sum(g * g) for g in grads))
        if not norm <= h["clip_norm"]:  # a NaN norm makes every entry NaN
            grads = [g * (h["clip_norm"] / norm) for g in grads]
    if h["maximize"]:
        grads = [-g for g in grads]
    if h["decoupled_weight_decay"]:
        params = [(1 - lr * h["weight_decay"]) * p for p in params]
    else:
        grads = [g + h["weight_decay"] * p for p, g in zip(params, grads, strict=True)]
    return params, grads, norm


def learning_rates(problem):
    """Optimizer name -> its learning rate for a problem of test_minimize_problems.py."""
    return {name: rule(name).LEARNING_RATES[problem] for name in available()}


def rule(name):
    """The module of this package that has the formulas of an optimizer."""
    return importlib.import_module(f".{name}", __name__)


def due_decay(decay, t, owed):
    """What of a decay a float32 array has in step t, and what is owed to it then: docs/optimizers.md."""
    if not 0 < decay < 1e-6:
        return decay, owed
    owed += decay
    if owed < 4e-7:
        return 0.0, owed
    due = 2.0**-23 * (max(4, np.floor(2**23 * owed)) + (2654435769 * t % 2**32) // 2**29)
    return due, owed - due


def kept_sum(total):
    """A sum of the last step as an optimizer keeps it: as it is, and of factors times 2^-600, and 2^600 if they do."""
    with np.errstate(over="ignore"):
        larger = np.ldexp(total, 1200)
    return np.array([total, np.ldexp(total, -1200), larger if np.isfinite(larger) else 0.0])


class Reference:
    """An optimizer over a list of arrays, at any speed but with every formula in plain sight."""

    def __init__(self, name, params, h):
        self._rule = rule(name)
        self._h = h
        self._before = h | {"weight_decay": 0.0} if getattr(self._rule, "OWN_WEIGHT_DECAY", False) else h
        self._slots = [self._rule.initial(p, h) for p in float64_copies(params)]
        self.params = float64_copies(params)
        self._dtypes = [np.asarray(p).dtype for p in params]
        self.step_count, self._rates, self._carry = 0, (), {}
        self.last_grad_norm = None

    @property
    def state(self):
        """Slot name -> list of arrays, one per parameter."""
        return {slot: [slots[slot] for slots in self._slots] for slot in self._slots[0]}

    def step(self, grads, learning_rate=None, value=VALUE):
        lr = self._h["learning_rate"] if learning_rate is None else learning_rate
        h = self._begin(lr, value)
        params, grads, self.last_grad_norm = prelude(self.params, float64_copies(grads), lr, self._before)
        if hasattr(self._rule, "update_all"):
            self.params = self._rule.update_all(params, grads, self._slots, self.step_count, lr, h)
            return
        self.params = [
            self._rule.update(p, g, slots, self.step_count, lr, h | {"dtype": dtype})
            for p, g, slots, dtype in zip(params, grads, self._slots, self._dtypes, strict=True)
        ]

    def _begin(self, lr, value):
        """Count a step; what its updates are told."""
        self.step_count, self._rates = self.step_count + 1, (*self._rates, lr)
        value = -value if self._h["maximize"] else value
        return self._h | {"rates": self._rates, "carry": self._carry, "value": value, "dtypes": self._dtypes}


def mean_squares_of_rows(g):
    """A number for each index of the first axis."""
    return np.sum(g**2, axis=tuple(range(1, g.ndim))) / max(math.prod(g.shape[1:]), 1)


def as_factor(of_rows, p):
    """Numbers of the rows of p, such that each belongs to all entries of its row."""
    return of_rows.reshape(of_rows.shape + (1,) * (p.ndim - 1))


def norm(x):
    """The Euclidean norm, also where squares of entries overflow or vanish."""
    largest = np.abs(x).max(initial=0.0)
    return largest * np.sqrt(np.sum((x / largest) ** 2)) if 0 < largest < np.inf else np.linalg.norm(x)


def float64_copies(arrays):
    return [np.array(a, dtype=np.float64) for a in arrays]
