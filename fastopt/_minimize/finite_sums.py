"""Runs over built-in objectives: stretches of batches in C in the place of single iterations."""

import math

import numpy as np

from .. import _core, _threads
from .._finite_sum import epochs
from .._finite_sum.saga_svrg import FiniteSumMethod
from .._validation import minimize as validation
from . import stopping
from .evaluation import Evaluator
from .run import Run
from .stopping import Stop

# Entries of rows in a stretch: some 20 ms of work. SAGA and SVRG look at more for each.
STRETCH_ENTRIES = 4_000_000
REDUCED_ENTRIES = 1_000_000

# Entries between two glances at the clock, for Ctrl-C in the middle of a stretch.
LOOKOUT_ENTRIES = 1 << 16

# Below this share of a parameter left by one step's decay, sparse steps are made over all parameters.
LEAST_KEPT = 0.1

STATUS = {epochs.BAD_LOSS: stopping.NONFINITE_LOSS, epochs.BAD_GRADIENT: stopping.NONFINITE_GRADIENT}


class Whole(Evaluator):
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


class Batched:
    """Batches of a built-in objective through an optimizer."""

    def __init__(self, objective, optimizer, batches, settings, bounded):
        self.objective, self.optimizer, self.batches = objective, optimizer, batches
        self.hogwild = settings.parallel == "hogwild"
        self.threads = optimizer._allowed_threads()
        self.ways = {}
        self.entries = np.diff(objective.X.indptr) if hasattr(objective.X, "tocsr") else None
        per_sample = objective.n_features if self.entries is None else max(1, self.entries.mean())
        self.kind = optimizer._penalty if objective.l1 or objective.l2 else "none"
        self.seamless = self.kind == "none"  # bits do not depend on where stretches end
        self.dense = self.exact() or (self.kind == "solve" and bounded)  # the state of the rule knows no bounds
        per_batch = per_sample * objective.n_outputs * batches.size
        if self.entries is None or self.dense:
            per_batch += objective.n_parameters
        self.length = max(1, int(max(STRETCH_ENTRIES, objective.n_features) / per_batch))
        self.lookout = epochs.Lookout(max(1, int(LOOKOUT_ENTRIES / per_batch)))
        self.rate_before = optimizer._last_rate

    def start(self):
        """Of an optimizer whose state was loaded: the rate of its last step, as near as can be known."""
        rate, t = self.optimizer._values["learning_rate"], self.optimizer.step_count
        if math.isnan(self.rate_before) and t > 0:
            self.rate_before = self.optimizer._rate_at(t - 1) if callable(rate) else rate

    def begin_epoch(self):
        """Nothing to prepare."""

    def run(self, first, n, loss):
        """Run up to n batches from the first-th of the epoch on.

        Returns the number done, `loss` plus their losses, the gradient norm, the status and the number left out.
        """
        rates = self.rates(n)
        stretches = self.way(self.everywhere(rates))
        order, size = self.batches.order, self.batches.size
        n_samples = min(n * size, self.batches.n_samples - first * size)
        done, skipped, end = stretches.run(_int64(order), first * size, n_samples, rates, self.threads, loss)
        self.rate_before = rates[done]
        if end == epochs.BAD_GRADIENT and self.optimizer.nonfinite == "skip":
            stretches.skip()
            return done, stretches.loss, stretches.grad_norm, None, skipped + 1
        return done, stretches.loss, stretches.grad_norm, STATUS.get(end), skipped

    def rates(self, n):
        """The learning rate of the last step and those of the next n."""
        rate, t = self.optimizer._values["learning_rate"], self.optimizer.step_count
        rates = self.optimizer._rates_from(t, n) if callable(rate) else np.full(n, rate)
        return np.concatenate([[self.rate_before], rates])

    def everywhere(self, rates):
        """Whether these steps go over all columns, or over touched ones only."""
        if self.kind != "shrink" or self.dense:
            return self.dense
        return bool(np.any(1.0 - rates[1:] * self.objective.l2 * self.optimizer._lasting < LEAST_KEPT))

    def way(self, everywhere):
        """What steps over all columns, or over touched ones only; made when it is first needed."""
        if everywhere not in self.ways:
            objective, optimizer = self.objective, self.optimizer
            workers = self.threads if self.hogwild else 1
            self.ways[everywhere] = epochs.BatchStretches(
                objective, optimizer, self.batches.size, self.most_entries(), objective.l2, objective.l1,
                optimizer._lasting, self.kind, everywhere, workers, self.lookout, self.names(self.kind),
            )  # fmt: skip
        return self.ways[everywhere]

    def exact(self):
        """Whether untouched columns must be treated as with a gradient of zeros, and that is not nothing."""
        optimizer = self.optimizer
        values = {name: getattr(optimizer, name) for name in optimizer._declared}
        stays = _core.on_zero_gradient(optimizer.rule, values) == "stays" and optimizer.weight_decay == 0
        changed = optimizer.clip_norm is not None or optimizer.clip_value is not None or optimizer.maximize
        same = stays and (self.kind == "none" or (self.kind == "shrink" and not changed))
        return optimizer.sparse == "exact" and not same

    def most_entries(self):
        """The most entries that the rows of a batch can have."""
        size, n = self.batches.size, self.batches.n_samples
        if self.entries is None:
            return 0
        return int(np.partition(self.entries, n - size)[n - size :].sum(dtype=np.int64))

    def names(self, kind):
        """What the penalty reads of the optimizer."""
        optimizer = self.optimizer
        if kind == "flow":
            accumulator = optimizer._slots_by_name()["accumulator"][0]
            return {"accumulator": accumulator, "epsilon": optimizer.epsilon, "epsilon_root": optimizer.epsilon_root}
        return {}

    def snapshot(self):
        """The rate of the last step, and for each way that was gone when its columns were touched."""
        touched = {str(int(dense)): each.last for dense, each in self.ways.items() if each.last is not None}
        return {"rate_before": float(self.rate_before), "touched": touched}

    def restore(self, saved):
        self.rate_before = saved["rate_before"]
        for dense, last in saved["touched"].items():
            way = self.way(bool(int(dense)))
            if way.last is not None:  # the data or the penalties of this call may have nothing outstanding
                way.last[...] = last


