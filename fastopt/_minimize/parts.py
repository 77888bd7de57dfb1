"""What a run of `minimize` is made of."""

from typing import Any, NamedTuple

import numpy as np


class RunParts(NamedTuple):
    """What a run works with.

    Attributes
    ----------
    params : Parameters
        Those that the optimizer updates in place.
    evaluate : Evaluator
        Computes value and gradient on a batch.
    batches : Batches or NoSamples
        The batches of an epoch.
    optimizer : Optimizer or FiniteSumMethod
        Of the parameters.
    shared : bool
        Whether the caller has the optimizer, and may look at it in a callback.
    rng : numpy.random.Generator
        Source of all that is random.
    settings : Settings
        The options of `minimize`.
    limit : int
        Most iterations.
    identity : dict
        What a checkpoint and the call that resumes it must have in common.
    ranks : Alone or SharedRun
        Those that make the run.
    bounds : Projection or None
    average : Polyak, Ema or None
        Of the iterates.
    callback, epoch_callback : callable or None
        As `callback_of` and `epoch_callback_of` return them.
    validation : callable or None
        As `validation_loss` returns it.
    history : History
    watch : LossWatch
        The stopping rule.
    early_stopping : EarlyStopping or None
        That of a run with a validation loss.
    start : Start
        Where the run starts, which its result is compared with.
    """

    params: Any
    evaluate: Any
    batches: Any
    optimizer: Any
    shared: bool
    rng: np.random.Generator
    settings: Any
    limit: int
    identity: dict
    ranks: Any
    bounds: Any
    average: Any
    callback: Any
    epoch_callback: Any
    validation: Any
    history: Any
    watch: Any
    early_stopping: Any
    start: Any
