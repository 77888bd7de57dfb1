"""Slow oracle of `minimize` over a finite sum: float64, dense, one formula after the other, as documented.

Parameters are a matrix W of one row per feature, then a row of intercepts if there are any, flattened; X has a column
of ones for that row. What the regulariser does is a choice of the method, in `dense_run` and `lazy_run`.
"""

import dataclasses

import numpy as np
from cases import OPTIMIZERS, couples_entries
from finite_sums import LOSSES, make_data, make_objective, make_parameters, make_weights, normalised
from lazy_reference import LazyReference
from reference import Reference

SEED = 5
TOLERANCE = {"float32": dict(rtol=2e-4, atol=2e-5), "float64": dict(rtol=1e-10, atol=1e-12)}
# Name -> the layout of the data and the hyper-parameter `sparse`.
MODES = {"dense": ("dense", "lazy"), "lazy": ("csr32", "lazy"), "exact": ("csr64", "exact")}
RATE = 0.05


def soft(w, threshold):
    """Nearer to zero by a threshold, and no further than zero."""
    return np.sign(w) * np.maximum(0, np.abs(w) - threshold)


class Sum:
    """The finite sum that an object of fastopt.objectives stands for; `case` is one of finite_sums.LOSSES."""

    def __init__(self, case, X, y, *, l1=0.0, l2=0.0, fit_intercept=False, sample_weight=None):
        self.case, self.y = case, np.asarray(y, np.float64)
        samples = np.asarray(X.toarray() if hasattr(X, "toarray") else X, np.float64)
        self.n, self.n_features = samples.shape
        self.X = np.hstack([samples, np.ones((self.n, int(fit_intercept)))])
        self.shape = self.X.shape[1], case.n_outputs
        self.weight = normalised(sample_weight, self.n)
        regularised = np.ones(self.shape)
        regularised[self.n_features :] = 0.0
        self.l1, self.l2 = l1 * regularised.ravel(), l2 * regularised.ravel()

    @property
    def size(self):
        return self.shape[0] * self.shape[1]

    def losses(self, x, batch):
        """Weighted losses of the samples of a batch, and their derivatives by the margins, one column per output."""
        z, y = self.X[batch] @ x.reshape(self.shape), self.y[batch]
        margins = z if self.shape[1] > 1 else z[:, 0]
        slope = self.case.derivative(margins, y).reshape(z.shape)
        return self.weight[batch] * self.case.value(margins, y), self.weight[batch, None] * slope

    def mean_loss(self, x, batch):
        """Without the regulariser."""
        return self.losses(x, batch)[0].mean()

    def slope(self, x, batch):
        """Gradient of `mean_loss`."""
        return (self.X[batch].T @ self.losses(x, batch)[1]).ravel() / len(batch)

    def penalty(self, x):
        return (self.l2 * x**2 / 2 + self.l1 * abs(x)).sum()

    def value(self, x):
        return self.mean_loss(x, np.arange(self.n)) + self.penalty(x)

    def gradient(self, x):
        return self.slope(x, np.arange(self.n)) + self.l2 * x + self.l1 * np.sign(x)

    def touched(self, batch):
        """Which parameters belong to columns that the rows of a batch have entries in."""
        return np.repeat((self.X[batch] != 0).any(axis=0), self.shape[1])

    def max_smoothness(self):
        return self.case.curvature * (self.weight * (self.X**2).sum(axis=1)).max() + self.l2.max()


@dataclasses.dataclass(frozen=True)
class Problem:
    """An object under test, the same sum as plain arrays, and parameters to start from."""

    objective: object
    sum: Sum
    x0: np.ndarray


def problem(loss="logistic", layout="dense", dtype="float64", n=23, d=30, density=0.15, weighted=False, **keywords):
    """Few samples of many features, most of them zero: some columns are empty, others are touched rarely."""
    case = LOSSES[loss]
    X, y = make_data(loss, n, d, dtype, layout, seed=7, density=density)
    if weighted:
        keywords["sample_weight"] = make_weights(n, seed=7)
    x0 = make_parameters(case, d, dtype, keywords.get("fit_intercept", False), seed=7)
    return Problem(make_objective(case, X, y, **keywords), Sum(case, X, y, **keywords), x0)


