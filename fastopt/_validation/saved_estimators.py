"""Checks of estimators that are saved, and of files of them, and their messages."""

import numbers

import numpy as np

from .._types import DTYPES
from .scalars import choice
from .text import shown


def plain_parameter(name, value):
    """Refuse a parameter of an estimator that is no plain value."""
    if value is None or isinstance(value, (str, numbers.Real, np.generic)):
        return
    raise TypeError(
        f"`{name}` must be a number, a string or None to be saved, got {type(value).__name__}; set it to None with "
        f"set_params({name}=None), and again after loading."
    )


def plain_classes(classes):
    """Refuse classes that are neither numbers nor strings."""
    if classes.dtype.kind not in "biufU" and not all(isinstance(each, str) for each in classes):
        raise TypeError(f"`classes_` must be numbers or strings to be saved, got {shown(classes[0])}.")


def own_class(cls, classes):
    """Refuse to save an estimator of a class of somebody else's, which loading would not know."""
    if cls not in classes:
        listed = " or ".join(each.__name__ for each in classes)
        raise TypeError(f"an estimator to be saved must be a {listed} itself, got one of the class {cls.__name__}.")


def saved_class(name, value, classes):
    """Return the class of a saved estimator."""
    return classes[choice(name, value, tuple(classes))]


def saved_array(name, value):
    """Return an array of numbers, or a number."""
    if not isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(f"`{name}` must be an array, got {type(value).__name__}.")
    return value


def saved_strings(name, value):
    """Return a list of strings."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"`{name}` must be a list of strings, got {shown(value)}.")
    return value


def saved_numbers(name, value):
    """Return a list of numbers."""
    if not isinstance(value, list) or not all(isinstance(each, float) for each in value):
        raise TypeError(f"`{name}` must be a list of numbers, got {shown(value)}.")
    return value


def fitting_shapes(coef, intercept, n_features, n_rows):
    """Refuse coefficients that do not belong together; `n_rows` is None where it is not known."""
    wanted = (n_features,) if np.ndim(intercept) == 0 else (np.shape(intercept)[0], n_features)
    if coef.shape != wanted or coef.dtype.name not in DTYPES or n_rows not in (None, np.size(intercept)):
        raise ValueError(f"`coef_` must have shape {wanted}, got {coef.dtype} of shape {coef.shape}.")
    if np.ndim(intercept) > 1 or intercept.dtype != coef.dtype:
        raise ValueError(f"`intercept_` must have one dimension and the dtype {coef.dtype}, got {intercept.dtype}.")


def saved_numbers_of_targets(name, value):
    """Return an array with a number for each target."""
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype != np.float64:
        raise TypeError(f"`{name}` must be an array of float64 with one dimension, got {type(value).__name__}.")
    return value


def saved_classes(there, wanted):
    """Refuse classes of a regressor, and a classifier without."""
    if there != wanted:
        raise ValueError("`classes_` must be those of a classifier.")


def saved_averages(optimizers, averages):
    """Refuse averages that are not those of the optimizers."""
    pairs = zip(optimizers, averages, strict=True) if len(optimizers) == len(averages) else [(None, 0)]
    for optimizer, average in pairs:
        if average is not None and (optimizer is None or average.mean.shape != optimizer.params.shape):
            raise ValueError("`averages` must have an average of the parameters, or none, for each optimizer.")
