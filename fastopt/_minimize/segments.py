"""What both kinds of epochs in C have in common: how often they look for Ctrl-C, and how they end."""

import numpy as np

from .._finite_sum import epochs
from . import stopping

# Entries between two interrupt polls, for Ctrl-C in the middle of a segment.
POLL_ENTRIES = 1 << 16

STATUS = {epochs.BAD_LOSS: stopping.NONFINITE_LOSS, epochs.BAD_GRADIENT: stopping.NONFINITE_GRADIENT}


def int64(order):
    """The order of an epoch, as C reads it."""
    return np.ascontiguousarray(order, np.int64)
