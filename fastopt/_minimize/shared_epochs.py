"""Epochs in C over the samples of all ranks: with one gradient of all, or with steps of each rank by itself."""

import numpy as np

from .. import _core
from .._finite_sum import epochs
from .._finite_sum.method import FiniteSumMethod
from .._finite_sum.plan import Plan
from .._finite_sum.saga_svrg import SVRG
from .._validation import shared_runs as validation
from ..distributed._collectives import gather_into, gathered_numbers
from .minibatch_epochs import MinibatchEpochs
from .saga_svrg_epochs import SagaSvrgEpochs
from .segments import STATUS, int64


def shared_kind(optimizer, settings):
    """The class of the epochs of a run that several ranks make."""
    if isinstance(optimizer, FiniteSumMethod):
        validation.finite_sum_method(type(optimizer).__name__, not isinstance(optimizer, SVRG), settings)
        return SharedSvrgEpochs
    return LocalEpochs if settings.parallel == "local" else SharedMinibatchEpochs


class SharedMinibatchEpochs(MinibatchEpochs):
    """Mini-batches of which each rank computes the gradient of its own samples; all make the step with the sum.

    Parameters
    ----------
    objective : SharedObjective
    batches : SharedBatches
    """

    def __init__(self, objective, optimizer, batches, settings, bounded):
        self.ranks, self.parts, self.comm = objective.ranks, objective.parts, objective.ranks.comm
        super().__init__(objective.own, optimizer, batches, settings, bounded)
        wide = self.entries is not None and objective.own._samples.own.indices.itemsize == 8
        self.index_dtype = np.int64 if gathered_numbers(self.comm, int(wide)).any() else np.int32

    def mean_entries(self):
        """Entries of a sample of all ranks: where segments end depends on them, and they end together."""
        total = gathered_numbers(self.comm, 0 if self.entries is None else self.entries.sum(dtype=np.int64)).sum()
        return total / self.batches.n_samples

    def may_defer(self):
        """No: columns that other ranks alone touch would be behind here."""
        return False

    def make_segments(self, dense_steps):
        """The segments, with room for all columns: those of other ranks are not known."""
        most = max(self.most_entries(), self.objective.n_features)
        plan = Plan(max(self.own_size(), 1), most, dense_steps, 1, shared=True)
        return epochs.SharedSegments(self.objective, self.optimizer, plan, self.penalty(), self.poll)

    def own_size(self):
        """The most samples of this rank that a batch can have."""
        return min(self.batches.size, self.objective.n_samples)

    def most_entries(self):
        if self.entries is None or len(self.entries) == 0:
            return 0
        n, size = len(self.entries), self.own_size()
        return int(np.partition(self.entries, n - size)[n - size :].sum(dtype=np.int64))

    def run(self, first, n, loss):
        rates, done = self.rates(n), 0
        segments = self.segments_to_run(rates)
        for k in range(n):
            made, end = self.batch(segments, first + k, rates[k : k + 2], loss)
            loss, self.rate_before = segments.loss, rates[k + made]
            if end == epochs.BAD_GRADIENT and self.optimizer.nonfinite == "skip":
                segments.skip()
                return done, loss, segments.grad_norm, None, 1
            if end:
                return done, loss, segments.grad_norm, STATUS[end], 0
            done += 1
        return done, loss, segments.grad_norm, None, 0

    def batch(self, segments, k, rates, loss):
        """One step; returns whether it was made, and else why not."""
        samples, n_mean = self.batches.own_samples(k)
        segments.begin(rates, self.threads)
        found = [segments.part(own, 0, len(own), n_mean) if len(own) else (0.0, None, None) for own in samples]
        mean, columns, gradient = self.summed(found)
        return segments.step(columns, gradient, n_mean, mean, loss)

    def summed(self, found):
        """What `step` is given: the loss, and the gradients of all parts, of samples that are not CSR their sum."""
        said = np.array([[loss, 0 if columns is None else len(columns)] for loss, columns, _ in found], np.float64)
        self.ranks.agree()
        said = self.parts.gathered(said.reshape(-1, 2))
        mean = sum(said[1:, 0], said[0, 0])
        if not np.isfinite(mean):
            self.ranks.blame(self.parts.rank_of(int(np.flatnonzero(~np.isfinite(said[:, 0]))[0])))
            return float(mean), *self.nothing()
        if self.entries is None:
            return float(mean), None, self.parts.sum(self.dense_rows(found))
        ends = np.cumsum(self.parts.counts)
        counts = np.array(
            [said[end - n : end, 1].sum() for end, n in zip(ends, self.parts.counts, strict=True)], np.int64
        )
        columns = self.joined([each for _, each, _ in found], counts, self.index_dtype)
        return float(mean), columns, self.joined([each for *_, each in found], counts, self.objective.dtype)

    def nothing(self):
        """Columns and gradient where there are none."""
        if self.entries is None:
            return None, np.zeros(self.objective.n_parameters, self.objective.dtype)
        return np.empty(0, self.index_dtype), np.empty(0, self.objective.dtype)

    def dense_rows(self, found):
        """The gradients of the parts of this rank."""
        zero = self.nothing()[1]
        rows = [zero if gradient is None else gradient for *_, gradient in found]
        return np.array(rows, self.objective.dtype).reshape(-1, zero.size)

    def joined(self, arrays, counts, dtype):
        """The arrays of all parts, one after the other; `counts` are the columns of each rank."""
        width = 1 if np.issubdtype(dtype, np.integer) else self.objective.n_outputs
        own = [np.asarray(each, dtype).reshape(-1) for each in arrays if each is not None]
        joined = np.empty(int(counts.sum()) * width, dtype)
        sent = own[0] if len(own) == 1 else np.concatenate([*own, np.empty(0, dtype)])
        gather_into(self.comm, sent, joined, counts * width)
        return joined


