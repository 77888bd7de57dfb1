"""Epochs of mini-batches of a built-in objective: an optimizer's steps in C, a segment at a time."""

import math

import numpy as np

from .. import _core
from .._finite_sum import epochs
from .._finite_sum.plan import Penalty, Plan
from .._validation import minimize as validation
from .._validation import saved_runs
from .._validation.storages import refuse_in_epochs
from .segments import POLL_ENTRIES, STATUS, int64

# Entries of samples in a segment: about 20 ms of work.
SEGMENT_ENTRIES = 4_000_000

# Entries of samples in a segment for each column of a flush, which then takes a few percent of the time.
ENTRIES_TO_FLUSH = 64
# Deferred steps in a segment, at most: they are remembered until its end. Or one for so many columns.
DEFERRED_STEPS = 65_536
COLUMNS_PER_STEP = 128

# Where the decay of one step leaves less than this share of a parameter, steps on CSR samples go over all parameters.
LEAST_DECAY_FACTOR = 0.1


class MinibatchEpochs:
    """Mini-batches of a built-in objective through an optimizer."""

    def __init__(self, objective, optimizer, batches, settings, bounded):
        self.objective, self.optimizer, self.batches = objective, optimizer, batches
        self.hogwild = settings.parallel == "hogwild"
        if self.hogwild and _core.couples_entries(optimizer.rule):
            validation.refuse_parallel_steps(type(optimizer).__name__)
        self.threads = optimizer._allowed_threads()
        self.segments = {}  # whether steps are dense -> MinibatchSegments
        self.lagging = None  # those with steps since the last flush
        own = objective._samples.own
        self.entries = None if isinstance(own, np.ndarray) else np.diff(own.indptr)
        per_sample = objective.n_features if self.entries is None else max(1, self.mean_entries())
        self.kind = optimizer._penalty if objective.l1 or objective.l2 else "none"
        exact = self.exact()
        self.deferred = exact and self.may_defer()
        # Whether results are the same bits wherever segments end.
        self.segment_independent = self.kind == "none" and not self.deferred
        # A closed form of several steps would leave the bounds between them. A linear part moves all parameters.
        self.dense = (
            (exact and not self.deferred) or (self.kind == "closed_form" and bounded) or objective.linear is not None
        )
        self.check_storage()
        per_batch = per_sample * objective.n_outputs * batches.size
        if self.entries is None or self.dense:
            per_batch += objective.n_parameters
        self.length = max(1, int(max(SEGMENT_ENTRIES, ENTRIES_TO_FLUSH * objective.n_features) / per_batch))
        if self.deferred:
            self.length = min(self.length, max(DEFERRED_STEPS, objective.n_features // COLUMNS_PER_STEP))
        self.poll = epochs.InterruptPoll(max(1, int(POLL_ENTRIES / per_batch)))
        self.rate_before = optimizer._last_rate
        self.numbers = self.numbers_now()

    def mean_entries(self):
        """Entries of a CSR sample."""
        return self.entries.mean()

    def numbers_now(self):
        """The hyper-parameters that the segments were made for; the learning rate they are told."""
        return {name: value for name, value in self.optimizer._values.items() if name != "learning_rate"}

    def is_outdated(self):
        """Whether a hyper-parameter has been set since."""
        return self.numbers != self.numbers_now()

    def check_storage(self):
        """Refuse state in fewer bits where more than one step at a time, or a penalty, gets at it."""
        storages = _core.slot_storages(self.optimizer.rule, self.optimizer._values)
        owner, state_dtype = type(self.optimizer).__name__, self.optimizer.state_dtype
        if storages and self.hogwild:
            refuse_in_epochs(owner, state_dtype, "with lock-free threads, which do not share codes")
        if storages and self.kind == "flow":
            refuse_in_epochs(owner, state_dtype, "with penalties, which depend on its accumulator")
        if "log8" in storages.values() and self.entries is not None and not self.dense:
            refuse_in_epochs(owner, state_dtype, "of CSR samples, whose columns come in no order")

    def check_memory(self):
        """Nothing is known of the samples."""

    def start(self):
        """Find the rate of the last step of an optimizer whose state was loaded, as far as it can be known."""
        rate, t = self.optimizer._values["learning_rate"], self.optimizer.step_count
        if math.isnan(self.rate_before) and t > 0:
            self.rate_before = self.optimizer._rate_at(rate, t - 1) if callable(rate) else rate

    def begin_epoch(self):
        """Nothing to prepare."""

    def run(self, first, n, loss):
        """Run up to n batches from the first-th of the epoch on; columns may lag until the next flush.

        Returns the number done, `loss` plus their losses, the gradient norm, the status and the number left out.
        """
        rates = self.rates(n)
        segments = self.segments_to_run(rates)
        order, size = self.batches.order, self.batches.size
        n_samples = min(n * size, self.batches.n_samples - first * size)
        done, skipped, end = segments.run(int64(order), first * size, n_samples, rates, self.threads, loss)
        self.rate_before = rates[done]
        if end == epochs.BAD_GRADIENT and self.optimizer.nonfinite == "skip":
            segments.skip()
            return done, segments.loss, segments.grad_norm, None, skipped + 1
        return done, segments.loss, segments.grad_norm, STATUS.get(end), skipped

    def segments_to_run(self, rates):
        """The segments for steps at these rates; those before them have no updates outstanding then."""
        segments = self.segments_with(self.dense_steps(rates))
        if segments is not self.lagging:
            self.flush()
            self.lagging = segments
        return segments

    def flush(self):
        """Bring all columns up to date."""
        if self.lagging is not None:
            self.lagging.flush(self.threads)
            self.lagging = None

    def rates(self, n):
        """The learning rate of the last step and those of the next n."""
        rate, t = self.optimizer._values["learning_rate"], self.optimizer.step_count
        rates = self.optimizer._rates_from(t, n) if callable(rate) else np.full(n, rate)
        return np.concatenate([[self.rate_before], rates])

    def dense_steps(self, rates):
        """Whether these steps go over all columns, or over touched ones only."""
        if self.kind != "proximal" or self.dense:
            return self.dense
        return bool(np.any(1.0 - rates[1:] * self.objective.l2 * self.optimizer._step_gain < LEAST_DECAY_FACTOR))

    def segments_with(self, dense_steps):
        """The segments with dense steps, or with steps over touched columns only; made when first needed."""
        if dense_steps not in self.segments:
            self.segments[dense_steps] = self.make_segments(dense_steps)
        return self.segments[dense_steps]

    def make_segments(self, dense_steps):
        """Segments of C."""
        n_workers = self.threads if self.hogwild else 1
        plan = Plan(self.batches.size, self.most_entries(), dense_steps, n_workers, self.deferred)
        return epochs.MinibatchSegments(self.objective, self.optimizer, plan, self.penalty(), self.poll)

    def exact(self):
        """Whether columns that no sample touches need the update of a zero gradient, and it would change them."""
        optimizer = self.optimizer
        if _core.couples_entries(optimizer.rule):
            return True
        values = {name: getattr(optimizer, name) for name in optimizer._declared}
        stays = _core.on_zero_gradient(optimizer.rule, values) == "stays" and optimizer.weight_decay == 0
        changed = optimizer.clip_norm is not None or optimizer.clip_value is not None or optimizer.maximize
        same = stays and (self.kind == "none" or (self.kind == "proximal" and not changed))
        return optimizer.sparse != "lazy" and not same

    def may_defer(self):
        """Whether columns can catch up later instead."""
        if self.entries is None or self.hogwild or self.kind != "none" or self.objective.linear is not None:
            return False
        try:
            self.optimizer._check_deferrable(self.optimizer._values)
        except ValueError:
            return False
        return True

    def most_entries(self):
        """The most entries that the rows of a batch can have."""
        size, n = self.batches.size, self.batches.n_samples
        if self.entries is None:
            return 0
        return int(np.partition(self.entries, n - size)[n - size :].sum(dtype=np.int64))

    def penalty(self):
        """The objective's penalties, with what they read of the optimizer."""
        optimizer = self.optimizer
        common = self.kind, self.objective.l2, self.objective.l1, optimizer._step_gain
        if self.kind != "flow":
            return Penalty(*common)
        accumulator = optimizer._slots_by_name()["accumulator"][0]
        return Penalty(*common, accumulator, optimizer.epsilon, optimizer.epsilon_root)

    def snapshot(self):
        """The rate of the last step, and when columns were touched last, by dense steps and by others."""
        touched = {
            str(int(dense)): each.last_update for dense, each in self.segments.items() if each.last_update is not None
        }
        return {"rate_before": float(self.rate_before), "touched": touched}

    @staticmethod
    def schema(objective, done):
        """The check of a snapshot, in a run that had come so far."""
        # A lock-free worker may have been ahead of the steps that were completed.
        last = saved_runs.array(np.int64, (objective.n_features,), f"[-1, {done.steps}]")
        rate, touched = saved_runs.number_or_nan("[0, inf)"), saved_runs.any_of(("0", "1"), last)
        return saved_runs.record({"rate_before": rate, "touched": touched})

    def restore(self, saved):
        self.rate_before = saved["rate_before"]
        for dense, last in saved["touched"].items():
            segments = self.segments_with(bool(int(dense)))
            if segments.last_update is not None:  # else the data or penalties of this call need no lagged updates
                segments.last_update = last
