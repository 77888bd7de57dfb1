"""How samples are selected from arrays that are no NumPy arrays: some take index arrays of some kinds only."""

import numpy as np

from .csr_batches import CsrSamples


class AscendingSamples:
    """Samples that can only be selected in ascending order, as from a data set of h5py."""

    def __init__(self, array):
        self.array = array

    def __getitem__(self, rows):
        order = np.argsort(rows)
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return self.array[rows[order]][back]


class OrthogonalSamples:
    """Samples of an array that takes an index array for one axis through its `oindex` only, as some of zarr's do."""

    def __init__(self, array):
        self.array = array

    def __getitem__(self, rows):
        return self.array.oindex[rows]


class SlicedSamples:
    """Samples of an array that takes slices only: those that follow each other are read together."""

    def __init__(self, array):
        self.array = array

    def __getitem__(self, rows):
        rows, place = np.unique(rows, return_inverse=True)
        runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
        return np.concatenate([self.array[int(run[0]) : int(run[-1]) + 1] for run in runs])[place]


WRAPPERS = (AscendingSamples, OrthogonalSamples, SlicedSamples)


def in_any_order(array):
    """The array, in a wrapper if its samples cannot be selected in any order without one."""
    if isinstance(array, (np.ndarray, CsrSamples, *WRAPPERS)) or hasattr(array, "tocsr") or _selects(array):
        return array
    return next((wrapped for wrapped in (wrapper(array) for wrapper in WRAPPERS) if _selects(wrapped)), array)


def _selects(array):
    """Whether two samples can be had in an order of one's own; the last ones, so that none is out of range."""
    array_of_file = getattr(array, "array", array)
    n = array_of_file.shape[0]
    rows = np.array([n - 1, max(n - 2, 0)][:n])
    try:
        return array[rows].shape == (len(rows), *array_of_file.shape[1:])
    except Exception:  # whatever it says, its own refusal of the batch is the one to tell
        return False
