"""`minimize`: makes a run of its arguments, and a result of the run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import _checkpoint
from .._types import ArrayLike, StrPath, Structure
from .._validation import minimize as checks
from .._validation import saved_runs, shared_runs, starting_points
from ..objectives._base import Objective
from . import arguments, messages, noise, stopping
from .batches import NoSamples
from .bounds import Projection
from .callbacks import callback_of, epoch_callback_of
from .early_stopping import EarlyStopping
from .finite_sums import BuiltInEvaluator, FiniteSumRun
from .held_out import ValidationLoss
from .parts import RunParts
from .ranks import ranks_of
from .report import History, Progress, show
from .run import Run
from .scipy_method import scipy_method
from .settings import Method, Settings
from .start import Start, is_returned, verdict

__all__ = ["minimize", "scipy_method"]


def minimize(
    fun: Any,
    x0: ArrayLike | Structure,
    args: tuple[Any, ...] = (),
    method: Any = None,
    jac: Any = None,
    *,
    bounds: Any = None,
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
    data: Any = None,
    n_samples: int | None = None,
    batch_size: int | None = None,
    rng: int | np.random.Generator | None = None,
    resume: StrPath | None = None,
    validation: Any = None,
    epoch_callback: Callable[..., Any] | None = None,
    comm: Any = None,
) -> Any:
    """Minimize a function whose values or gradients are noisy, or a mean over samples.

    Arguments, result and conventions follow `scipy.optimize.minimize`; constraints and second derivatives are not
    taken; `data`, `n_samples`, `batch_size`, `rng`, `resume`, `validation`, `epoch_callback` and `comm` are new. For a
    guide see "minimize" in the documentation.

    Parameters
    ----------
    fun : callable or scipy.LowLevelCallable
        The objective. Its arguments are ``fun(x, *args)``; with `n_samples` ``fun(x, index, *args)``, where `index`
        is a read-only int64 array: the batch; with ``data=(A, b, ...)`` ``fun(x, A[index], b[index], ...,
        *args)``. It may draw samples of its own. Over samples it must be a mean, not a sum. `x` is a read-only view
        of the parameters, or a list or dict of such views, which the next step overwrites: copy what is to be kept. For
        compiled objectives, to which several arrays are one vector, see "Native objectives" in the documentation.
    x0 : array_like, or dict or list of arrays
        Starting point: of shape (n,) as in SciPy, of more dimensions, or several arrays. `fun`, `jac`, callbacks and
        the result have its structure. float32 stays float32 if all arrays have it, everything else becomes float64.
        Never written. For built-in objectives of shape (n,), or with several outputs (n_features, n_outputs), and one
        more row if there are intercepts.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    method : str, Optimizer class, Optimizer, callable or None, optional
        A name in `fastopt.OPTIMIZERS`, a class, or a callable that makes an optimizer of the parameters. None needs no
        learning rate: `Prodigy`, with a factor that falls to 0 over the whole budget; see Notes. An Optimizer, or
        the one that a run of "saga", "svrg" or "vw" returned, goes on with its state: `x0` is written into its
        parameters, which have its structure and shapes, once all arguments have been checked.
    jac : {True, callable, None, "2-point", "3-point", "cs", "spsa"}, optional
        How the gradient is computed. True: `fun` returns ``(value, gradient)``. Callable: with the arguments of `fun`.
        A gradient is an array with shape and dtype of `x`, which other forms that SciPy takes are converted to, or any
        sparse one that `Optimizer.step` takes; for several arrays a dict or list of them. None, False
        or "2-point": forward differences on the same batch, n + 1 evaluations; "3-point": central ones, 2 n + 2;
        `x` is float64 then. "cs": complex steps. "spsa": two evaluations on the same batch at random shifts
        (Spall 1992), for any n. None without samples: "spsa", with an OptimizeWarning, if `fun` gives two values at
        `x0`.
    bounds : scipy.optimize.Bounds, sequence of (low, high), or dict or list, optional
        Kept by projection after each step, by the parameters and by the solution. A starting point outside is moved,
        with an OptimizeWarning. ``(low, high)`` with two numbers holds for all parameters. For an array of more
        dimensions ends may be arrays, too. For several arrays a dict or list has the bounds of each, None for
        none. None or infinity is no end.
    tol : float, optional
        Ends the run when the smoothed loss of an epoch has not fallen by more than ``tol * max(1, |best|)`` for
        `patience` epochs: see Notes. Without it the budget is used up.
    callback : callable, optional
        Called after each iteration as ``callback(intermediate_result)`` if that is the name of its only parameter,
        with an OptimizeResult with `x`, `fun` (of the iteration's batch, before its step; of a built-in objective with
        the penalties after it), `nit` and `nepoch`; else as ``callback(x)``. Both are given copies of the parameters,
        at which gradients are taken; the optimizer's solution may be another. `x` and `fun` of a result are computed
        when they are read, or after the call if it is kept: with built-in objectives and penalties that is a pass over
        all of `x`, which ``callback(x)`` takes in every iteration. It may raise StopIteration to end the run.
    options : dict, optional
        Hyper-parameters of the method (`learning_rate` may be a schedule; `reduce_on_plateau` is given the losses
        of the epochs), and:

        maxiter, epochs : int
            The budget; the smaller one counts. If neither is given: 100 epochs over samples, all of an iterator, else
            10,000 iterations.
        epoch_length : int, optional
            Iterations that count as an epoch. Where there are no samples: by default 100, or if that is less and
            `epochs` is not given, a fifth of `maxiter`; a fiftieth with anything that refers to epochs, such as `tol`,
            `epoch_callback`, `average` or `checkpoint`; a resumed run keeps its own. Of an iterator: by default all of
            it; its last epoch may be short.
        patience : int, optional
            Epochs without progress after which `tol` ends the run: by default 10, or half of the epochs in the budget
            if that is less.
        average : {None, "polyak", "ema"}
            Return an average of the iterates: their mean, or an exponentially weighted one, in float64. None for a
            method whose solution is an average.
        average_start : int, default=1
            Epochs before averaging begins.
        average_decay : float, default=0.999
            Weight of the past in "ema", in [0, 1).
        return_best : bool, default=False
            Return the solution at the end of the epoch with the smallest loss, not the last one.
        finite_diff_rel_step : float or array, optional
            Steps of differences in units of `x`, as in SciPy; by default from the dtype in which `fun` computes.
        spsa_step : float, optional
            Size of the shifts of ``jac="spsa"`` in the first iteration: by default found by calibration with
            ``method=None`` and where noise was noticed, else 0.01.
        parallel : {"batch", "hogwild", "local"}
            Built-in objectives: threads share a batch, or take samples each and update the same `x` without locks;
            not for methods whose steps of single entries depend on all of `x`, such as "lamb" and "prodigy". With
            `comm` "local" is local SGD: ranks step by themselves, and are averaged after each epoch.
        parts : int, optional
            With `comm`: gradients are summed over so many parts of all samples, in their order, which gives the same
            bits on any number of ranks. Part i begins with sample ``i * n // parts`` of all n.
        checkpoint : path
            A file that the state of the run is written to, atomically; also at the end, and on Ctrl-C.
        checkpoint_every : int, default=1
            Epochs between two checkpoints.
        disp : bool, default=False
            Print a summary at the end.
        prefetch : int, default=0
            Batches or chunks of `data` that a thread reads ahead while the objective and the step are computed. The
            results have the same bits.
        progress : bool, default=False
            Show a progress bar; needs tqdm.

        Unknown options give an OptimizeWarning. Counts may be floats without a fraction, such as 1e5.
    data : array, tuple of arrays, iterable or callable, optional
        Arrays: anything that an index array or a slice selects samples from along the first axis: ndarrays, CSR
        matrices (other sparse formats are converted), data sets of h5py, arrays of zarr. Pandas objects, lists, and
        arrays of torch and JAX become NumPy arrays, which share their memory where possible. All of one length.
        An iterable, which is iterated anew for each epoch, an iterator, which is read once, or a function that returns
        an iterable for each epoch, and is called with the number of the epoch, from 0, if it needs an argument: its
        items are tuples of arrays, or single arrays, and each is a batch or, with `batch_size`, a chunk of samples.
    n_samples : int, optional
        Number of samples, in place of `data`, for an objective that looks them up itself.
    batch_size : int, optional
        Samples per iteration, from 1 to all; default 200, or all if there are fewer. The epochs are shuffled, without
        replacement, and the last batch of one may be short. A batch of all samples is passed as it
        is, also that of np.memmap; other samples on disk become an array. With an iterable, the samples of each chunk
        are shuffled and cut into batches, of which the last one of a chunk may be short; by default the items are the
        batches.
    rng : None, int or numpy.random.Generator, optional
        Source of the shuffling and of "spsa". The same seed gives the same bits.
    resume : path, optional
        A checkpoint of the same run, to be continued: it ends with the bits it would have had without interruption.
        `x0` gives shape and dtype only. Parameters, state, hyper-parameters and the random generator are those of the
        checkpoint; the objective, the data, schedules, callbacks, `validation` and the budget those of this call.
    validation : callable, Objective, array, tuple of arrays or iterable, optional
        A loss that no step sees, evaluated at the solution after each epoch: a function of `x`, an object of
        `fastopt.objectives` with its own penalties, or held-out samples, over which the mean of `fun` is taken: arrays
        as `data`, or an iterable of batches that can be iterated anew. For a built-in `fun` samples are ``(X, y)``,
        over which its loss is taken without penalties and weights. It is in `history`, and takes the place of the loss
        of the epoch in `tol`, `patience`, `return_best` and `reduce_on_plateau`. NaN and infinity count as no progress.
    epoch_callback : callable, optional
        Called after each complete epoch as ``epoch_callback(state)``, with an OptimizeResult with `x` (a read-only view
        of the solution, valid during the call: copy what is to be kept), `fun` (the loss of the epoch), `validation`
        (None without one), `nit`, `nepoch`, `learning_rate`, `grad_norm` and `time`. It may raise StopIteration to end
        the run. Built-in objectives run whole epochs in C between two calls.
    comm : mpi4py communicator, optional
        Of processes, *ranks*, that make this call together, each with samples of its own: `data`, `n_samples` or a
        built-in objective. In the order of ranks they are the samples of the mean; `batch_size`, `epochs` and `nit`
        count over all. Other arguments are the same on all ranks, and so is the result. An exception on one rank, and
        Ctrl-C, ends the call on all of them.

    Returns
    -------
    OptimizeResult
        x : ndarray, or dict or list of ndarrays
            The solution: ``optimizer.solution()`` where that is an average, as that of `ASGD`. Otherwise, unless it is
            averaged, the best one or the start, what `optimizer` is bound to.
        fun : float
            The objective at `x`: over all samples in their own order, or one more evaluation where there are none. Of
            an iterator, which cannot be read again, over its first batches, up to 1024 samples.
        jac : ndarray or sparse, or dict or list of them
            The gradient at `x`, of a built-in objective over all samples; with other samples, with "spsa" and where
            an iteration failed, the last one that a step of this call used, None if there was none or the start is
            returned.
        nit, nepoch, nfev, njev : int
            Iterations, complete epochs, calls of `fun` for values, on held-out samples as well, and for gradients.
        success, status, message : bool, int, str
            See Notes.
        history : dict of arrays
            One entry per epoch: iteration, epoch, fun (its mean loss), learning_rate and grad_norm of its last
            iteration, time in seconds, and with `validation` that. An incomplete epoch at the end has an entry, too.
        optimizer : Optimizer
            With its state.

    Raises
    ------
    TypeError, ValueError
        For bad arguments, before the objective is called; for what it returns, at the first call.
    CheckpointError
        When the file to resume from is damaged.

    Notes
    -----
    ``method=None`` is `Prodigy` with ``beta_1=0.8, beta_2=0.97, growth_rate=2, epsilon=1e-12``, ``d0 = max(1e-5,
    2**(-n/3)) * max(1, max|x0|)`` for a budget of `n` iterations and, as `learning_rate`, a factor of the rate that it
    finds, which falls from 1 to 0 along half a cosine over the budget; options replace any of these. Each step is a
    pass over all of `x`, with sparse gradients, too. If the run ends above its start, other than by the callback, the
    start is returned, and the message says so. With ``jac="spsa"`` it is `SGD` with the gains of Spall (1998), which
    are calibrated by evaluations at the start and after 1, 4, 16, ... iterations, unless the options have a
    hyper-parameter.

    The statuses:

    == ======= =====================================================================================================
    0  success the smoothed loss has settled (`tol`, `patience`), or nothing leads downhill from the start
    1  success all iterations, epochs or data are used up; no success if `tol` was given, or the budget was 0
    2  failure the objective became NaN or infinite after a step, or was at the start or at `x`
    3  failure the gradient became NaN or infinite (only with ``nonfinite="raise"``, the default here)
    4  failure the parameters overflowed; x is that of the last epoch before
    5  success `bounds` leave a single point, where the objective is evaluated once
    6  failure the objective is higher at `x` than at the start, or the run diverged and was ended
    7  failure the objective is as high at `x` as at the start
    99 failure `callback` or `epoch_callback` raised StopIteration
    == ======= =====================================================================================================

    A success is lower than its start. Over samples the objective is evaluated over all of them at both ends, once for
    each 1024 of them at the start unless the first batch is of all samples; over an iterator, which is read once, on
    its first batches. Without samples the value at the start is that of the first iteration. Where two evaluations at
    one point differ, the means of up to 100 evaluations at either end are compared, if single values and smoothed
    losses of epochs do not agree. With `maximize` higher is better.

    The loss of an epoch is the mean over its iterations, weighted with their samples; an item of an iterable whose
    arrays are not all of one length counts as one sample. The loss is smoothed as ``s = 0.7 s + 0.3 loss``, so that
    noise in a single epoch neither ends a run nor keeps it going. An epoch without progress counts for `patience` only
    while the smoothed loss is near its best. A validation loss is not smoothed: a run with `tol` ends when it has not
    fallen below the smallest one for `patience` epochs. The guide has the details.

    An exception in `fun`, `jac`, `validation` or a callback passes through unchanged; on other ranks of `comm` it is a
    `fastopt.distributed.RankError`. Ctrl-C raises KeyboardInterrupt;
    with `checkpoint` the iteration is finished first (a second Ctrl-C does not wait), and the file has all of it.

    Examples
    --------
    Linear regression on mini-batches:

    >>> import numpy as np, fastopt
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2000, 3))
    >>> y = X @ [1.0, -2.0, 0.5] + 0.1 * rng.standard_normal(2000)
    >>> def loss(w, X, y):
    ...     residual = X @ w - y
    ...     return residual @ residual / (2 * len(y)), X.T @ residual / len(y)
    >>> res = fastopt.minimize(loss, np.zeros(3), jac=True, data=(X, y), batch_size=64, rng=0,
    ...                        options={"epochs": 20})
    >>> res.x.round(1)
    array([ 1. , -2. ,  0.5])
    >>> res.nit, res.nepoch, res.success
    (640, 20, True)
    """
    with ranks_of(comm) as ranks:
        built_in = isinstance(fun, Objective)
        remaining = checks.options(options)
        settings = Settings.take(remaining)
        shared_runs.settings(settings, ranks)
        chosen = Method(method, remaining)
        ranks.same(parts=settings.parts, **arguments.kinds(fun=fun, jac=jac, validation=validation, resume=resume))
        ranks.n_parts = settings.parts
        if built_in:
            n_own, fun = fun.n_samples, ranks.objective(fun)
        params = chosen.parameters(x0, fun.dtype if built_in else None)
        if built_in:
            if not params.is_vector and (params.keys is not None or not fun._is_matrix(params.shapes[0])):
                starting_points.refuse_dimensions(x0, params.keys, " for a built-in objective")
            checks.objective_arguments(fun, params.start, jac, args, data, n_samples)
            n_samples = n_own
            batch_size = 1 if batch_size is None and chosen.needs_objective else batch_size
        elif chosen.needs_objective:
            checks.needs_objective(chosen.name.lower())
        else:
            checks.no_parallel_samples(settings)
        samples = arguments.samples(data, n_samples, batch_size, settings, ranks)
        tol = checks.tolerance(tol)
        projection = None if bounds is None else Projection.of(bounds, params)
        saved = None if resume is None else arguments.saved_run(resume, ranks)
        generator = ranks.generator(checks.generator(rng), rng)
        if saved is not None:
            generator = arguments.resumed_generator(rng, saved["run"]["rng"]["bit_generator"])
        if samples is None:
            asked = any(each is not None for each in (tol, validation, epoch_callback))
            length = settings.iterations_per_epoch(asked or chosen.counts_epochs, saved and saved["identity"])
            batches = NoSamples(length, generator)
        else:
            batches = samples(generator)
        if built_in:
            evaluate = BuiltInEvaluator(fun)
        else:
            functions = arguments.UserFunctions(fun, noise.jac_of_run(jac, saved), args)
            evaluate = arguments.evaluator(functions, params, batches, projection, settings, ranks)
        limit, unit = settings.limit(batches)
        if projection is not None and saved is None:
            projection.start(params.start)  # first: some optimizers make their state of the parameters
        known_limit = arguments.known_limit(chosen, limit, settings, batches)
        optimizer = noise.optimizer(chosen, evaluate, params, known_limit)
        held_out = ValidationLoss(fun, params, evaluate, batches, ranks).of(validation)
        identity = arguments.identity(params, optimizer, batches, settings) | evaluate.identity()
        if ranks.several:
            common = {**identity, "tol": tol, "limit": limit, "validation": held_out is not None}
            ranks.same(**common | arguments.of_all_ranks(params, optimizer, projection, settings))
        if saved is not None:
            saved_runs.same_run(saved["identity"], identity, resume)
        patience = settings.epochs_of_patience(limit, batches)
        keeps_start = chosen.untuned or batches.read_once or batches.n_samples is None
        callbacks = ranks.callbacks(callback_of(callback), epoch_callback_of(epoch_callback, params))
        parts = RunParts(
            params, evaluate, batches, optimizer, chosen.shared, generator, settings, limit, identity, ranks,
            bounds=projection, average=arguments.average(settings, params.start, optimizer), callback=callbacks[0],
            epoch_callback=callbacks[1], validation=held_out,
            history=History(validated=held_out is not None),
            watch=stopping.LossWatch(tol if held_out is None else None, patience),
            early_stopping=None if tol is None or held_out is None else EarlyStopping(tol, patience),
            start=Start(params.start.copy() if keeps_start else None, chosen.untuned),
        )  # fmt: skip
        if saved is None:
            parts = noise.perturbed_if_noisy(parts, chosen, jac)
        with params.in_use(), contextlib.closing(batches):
            params.check_unmoved()
            run = FiniteSumRun(parts) if built_in else Run(parts)
            if saved is None:
                run.begin()
                run.go_to_start()
            else:
                with _checkpoint.contents_of(resume):
                    run.restore(saved["run"])
            status = _finish(run)
            batches.close()  # the evaluation at the end reads anew
            return _result(run, status, unit, tol)


def _finish(run):
    """Iterate to the end, under a progress bar if one is wanted."""
    if not (run.settings.progress and run.ranks.is_first):
        return run.to_the_end()
    run.progress = Progress(run.limit, run.nit)
    try:
        return run.to_the_end()
    finally:
        run.progress.close()


def _result(run, status, unit, tol):
    from scipy.optimize import OptimizeResult

    if run.weight_sum > 0:
        run.note_epoch(run.answer(run.solution()))  # the last one is incomplete, and not in a checkpoint
    x = run.best_x if run.best_x is not None else run.answer(run.solution())
    value, gradient, status = run.evaluated(x, status)
    status, start = verdict(run, status, x, value)
    message = messages.message(status, start, unit, run)
    if is_returned(run, status, value):
        x, value, gradient, message = run.start.x, run.start.value, None, f"{message} {messages.RETURNED}"
    result = OptimizeResult(
        x=run.params.structured(x),
        fun=value,
        jac=gradient,
        nit=run.nit,
        nepoch=run.nepoch,
        nfev=run.evaluate.nfev,
        njev=run.evaluate.njev,
        success=status in (stopping.CONVERGED, stopping.FIXED)
        or (status == stopping.BUDGET and tol is None and run.nit > 0),
        status=status,
        message=message,
        history=run.history.arrays(),
        optimizer=run.optimizer,
    )
    if run.settings.disp and run.ranks.is_first:
        show(result)
    return result