def batches(n, size, epochs, seed):
    """The batches of some epochs: a permutation of the generator in each, the last batch short; all is not shuffled."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = np.arange(n) if size == n else rng.permutation(n)
        for start in range(0, n, size):
            yield order[start : start + size]


# --- optimizers ------------------------------------------------------------------------------------------------


def rate_of(h, t):
    """The learning rate of step t, counted from 1."""
    rate = h["learning_rate"]
    return rate(t - 1) if callable(rate) else rate


def started(cls, method, x, h):
    """The oracle of an optimizer at a starting point."""
    return cls(method, [x], h | {"learning_rate": rate_of(h, 1)})


def adagrad_rate(oracle, h, lr):
    """The learning rate of each entry, after a step."""
    (accumulator,) = oracle.state["accumulator"]
    return lr / (np.sqrt(accumulator + h["epsilon_root"]) + h["epsilon"])


def lasting(h):
    """By how many times its step a gradient that stays moves the parameters: the sum of what velocity keeps of it."""
    return (1 - h["dampening"]) / (1 - h["momentum"]) if h["momentum"] else 1.0


def dense_run(f, method, x, all_batches, h, after=None):
    """Dense data, CSR with sparse="exact", and rules with sums over all parameters: the parameters after each step.

    l2 joins the gradient. l1 is proximal for "sgd" and "adagrad", part of the rule in "ftrl", where it grows from step
    to step, and a subgradient for all others. `after` makes other parameters of those after a step.
    """
    oracle = started(Reference, method, x, h)
    for t, batch in enumerate(all_batches, 1):
        w, lr = oracle.params[0], rate_of(h, t)
        g = f.slope(w, batch) + f.l2 * w
        if method == "ftrl":
            oracle._h = h | {"l1": h["l1"] + t * f.l1}
        elif method not in ("sgd", "adagrad"):
            g += f.l1 * np.sign(w)
        oracle.step([g], lr)
        if method == "sgd":
            oracle.params[0] = soft(oracle.params[0], lasting(h) * lr * f.l1)
        elif method == "adagrad":
            oracle.params[0] = soft(oracle.params[0], adagrad_rate(oracle, h, lr) * f.l1)
        if after is not None:
            oracle.params[0] = after(oracle.params[0])
        yield oracle.params[0].copy()


def lazy_run(f, method, x, all_batches, h, after=None):
    """CSR data: the parameters after each step. Only touched columns are given a gradient."""
    step = {"sgd": lazy_sgd, "adagrad": lazy_adagrad, "ftrl": lazy_ftrl}.get(method, lazy_other)
    follows_rule = method == "ftrl" and (f.l1.any() or f.l2.any())
    oracle = started(Reference if follows_rule else LazyReference, method, x, h)
    oracle.seen = np.zeros(f.size)
    for t, batch in enumerate(all_batches, 1):
        step(f, oracle, f.slope(oracle.params[0], batch), f.touched(batch), h, t)
        if after is not None:
            oracle.params[0] = after(oracle.params[0])
        yield oracle.params[0].copy()


def sparse_gradient(g, touched):
    return [(np.flatnonzero(touched), g[touched])]


def lazy_sgd(f, oracle, g, touched, h, t):
    """The dense step, but velocity stays as it is where there is no gradient."""
    lr, w = rate_of(h, t), oracle.params[0]
    oracle.params[0] = np.where(touched, w, (1 - lasting(h) * lr * f.l2) * w)
    oracle.step(sparse_gradient(g + f.l2 * w, touched), lr)
    oracle.params[0] = soft(oracle.params[0], lasting(h) * lr * f.l1)


def lazy_adagrad(f, oracle, g, touched, h, t):
    """The regulariser stays out of the accumulator; then all entries follow its flow for a while."""
    lr = rate_of(h, t)
    oracle.step(sparse_gradient(g, touched), lr)
    oracle.params[0] = flow(oracle.params[0], f.l1, f.l2, adagrad_rate(oracle, h, lr))


def flow(w, l1, l2, time):
    """Where w' = -l2 w - l1 sign(w) leads in some time, staying at zero."""
    if not l2.any():
        return soft(w, time * l1)
    bound = np.divide(l1, l2, out=np.zeros_like(l1), where=l2 > 0)
    return np.sign(w) * np.maximum(0, (np.abs(w) + bound) * np.exp(-l2 * time) - bound)


