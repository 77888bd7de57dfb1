"""Checks of the labels that a loss takes, and of its number that decides which; messages as in `objectives`."""

import numpy as np

from .scalars import real


def binary_labels(y):
    """Return labels in {-1, 1}; {0, 1} stands for them."""
    if (np.abs(y) == 1.0).all():
        return y
    if ((y == 0.0) | (y == 1.0)).all():
        return 2.0 * y - 1.0
    two = len(np.unique(y)) == 2
    advice = "pass np.unique(y, return_inverse=True)[1]" if two else "for more than two classes use Softmax"
    raise ValueError(f"`y` must hold labels in {{-1, 1}} or in {{0, 1}}, got {_some(y, (-1.0, 1.0))}; {advice}.")


def counts(y):
    """Return labels that are not negative."""
    if (y < 0).any():
        raise ValueError(f"`y` must be at least 0, got {y.min()}.")
    return y


def positive(y, loss):
    """Return labels that are positive."""
    if (y <= 0).any():
        raise ValueError(f"`y` must be above 0 for {loss}, got {y.min()}.")
    return y


def tweedie_power(power):
    """Return the power of a Tweedie deviance; no distribution has one in (0, 1)."""
    power = real("power", power, "(-inf, inf)")
    if 0 < power < 1:
        raise ValueError(f"`power` must be at most 0 or at least 1, got {power}.")
    return power


def classes(y, n_classes):
    """Return class numbers, and how many classes there are."""
    if (y < 0).any() or (y != np.floor(y)).any():
        wrong = y[(y < 0) | (y != np.floor(y))][0]
        raise ValueError(
            f"`y` must hold class numbers 0, 1, 2, ..., got {wrong}; pass np.unique(y, return_inverse=True)[1]."
        )
    largest = int(y.max(initial=0))
    if n_classes is None:
        n_classes = max(largest + 1, 2)
    if largest >= n_classes:
        raise ValueError(f"`y` must be below `n_classes`, {n_classes}, got {largest}.")
    if largest >= 2**24:
        raise ValueError(f"`y` must be below 2**24, got {largest}.")
    return y, n_classes


def _some(y, allowed):
    return ", ".join(str(each) for each in np.unique(y[~np.isin(y, allowed)])[:3])