class LocalEpochs(SharedMinibatchEpochs):
    """Local SGD: each rank makes every step with its own samples of the batch, and parameters and state are averaged.

    The averages are taken at the ends of segments, which are whole epochs unless a caller looks at each iteration. A
    rank is weighted with the number of its samples.
    """

    def __init__(self, objective, optimizer, batches, settings, bounded):
        super().__init__(objective, optimizer, batches, settings, bounded)
        storages = _core.slot_storages(optimizer.rule, optimizer._values)
        validation.local_steps(type(optimizer).__name__, _core.couples_entries(optimizer.rule), bool(storages))
        self.length = batches.per_epoch
        self.weight = objective.own.n_samples / objective.n_samples

    def run(self, first, n, loss):
        done, own_loss, norm, status = self.own_run(first, n)
        statuses, all_done = self.ranks.numbers(np.nan if status is None else status), self.ranks.numbers(done)
        self.flush()
        self.average()
        norm = self.ranks.first(norm)
        if not np.isnan(statuses).all():
            rank = int(np.flatnonzero(~np.isnan(statuses))[0])
            self.ranks.blame(rank)
            return int(all_done[rank]), loss, norm, int(statuses[rank]), 0
        return n, loss + float(self.parts.sum(np.array([[own_loss]]))[0]), norm, None, 0

    def own_run(self, first, n):
        """The steps of this rank; batches that are left out are counted by the optimizer."""
        done, loss, norm, status = 0, 0.0, np.nan, None
        while done < n:
            made, loss, norm, status, skipped = super().run(first + done, n - done, loss)
            done += made + skipped
            if status is not None:
                break
        return done, loss, norm, status

    def batch(self, segments, k, rates, loss):
        samples, _ = self.batches.own_samples(k)
        own = samples[0]
        segments.begin(rates, self.threads)
        if not len(own):
            return segments.step(*self.nothing(), 1, 0.0, loss)
        mean, columns, gradient = segments.part(own, 0, len(own), len(own))
        if gradient is None:
            columns, gradient = self.nothing()
        return segments.step(columns, gradient, len(own), mean, loss)

    def average(self):
        """The means of parameters and state over the ranks."""
        for array in (*self.optimizer._flat_params, *self.state()):
            own = np.multiply(array.reshape(1, -1), self.weight, dtype=array.dtype)
            array[...] = self.parts.sum(own).reshape(array.shape)

    def state(self):
        """The arrays of state."""
        return [each for slot in self.optimizer._slots_by_name().values() for each in slot]


class SharedSvrgEpochs(SagaSvrgEpochs):
    """SVRG with the mean gradient of all samples; each rank steps over its own, and the parameters are averaged."""

    def __init__(self, objective, method, batches, settings, bounded):
        self.whole, self.ranks, self.parts = objective, objective.ranks, objective.parts
        super().__init__(objective.own, method, batches, settings, bounded)
        self.length = batches.per_epoch
        self.weight = objective.own.n_samples / objective.n_samples

    def fill(self):
        """The derivatives of the samples of this rank, and the mean gradient of all."""
        memory, mean = self.segments.gradient_memory, self.segments.mean_gradient.reshape(-1)
        mean[...] = self.whole.mean_gradient(self.method.params, memory)
        self.evaluate.count(1)

    def run(self, first, n, loss):
        batches = self.batches
        index = batches.order[first : first + n] - self.parts.first
        own = int64(index[(index >= 0) & (index < self.objective.n_samples)])
        done, end, own_loss = 0, None, 0.0
        while done < len(own) and not end:
            made, end = self.segments.run(own, done, len(own) - done, own_loss)
            own_loss, done = self.segments.loss, done + made
        self.segments.flush()
        ends = self.ranks.numbers(end or 0)
        self.method.step_count += n
        params = self.method.params
        params[...] = self.parts.sum((params * self.weight).reshape(1, -1)).reshape(params.shape)
        if ends.any():
            rank = int(np.flatnonzero(ends)[0])
            self.ranks.blame(rank)
            return n, loss, np.nan, STATUS[int(ends[rank])], 0
        return n, loss + float(self.parts.sum(np.array([[own_loss]]))[0]), np.nan, None, 0
