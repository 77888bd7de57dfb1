"""The user's callbacks, as a run calls them: after each iteration, and after each epoch."""

import inspect

from .._memory import read_only
from .._validation import minimize as validation
from .stopping import CALLBACK, Stop


def callback_of(callback):
    """The user's callback as a function of x and fun, which are computed when they are called, and counters.

    None if there is none. As in SciPy: one whose only parameter is called `intermediate_result` is given a result, any
    other x itself; StopIteration ends the run.
    """
    if callback is None:
        return None
    from .intermediate_result import call_with_result

    validation.function("callback", callback)
    wants_result = _parameters(callback) == {"intermediate_result"}

    def call(x, fun, nit, nepoch):
        try:
            if wants_result:
                call_with_result(callback, {"x": x, "fun": fun}, nit=nit, nepoch=nepoch)
            else:
                callback(x())
        except StopIteration:
            raise Stop(CALLBACK, "callback") from None

    return call


def _parameters(callback):
    try:
        return set(inspect.signature(callback).parameters)
    except (TypeError, ValueError):  # a builtin without a signature
        return set()


def epoch_callback_of(callback, params):
    """The user's epoch callback as a function of a solution and the epoch's entries in the history; or None."""
    if callback is None:
        return None
    from scipy.optimize import OptimizeResult

    validation.function("epoch_callback", callback)

    def call(solution, entries):
        state = OptimizeResult(
            x=params.structured(read_only(solution)),
            fun=entries["fun"],
            validation=entries.get("validation"),
            nit=entries["iteration"],
            nepoch=entries["epoch"],
            learning_rate=entries["learning_rate"],
            grad_norm=entries["grad_norm"],
            time=entries["time"],
        )
        try:
            callback(state)
        except StopIteration:
            raise Stop(CALLBACK, "epoch_callback") from None

    return call
