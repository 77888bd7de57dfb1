"""Slow oracles of the losses in fastopt.objectives, in float64 and from the formulas, and data for them.

Nothing here calls fastopt, except `make_objective`.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import scipy.sparse

DTYPES = ["float32", "float64"]
LAYOUTS = ["dense", "csr32", "csr64"]


@dataclasses.dataclass(frozen=True)
class Case:
    """One loss: its class in fastopt.objectives, labels for it, and value and derivative of every sample by margin z.

    `z` has the shape (n,), or (n, K) where `n_outputs` K is more than 1.
    """

    class_name: str
    labels: Callable[[np.random.Generator, int], np.ndarray]
    value: Callable[[np.ndarray, np.ndarray], np.ndarray]
    derivative: Callable[[np.ndarray, np.ndarray], np.ndarray]
    keywords: Mapping[str, object] = dataclasses.field(default_factory=dict)
    n_outputs: int = 1
    curvature: float = np.inf


def signs(y):
    """Labels {-1, 1}, {0, 1} or bool as -1.0 and 1.0."""
    return np.where(np.asarray(y) > 0, 1.0, -1.0)


def one_hot(z, y):
    hot = np.zeros_like(z)
    hot[np.arange(len(z)), np.asarray(y).astype(int)] = 1.0
    return hot


def sigmoid(z):
    """1 / (1 + exp(-z)), without overflow and accurate in both tails."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def huber(delta):
    """Value and derivative of the Huber loss."""

    def value(z, y):
        r = np.abs(z - y)
        return np.where(r <= delta, r**2 / 2, delta * r - delta**2 / 2)

    return value, lambda z, y: np.clip(z - y, -delta, delta)


def quantile(q):
    """Value and derivative of the pinball loss."""

    def value(z, y):
        return np.maximum(q * (y - z), (1 - q) * (z - y))

    return value, lambda z, y: np.where(z > y, 1 - q, np.where(z < y, -q, 0.0))


def epsilon_insensitive(epsilon):
    """Value and derivative of the loss of support vector regression."""

    def value(z, y):
        return np.maximum(0.0, np.abs(z - y) - epsilon)

    return value, lambda z, y: np.where(value(z, y) > 0, np.sign(z - y), 0.0)


def squared_epsilon_insensitive(epsilon):
    """The same of its square."""
    value, slope = epsilon_insensitive(epsilon)
    return lambda z, y: value(z, y) ** 2, lambda z, y: 2 * value(z, y) * slope(z, y)


def modified_huber_value(z, y):
    m = signs(y) * z
    return np.where(m < -1, -4 * m, np.maximum(0.0, 1 - m) ** 2)


def modified_huber_derivative(z, y):
    m = signs(y) * z
    return signs(y) * np.where(m < -1, -4.0, -2 * np.maximum(0.0, 1 - m))


def tweedie(p):
    """Value and derivative of half the Tweedie deviance without terms in y alone; p is not 1 or 2.

    Where both terms are infinite, the one that wins is the limit.
    """

    def terms(z, y):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.exp((2 - p) * z), np.where(y == 0, 0.0, y * np.exp((1 - p) * z))

    def value(z, y):
        first, second = terms(z, y)
        with np.errstate(invalid="ignore"):
            sums = first / (2 - p) - second / (1 - p)
        return np.where(np.isinf(first) & np.isinf(second), np.inf, sums)

    def derivative(z, y):
        first, second = terms(z, y)
        with np.errstate(invalid="ignore"):
            difference = first - second
        return np.where(np.isinf(first) & np.isinf(second), np.copysign(np.inf, z), difference)

    return value, derivative


def softmax_value(z, y):
    below = z - z.max(axis=1, keepdims=True)  # first, or the result drowns in large margins
    return np.log(np.exp(below).sum(axis=1)) - (below * one_hot(z, y)).sum(axis=1)


def softmax_derivative(z, y):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True) - one_hot(z, y)


def real_labels(rng, n):
    return rng.standard_normal(n) * 2


def binary_labels(rng, n):
    return rng.choice([-1.0, 1.0], n)


def counts(rng, n):
    return rng.poisson(1.5, n).astype(float)


def positive(rng, n):
    return rng.gamma(2.0, 0.8, n) + 0.05


def sums_of_gammas(rng, n):
    """As compound Poisson distributions have them: some are 0."""
    return rng.poisson(1.2, n) * rng.gamma(2.0, 0.6, n)


