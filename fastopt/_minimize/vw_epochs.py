"""Epochs of VW over single samples of a built-in objective."""

from .._finite_sum import epochs
from .._validation import minimize as validation
from .sample_epochs import SampleEpochs


class VWEpochs(SampleEpochs):
    """Samples of a built-in objective through VW."""

    make_segments = epochs.VWSegments

    def __init__(self, objective, method, batches, settings, bounded):
        validation.vw_objective(objective)
        super().__init__(objective, method, batches, settings, bounded)

    def state(self):
        return self.segments.state

    @property
    def segment_independent(self):
        return not (self.objective.l1 or self.objective.l2)
