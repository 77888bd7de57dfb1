"""Why a run ends: the statuses with their messages, and the stopping rule."""

import math

from .._validation import saved_runs

CONVERGED, BUDGET, NONFINITE_LOSS, NONFINITE_GRADIENT, NONFINITE_PARAMETERS, FIXED = 0, 1, 2, 3, 4, 5
RISEN, NO_BETTER, CALLBACK = 6, 7, 99

# A run comes to one of these ends by itself, with numbers that are finite as far as is known.
REGULAR = (CONVERGED, BUDGET, FIXED, RISEN)

# A run that ended like this may be resumed, with a larger budget for example.
RESUMABLE = (*REGULAR, CALLBACK)

REMEDY = "Try a smaller `learning_rate`, `clip_norm` or `clip_value`, or scale the data."
MESSAGES = {
    CONVERGED: "Optimization terminated successfully.",
    BUDGET: "Maximum number of {unit} has been reached.",
    NONFINITE_LOSS: f"The objective became NaN or infinite in iteration {{nit}}. {REMEDY}",
    NONFINITE_GRADIENT: f"The gradient became NaN or infinite in iteration {{nit}}. {REMEDY}",
    NONFINITE_PARAMETERS: f"The parameters overflowed in iteration {{nit}}. {REMEDY}",
    FIXED: "All parameters are fixed by `bounds`.",
    RISEN: f"The objective has risen above its value at the start, {{start:.6g}}. {REMEDY}",
    NO_BETTER: (
        "The objective is as high as at the start, {start:.6g}. Try a larger `learning_rate` or more iterations, and "
        "check the gradient."
    ),
    CALLBACK: "`callback` raised `StopIteration`.",
}
RETURNED = "The start is returned."
STATIONARY = "The starting point is stationary: no direction leads downhill from there."


def message(status, start, unit, run):
    """What is said of a run that ended like this; `start` is the objective at its start, `unit` that of its budget."""
    if status == CONVERGED and run.start.stationary:
        return STATIONARY
    return MESSAGES[status].format(unit=unit, nit=run.nit, start=start)


class Stop(Exception):
    """Ends the loop with one of the statuses."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


class LossWatch:
    """The stopping rule: whether the noisy losses of epochs have settled, or risen far above the start.

    The loss of an epoch is the mean over its iterations, each weighted with its samples. It is smoothed as
    ``s = 0.7 * s + 0.3 * loss``, and counts as progress if it is below the best so far by more than
    ``tol * max(1, |best|)``, as in L-BFGS-B. After `patience` epochs without progress the run has settled. Epochs in
    which ``s`` is above the best by more than that margin, and by more than losses vary, do not count.

    A run has diverged when ``s`` was far above the start for ten epochs in a row, or `patience` if that is more, and in
    none of them at its lowest since its peak.

    Attributes
    ----------
    smoothed, best : float
        The smoothed loss, NaN before the first epoch, and the smallest so far, by which progress is measured.
    variation : float
        Smoothed difference of the losses of successive epochs.
    without_progress : int
        Epochs that count for the patience.
    highest_far, lowest_far, epochs_far : float, float, int
        Largest smoothed loss since it was far above the start, the smallest since then, and epochs since the latter.
    """

    WEIGHT = 0.3

    # In a pure noise the smoothed loss is within 1.5 variations of its best most of the time; in a steady rise it is
    # so for an epoch or two.
    NEAR = 1.5

    # Far above the start is a rise by more than ten times the larger of 1 and the value there.
    FAR = 10.0
    EPOCHS_FAR = 10

    SAVED = ("smoothed", "best", "previous", "variation", "without_progress", "highest_far", "lowest_far", "epochs_far")

    def __init__(self, tol, patience):
        self.tol, self.patience = tol, patience
        self.smoothed = self.previous = math.nan
        self.best, self.variation, self.without_progress = math.inf, 0.0, 0
        self.highest_far, self.lowest_far, self.epochs_far = -math.inf, math.inf, 0

    def update(self, loss, start):
        """Take the loss of an epoch, and what counts as the loss at the start; infinity where that is not known."""
        if not math.isfinite(loss):
            return  # all steps of the epoch were skipped, or a sum of losses overflowed
        if math.isnan(self.smoothed):
            self.smoothed = self.previous = loss
        self.smoothed = (1 - self.WEIGHT) * self.smoothed + self.WEIGHT * loss
        self.variation = (1 - self.WEIGHT) * self.variation + self.WEIGHT * abs(loss - self.previous)
        self.previous = loss
        self.note_progress()
        self.note_rise(start)

    def note_progress(self):
        margin = (self.tol or 0.0) * max(1.0, abs(self.best)) if math.isfinite(self.best) else 0.0
        if self.best - self.smoothed > margin:
            self.best, self.without_progress = self.smoothed, 0
        elif self.smoothed - self.best <= max(margin, self.NEAR * self.variation):
            self.without_progress += 1

    def note_rise(self, start):
        if not self.smoothed - start > self.FAR * max(1.0, abs(start)):
            self.highest_far, self.lowest_far, self.epochs_far = -math.inf, math.inf, 0
        elif self.smoothed < self.lowest_far < math.inf:
            self.lowest_far, self.epochs_far = self.smoothed, 0
        else:
            if self.smoothed > self.highest_far:
                self.highest_far = self.lowest_far = self.smoothed
            self.epochs_far += 1

    @property
    def status(self):
        """Why the run is over; None if it is not."""
        if self.epochs_far >= max(self.patience, self.EPOCHS_FAR):
            return RISEN
        return CONVERGED if self.tol is not None and self.without_progress >= self.patience else None

    def snapshot(self):
        return {name: getattr(self, name) for name in self.SAVED}

    @staticmethod
    def schema(done):
        """The check of a snapshot, in a run that had come so far."""
        any_number, epochs = saved_runs.number_or_nan(), saved_runs.count(done.nepoch)
        return saved_runs.record(
            {
                "smoothed": saved_runs.optional(any_number),
                "best": saved_runs.number(),
                "previous": any_number,
                "variation": any_number,
                "without_progress": epochs,
                "highest_far": saved_runs.number(),
                "lowest_far": saved_runs.number(),
                "epochs_far": epochs,
            },
            added={
                "previous": math.nan,
                "variation": 0.0,
                "highest_far": -math.inf,
                "lowest_far": math.inf,
                "epochs_far": 0,
            },
        )

    def restore(self, saved):
        for name in self.SAVED:
            setattr(self, name, saved[name])
        if self.smoothed is None:
            self.smoothed = math.nan  # in files of versions before 0.2, as well as no loss of the last epoch
        if math.isnan(self.previous):
            self.previous = self.smoothed
