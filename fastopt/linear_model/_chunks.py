"""A pass over a chunk of samples in their order, with an optimizer that is kept from chunk to chunk."""

import numpy as np

from .._memory import frozen
from .._minimize.minibatch_epochs import MinibatchEpochs
from .._minimize.settings import Settings


class InOrder:
    """The batches of one epoch that is not shuffled."""

    def __init__(self, n_samples, size):
        self.n_samples, self.size = n_samples, min(size, n_samples)
        self.per_epoch = -(-n_samples // self.size)
        self.order = frozen(np.arange(n_samples))


def run(objective, optimizer, batch_size, average=None):
    """Make the steps of a chunk; returns its mean loss and the status, None if all went well.

    An `average` is given the parameters after each step.
    """
    batches = InOrder(objective.n_samples, batch_size)
    epoch = MinibatchEpochs(objective, optimizer, batches, Settings(), False)
    epoch.poll.stop_wanted = lambda: False  # an exception of Ctrl-C ends the segment
    epoch.start()
    longest, k, loss, status = 1 if average is not None else epoch.length, 0, 0.0, None
    with np.errstate(over="ignore", invalid="ignore"):
        while k < batches.per_epoch and status is None:
            done, loss, _, status, skipped = epoch.run(k, min(longest, batches.per_epoch - k), loss)
            k += done + skipped
            epoch.flush()
            if average is not None:
                average.update(optimizer.params)
            epoch.poll.check()
    return loss / objective.n_samples, status
