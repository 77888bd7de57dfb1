"""Runs over built-in objectives: each call of C makes the iterations of a segment of an epoch."""

import math

import numpy as np

from .. import _core, _threads
from .._finite_sum import epochs
from .._finite_sum.plan import Penalty, Plan
from .._finite_sum.saga_svrg import FiniteSumMethod
from .._validation import minimize as validation
from .._validation import saved_runs
from . import stopping
from .evaluation import Evaluator
from .run import Run
from .start import is_stationary
from .stopping import Stop

# Entries of samples in a segment: about 20 ms of work. SAGA and SVRG take more time for each entry.
SEGMENT_ENTRIES = 4_000_000
SAGA_SVRG_ENTRIES = 1_000_000

# Entries between two interrupt polls, for Ctrl-C in the middle of a segment.
POLL_ENTRIES = 1 << 16

# Samples that are looked at first, to see whether a run starts where the gradient is zero.
FIRST_SAMPLES = 64

# Where the decay of one step leaves less than this share of a parameter, steps on CSR samples go over all parameters.
LEAST_DECAY_FACTOR = 0.1

STATUS = {epochs.BAD_LOSS: stopping.NONFINITE_LOSS, epochs.BAD_GRADIENT: stopping.NONFINITE_GRADIENT}


class BuiltInEvaluator(Evaluator):
    """Value and gradient of a built-in objective over all samples; counts the batches that were evaluated in C."""

    def __init__(self, objective):
        super().__init__(objective, ())
        self.objective = objective

    def value(self, x, batch):
        self.nfev += 1
        return self.fun(x, *batch)

    def identity(self):
        shape = {name: getattr(self.objective, name) for name in ("n_features", "n_outputs")}
        return {**super().identity(), "objective": "built-in", **shape}

    def count(self, n):
        self.nfev += n
        self.njev += n


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
        per_sample = objective.n_features if self.entries is None else max(1, self.entries.mean())
        self.kind = optimizer._penalty if objective.l1 or objective.l2 else "none"
        self.segment_independent = self.kind == "none"  # results are the same bits wherever segments end
        # A closed form of several steps would leave the bounds between them.
        self.dense = self.exact() or (self.kind == "closed_form" and bounded)
        per_batch = per_sample * objective.n_outputs * batches.size
        if self.entries is None or self.dense:
            per_batch += objective.n_parameters
        self.length = max(1, int(max(SEGMENT_ENTRIES, objective.n_features) / per_batch))
        self.poll = epochs.InterruptPoll(max(1, int(POLL_ENTRIES / per_batch)))
        self.rate_before = optimizer._last_rate

    def check_memory(self):
        """Nothing is known of the samples."""

    def start(self):
        """Find the rate of the last step of an optimizer whose state was loaded, as far as it can be known."""
        rate, t = self.optimizer._values["learning_rate"], self.optimizer.step_count
        if math.isnan(self.rate_before) and t > 0:
            self.rate_before = self.optimizer._rate_at(t - 1) if callable(rate) else rate

    def begin_epoch(self):
        """Nothing to prepare."""

    def run(self, first, n, loss):
        """Run up to n batches from the first-th of the epoch on; columns may lag until the next flush.

        Returns the number done, `loss` plus their losses, the gradient norm, the status and the number left out.
        """
        rates = self.rates(n)
        segments = self.segments_with(self.dense_steps(rates))
        if segments is not self.lagging:
            self.flush()
            self.lagging = segments
        order, size = self.batches.order, self.batches.size
        n_samples = min(n * size, self.batches.n_samples - first * size)
        done, skipped, end = segments.run(_int64(order), first * size, n_samples, rates, self.threads, loss)
        self.rate_before = rates[done]
        if end == epochs.BAD_GRADIENT and self.optimizer.nonfinite == "skip":
            segments.skip()
            return done, segments.loss, segments.grad_norm, None, skipped + 1
        return done, segments.loss, segments.grad_norm, STATUS.get(end), skipped

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
            plan = Plan(self.batches.size, self.most_entries(), dense_steps, self.threads if self.hogwild else 1)
            self.segments[dense_steps] = epochs.MinibatchSegments(
                self.objective, self.optimizer, plan, self.penalty(), self.poll
            )
        return self.segments[dense_steps]

    def exact(self):
        """Whether columns that no sample touches need the update of a zero gradient, and it would change them."""
        optimizer = self.optimizer
        if _core.couples_entries(optimizer.rule):
            return True
        values = {name: getattr(optimizer, name) for name in optimizer._declared}
        stays = _core.on_zero_gradient(optimizer.rule, values) == "stays" and optimizer.weight_decay == 0
        changed = optimizer.clip_norm is not None or optimizer.clip_value is not None or optimizer.maximize
        same = stays and (self.kind == "none" or (self.kind == "proximal" and not changed))
        return optimizer.sparse == "exact" and not same

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
                segments.last_update[...] = last


