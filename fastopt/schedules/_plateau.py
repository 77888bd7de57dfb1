"""The schedule that depends on a monitored value and not on the step number."""

from __future__ import annotations

import math
from typing import Any, Literal

from .._validation.scalars import choice, integer, number, real
from .._validation.text import shown
from ._base import Schedule


class reduce_on_plateau(Schedule):
    """Multiply the rate by a factor when a monitored value has stopped improving.

    The rate depends on the values passed to `update` (say the validation loss, once per epoch), not on ``t``.
    A value is an improvement if it is better than the best so far by more than ``threshold * abs(best)``; NaN
    never is. After more than `patience` updates in a row without one, ``rate = max(rate * factor, min_lr)``;
    the next `cooldown` updates do not count against the patience.

    Parameters
    ----------
    lr : float
        Learning rate at the start, in [0, inf).
    factor : float, default=0.1
        What the rate is multiplied by, in (0, 1).
    patience : int, default=10
        Updates without improvement that are tolerated, not negative.
    threshold : float, default=1e-4
        Smallest relative change that counts as an improvement, in [0, inf).
    cooldown : int, default=0
        Updates after a reduction during which none are counted, not negative.
    min_lr : float, default=0.0
        The rate is never reduced below this, in [0, lr].
    mode : {"min", "max"}, default="min"
        Whether smaller or larger values are better.

    Notes
    -----
    Unlike the other schedules it changes: two are equal if their parameters and their state are, and it has
    no hash. `repr` shows the parameters, `state_dict` returns the state.

    Examples
    --------
    >>> from fastopt.schedules import reduce_on_plateau
    >>> rate = reduce_on_plateau(1.0, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     rate.update(loss)
    >>> rate(100)
    0.5
    """

    __hash__ = None
    _state_names = ("rate", "best", "bad_updates", "cooldown_left")

    def __init__(
        self,
        lr: float,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        lr = real("lr", lr, "[0, inf)")
        super().__init__(
            lr=lr,
            factor=real("factor", factor, "(0, 1)"),
            patience=integer("patience", patience, 0),
            threshold=real("threshold", threshold, "[0, inf)"),
            cooldown=integer("cooldown", cooldown, 0),
            min_lr=real("min_lr", min_lr, f"[0, {lr}]"),
            mode=choice("mode", mode, ("min", "max")),
        )
        self._remember(lr, math.inf if mode == "min" else -math.inf, 0, 0)

    def _remember(self, *state):
        vars(self).update(zip(self._state_names, state, strict=True))

    def _key(self):
        return (*super()._key(), *self.state_dict().values())

    def _rate(self, t):
        return self.rate

    def _improves(self, value):
        gain = self.best - value if self.mode == "min" else value - self.best
        # Before the first finite value `best` is infinite, and a relative margin would be too (or NaN).
        return gain > (self.threshold * abs(self.best) if math.isfinite(self.best) else 0.0)

    def update(self, value: float) -> None:
        """Take the monitored value into account, from the next step on.

        Parameters
        ----------
        value : float
            A real number; NaN counts as no improvement.
        """
        value = number("value", value)
        rate, best, bad_updates, cooldown_left = self.state_dict().values()
        if self._improves(value):
            best, bad_updates = value, 0
        else:
            bad_updates += 1
        if cooldown_left > 0:
            bad_updates, cooldown_left = 0, cooldown_left - 1
        if bad_updates > self.patience:
            rate, bad_updates, cooldown_left = max(rate * self.factor, self.min_lr), 0, self.cooldown
        self._remember(rate, best, bad_updates, cooldown_left)

    def state_dict(self) -> dict[str, Any]:
        """The current rate, the best value and the two counters, as a new dict of plain numbers."""
        return {name: getattr(self, name) for name in self._state_names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a dict made by `state_dict`; nothing changes if it does not fit.

        Parameters
        ----------
        state : dict
            Rate, best value and counters.
        """
        if set(state) != set(self._state_names):
            raise ValueError(f"`state` must have the keys {list(self._state_names)}, got {shown([*state])}.")
        self._remember(
            real("rate", state["rate"], "[0, inf)"),
            real("best", state["best"], "[-inf, inf]"),
            integer("bad_updates", state["bad_updates"], 0),
            integer("cooldown_left", state["cooldown_left"], 0),
        )
