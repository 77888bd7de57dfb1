"""How exactly an objective is computed, which its values show."""

import numpy as np

#: What Python code computes objectives in, from the finest to the coarsest.
DTYPES = ("float64", "float32", "float16")
COARSER = DTYPES[1:]


def fit(values, dtype):
    """Whether a dtype holds all values exactly, as it does if they were computed in it."""
    with np.errstate(over="ignore"):
        return np.array_equal(np.array(values, dtype), values, equal_nan=True)


def rounding(values):
    """The relative rounding error of values: that of the coarsest dtype that holds them all."""
    return float(np.finfo([dtype for dtype in DTYPES if fit(values, dtype)][-1]).eps)
