"""`minimize`: makes a run of its arguments, and a result of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import _checkpoint
from .._types import ArrayLike, StrPath, Structure
from .._validation import minimize as checks
from .._validation import saved_runs, starting_points
from ..objectives._base import Objective
from . import arguments, noise, stopping
from .batches import Batches, NoSamples
from .bounds import Projection
from .callbacks import callback_of, epoch_callback_of
from .finite_sums import BuiltInEvaluator, FiniteSumRun
from .held_out import validation_loss
from .report import History, Progress, show
from .run import Run, RunParts
from .scipy_method import scipy_method
from .settings import Method, Settings
from .structures import starting_point

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
) -> Any:
    """Minimize a function whose values or gradients are noisy, or a mean over samples.

    Arguments, result and conventions follow `scipy.optimize.minimize`; constraints and second derivatives are not
    taken, and `data`, `n_samples`, `batch_size`, `rng`, `resume`, `validation` and `epoch_callback` are new. For a
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
        Never written. For built-in objectives of shape (n,).
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    method : str, Optimizer class, callable or None, optional
        A name in `fastopt.OPTIMIZERS`, a class, or a callable that makes an optimizer of the parameters. None needs no
        learning rate: `Prodigy`, with a factor that falls to 0 over the whole budget; see Notes.
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
        when they are read, or after the call if it is kept. It may raise StopIteration to end the run.
    options : dict, optional
        Hyper-parameters of the method (`learning_rate` may be a schedule; `reduce_on_plateau` is given the losses
        of the epochs), and:

        maxiter, epochs : int
            The budget; the smaller one counts. If neither is given: 100 epochs over samples, else 10,000 iterations.
        epoch_length : int, default=100
            Iterations that count as an epoch where there are no samples.
        patience : int, default=10
            Epochs without progress after which `tol` ends the run.
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
        parallel : {"batch", "hogwild"}
            Built-in objectives: threads share a batch, or take samples each and update the same `x` without locks;
            not for methods whose steps take sums over all of `x`, such as "lamb".
        checkpoint : path
            A file that the state of the run is written to, atomically; also at the end, and on Ctrl-C.
        checkpoint_every : int, default=1
            Epochs between two checkpoints.
        disp : bool, default=False
            Print a summary at the end.
        progress : bool, default=False
            Show a progress bar; needs tqdm.

        Unknown options give an OptimizeWarning. Counts may be floats without a fraction, such as 1e5.
    data : array or tuple of arrays, optional
        Anything that an index array selects samples from along the first axis: ndarrays, CSR matrices (other sparse
        formats are converted), pandas objects, data sets of h5py; lists become arrays. All of one length.
    n_samples : int, optional
        Number of samples, in place of `data`, for an objective that looks them up itself.
    batch_size : int, optional
        Samples per iteration, from 1 to all; default 200, or all if there are fewer. The epochs are shuffled, without
        replacement, and the last batch of one may be short. A batch of all samples is passed as it
        is, but for samples on disk, which become an array.
    rng : None, int or numpy.random.Generator, optional
        Source of the shuffling and of "spsa". The same seed gives the same bits.
    resume : path, optional
        A checkpoint of the same run, to be continued: it ends with the bits it would have had without interruption.
        `x0` gives shape and dtype only. Parameters, state, hyper-parameters and the random generator are those of the
        checkpoint; the objective, the data, schedules, callbacks, `validation` and the budget those of this call.
    validation : callable, Objective, array or tuple of arrays, optional
        A loss that no step sees, evaluated at the solution after each epoch: a function of `x`, an object of
        `fastopt.objectives` with its own penalties, or held-out samples in the form of `data`, over which the mean of
        `fun` is taken. For a built-in `fun` samples are ``(X, y)``, over which its loss is taken without penalties and
        weights. It is in `history`, and takes the place of the loss of the epoch in `tol`, `patience`, `return_best`
        and `reduce_on_plateau`. NaN and infinity count as no progress.
    epoch_callback : callable, optional
        Called after each complete epoch as ``epoch_callback(state)``, with an OptimizeResult with `x` (a read-only view
        of the solution, valid during the call: copy what is to be kept), `fun` (the loss of the epoch), `validation`
        (None without one), `nit`, `nepoch`, `learning_rate`, `grad_norm` and `time`. It may raise StopIteration to end
        the run. Built-in objectives run whole epochs in C between two calls.

    Returns
    -------
    OptimizeResult
        x : ndarray, or dict or list of ndarrays
            The solution: ``optimizer.solution()`` where that is an average, as that of `ASGD`. Otherwise, unless it is
            averaged or the best one, what `optimizer` is bound to.
        fun : float
            The objective at `x`: over all samples in their own order, or one more evaluation where there are none.
        jac : ndarray or sparse, or dict or list of them
            The gradient at `x`, of a built-in objective over all samples; with other samples, with "spsa" and where
            an iteration failed, the last one that a step of this call used, None if there was none.
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
    ``method=None`` is `Prodigy` with ``beta_1=0.8, beta_2=0.97, growth_rate=2, epsilon=1e-12``, ``d0 = 1e-5 * max(1,
    max|x0|)`` and, as `learning_rate`, a factor of the rate that it finds, which falls from 1 to 0 along half a cosine
    over the budget; options replace any of these. Each step is a pass over all of `x`, with sparse gradients, too.

    The statuses:

    == ======= =====================================================================================================
    0  success the smoothed loss has stopped falling (`tol`, `patience`)
    1  success all iterations or epochs are used up; no success if `tol` was given
    2  failure the objective became NaN or infinite; x is the last finite one
    3  failure the gradient became NaN or infinite (only with ``nonfinite="raise"``, the default here)
    4  failure the parameters overflowed; x is that of the last epoch before
    5  success `bounds` leave a single point, where the objective is evaluated once
    99 failure `callback` or `epoch_callback` raised StopIteration
    == ======= =====================================================================================================

    The loss of an epoch is the mean over its iterations. It is smoothed as ``s = 0.7 s + 0.3 loss``, so that noise in
    a single epoch neither ends a run nor keeps it going.

    An exception in `fun`, `jac`, `validation` or a callback passes through unchanged. Ctrl-C raises KeyboardInterrupt;
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
    built_in = isinstance(fun, Objective)
    params = starting_point(x0, fun.dtype if built_in else None)
    remaining = checks.options(options)
    settings = Settings.take(remaining)
    chosen = Method(method, remaining)
    if built_in:
        if not params.is_vector:
            starting_points.refuse_dimensions(x0, params.keys, " for a built-in objective")
        checks.objective_arguments(fun, params.vector, jac, args, data, n_samples)
        n_samples = fun.n_samples
        batch_size = 1 if batch_size is None and chosen.needs_objective else batch_size
    elif chosen.needs_objective:
        checks.needs_objective(chosen.name.lower())
    else:
        checks.no_parallel_samples(settings)
    samples = arguments.samples(data, n_samples, batch_size)
    tol = checks.tolerance(tol)
    projection = None if bounds is None else Projection.of(bounds, params)
    saved = None if resume is None else arguments.saved_run(resume)
    generator = checks.generator(rng)
    if saved is not None:
        generator = arguments.resumed_generator(rng, saved["run"]["rng"]["bit_generator"])
    batches = NoSamples(settings.epoch_length) if samples is None else Batches(*samples, generator)
    if built_in:
        evaluate = BuiltInEvaluator(fun)
    else:
        functions = arguments.UserFunctions(fun, noise.jac_of_run(jac, saved), args)
        evaluate = arguments.evaluator(functions, params, batches, projection, settings, generator)
    limit, unit = settings.limit(batches)
    if projection is not None and saved is None:
        projection.start(params.vector)  # first: some optimizers make their state of the parameters
    optimizer = noise.optimizer(chosen, evaluate, params, limit)
    params.check_unmoved()
    held_out = validation_loss(validation, fun, params, evaluate, batches)
    identity = arguments.identity(params, optimizer, batches, settings) | evaluate.identity()
    if saved is not None:
        saved_runs.same_run(saved["identity"], identity, resume)
    parts = RunParts(
        params, evaluate, batches, optimizer, chosen.shared, generator, settings, limit, identity, bounds=projection,
        average=arguments.average(settings, params.vector, optimizer), callback=callback_of(callback),
        epoch_callback=epoch_callback_of(epoch_callback, params), validation=held_out,
        history=History(validated=held_out is not None),
        watch=None if tol is None else stopping.LossWatch(tol, settings.patience),
    )  # fmt: skip
    if saved is None:
        parts = noise.answered(parts, chosen, jac)
    run = FiniteSumRun(parts) if built_in else Run(parts)
    if saved is None:
        run.begin()
    else:
        with _checkpoint.contents_of(resume):
            run.restore(saved["run"])
    return _result(run, _finish(run), unit, tol)


def _finish(run):
    """Iterate to the end, under a progress bar if one is wanted."""
    if not run.settings.progress:
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
    result = OptimizeResult(
        x=run.params.structured(x),
        fun=value,
        jac=gradient,
        nit=run.nit,
        nepoch=run.nepoch,
        nfev=run.evaluate.nfev,
        njev=run.evaluate.njev,
        success=status in (stopping.CONVERGED, stopping.FIXED) or (status == stopping.BUDGET and tol is None),
        status=status,
        message=stopping.MESSAGES[status].format(unit=unit, nit=run.nit, by=run.stopped_by),
        history=run.history.arrays(),
        optimizer=run.optimizer,
    )
    if run.settings.disp:
        show(result)
    return result