def lazy_ftrl(f, oracle, g, touched, h, t):
    """A regulariser in the rule grows by its strength in each step; without one the step is that of the optimizer."""
    lr = rate_of(h, t)
    if isinstance(oracle, LazyReference):
        oracle.step(sparse_gradient(g, touched), lr)
    else:
        oracle._h = h | {"l1": h["l1"] + t * f.l1, "l2": h["l2"] + t * f.l2}
        oracle.step([g], lr)


def lazy_other(f, oracle, g, touched, h, t):
    """Lagged updates: a touched column is given the regulariser of all steps since it was touched last."""
    w, steps = oracle.params[0], t - oracle.seen
    oracle.step(sparse_gradient(g + steps * (f.l2 * w + f.l1 * np.sign(w)), touched), rate_of(h, t))
    oracle.seen[touched] = t


def values_of(method, x, **options):
    """All hyper-parameters of an optimizer, defaults included."""
    return OPTIMIZERS[method](x.copy(), **options)._values


def expected_run(p, method, mode, size=7, epochs=3, after=None, **options):
    """What the oracle makes of the same run: the parameters after each step."""
    h = values_of(method, p.x0, **options)
    all_batches = batches(p.sum.n, size, epochs, SEED)
    if mode == "lazy" and not couples_entries(OPTIMIZERS[method]):
        return list(lazy_run(p.sum, method, p.x0, all_batches, h, after))
    return list(dense_run(p.sum, method, p.x0, all_batches, h, after))


def assert_close(x, expected, dtype=None, **more):
    """Equal to rounding, in the dtype of x or in another, of which it was made."""
    np.testing.assert_allclose(x, expected, **TOLERANCE[(dtype or x.dtype).name] | more)


# --- variance reduction ----------------------------------------------------------------------------------------


def variance_reduced_step(f, w, i, old, mean_gradient, lr):
    """One step with sample i: the new parameters, and the sample's derivatives before it."""
    new = f.losses(w, [i])[1]
    g = (f.X[[i]].T @ (new - old)).ravel() + mean_gradient
    return soft((1 - lr * f.l2) * w - lr * g, lr * f.l1), new


def saga_run(f, x, all_batches, rate, after=None):
    """The parameters after each step; the gradient memory starts with a full pass."""
    w = np.array(x, np.float64)
    memory = f.losses(w, np.arange(f.n))[1]
    mean_gradient = (f.X.T @ memory).ravel() / f.n
    for t, (i,) in enumerate(all_batches):
        w, new = variance_reduced_step(f, w, i, memory[[i]], mean_gradient, rate(t))
        mean_gradient = mean_gradient + (f.X[[i]].T @ (new - memory[[i]])).ravel() / f.n
        memory[i] = new
        w = w if after is None else after(w)
        yield w.copy()


def svrg_run(f, x, all_batches, rate, after=None):
    """The parameters after each step; every epoch starts with a full pass."""
    w = np.array(x, np.float64)
    for t, (i,) in enumerate(all_batches):
        if t % f.n == 0:
            memory = f.losses(w, np.arange(f.n))[1]
            mean_gradient = (f.X.T @ memory).ravel() / f.n
        w, _ = variance_reduced_step(f, w, i, memory[[i]], mean_gradient, rate(t))
        w = w if after is None else after(w)
        yield w.copy()
