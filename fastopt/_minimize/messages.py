"""What is said of a run when it has ended: why, and what to do about it."""

from ..schedules import cosine_decay
from .stopping import (
    BUDGET,
    CALLBACK,
    CONVERGED,
    FIXED,
    NO_BETTER,
    NONFINITE_GRADIENT,
    NONFINITE_LOSS,
    NONFINITE_PARAMETERS,
    RISEN,
)  # fmt: skip

MESSAGES = {
    CONVERGED: "Optimization terminated successfully.",
    BUDGET: "Maximum number of {unit} has been reached.",
    NONFINITE_LOSS: "The objective became NaN or infinite in iteration {nit}{where}. {smaller}",
    NONFINITE_GRADIENT: "The gradient became NaN or infinite in iteration {nit}{where}. {smaller}",
    NONFINITE_PARAMETERS: "The parameters overflowed in iteration {nit}. {smaller}",
    FIXED: "All parameters are fixed by `bounds`.",
    RISEN: "The objective has risen above its value at the start, {start:.6g}. {smaller}",
    NO_BETTER: "The objective is as high as at the start, {start:.6g}. {larger}",
    CALLBACK: "`{by}` raised `StopIteration`{where}.",
}

# Before the first step no option of the method can help.
AT_START = {
    NONFINITE_LOSS: "The objective is NaN or infinite at the start{where}. Check it at `x0`, and the data.",
    NONFINITE_GRADIENT: "The gradient is NaN or infinite at the start{where}. Check it at `x0`, and the data.",
    NONFINITE_PARAMETERS: "The starting point is NaN or infinite. Check `x0` and `bounds`.",
}

STATIONARY = "The starting point is stationary: no direction leads downhill from there{shown}."
USED_UP = "The data are used up."
UNSETTLED = "The loss has not settled within `tol`."
STILL_HIGH = "The learning rate was still {share:.0%} of its first value. With fewer iterations it falls to 0."
RETURNED = "The start is returned."

# Hyper-parameters that make steps smaller, as far as an optimizer has them.
MAKE_SMALLER = ("learning_rate", "clip_norm", "clip_value")

# What is said of a loss that settles while the rate of the default method is above this share of its first value.
HIGH_RATE = 0.05


def message(status, start, unit, run):
    """What is said of a run that ended like this.

    `start` is the objective at its start, `unit` that in which its limit of iterations was given.
    """
    if status == CONVERGED and run.start.stationary:
        return STATIONARY.format(shown=", as far as differences show" if run.evaluate.approximate else "")
    if run.nit == 0 and status in AT_START:
        return AT_START[status].format(where=run.ranks.where)
    if status == BUDGET:
        return _of_budget(unit if run.nit >= run.limit else "epochs", run)
    text = MESSAGES[status].format(
        nit=run.nit,
        start=start,
        by=run.stopped_by,
        smaller=_to_make_steps_smaller(run),
        larger=_to_get_on(run),
        where=run.ranks.where,
    )
    share = _share_of_first_rate(run) if status == CONVERGED else 0.0
    return f"{text} {STILL_HIGH.format(share=share)}" if share > HIGH_RATE else text


def _share_of_first_rate(run):
    """Of a learning rate that is to fall over the whole budget, as that of the default method; 0 of others."""
    rate = run.optimizer._values["learning_rate"]
    falls = isinstance(rate, cosine_decay) and rate.decay_steps == run.limit and rate(0) > 0
    return run.optimizer._last_rate / rate(0) if falls else 0.0


def _of_budget(unit, run):
    """That the budget was used up, and why that is no success if `tol` was given."""
    text = USED_UP if run.batches.used_up else MESSAGES[BUDGET].format(unit=unit)
    return f"{text} {UNSETTLED}" if run.has_tol else text


def _to_make_steps_smaller(run):
    """The remedy where steps were too long."""
    if run.evaluate.gain is not None:
        return "Divide each parameter by its order of magnitude, or give `spsa_step`."
    names = [f"`{name}`" for name in MAKE_SMALLER if name in run.optimizer._declared]
    smaller = f"a smaller {', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else f"a smaller {names[0]}"
    return f"Try {smaller}, or scale the {'parameters' if run.batches.n_samples is None else 'data'}."


def _to_get_on(run):
    """The remedy where steps led nowhere."""
    scale = "if `x0` or the objective is very large or very small, scale it."
    if run.evaluate.gain is not None:
        return f"Try more iterations, or a larger `spsa_step`; {scale}"
    if callable(run.optimizer._values["learning_rate"]) and run.optimizer._last_rate == 0:
        return (
            "Its schedule has brought the learning rate to 0: assign another to it, such as "
            "optimizer.learning_rate = 0.1."
        )
    return f"Try a larger `learning_rate` or more iterations, and check the gradient; {scale}"
