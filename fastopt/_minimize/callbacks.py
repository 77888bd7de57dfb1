"""The user's callbacks, as a run calls them: after each iteration, and after each epoch."""

import inspect
import weakref

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
    validation.function("callback", callback)
    wants_result = _parameters(callback) == {"intermediate_result"}

    def call(x, fun, nit, nepoch):
        try:
            if wants_result:
                _call_with_result(callback, x, fun, nit, nepoch)
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


def _call_with_result(callback, x, fun, nit, nepoch):
    """Call with a result whose x and fun are computed if the callback reads them, or keeps it: both change soon."""
    from .intermediate_result import IntermediateResult, Later, settled

    result = IntermediateResult(x=Later(x), fun=Later(fun), nit=nit, nepoch=nepoch)
    kept, stop = weakref.ref(result), None
    try:
        callback(intermediate_result=result)
    except StopIteration:
        stop = StopIteration()  # not the one that was raised, whose traceback keeps the result
    del result
    if kept() is not None:
        settled(kept())
    if stop is not None:
        raise stop


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
