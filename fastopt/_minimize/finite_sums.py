"""Runs over built-in objectives: each call of C makes the iterations of a segment of an epoch."""

import math

import numpy as np

from .. import _threads
from .._finite_sum.saga_svrg import VarianceReduced
from .._finite_sum.vw import VW
from .._validation import saved_runs
from .evaluation import Evaluator
from .minibatch_epochs import MinibatchEpochs
from .run import Run
from .saga_svrg_epochs import SagaSvrgEpochs
from .start import is_stationary
from .stopping import Stop
from .vw_epochs import VWEpochs

# Class of a method -> its epochs; those of mini-batches for all others.
EPOCHS = {VarianceReduced: SagaSvrgEpochs, VW: VWEpochs}

# Samples that are looked at first, to see whether a run starts where the gradient is zero.
FIRST_SAMPLES = 64


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


class FiniteSumRun(Run):
    """A run over a built-in objective."""

    def __init__(self, parts):
        super().__init__(parts)
        self.objective = self.evaluate.objective
        self.objective._check_memory()
        self.last_norm = math.nan
        kinds = (kind for cls, kind in EPOCHS.items() if isinstance(self.optimizer, cls))
        self.kind = self.ranks.epochs(self.optimizer, self.settings) or next(kinds, MinibatchEpochs)

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

    def begin_anew(self):
        """Prepare the segments again, as a resumed run does: the caller's code has set a number of the optimizer."""
        self.epochs_in_c.flush()
        stop_wanted = self.epochs_in_c.poll.stop_wanted
        self.begin()
        self.epochs_in_c.poll.stop_wanted = stop_wanted
        self.epochs_in_c.start()

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
            self.ranks.agree(interruptible=True)

    def draw(self):
        super().draw()
        self.epochs_in_c.begin_epoch()

    def segment(self, k, n, flush):
        """Run batches from the k-th of the epoch on, and count; returns how many, and the status if the run ends."""
        self.consistent = False
        if self.epochs_in_c.is_outdated():
            self.begin_anew()
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
        """The loss of the last batch, before its step, and penalties and linear part after it."""
        self.epochs_in_c.flush()
        return self.last_value + self.objective._added_value(self.x)

    def epoch_loss(self):
        """Mean loss of the epoch's batches, and penalties and linear part at its end."""
        mean = self.loss_sum / self.weight_sum if self.weight_sum else math.nan
        return mean + self.objective._added_value(self.x)

    def validated(self, answer):
        with _threads.threads(self.epochs_in_c.threads):
            return super().validated(answer)

    def rate_and_norm(self):
        rate, norm = super().rate_and_norm()
        return rate, norm if math.isnan(self.last_norm) else self.last_norm

    def at_end(self, x, last_gradient, status):
        self.evaluate.count(1)
        with _threads.threads(self.epochs_in_c.threads):
            value, gradient = self.objective.value_and_gradient(x)
        return value, self.params.structured(gradient)

    def snapshot(self):
        return {**super().snapshot(), "segments": self.epochs_in_c.snapshot()}

    def schema(self, done):
        return {**super().schema(done), "segments": self.kind.schema(self.objective, done)}

    def optimizer_schema(self, done):
        if issubclass(self.kind, MinibatchEpochs):
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
