"""What epochs of all methods that step after each sample of a built-in objective have in common."""

import math

import numpy as np

from .. import _threads
from .._finite_sum import epochs
from .._validation import minimize as validation
from .._validation import saved_runs
from .segments import POLL_ENTRIES, STATUS, int64

# Entries of samples in a segment: about 20 ms of work. A mini-batch takes less time for each entry.
SEGMENT_ENTRIES = 1_000_000


class SampleEpochs:
    """Samples of a built-in objective through a method, one by one, a segment at a time."""

    make_segments = None  # of the class in epochs.pyx
    whole = None  # the objective over the samples of all ranks

    def __init__(self, objective, method, batches, settings, bounded):
        self.objective, self.method, self.batches, self.evaluate = objective, method, batches, None
        validation.single_samples(type(method).__name__, settings, batches)
        self.threads = _threads.resolve(method.num_threads)
        own = objective._samples.own
        self.sparse = not isinstance(own, np.ndarray)
        per_sample = max(1, own.nnz / max(objective.n_samples, 1)) if self.sparse else objective.n_features
        per_sample *= objective.n_outputs
        work = max(SEGMENT_ENTRIES, objective.n_features) / per_sample
        self.length = max(1, min(int(work), objective.n_samples))
        self.poll = epochs.InterruptPoll(max(1, int(POLL_ENTRIES / per_sample)))
        self.segments = self.make_segments(objective, method, self.length, self.poll)
        self.segments.set_learning_rate(self.learning_rate())  # of an epoch that may be under way
        method._bind(self.state())

    def state(self):
        """The arrays that the steps update: the method's state."""
        raise NotImplementedError

    @property
    def segment_independent(self):
        """Whether results are the same bits wherever segments end."""
        raise NotImplementedError

    def is_outdated(self):
        """Never: hyper-parameters are fixed during a run."""
        return False

    def check_memory(self):
        """Nothing is known of the samples."""

    def start(self):
        """Nothing to prepare."""

    def learning_rate(self):
        """That of the epoch."""
        return self.method._begin_epoch(self.whole or self.objective)

    def begin_epoch(self):
        """The learning rate."""
        self.segments.set_learning_rate(self.learning_rate())

    def run(self, first, n, loss):
        done, end = self.segments.run(int64(self.batches.order), first, n, loss)
        self.method.step_count += done
        return done, self.segments.loss, math.nan, STATUS.get(end), 0

    def flush(self):
        """Bring all columns up to date."""
        self.segments.flush()

    def snapshot(self):
        return {}

    @staticmethod
    def schema(objective, done):
        """The check of a snapshot, in a run that had come so far."""
        return saved_runs.record({})

    def restore(self, saved):
        """All that lasts is the method's state."""