def classes(k):
    """Labels 0..k-1, of which the last occurs if there is any sample at all, so that k is what the class infers."""

    def draw(rng, n):
        y = rng.integers(0, k, n)
        y[n // 2] = k - 1
        return y

    return draw


def softmax_case(k, **keywords):
    draw = classes(k if not keywords else k - 1)
    return Case("Softmax", draw, softmax_value, softmax_derivative, keywords, n_outputs=k, curvature=0.5)


LOSSES = {
    "least_squares": Case(
        "LeastSquares", real_labels, lambda z, y: (z - y) ** 2 / 2, lambda z, y: z - y, curvature=1.0
    ),
    "logistic": Case(
        "Logistic",
        binary_labels,
        lambda z, y: np.logaddexp(0.0, -signs(y) * z),
        lambda z, y: -signs(y) * sigmoid(-signs(y) * z),
        curvature=0.25,
    ),
    "hinge": Case(
        "Hinge",
        binary_labels,
        lambda z, y: np.maximum(0.0, 1 - signs(y) * z),
        lambda z, y: np.where(signs(y) * z < 1, -signs(y), 0.0),
    ),
    "squared_hinge": Case(
        "SquaredHinge",
        binary_labels,
        lambda z, y: np.maximum(0.0, 1 - signs(y) * z) ** 2,
        lambda z, y: -2 * signs(y) * np.maximum(0.0, 1 - signs(y) * z),
        curvature=2.0,
    ),
    "huber": Case("Huber", real_labels, *huber(1.0), curvature=1.0),
    "huber_narrow": Case("Huber", real_labels, *huber(0.3), {"delta": 0.3}, curvature=1.0),
    "poisson": Case("Poisson", counts, lambda z, y: np.exp(z) - y * z, lambda z, y: np.exp(z) - y),
    "gamma": Case("Gamma", positive, lambda z, y: z + y * np.exp(-z), lambda z, y: 1 - y * np.exp(-z)),
    "tweedie": Case("Tweedie", sums_of_gammas, *tweedie(1.5)),
    "tweedie_inverse_gaussian": Case("Tweedie", positive, *tweedie(3.0), {"power": 3.0}),
    "quantile": Case("Quantile", real_labels, *quantile(0.3), {"q": 0.3}),
    "epsilon_insensitive": Case("EpsilonInsensitive", real_labels, *epsilon_insensitive(0.1)),
    "squared_epsilon_insensitive": Case(
        "SquaredEpsilonInsensitive", real_labels, *squared_epsilon_insensitive(0.3), {"epsilon": 0.3}, curvature=2.0
    ),
    "modified_huber": Case(
        "ModifiedHuber", binary_labels, modified_huber_value, modified_huber_derivative, curvature=2.0
    ),
    "softmax": softmax_case(4),
    "softmax_unused_class": softmax_case(3, n_classes=3),
}

#: Not among the others, as runs with their learning rates would diverge: its loss grows like exp(2 z).
TWEEDIE_NORMAL = Case("Tweedie", real_labels, *tweedie(0.0), {"power": 0.0})


def as_layout(X, layout):
    """A dense matrix as it is, or as CSR with int32 or int64 indices."""
    if layout == "dense":
        return X
    matrix = scipy.sparse.csr_array(X)
    index = {"csr32": np.int32, "csr64": np.int64}[layout]
    return scipy.sparse.csr_array((matrix.data, matrix.indices.astype(index), matrix.indptr.astype(index)), X.shape)


def make_data(loss, n, d, dtype, layout, seed, density=0.4):
    """Samples `X` (standard normal where not zero) and labels `y` of a loss; the same numbers in every layout.

    Dense samples have the same zeros as sparse ones; density=1.0 is for none.
    """
    rng = np.random.default_rng(seed)
    X = (rng.standard_normal((n, d)) * (rng.random((n, d)) < density)).astype(dtype)
    y = LOSSES[loss].labels(rng, n)
    return as_layout(X, layout), y.astype(dtype) if y.dtype.kind == "f" else y


def n_parameters(case, d, fit_intercept=False):
    """The length of x."""
    return (d + bool(fit_intercept)) * case.n_outputs


def make_parameters(case, d, dtype, fit_intercept, seed):
    """Parameters that give margins of about 1; every fifth is 0, where l1 has a kink."""
    x = np.random.default_rng([seed, 1]).standard_normal(n_parameters(case, d, fit_intercept)) / np.sqrt(d)
    x[::5] = 0.0
    return x.astype(dtype)


def make_weights(n, seed):
    """Sample weights whose mean is not 1."""
    return np.random.default_rng([seed, 2]).uniform(0.5, 4.0, n)


def make_objective(case, X, y, **keywords):
    """The object under test."""
    from fastopt import objectives

    return getattr(objectives, case.class_name)(X, y, **case.keywords, **keywords)


def evaluation_bits(objective, x, idx=None):
    """Value, and value and gradient, for comparison to the last bit."""
    value, gradient = objective.value_and_gradient(x, idx)
    return objective(x, idx), value, gradient.dtype, gradient.tobytes()


def in_float64(X):
    """The samples in float64; sparse ones stay sparse, because some tests have a great many columns."""
    return X.astype(np.float64) if scipy.sparse.issparse(X) else np.asarray(X, np.float64)


def split(case, x, d, fit_intercept):
    """Coefficients of shape (d, K) and intercepts of shape (K,), in float64."""
    table = np.asarray(x, np.float64).reshape(d + bool(fit_intercept), case.n_outputs)
    return table[:d], table[d] if fit_intercept else np.zeros(case.n_outputs)


def margins(case, X, x, fit_intercept=False):
    """z of every sample, of shape (n,) or (n, K)."""
    samples = in_float64(X)
    coefficients, intercept = split(case, x, samples.shape[1], fit_intercept)
    z = samples @ coefficients + intercept
    return z if case.n_outputs > 1 else z[:, 0]


def normalised(sample_weight, n):
    """Weights with the mean 1."""
    return np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64) / np.mean(sample_weight)


def reference(case, X, y, x, l2=0.0, l1=0.0, fit_intercept=False, sample_weight=None, idx=None):
    """Value and gradient in float64."""
    samples, labels = in_float64(X), np.asarray(y, np.float64)
    n, d = samples.shape
    weight = normalised(sample_weight, n)
    rows = np.arange(n) if idx is None else np.asarray(idx)
    samples, labels, weight = samples[rows], labels[rows], weight[rows]
    z = margins(case, samples, x, fit_intercept)
    coefficients, _ = split(case, x, d, fit_intercept)
    value = np.mean(weight * case.value(z, labels))
    value += l2 / 2 * np.sum(coefficients**2) + l1 * np.sum(np.abs(coefficients))
    slopes = weight[:, None] * case.derivative(z, labels).reshape(len(rows), case.n_outputs) / len(rows)
    gradient = samples.T @ slopes + l2 * coefficients + l1 * np.sign(coefficients)
    if fit_intercept:
        gradient = np.vstack([gradient, slopes.sum(axis=0)])
    return float(value), gradient.ravel()
