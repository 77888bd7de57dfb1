"""Samples before a fit: which are left out, which are the same, and which are held out."""

import math

import numpy as np

from .._validation import linear_model as validation


def in_range(weights):
    """Weights whose sums are in the range of their dtype: divided by a power of two, which rounds none that counts."""
    return weights if weights is None else np.ldexp(weights, -np.frexp(weights.max())[1])


def without_zero_weights(X, targets, weights):
    """Leave out the samples of weight 0, which no loss sees."""
    weights = in_range(weights)
    if weights is None or weights.all():
        return X, targets, weights
    kept = np.flatnonzero(weights)
    validation.some_weight(kept)
    return X[kept], targets[kept], weights[kept]


def merged(X, targets, weights):
    """Equal samples as one with the sum of their weights, in an order that does not depend on that of the samples.

    For methods that take samples one by one: a sample of weight 2 is the same as two samples, in the last bit.
    """
    weights = np.ones(X.shape[0]) if weights is None else weights
    order = np.lexsort((*targets.T, _keys(X)))
    same = _equal_neighbours(X[order]) & (targets[order][1:] == targets[order][:-1]).all(axis=1)
    first = np.flatnonzero(np.concatenate([[True], ~same]))
    return X[order[first]], targets[order[first]], np.add.reduceat(weights[order], first)


def all_different(X):
    """Whether no two samples can be equal."""
    return len(np.unique(_keys(X))) == X.shape[0]


def _keys(X):
    """A number for each row that equal rows share, and others hardly ever: a sum of odd multiples of its bits."""
    factors = np.random.default_rng(0).integers(0, 2**63, X.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    if isinstance(X, np.ndarray):
        return _bits(X) @ factors
    terms = np.concatenate([[np.uint64(0)], np.cumsum(_bits(X.data) * factors[X.indices])])  # modulo 2**64
    return terms[X.indptr[1:]] - terms[X.indptr[:-1]]


def _bits(values):
    """The bits of numbers, those of -0.0 as of 0.0."""
    return (values + 0.0).view(f"u{values.itemsize}").astype(np.uint64)


def _equal_neighbours(X):
    if isinstance(X, np.ndarray):
        return (X[1:] == X[:-1]).all(axis=1)
    return np.diff((X[1:] != X[:-1]).indptr) == 0


def held_out(X, targets, weights, fraction, labels, seed):
    """The samples to fit and those to hold out: once, at random, by class if there are labels."""
    from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

    n = X.shape[0]
    class_sizes = [] if labels is None else np.bincount(labels)[np.unique(labels)].tolist()
    validation.enough_to_hold_out(n, math.ceil(fraction * n), class_sizes)
    split = ShuffleSplit if labels is None else StratifiedShuffleSplit
    indices = next(split(1, test_size=fraction, random_state=seed).split(X, labels))
    return [(X[rows], targets[rows], None if weights is None else weights[rows]) for rows in indices]