class SagaSvrgEpochs:
    """Samples of a built-in objective through SAGA or SVRG."""

    def __init__(self, objective, method, batches, settings, bounded):
        self.objective, self.method, self.batches, self.evaluate = objective, method, batches, None
        validation.saga_svrg_settings(settings, batches)
        self.threads = _threads.resolve(method.num_threads)
        own = objective._samples.own
        sparse = not isinstance(own, np.ndarray)
        per_sample = max(1, own.nnz / objective.n_samples) if sparse else objective.n_features
        self.segment_independent = not sparse
        per_sample *= objective.n_outputs
        work = max(SAGA_SVRG_ENTRIES, objective.n_features) / per_sample
        self.length = min(max(1, int(work)), objective.n_samples)
        self.poll = epochs.InterruptPoll(max(1, int(POLL_ENTRIES / per_sample)))
        self.segments = epochs.SagaSvrgSegments(objective, method, self.length, self.poll)
        self.segments.set_learning_rate(method._begin_epoch(objective))  # of an epoch that may be under way
        method._bind(self.segments.gradient_memory, self.segments.mean_gradient)
        self.remembers = method.step_count > 0

    def check_memory(self):
        """Find out whether a gradient memory that an optimizer brings is that of these samples.

        Its mean is the mean gradient then, to the rounding of many steps. With any other memory the steps would lead
        astray for ever.
        """
        if self.remembers and self.method.updates_memory:
            memory, mean = self.segments.gradient_memory, self.segments.mean_gradient
            samples = self.objective._samples.own
            with np.errstate(all="ignore"):
                expected, size = self.mean_of(samples, memory), self.mean_of(abs(samples), np.abs(memory))
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
        self.segments.set_learning_rate(self.method._begin_epoch(self.objective))
        if not self.method.updates_memory:
            self.fill()

    def fill(self):
        self.segments.fill(self.threads)
        self.evaluate.count(1)

    def run(self, first, n, loss):
        done, end = self.segments.run(_int64(self.batches.order), first, n, loss)
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


def _int64(order):
    return np.ascontiguousarray(order, np.int64)


