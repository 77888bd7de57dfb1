"""The one-cycle learning-rate schedule."""

from __future__ import annotations

from typing import Literal

from .._validation.scalars import choice, integer, real
from ._base import Schedule, blend, half_cosine


class one_cycle(Schedule):
    """Rise to a large rate, then fall to almost zero (Smith 2018, without the momentum cycle).

    From ``peak / start_divisor`` at ``t = 0`` to `peak` at ``t = warmup_fraction * (total_steps - 1)``, then
    to ``peak / end_divisor`` at ``t = total_steps - 1``, where it stays. After a fraction ``s`` of the steps
    between two of these rates ``a`` and ``b``: ``b + (a - b) * (1 + cos(pi * s)) / 2`` or ``a + (b - a) * s``.

    Parameters
    ----------
    peak : float
        Largest learning rate, in [0, inf).
    total_steps : int
        Length of the cycle in steps, at least 2.
    warmup_fraction : float, default=0.3
        Part of the cycle in which the rate rises, in [0, 1).
    start_divisor : float, default=25.0
        `peak` over the first rate, in [1, inf).
    end_divisor : float, default=250000.0
        `peak` over the last rate, in [1, inf).
    anneal : {"cosine", "linear"}, default="cosine"
        Shape of both halves.

    Examples
    --------
    >>> from fastopt.schedules import one_cycle
    >>> rate = one_cycle(1.0, total_steps=11, warmup_fraction=0.5)
    >>> [round(rate(t), 3) for t in (0, 2, 5, 8, 10)]
    [0.04, 0.372, 1.0, 0.345, 0.0]
    """

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup_fraction: float = 0.3,
        start_divisor: float = 25.0,
        end_divisor: float = 250000.0,
        anneal: Literal["cosine", "linear"] = "cosine",
    ) -> None:
        super().__init__(
            peak=real("peak", peak, "[0, inf)"),
            total_steps=integer("total_steps", total_steps, 2),
            warmup_fraction=real("warmup_fraction", warmup_fraction, "[0, 1)"),
            start_divisor=real("start_divisor", start_divisor, "[1, inf)"),
            end_divisor=real("end_divisor", end_divisor, "[1, inf)"),
            anneal=choice("anneal", anneal, ("cosine", "linear")),
        )

    def _rate(self, t):
        last = self.total_steps - 1
        t, turn = min(t, last), self.warmup_fraction * last
        if t < turn:
            start, end, fraction = self.peak / self.start_divisor, self.peak, t / turn
        else:
            start, end, fraction = self.peak, self.peak / self.end_divisor, (t - turn) / (last - turn)
        return blend(start, end, half_cosine(fraction) if self.anneal == "cosine" else 1.0 - fraction)
