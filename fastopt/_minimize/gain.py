"""The gain of simultaneous perturbation as a learning-rate schedule."""

from .._validation import saved_runs

# The exponent that Spall (1998) advises for the gains a / (A + k)**ALPHA.
ALPHA = 0.602


class Gain:
    """The learning rate of SPSA's steps, ``first / (1 + t / (A + 1))**0.602``, where A is the budget.

    All parameters move by the same length, the rate times the slope of the iteration, and by `longest` at most.
    `first` and `longest` are found by the calibration; without one the rate is 0.
    """

    def __init__(self, budget):
        self.budget, self.slope = budget, 0.0
        self.first = self.longest = 0.0

    def __call__(self, t):
        rate = self.first / (1 + t / (self.budget + 1)) ** ALPHA
        return rate if rate * self.slope <= self.longest else self.longest / self.slope

    def state_dict(self):
        return {"first": self.first, "longest": self.longest}

    def load_state_dict(self, saved):
        saved = GAIN_SCHEMA("schedule", saved)
        self.first, self.longest = saved["first"], saved["longest"]

    def __repr__(self):
        return f"<Gain of SPSA: {self.first:.3g}, falling over {self.budget:,} steps>"


GAIN_SCHEMA = saved_runs.record({name: saved_runs.number("[0, inf)") for name in ("first", "longest")})
