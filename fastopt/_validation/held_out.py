"""Checks of `validation`, the argument of `minimize`, and of what it returns."""

import numbers

import numpy as np

from . import streams
from .samples import sample_arrays
from .text import shown


def same_parameters(objective, x):
    """Refuse an objective of other parameters than those of the run."""
    if objective.n_parameters != x.size:
        raise ValueError(
            f"`validation` must be an objective of {x.size} parameters, like `x0`, got one of {objective.n_parameters}."
        )


def no_single_value(given):
    """Refuse what are no samples, such as the share of them that other libraries ask for."""
    if isinstance(given, (str, bytes, numbers.Number)):
        raise TypeError(
            f"`validation` must be a callable, an objective or samples, got {shown(given)}; "
            "split the samples, and pass those that are held out."
        )


def pair(given, objective):
    """Return samples and labels for the loss of a built-in objective."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        got = f"{len(given)} arrays" if isinstance(given, (tuple, list)) else shown(given)
        raise ValueError(
            f"`validation` must be (X, y), a callable or an objective where `fun` is a built-in one, got {got}; "
            f"for sample weights pass fastopt.objectives.{type(objective).__name__}(X, y, sample_weight=...)."
        )
    return given


def loss_over(objective, X, y):
    """The loss of a built-in objective over other samples, whose faults are told as those of `validation`."""
    try:
        loss = objective._over(X, y)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"`validation` must be (X, y) as {type(objective).__name__} takes them: {error}") from None
    if loss.n_features != objective.n_features:
        raise ValueError(
            f"`validation` must have {objective.n_features} features, like the samples of `fun`, got {loss.n_features}."
        )
    if loss.n_outputs != objective.n_outputs:
        raise ValueError(
            f"`validation` must have labels for {objective.n_outputs} outputs, like those of `fun`, "
            f"got {loss.n_outputs}."
        )
    return loss


def samples(given, data, least=1):
    """Return arrays for a function that takes those of `data`, and the number of their samples."""
    if data is None:
        raise ValueError(
            f"`validation` must be a callable or an objective where `data` is None, got {shown(given)}; "
            "pass a function of x."
        )
    arrays, n = sample_arrays(given, "validation", least)
    if isinstance(data, tuple) and len(arrays) != len(data):  # not known of an iterable
        raise ValueError(f"`validation` must hold as many arrays as `data`, {len(data)}, got {len(arrays)}.")
    return arrays, n


def opener(given):
    """What opens batches that are held out, for each epoch anew."""
    opener = streams.opener(given)
    if opener.read_once:
        raise TypeError(
            f"`validation` must be read after each epoch, which {type(given).__name__} can be only once; "
            "pass the arrays themselves, as in validation=(X, y)."
        )
    return opener


def value(returned):
    """Return a validation loss as a float."""
    if isinstance(returned, float):
        return float(returned)
    array = None if isinstance(returned, (tuple, list)) else np.asarray(returned)
    if array is None or array.size != 1 or array.dtype.kind not in "fiub":
        raise ValueError(f"`validation` must return a real number, got {shown(returned)}.")
    return float(array.item())
