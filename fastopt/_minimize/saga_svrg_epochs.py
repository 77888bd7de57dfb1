"""Epochs of SAGA and SVRG over single samples of a built-in objective."""

import numpy as np

from .._finite_sum import epochs
from .sample_epochs import SampleEpochs


class SagaSvrgEpochs(SampleEpochs):
    """Samples of a built-in objective through SAGA or SVRG."""

    make_segments = epochs.SagaSvrgSegments

    def __init__(self, objective, method, batches, settings, bounded):
        super().__init__(objective, method, batches, settings, bounded)
        self.remembers = method.step_count > 0

    def state(self):
        segments = self.segments
        return {"gradient_memory": segments.gradient_memory, "mean_gradient": segments.mean_gradient}

    @property
    def segment_independent(self):
        return not self.sparse

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

    def begin_epoch(self):
        """The learning rate, and SVRG's gradient memory."""
        super().begin_epoch()
        if not self.method.updates_memory:
            self.fill()

    def fill(self):
        self.segments.fill(self.threads)
        self.evaluate.count(1)