class Reduced:
    """Samples of a built-in objective through SAGA or SVRG."""

    def __init__(self, objective, method, batches, settings, bounded):
        self.objective, self.method, self.batches, self.evaluate = objective, method, batches, None
        rate = validation.reduced_rate(method._values["learning_rate"], objective)
        validation.reduced_settings(settings, batches)
        self.threads = _threads.resolve(method.num_threads)
        sparse = hasattr(objective.X, "tocsr")
        per_sample = max(1, objective.X.nnz / objective.n_samples) if sparse else objective.n_features
        self.seamless = not sparse
        per_sample *= objective.n_outputs
        work = max(REDUCED_ENTRIES, objective.n_features) / per_sample
        self.length = min(max(1, int(work)), objective.n_samples)
        self.lookout = epochs.Lookout(max(1, int(LOOKOUT_ENTRIES / per_sample)))
        self.stretches = epochs.ReducedStretches(
            objective, method.params, rate, objective.l2, objective.l1, method.refresh, self.length, self.lookout
        )
        method._bind(self.stretches.table, self.stretches.mean, rate)

    def start(self):
        """SAGA's table, before the first step."""
        if self.method.refresh and self.method.step_count == 0:
            self.fill()

    def begin_epoch(self):
        """SVRG's table."""
        if not self.method.refresh:
            self.fill()

    def fill(self):
        self.stretches.fill(self.threads)
        self.evaluate.count(1)

    def run(self, first, n, loss):
        done, end = self.stretches.run(_int64(self.batches.order), first, n, loss)
        self.method.step_count += done
        return done, self.stretches.loss, math.nan, STATUS.get(end), 0

    def snapshot(self):
        return {}

    def restore(self, saved):
        """The table is the method's state."""


def _int64(order):
    return np.ascontiguousarray(order, np.int64)