class FiniteSumRun(Run):
    """A run over a built-in objective."""

    def __init__(self, parts):
        super().__init__(parts)
        self.objective = self.evaluate.objective
        self.objective._check_memory()
        self.last_norm = math.nan
        self.kind = SagaSvrgEpochs if isinstance(self.optimizer, FiniteSumMethod) else MinibatchEpochs

    def begin(self):
        """Prepare the segments, once the hyper-parameters are known: a checkpoint may have brought others."""
        self.epochs_in_c = self.kind(
            self.objective, self.optimizer, self.batches, self.settings, self.bounds is not None
        )
        self.epochs_in_c.evaluate = self.evaluate
        # Iterations between two flushes: one, if every x is needed, by the run or by a caller who has the optimizer.
        every_x = self.bounds is not None or self.average is not None or (self.shared and self.callback is not None)
        self.longest_segment = 1 if every_x else self.epochs_in_c.length
        self.most_at_once = 1 if self.callback is not None else self.longest_segment

    def go_to_start(self):
        super().go_to_start()
        self.epochs_in_c.check_memory()

    def iterate(self, interrupts):
        # Where results depend on the ends of segments, a run with a checkpoint finishes its segment before it stops.
        may_end = self.epochs_in_c.segment_independent
        self.epochs_in_c.poll.stop_wanted = lambda: interrupts.noted and may_end
        with np.errstate(over="ignore", invalid="ignore"):
            if self.status() is None:
                self.consistent = False
                self.epochs_in_c.start()
                self.consistent = True
            return super().iterate(interrupts)

    def evaluate_start(self):
        with _threads.threads(self.epochs_in_c.threads):
            self.start.value = self.evaluate.value(self.x, ())
            few = np.arange(min(FIRST_SAMPLES, self.batches.n_samples))
            over_few = self.objective.gradient(self.x, few)
            self.start.stationary = self.stationary_for(over_few) and self.stationary_for(
                self.objective.gradient(self.x)
            )

    def stationary_for(self, gradient):
        """As in a run with batches; an entry at 0 stays there up to a slope of `l1`."""
        slack = np.zeros_like(self.x)
        self.objective._penalised(slack)[self.objective._penalised(self.x) == 0] = self.objective.l1
        return is_stationary(self.x, gradient, self.bounds, self.sense, slack)

    def epoch(self, interrupts):
        """Run the segments that the epoch still needs, or as much as the budget allows."""
        if not self.in_epoch:
            self.begin_epoch()
        k, per_epoch = self.nit - self.nepoch * self.batches.per_epoch, self.batches.per_epoch
        stop = min(per_epoch, k + self.limit - self.nit)
        while k < stop:
            until_flush = min(stop - k, self.longest_segment - k % self.longest_segment)
            wanted = min(until_flush, self.most_at_once)
            done, status = self.segment(k, wanted, wanted == until_flush)
            k += done
            if k == per_epoch:
                self.end_epoch()
            self.consistent = self.epochs_in_c.segment_independent or done == wanted
            self.epochs_in_c.poll.check()
            self.consistent = True
            if status is not None:
                raise Stop(status)
            if self.progress is not None:
                self.progress.bar.update(self.nit - self.progress.bar.n)
            if self.calls_back:
                self.call_back()
            interrupts.check()

    def draw(self):
        super().draw()
        self.epochs_in_c.begin_epoch()

    def segment(self, k, n, flush):
        """Run batches from the k-th of the epoch on, and count; returns how many, and the status if the run ends."""
        self.consistent = False
        loss_before = self.loss_sum
        # The losses of an epoch are summed in one order wherever its segments end. Single batches have a sum each, for
        # callbacks.
        sum_so_far = 0.0 if self.most_at_once == 1 else loss_before
        done, loss, norm, status, skipped = self.epochs_in_c.run(k, n, sum_so_far)
        if flush:
            self.epochs_in_c.flush()
        if self.bounds is not None:
            self.optimizer._project(self.projections)
        if self.average is not None and done and self.nepoch >= self.settings.average_start:
            self.average.update(self.x)
        size = self.batches.size
        weight = min((k + done) * size, self.batches.n_samples) - k * size
        self.loss_sum = loss_before + loss if self.most_at_once == 1 else loss
        self.weight_sum += weight
        self.nit += done + skipped
        self.evaluate.count(done + skipped)
        if done:
            own = loss if self.most_at_once == 1 else loss - loss_before
            self.last_value, self.last_norm = own / weight, norm
        return done + skipped, status

    def solution(self):
        self.epochs_in_c.flush()
        return super().solution()

    def shown_x(self):
        self.epochs_in_c.flush()
        return super().shown_x()

    def shown_value(self):
        """The loss of the last batch, before its step, and the penalties after it."""
        self.epochs_in_c.flush()
        return self.last_value + self.objective._penalty(self.x)

    def epoch_loss(self):
        """Mean loss of the epoch's batches, and the penalties at its end."""
        mean = self.loss_sum / self.weight_sum if self.weight_sum else math.nan
        return mean + self.objective._penalty(self.x)

    def validated(self, answer):
        with _threads.threads(self.epochs_in_c.threads):
            return super().validated(answer)

    def rate_and_norm(self):
        rate, norm = super().rate_and_norm()
        return rate, norm if math.isnan(self.last_norm) else self.last_norm

    def at_end(self, x, last_gradient, status):
        self.evaluate.count(1)
        with _threads.threads(self.epochs_in_c.threads):
            return self.objective.value_and_gradient(x)

    def snapshot(self):
        return {**super().snapshot(), "segments": self.epochs_in_c.snapshot()}

    def schema(self, done):
        return {**super().schema(done), "segments": self.kind.schema(self.objective, done)}

    def optimizer_schema(self, done):
        if self.kind is MinibatchEpochs:
            return super().optimizer_schema(done)
        steps = done.nit, saved_runs.MOST  # those that an optimizer had made before the run are among them
        return self.optimizer.schema((self.objective.n_samples, self.objective.n_outputs), steps)

    def weight_schema(self, done):
        """Batches that were left out have no weight."""
        return saved_runs.number(f"[0, {self.batches.samples_before(done.in_this_epoch)}]")

    def restore(self, saved):
        super().restore(saved)
        self.begin()
        self.epochs_in_c.restore(saved["segments"])
