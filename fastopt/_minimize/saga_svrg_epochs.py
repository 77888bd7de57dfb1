"""Epochs of SAGA and SVRG over single samples of a built-in objective, in C, a segment at a time."""

import math

import numpy as np

from .. import _threads
from .._finite_sum import epochs
from .._validation import minimize as validation
from .._validation import saved_runs
from .segments import POLL_ENTRIES, STATUS, int64

# Entries of samples in a segment: about 20 ms of work. A mini-batch takes less time for each entry.
SAGA_SVRG_ENTRIES = 1_000_000


class SagaSvrgEpochs:
    """Samples of a built-in objective through SAGA or SVRG."""

    whole = None  # the objective over the samples of all ranks

    def __init__(self, objective, method, batches, settings, bounded):
        self.objective, self.method, self.batches, self.evaluate = objective, method, batches, None
        validation.saga_svrg_settings(settings, batches)
        self.threads = _threads.resolve(method.num_threads)
        own = objective._samples.own
        sparse = not isinstance(own, np.ndarray)
        per_sample = max(1, own.nnz / max(objective.n_samples, 1)) if sparse else objective.n_features
        self.segment_independent = not sparse
        per_sample *= objective.n_outputs
        work = max(SAGA_SVRG_ENTRIES, objective.n_features) / per_sample
        self.length = max(1, min(int(work), objective.n_samples))
        self.poll = epochs.InterruptPoll(max(1, int(POLL_ENTRIES / per_sample)))
        self.segments = epochs.SagaSvrgSegments(objective, method, self.length, self.poll)
        self.segments.set_learning_rate(self.learning_rate())  # of an epoch that may be under way
        method._bind(self.segments.gradient_memory, self.segments.mean_gradient)
        self.remembers = method.step_count > 0

    def is_outdated(self):
        """Never: hyper-parameters are fixed during a run."""
        return False

    def check_memory(self):
        """Find out whether a gradient memory that an optimizer brings is that of these samples.

        Its mean is the mean gradient then, to the rounding of many steps. With any other memory the steps would lead
        astray for ever.
        """
        if self.remembers and self.method.updates_memory:
            memory, mean = self.segments.gradient_memory, self.segments.mean_gradient.reshape(-1)
            samples = self.objective._samples.own
            linear = 0.0 if self.objective.linear is None else self.objective.linear
            with np.errstate(all="ignore"):
                expected = self.mean_of(samples, memory) + linear
                size = self.mean_of(abs(samples), np.abs(memory)) + np.abs(linear)
                close = np.abs(mean - expected) <= np.sqrt(np.finfo(mean.dtype).eps) * size
            self.remembers = bool(memory.any() and close.all())

    def mean_of(self, samples, memory):
        """The mean gradient that belongs to the derivatives in a memory, intercepts last."""
        mean = samples.T @ memory / len(memory)
        return np.concatenate([mean, memory.mean(axis=0)[None]] if self.objective.fit_intercept else [mean]).ravel()

    def start(self):
        """SAGA's gradient memory, before the first step."""
        if self.method.updates_memory and not self.remembers:
            self.fill()

    def learning_rate(self):
        """That of the epoch."""
        return self.method._begin_epoch(self.whole or self.objective)

    def begin_epoch(self):
        """The learning rate, and SVRG's gradient memory."""
        self.segments.set_learning_rate(self.learning_rate())
        if not self.method.updates_memory:
            self.fill()

    def fill(self):
        self.segments.fill(self.threads)
        self.evaluate.count(1)

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
        """The gradient memory is the method's state."""
