"""Slow oracle of sparse="lazy": the update of the dense oracle on the touched entries alone.

A gradient is an array, or a pair (index, rows) that stands for the rows `index` of its parameter, which may repeat. An
index that is a pair of arrays itself stands for single entries of a matrix. Of a rule that takes whole rows, a row is
touched where one of its entries is; of one whose entries depend on each other, all entries always are.
"""

import numpy as np
from cases import couples_entries, takes_rows
from reference import VALUE, Reference, float64_copies, prelude

import fastopt


def densified(grad, shape):
    """The gradient with zeros where it is not touched, duplicates added, in float64."""
    if isinstance(grad, np.ndarray):
        return np.asarray(grad, np.float64)
    dense = np.zeros(shape)
    np.add.at(dense, *grad)
    return dense


def touched(grad, shape):
    """Which entries of the parameter the gradient moves."""
    mask = np.zeros(shape, bool)
    mask[... if isinstance(grad, np.ndarray) else grad[0]] = True
    return mask


class ExactReference(Reference):
    """Sparse gradients as dense ones with zeros in them."""

    def step(self, grads, learning_rate=None):
        super().step([densified(g, p.shape) for g, p in zip(grads, self.params, strict=True)], learning_rate)


class LazyReference(ExactReference):
    """Only touched entries and their state move; the number of the step is the same for all entries."""

    def __init__(self, name, params, h):
        super().__init__(name, params, h)
        self._cls = fastopt.OPTIMIZERS[name]

    def step(self, grads, learning_rate=None):
        if couples_entries(self._cls):
            super().step(grads, learning_rate)
            return
        lr = self._h["learning_rate"] if learning_rate is None else learning_rate
        h = self._begin(lr, VALUE)
        masks = [touched(g, p.shape) for g, p in zip(grads, self.params, strict=True)]
        if takes_rows(self._cls):
            masks = [mask.any(axis=tuple(range(1, mask.ndim))) for mask in masks]
        values = [densified(g, p.shape)[m] for g, p, m in zip(grads, self.params, masks, strict=True)]
        params, values, self.last_grad_norm = prelude(
            [p[m] for p, m in zip(self.params, masks, strict=True)], float64_copies(values), lr, self._before
        )
        for k, mask in enumerate(masks):
            state = {slot: np.asarray(array)[mask] for slot, array in self._slots[k].items()}
            self.params[k][mask] = self._rule.update(params[k], values[k], state, self.step_count, lr, h)
            for slot, array in state.items():
                whole = self._slots[k][slot] = np.asarray(self._slots[k][slot])  # of one number: NumPy's scalars
                whole[mask] = array


REFERENCES = {"lazy": LazyReference, "exact": ExactReference, "deferred": ExactReference}
