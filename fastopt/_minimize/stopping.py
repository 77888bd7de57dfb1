"""Why a run ends: the statuses, of which messages.py says what they mean, and the stopping rule."""

import math

from .._validation import saved_runs

CONVERGED, BUDGET, NONFINITE_LOSS, NONFINITE_GRADIENT, NONFINITE_PARAMETERS, FIXED = 0, 1, 2, 3, 4, 5
RISEN, NO_BETTER, CALLBACK = 6, 7, 99

# A run comes to one of these ends by itself, with numbers that are finite as far as is known.
REGULAR = (CONVERGED, BUDGET, FIXED, RISEN)

# A run that ended like this may be resumed, with a larger budget for example.
RESUMABLE = (*REGULAR, CALLBACK)


class Stop(Exception):
    """Ends the loop with one of the statuses; `by` is the argument whose function has raised StopIteration."""

    def __init__(self, status, by=None):
        super().__init__(status)
        self.status, self.by = status, by


# What a LossWatch knows, and begins with.
NUMBERS = {"smoothed": math.nan, "best": math.inf, "lowest": math.inf, "previous": math.nan, "variation": 0.0,
           "highest_far": -math.inf, "lowest_far": math.inf}  # fmt: skip
COUNTS = ("without_progress", "epochs_level", "epochs_far")


# The share of the last loss in the smoothed one.
WEIGHT = 0.3


def smooth(smoothed, loss):
    """The smoothed loss after one more, which is left out if it is infinite or NaN; it is NaN before the first."""
    if not math.isfinite(loss):
        return smoothed
    return (1 - WEIGHT) * (loss if math.isnan(smoothed) else smoothed) + WEIGHT * loss


class LossWatch:
    """The stopping rule: whether the noisy losses of epochs have settled, or risen far above the start.

    The loss of an epoch is the mean over its iterations, each weighted with its samples. It is smoothed as
    ``s = 0.7 * s + 0.3 * loss``, and counts as progress if it is below the best so far by more than
    ``tol * max(1, |best|)``, as in L-BFGS-B. After `patience` epochs without progress the run has settled. Epochs in
    which ``s`` is above the best by more than that margin, and by more than losses vary, do not count.

    Where there is no noise, ``s`` falls long after the losses have ceased to. So the run has settled as well when the
    losses of `patience` epochs in a row were within the margin of the lowest one.

    Losses over held-out samples rise where a model begins to learn its samples by heart, which is a reason to end the
    run: of these, all epochs without progress count.

    A run has diverged when ``s`` was far above the start for ten epochs in a row, or `patience` if that is more, and in
    none of them at its lowest since its peak.

    Attributes
    ----------
    smoothed, best : float
        The smoothed loss, NaN before the first epoch, and the smallest so far, by which progress is measured.
    lowest, epochs_level : float, int
        The lowest loss, by which progress is measured in the same way, and epochs in a row whose losses were near it.
    previous, variation : float
        The loss of the last epoch, and the smoothed difference of those of successive epochs.
    without_progress : int
        Epochs that count for the patience.
    highest_far, lowest_far, epochs_far : float, float, int
        Largest smoothed loss since it was far above the start, the smallest since then, and epochs since the latter.
    """

    # In a pure noise the smoothed loss is within 1.5 variations of its best most of the time; in a steady rise it is
    # so for an epoch or two.
    NEAR = 1.5

    # Far above the start is a rise by more than ten times the larger of 1 and the value there.
    FAR = 10.0
    EPOCHS_FAR = 10

    def __init__(self, tol, patience):
        self.tol, self.patience = tol, patience
        for name, value in self.at_first().items():
            setattr(self, name, value)

    @staticmethod
    def at_first():
        """What is known before the first epoch."""
        return NUMBERS | dict.fromkeys(COUNTS, 0)

    def update(self, loss, start):
        """Take the loss of an epoch, and what counts as the loss at the start; infinity where that is not known.

        A loss that is infinite or NaN, as where all steps of an epoch were left out, is no progress.
        """
        if not math.isfinite(loss):
            self.without_progress += 1
            return
        if math.isnan(self.smoothed):
            self.previous = loss
        self.smoothed = smooth(self.smoothed, loss)
        self.variation = (1 - WEIGHT) * self.variation + WEIGHT * abs(loss - self.previous)
        self.previous = loss
        self.note_progress()
        self.note_level(loss)
        self.note_rise(start)

    def margin(self, best):
        """How far below the best a number must be to be progress."""
        return (self.tol or 0.0) * max(1.0, abs(best)) if math.isfinite(best) else 0.0

    def note_progress(self):
        margin = self.margin(self.best)
        if self.best - self.smoothed > margin:
            self.best, self.without_progress = self.smoothed, 0
        elif self.smoothed - self.best <= max(margin, self.NEAR * self.variation):
            self.without_progress += 1

    def note_level(self, loss):
        margin = self.margin(self.lowest)
        self.epochs_level = self.epochs_level + 1 if abs(self.lowest - loss) <= margin else 0
        if self.lowest - loss > margin:
            self.lowest = loss

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
        settled = max(self.without_progress, self.epochs_level) >= self.patience
        return CONVERGED if self.tol is not None and settled else None

    def snapshot(self):
        return {name: getattr(self, name) for name in self.at_first()}

    @staticmethod
    def schema(done):
        """The check of a snapshot, in a run that had come so far."""
        numbers = dict.fromkeys(NUMBERS, saved_runs.number_or_nan())
        return saved_runs.record(numbers | dict.fromkeys(COUNTS, saved_runs.count(done.nepoch)))

    @classmethod
    def of_former_version(cls, saved):
        """A snapshot as versions before 0.2 made it, with what they did not save; None without `tol`."""
        known = {name: value for name, value in (saved or {}).items() if value is not None}
        return cls.at_first() | {"previous": known.get("smoothed", math.nan)} | known

    def restore(self, saved):
        for name in self.at_first():
            setattr(self, name, saved[name])
