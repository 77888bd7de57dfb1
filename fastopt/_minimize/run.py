"""The loop of `minimize`: batches, evaluations, steps, and what happens at the ends of epochs.

Everything that later iterations depend on is in the snapshot of saving.py.
"""

import math

import numpy as np

from .._validation import minimize as validation
from . import stopping
from .ending import EndedRun
from .report import gradient_norm
from .saving import SavedRun
from .start import StartedRun
from .stopping import BUDGET, Stop


class Run(SavedRun, StartedRun, EndedRun):
    """The state of one call of `minimize`; `view` is the read-only view of the parameters that is evaluated."""

    def __init__(self, parts):
        for name, value in parts._asdict().items():  # not vars(self).update(...), which makes attributes slower
            setattr(self, name, value)
        self.view, self.own = self.params.view, self.params.own[0]
        self.as_gradient = self.params.converter(self.evaluate.in_structure)
        self.gathers = self.params.gathers(self.evaluate.in_structure)
        self.projections = None if self.bounds is None else self.bounds.for_each(self.params)
        self.progress, self.uses_value = None, self.optimizer._uses_value
        self.most_epochs = self.settings.most_epochs(self.batches)
        self.sense = -1 if getattr(self.optimizer, "maximize", False) else 1  # what falls: the objective, or minus it
        self.calls_back = self.callback is not None or self.epoch_callback is not None
        self.stopped_by = self.epoch_solution = None
        self.nit = self.nepoch = 0
        self.saved_nit = self.saved_file = None  # of the last checkpoint of this call
        self.in_epoch = False
        self.consistent = True  # no iteration is half done: after Ctrl-C the state may be saved
        self.overflowed = False  # and x is the solution of an earlier epoch
        self.loss_sum = self.weight_sum = 0.0
        self.last_value, self.last_gradient = math.nan, None
        self.earlier_rate_and_norm = [math.nan, math.nan]
        self.finite_x, self.best_x, self.best_loss = self.x.copy(), None, math.inf

    @property
    def x(self):
        """The parameters as one vector."""
        return self.params.vector

    @property
    def has_tol(self):
        """Whether the run ends when a loss has settled."""
        return self.watch.tol is not None or self.early_stopping is not None

    def begin(self):
        """The run begins, and is not gone on with."""
        self.batches.begin()

    def go_to_start(self):
        """Go to the starting point: the first that changes anything in an optimizer of the caller's."""
        self.catch_up()
        self.params.assign(self.params.start)
        self.finite_x[...] = self.params.start

    def catch_up(self):
        """With deferred steps: make x current, which whoever reads it expects."""
        if getattr(self.optimizer, "sparse", None) == "deferred":
            self.optimizer.catch_up()

    # --- iterations --------------------------------------------------------------------------------------

    def to_the_end(self):
        """Iterate until something ends the run; returns the status."""
        self.ranks.agree()  # nothing before this is heard of within
        with self.ranks.interrupts(self.settings.checkpoint is not None) as interrupts:
            try:
                status = self.iterate(interrupts)
                interrupts.check()
                self.ranks.agree(interruptible=True)
            except KeyboardInterrupt as interrupt:
                self.ranks.tell(interrupt)
                if self.ranks.all(self.consistent and self.is_finite(self.solution())):
                    self.save()
                raise
        if self.is_finite(self.solution()):
            if status in stopping.RESUMABLE and (self.nit != self.saved_nit or self.calls_back):
                self.save()  # a callback may have changed the optimizer since
            return status
        self.overflowed = True  # the state as well: it is not saved, nor read for the solution
        self.params.assign(self.finite_x)
        return stopping.NONFINITE_PARAMETERS if status in stopping.REGULAR else status

    def iterate(self, interrupts):
        """Epoch after epoch; returns the status."""
        try:
            if self.start.value is None and self.status() is None:
                self.evaluate_start()
            while self.status() is None:
                self.epoch(interrupts)
            return self.status()
        except Stop as stop:
            self.stopped_by = stop.by
            return stop.status

    def status(self):
        """Why the run is over; None if it is not."""
        if self.bounds is not None and self.bounds.single_point:
            return stopping.FIXED
        if self.start.stationary:
            return stopping.CONVERGED
        if not self.in_epoch:
            if self.watch.status is not None:
                return self.watch.status
            if self.early_stopping is not None and self.early_stopping.over:
                return stopping.CONVERGED
        return BUDGET if self.nit >= self.limit or self.nepoch >= self.most_epochs else None

    def epoch(self, interrupts):
        """Run the iterations that the epoch still needs, or as many as the budget allows."""
        if not self.in_epoch:
            self.begin_epoch()
        k = self.nit - self.history.iterations()
        if k > 0 and self.batches.is_over(k, False):  # found out after the checkpoint that the run goes on from
            self.end_epoch()
            return self.call_epoch_back()
        while self.in_epoch and self.nit < self.limit:
            self.iteration(k)
            k += 1
            if self.batches.is_over(k, self.nit >= self.limit):
                self.end_epoch()
            self.consistent = True
            if self.progress is not None:
                self.progress.advance()
            if self.calls_back:
                self.call_back()
            if interrupts.noted:
                interrupts.check()

    def call_back(self):
        """Call the callbacks, which may have x from the function that made the optimizer, and give it another dtype."""
        if self.callback is not None:
            with self.ranks.stops():
                self.callback(self.shown_x, self.shown_value, self.nit, self.nepoch)
        self.call_epoch_back()

    def call_epoch_back(self):
        """Call the epoch callback, if an epoch has ended."""
        if self.epoch_callback is not None and not self.in_epoch:
            with self.ranks.stops():
                self.epoch_callback(self.epoch_solution, self.history.last())
        self.params.check_unmoved()

    def shown_x(self):
        """The copy of the parameters that a callback is given."""
        return self.params.structured(self.x.copy())

    def shown_value(self):
        """The value that a callback is given."""
        return self.last_value

    def iteration(self, k):
        """Evaluate on batch k of the epoch, step and count; the caller then sets `consistent` again."""
        batch = self.batches.arguments(k)
        self.evaluate.mark()
        self.consistent = False
        try:
            value, gradient = self.evaluate_on(batch)
            if self.nit == 0:
                gradient = self.look_at_start(batch, value, gradient)
        except BaseException:
            self.evaluate.roll_back()
            self.consistent = True  # nothing has changed
            raise
        self.step(value, gradient)
        if self.bounds is not None:
            self.optimizer._project(self.projections)
        if self.average is not None and self.nepoch >= self.settings.average_start:
            self.average.update(self.x)
        weight = self.batches.weight(k)
        self.loss_sum += weight * value
        self.weight_sum += weight
        self.last_value, self.last_gradient = value, gradient
        self.nit += 1

    def evaluate_on(self, batch):
        """Value and gradient; a value that is not finite ends the run."""
        if self.gathers:
            self.params.gather()
        value, gradient = self.evaluate(self.view, batch)
        if type(value) is not float:
            value = validation.scalar(value)
        if not math.isfinite(value):
            raise Stop(stopping.NONFINITE_LOSS)
        return value, self.as_gradient(gradient, self.own)

    def step(self, value, gradient):
        try:
            if self.uses_value:
                self.optimizer.step(gradient, value)
            else:
                self.optimizer.step(gradient)
            self.catch_up()
        except FloatingPointError:
            self.evaluate.roll_back()
            self.consistent = True  # the optimizer has changed nothing
            raise Stop(stopping.NONFINITE_GRADIENT) from None
        except BaseException:
            self.evaluate.roll_back()
            raise

    # --- epochs ------------------------------------------------------------------------------------------

    def begin_epoch(self):
        """Draw the batches; a checkpoint of an epoch that has begun holds what was drawn."""
        self.consistent = False
        self.draw()
        self.in_epoch = self.consistent = True

    def draw(self):
        self.batches.begin_epoch()

    def end_epoch(self):
        """Update history, schedule and stopping rule with the epoch; write a checkpoint if one is due."""
        solution = self.solution()
        finite = self.is_finite(solution)
        self.epoch_solution = self.answer(solution)
        loss = self.epoch_loss()
        self.note_epoch(self.epoch_solution, finite)  # first: the validation loss may raise
        monitored = loss if self.validation is None else self.history.last()["validation"]
        self.nepoch += 1
        self.in_epoch, self.loss_sum, self.weight_sum = False, 0.0, 0.0
        for rate in self.optimizer._rates:
            if hasattr(rate, "update"):
                rate.update(monitored)
        if finite:
            np.copyto(self.finite_x, solution)
            best = math.inf if self.best_x is None else self.sense * self.best_loss
            if self.settings.return_best and self.sense * monitored < best:
                self.best_loss, self.best_x = monitored, self.epoch_solution.copy()
        if self.progress is not None:
            self.progress.epoch(loss)
        self.watch.update(self.sense * loss, self.loss_at_start())
        if self.early_stopping is not None:
            self.early_stopping.update(self.sense * monitored)
        self.consistent = True
        if finite and self.nepoch % self.settings.checkpoint_every == 0:
            self.save()

    def note_epoch(self, answer, finite=True):
        """Add the epoch, which may be incomplete, to the history, with the validation loss at its solution."""
        rate, norm = self.rate_and_norm()
        self.history.add(
            iteration=self.nit, epoch=self.nepoch + 1, fun=self.epoch_loss(), learning_rate=rate, grad_norm=norm,
            validation=self.validated(answer) if finite else math.nan, time=self.ranks.first(self.history.seconds()),
        )  # fmt: skip

    def validated(self, answer):
        """The validation loss; None if there is none."""
        return None if self.validation is None else self.validation(answer)

    def epoch_loss(self):
        """Mean loss of the epoch so far, each iteration weighted with its samples."""
        return self.loss_sum / self.weight_sum

    def rate_and_norm(self):
        """Learning rate and gradient norm of the last iteration, which a resumed run has from the checkpoint."""
        rate, norm = self.earlier_rate_and_norm
        if self.last_gradient is not None:
            norm = gradient_norm(self.last_gradient)
        if not math.isnan(self.optimizer._last_rate):
            rate = self.optimizer._last_rate
        return rate, norm