class FiniteSumRun(Run):
    """A run over a built-in objective."""

    def __init__(self, x, evaluate, batches, optimizer, rng, **parts):
        super().__init__(x, evaluate, batches, optimizer, rng, **parts)
        self.objective = evaluate.objective
        self.objective._check_places()
        self.last_norm = math.nan

    def begin(self):
        """Make what runs the stretches, for hyper-parameters that may be those of a checkpoint."""
        kind = Reduced if isinstance(self.optimizer, FiniteSumMethod) else Batched
        self.stretches = kind(self.objective, self.optimizer, self.batches, self.settings, self.bounds is not None)
        self.stretches.evaluate = self.evaluate
        one_by_one = self.callback is not None or self.bounds is not None or self.average is not None
        self.most = 1 if one_by_one else self.stretches.length

    def iterate(self, interrupts):
        seamless = self.stretches.seamless  # with a checkpoint Ctrl-C is noted only: the resumed run keeps the bits
        self.stretches.lookout.stop_wanted = lambda: interrupts.noted and seamless
        with np.errstate(over="ignore", invalid="ignore"):
            if self.status() is None:
                self.whole = False
                self.stretches.start()
                self.whole = True
            return super().iterate(interrupts)

    def epoch(self, interrupts):
        """The rest of the running epoch, or as much as the budget allows, stretch by stretch."""
        if not self.in_epoch:
            self.begin_epoch()
        k, per_epoch = self.nit - self.nepoch * self.batches.per_epoch, self.batches.per_epoch
        stop = min(per_epoch, k + self.limit - self.nit)
        while k < stop:
            wanted = min(stop - k, self.most - k % self.most)
            done, status = self.stretch(k, wanted)
            k += done
            if k == per_epoch:
                self.end_epoch()
            self.whole = self.stretches.seamless or done == wanted
            self.stretches.lookout.check()
            self.whole = True
            if status is not None:
                raise Stop(status)
            if self.progress is not None:
                self.progress.bar.update(self.nit - self.progress.bar.n)
            if self.callback is not None:
                self.callback(self.x, self.last_value, self.nit, self.nepoch)
            interrupts.check()

    def draw(self):
        super().draw()
        self.stretches.begin_epoch()

    def stretch(self, k, n):
        """Run batches from the k-th of the epoch on, and count; returns how many, and why the run ends or None."""
        before = self.objective._penalty(self.x) if self.callback is not None else 0.0
        self.whole = False
        loss_before = self.loss_sum
        # One sum over an epoch, wherever its stretches end; of single batches each has a sum of its own, for callbacks.
        done, loss, norm, status, skipped = self.stretches.run(k, n, 0.0 if self.most == 1 else loss_before)
        if self.bounds is not None:
            self.bounds.project(self.x)
        if self.average is not None and done and self.nepoch >= self.settings.average_start:
            self.average.update(self.x)
        size = self.batches.size
        weight = min((k + done) * size, self.batches.n_samples) - k * size
        self.loss_sum = loss_before + loss if self.most == 1 else loss
        self.weight_sum += weight
        self.nit += done + skipped
        self.evaluate.count(done + skipped)
        if done:
            own = loss if self.most == 1 else loss - loss_before
            self.last_value, self.last_norm = own / weight + before, norm
        return done + skipped, status

    def epoch_loss(self):
        """Mean loss of the epoch's batches, and the penalties at its end."""
        mean = self.loss_sum / self.weight_sum if self.weight_sum else math.nan
        return mean + self.objective._penalty(self.x)

    def rate_and_norm(self):
        rate, norm = super().rate_and_norm()
        return rate, norm if math.isnan(self.last_norm) else self.last_norm

    def at_end(self, x, last_gradient, status):
        self.evaluate.count(1)
        with _threads.threads(self.stretches.threads):
            return self.objective.value_and_gradient(x)

    def snapshot(self):
        return {**super().snapshot(), "stretches": self.stretches.snapshot()}

    def restore(self, saved):
        super().restore(saved)
        self.begin()
        self.stretches.restore(saved["stretches"])
