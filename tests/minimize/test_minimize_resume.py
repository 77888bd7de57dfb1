"""A run of minimize that was interrupted and resumed ends with the bits of one that was not."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, OPTIMIZERS, form_id
from objectives import Counted, bowl, bowl_slope, bowl_value, next_draws, outcome
from scipy import sparse
from scipy.optimize import Bounds

import fastopt
from fastopt import CheckpointError, RowSparse, _checkpoint, minimize, schedules
from fastopt._interrupts import DeferredInterrupt

TABLE = np.random.default_rng(0).standard_normal((11, 3))
RIGHT = np.random.default_rng(1).standard_normal(11)
START = np.array([0.3, -0.4, 0.6])
EPOCHS = 4
RATE = schedules.inverse_time_decay(0.05, 3, 1.0)


def squares(x, A, b):
    residual = A @ x.astype(np.float64) - b
    return float(residual @ residual) / len(b), (2 * A.T @ residual / len(b)).astype(x.dtype)


def squares_value(x, A, b):
    return squares(x, A, b)[0]


def row_sparse(x, index):
    """Touches one or two of the parameters at a time."""
    k = np.unique(index % 3)[:2]
    return float(np.cos(x[k]).sum()), RowSparse(k, -np.sin(x[k]))


def csr_row(x, index):
    value, gradient = row_sparse(x, index)
    return value, sparse.csr_array((gradient.rows, gradient.indices, [0, len(gradient.indices)]), shape=(1, x.size))


# With samples three iterations are an epoch: batches of 4, 4 and 3. Without, epoch_length makes it three as well.
SAMPLES = dict(n_samples=11, batch_size=4)
OBJECTIVES = {
    "plain": dict(fun=bowl, jac=True),
    "n_samples": dict(fun=lambda x, k: squares(x, TABLE[k], RIGHT[k]), jac=True, **SAMPLES),
    "data": dict(fun=squares, jac=True, data=(TABLE, RIGHT), batch_size=4),
    "spsa": dict(fun=bowl_value, jac="spsa"),
    "spsa, data": dict(fun=squares_value, jac="spsa", data=(sparse.csr_array(TABLE), RIGHT), batch_size=4),
    "differences": dict(fun=squares_value, data=(TABLE, RIGHT), batch_size=4),
    "sparse": dict(fun=row_sparse, jac=True, **SAMPLES),
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Where to write a checkpoint, without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return str(tmp_path / "run.npz")


def run(objective, seed=3, epochs=EPOCHS, options=None, **arguments):
    """A run of some epochs, and its random generator."""
    rng = np.random.default_rng(seed) if isinstance(seed, int) else seed
    options = {"learning_rate": RATE, "epochs": epochs, "epoch_length": 3, **(options or {})}
    return minimize(x0=START, rng=rng, options=options, **{**OBJECTIVES[objective], **arguments}), rng


def without_interruption(objective, **arguments):
    return outcome(*run(objective, **arguments))


def resumed(objective, path, **arguments):
    """The rest of a run; its own seed and starting point play no part."""
    return outcome(*run(objective, seed=99, resume=path, **arguments))


class Interruption(Exception):
    """Something that goes wrong in the caller's code."""


def interrupted(objective, path, error, at, options=None, where="callback", **arguments):
    """Run until the callback or the objective raises in its call number `at`, with checkpoints."""
    options = {**(options or {}), "checkpoint": path}
    if where == "callback":
        arguments["callback"] = Counted(lambda x: None, error, at)
    else:
        fun = arguments.get("fun", OBJECTIVES[objective]["fun"])
        arguments["fun"] = Counted(fun, error, at)
    with pytest.raises(type(error)):
        run(objective, options=options, **arguments)


# --- every method and every kind of objective ----------------------------------------------------------------


# In a checkpoint the state of the optimizer and that of the objective stand side by side; neither depends on the other.
@pytest.mark.parametrize(
    "case, objective",
    [
        *((case, objective) for case in CASES for objective in ("data", "sparse")),
        *(((fastopt.Adam, {}), objective) for objective in OBJECTIVES if objective not in ("data", "sparse")),
    ],
    ids=form_id,
)
def test_resumed_after_each_epoch_of_a_smaller_budget(case, objective, path):
    cls, keywords = case
    expected = without_interruption(objective, method=cls, options=keywords)
    for epochs in (1, 2, 3):
        run(objective, method=cls, epochs=epochs, options=keywords | {"checkpoint": path})
        assert resumed(objective, path, method=cls, options=keywords) == expected


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_resumed_after_an_exception_from_the_last_epoch(objective, dtype, path):
    """The iterations after the last checkpoint are done again, with the same batches and the same draws."""
    x0 = START.astype(dtype)
    arguments = {**OBJECTIVES[objective], "x0": x0}
    options = {"epochs": EPOCHS, "epoch_length": 3, "learning_rate": RATE}
    expected = outcome(minimize(rng=3, options=options, **arguments))
    for at in range(3, 13):
        callback = Counted(lambda x: None, Interruption(), at)
        with pytest.raises(Interruption):
            minimize(rng=3, callback=callback, options=options | {"checkpoint": path}, **arguments)
        assert _checkpoint.read(path, "minimize")["run"]["nit"] == at // 3 * 3
        assert outcome(minimize(rng=99, resume=path, options=options, **arguments)) == expected


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_resumed_after_an_interrupt_in_the_callback_of_each_iteration(objective, path):
    expected = without_interruption(objective)
    for at in range(1, 13):
        interrupted(objective, path, KeyboardInterrupt(), at)
        assert _checkpoint.read(path, "minimize")["run"]["nit"] == at
        assert resumed(objective, path) == expected


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_resumed_after_an_interrupt_in_each_call_of_the_objective(objective, path):
    """The iteration that was interrupted is done again, and what was drawn for it drawn again; so is the start."""
    expected = without_interruption(objective)
    calls = {"spsa": 2, "spsa, data": 2, "differences": 4}.get(objective, 1)
    before = 0 if objective == "plain" else 1
    for at in range(1, before + 12 * calls + 1):
        interrupted(objective, path, KeyboardInterrupt(), at, where="fun")
        assert _checkpoint.read(path, "minimize")["run"]["nit"] == max(at - 1 - before, 0) // calls
        assert resumed(objective, path) == expected


@pytest.mark.parametrize("where", ["callback", "fun"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_resumed_again_and_again(objective, where, path):
    expected = without_interruption(objective)
    interrupted(objective, path, KeyboardInterrupt(), 5, where=where)
    for _ in range(100):
        try:
            interrupted(objective, path, KeyboardInterrupt(), 5, where=where, resume=path, seed=99)
        except pytest.fail.Exception:
            break  # it came to its end
    assert resumed(objective, path) == expected


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
@pytest.mark.parametrize("objective", ["n_samples", "spsa", "spsa, data"])
def test_random_generators_of_every_kind_are_resumed(objective, kind, path):
    make = getattr(np.random, kind)
    expected = without_interruption(objective, seed=np.random.Generator(make(3)))
    for at in (2, 3, 7):
        interrupted(objective, path, KeyboardInterrupt(), at, seed=np.random.Generator(make(3)))
        rng = np.random.Generator(make(99))
        result, _ = run(objective, seed=rng, resume=path)
        assert outcome(result, rng) == expected


def test_half_used_draws_of_a_generator_are_resumed(path):
    """A generator of 32-bit numbers keeps the other half of a 64-bit one."""
    rng, same = np.random.default_rng(3), np.random.default_rng(3)
    for each in (rng, same):
        each.integers(0, 10, dtype=np.int32)
    expected = without_interruption("spsa, data", seed=rng)
    interrupted("spsa, data", path, KeyboardInterrupt(), 5, seed=same)
    assert resumed("spsa, data", path) == expected


@pytest.mark.parametrize("seed", [None, 7, np.random.default_rng(7)], ids=["None", "int", "Generator"])
def test_generator_of_the_checkpoint_is_used_whatever_the_call_says(seed, path):
    made_by = np.random.Generator(np.random.MT19937(3))
    expected = without_interruption("n_samples", seed=np.random.Generator(np.random.MT19937(3)))
    interrupted("n_samples", path, KeyboardInterrupt(), 5, seed=made_by)
    result = minimize(x0=START, rng=seed, resume=path, options={"learning_rate": RATE, "epochs": EPOCHS},
                      **OBJECTIVES["n_samples"])  # fmt: skip
    assert {**outcome(result), "rng": None} == {**expected, "rng": None}


# --- with everything that keeps a state ----------------------------------------------------------------------

FEATURES = {
    "polyak": dict(options={"average": "polyak"}),
    "polyak from the start": dict(options={"average": "polyak", "average_start": 0}),
    "ema": dict(options={"average": "ema", "average_decay": 0.7}),
    "best": dict(options={"return_best": True, "learning_rate": schedules.piecewise_constant([4], [0.1, 3.0])}),
    "best of averages": dict(options={"return_best": True, "average": "ema"}),
    "tol": dict(tol=0.5, options={"patience": 2}),
    "tol not reached": dict(tol=1e-12),
    "plateau": dict(rate=lambda: schedules.reduce_on_plateau(0.3, factor=0.5, patience=0)),
    "plateau with warmup": dict(rate=lambda: schedules.warmup(schedules.reduce_on_plateau(0.3, 0.5, 0), 4)),
    "bounds": dict(bounds=Bounds(-0.5, [0.25, np.inf, 0.7]), x0=np.array([0.1, -0.2, 0.6])),
    "clip_norm": dict(options={"clip_norm": 0.1}),
    "clip_value": dict(options={"clip_value": 0.1}),
    "decay": dict(options={"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "skip": dict(options={"nonfinite": "skip"}),
    "every second epoch": dict(options={"checkpoint_every": 2}),
    "constant rate": dict(options={"learning_rate": 0.1}),
}


@pytest.mark.parametrize("objective", ["plain", "data", "spsa, data", "sparse"])
@pytest.mark.parametrize("feature", FEATURES)
def test_resumed_with_each_feature(feature, objective, path):
    given = dict(FEATURES[feature])
    x0, make_rate = given.pop("x0", START), given.pop("rate", lambda: RATE)

    def arguments(**more):
        options = {"learning_rate": make_rate(), "epochs": 6, "epoch_length": 3, **given.get("options", {}), **more}
        return {**OBJECTIVES[objective], **given, "x0": x0, "options": options}

    rng = np.random.default_rng(3)
    expected = outcome(minimize(rng=rng, **arguments()), rng)
    for at in (2, 3, 6, 11, 16):
        if at > expected["counts"][0]:
            continue
        callback = Counted(lambda x: None, KeyboardInterrupt(), at)
        with pytest.raises(KeyboardInterrupt):
            minimize(rng=3, callback=callback, **arguments(checkpoint=path))
        rng = np.random.default_rng(99)
        assert outcome(minimize(rng=rng, resume=path, **arguments()), rng) == expected


@pytest.mark.parametrize("gradient", [row_sparse, csr_row])
@pytest.mark.parametrize("method", OPTIMIZERS)
def test_resumed_with_exact_sparse_gradients(method, gradient, path):
    """Rows that no gradient has touched for some steps are behind when the checkpoint is written."""
    arguments = dict(fun=gradient, method=method, options={"sparse": "exact", "weight_decay": 0.01})
    expected = without_interruption("sparse", **arguments)
    for at in (1, 4, 6, 11):
        interrupted("sparse", path, KeyboardInterrupt(), at, **arguments)
        assert resumed("sparse", path, **arguments) == expected


def test_resumed_with_skipped_steps(path):
    def fun(x):
        value, gradient = bowl(x)
        calls.append(x)
        return value, gradient * math.nan if len(calls) in (4, 8) else gradient

    options = {"nonfinite": "skip", "learning_rate": 0.1}
    calls = []
    expected = without_interruption("plain", fun=fun, options=options)
    for at in (3, 4, 7):
        calls = []
        interrupted("plain", path, KeyboardInterrupt(), at, fun=fun, options=options)
        assert resumed("plain", path, fun=fun, options=options) == expected


# --- runs that had come to their end ---------------------------------------------------------------------------


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_finished_run_returns_at_once(objective, path):
    expected = without_interruption(objective, options={"checkpoint": path})
    heard = []
    assert resumed(objective, path, callback=heard.append) == expected
    assert heard == []


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_run_that_finished_in_the_middle_of_an_epoch_returns_at_once_with_its_history(objective, path):
    expected = without_interruption(objective, options={"checkpoint": path, "maxiter": 7})
    assert resumed(objective, path, options={"maxiter": 7}) == expected


@pytest.mark.parametrize("objective", ["data", "spsa"])
def test_finished_run_that_is_resumed_has_no_last_gradient(objective, path):
    run(objective, options={"checkpoint": path})
    assert run(objective, seed=99, resume=path)[0].jac is None


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("maxiter", [1, 3, 5, 9])
def test_larger_budget_goes_on(objective, maxiter, path):
    run(objective, options={"checkpoint": path, "maxiter": maxiter})
    for more in (8, 11):
        expected = without_interruption(objective, options={"maxiter": max(more, maxiter)})
        result = resumed(objective, path, options={"maxiter": more})
        assert result["x"] == expected["x"]
        assert result["counts"] == expected["counts"]


def test_smaller_budget_takes_no_step(path):
    expected = without_interruption("plain", options={"checkpoint": path})
    result = resumed("plain", path, options={"maxiter": 2})
    assert (result["x"], result["counts"]) == (expected["x"], expected["counts"])


def test_converged_run_returns_at_once(path):
    arguments = dict(tol=0.5, epochs=1000, options={"patience": 2})
    options = {"patience": 2, "checkpoint": path}
    expected = outcome(*run("plain", **{**arguments, "options": options}))
    assert expected["end"][0] == 0
    assert resumed("plain", path, **arguments) == expected


def test_run_that_the_callback_ended_goes_on(path):
    expected = without_interruption("data")
    for at in (2, 3, 7):
        callback = Counted(lambda x: None, StopIteration(), at)
        result, _ = run("data", callback=callback, options={"checkpoint": path})
        assert (result.status, result.nit) == (99, at)
        assert resumed("data", path) == expected


def test_run_that_failed_goes_on_from_the_last_epoch(path):
    def fails_once(x, index):
        value, gradient = OBJECTIVES["n_samples"]["fun"](x, index)
        calls.append(index)
        return math.nan if len(calls) == 9 else value, gradient

    calls = []
    result, _ = run("n_samples", fun=fails_once, options={"checkpoint": path})
    assert (result.status, result.nit) == (2, 7)
    assert _checkpoint.read(path, "minimize")["run"]["nit"] == 6
    assert resumed("n_samples", path) == without_interruption("n_samples")


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("every", [1, 2])
def test_checkpoint_is_not_replaced_by_parameters_that_have_overflowed(every, path):
    """Nobody can go on from infinite ones; those of the epoch before can be resumed with a smaller rate."""

    def kicked(x):
        calls.append(x)
        return 1.0, np.full_like(x, -1e200 if len(calls) == 8 else -1e-200)

    calls = []
    options = {"learning_rate": 1e200, "checkpoint": path, "checkpoint_every": every}
    result, _ = run("plain", fun=kicked, method="sgd", options=options)
    assert (result.status, result.nit) == (4, 12)
    saved = _checkpoint.read(path, "minimize")["run"]
    assert np.isfinite(saved["x"]).all()


# --- what a resumed run takes from where ---------------------------------------------------------------------


def test_starting_point_of_the_call_plays_no_part(path):
    expected = without_interruption("plain", bounds=Bounds(-1, 1))
    interrupted("plain", path, KeyboardInterrupt(), 5, bounds=Bounds(-1, 1))
    result = minimize(bowl, np.full(3, 100.0), jac=True, bounds=Bounds(-1, 1), resume=path,
                      options={"learning_rate": RATE, "epochs": EPOCHS, "epoch_length": 3})  # fmt: skip
    assert outcome(result) == {**expected, "rng": None}


def test_hyperparameters_are_those_of_the_checkpoint(path):
    options = {"learning_rate": 0.1, "weight_decay": 0.3}
    expected = without_interruption("plain", options=options)
    interrupted("plain", path, KeyboardInterrupt(), 5, options=options)
    assert resumed("plain", path, options={"learning_rate": 0.5, "weight_decay": 0.0, "num_threads": 1}) == expected


def test_checkpoints_do_not_change_the_run(path):
    for objective in OBJECTIVES:
        expected = without_interruption(objective)
        assert without_interruption(objective, options={"checkpoint": path}) == expected


def test_evaluations_are_counted_on(path):
    expected, _ = run("data")
    interrupted("data", path, KeyboardInterrupt(), 5)
    result, _ = run("data", resume=path)
    assert (result.nfev, result.njev) == (expected.nfev, expected.njev)


def test_time_in_the_history_goes_on(path):
    interrupted("data", path, KeyboardInterrupt(), 7)
    before = _checkpoint.read(path, "minimize")["run"]["history"]["columns"]["time"]
    result, _ = run("data", resume=path)
    assert result.history["time"][:2].tolist() == before.tolist()
    assert (np.diff(result.history["time"]) > 0).all()


@pytest.mark.parametrize(("every", "writes"), [(1, 4), (2, 2), (3, 2), (100, 1)])
def test_checkpoints_are_written_every_so_many_epochs_and_at_the_end(every, writes, path, monkeypatch):
    """Once in all if the end is that of such an epoch; but the callback may have changed the optimizer since."""
    written = []

    def write(path, kind, tree):
        written.append(tree["run"]["nepoch"])
        _checkpoint.files.write(path, kind, tree)

    monkeypatch.setattr(_checkpoint, "write", write)
    run("data", options={"checkpoint": path, "checkpoint_every": every})
    assert written == sorted({*range(every, EPOCHS + 1, every), EPOCHS})
    assert len(written) == writes
    written.clear()
    run("data", options={"checkpoint": path, "checkpoint_every": every}, callback=lambda x: None)
    assert written == [*range(every, EPOCHS + 1, every), EPOCHS]


@pytest.mark.parametrize("form", [str, Path, os.fsencode])
def test_path_is_a_string_bytes_or_a_path(form, path):
    expected = without_interruption("data")
    interrupted("data", form(path), KeyboardInterrupt(), 5)
    assert resumed("data", form(path)) == expected


def test_checkpoint_may_be_the_file_that_is_resumed_from(path):
    expected = without_interruption("data")
    interrupted("data", path, KeyboardInterrupt(), 5)
    interrupted("data", path, KeyboardInterrupt(), 3, resume=path)
    assert _checkpoint.read(path, "minimize")["run"]["nit"] == 8
    assert resumed("data", path, options={"checkpoint": path}) == expected


def test_relative_path(path, monkeypatch):
    monkeypatch.chdir(os.path.dirname(path))
    interrupted("data", "run.npz", KeyboardInterrupt(), 5)
    assert resumed("data", "run.npz") == without_interruption("data")
    assert os.listdir(".") == ["run.npz"]


def test_resumed_from_within_another_form_of_the_objective(path):
    """The objective is that of the call: here with a gradient of its own in place of the combined one."""
    expected = without_interruption("plain")
    interrupted("plain", path, KeyboardInterrupt(), 5)
    assert resumed("plain", path, fun=bowl_value, jac=bowl_slope) == expected


@pytest.mark.parametrize("method", ["sgd", "SGD", fastopt.SGD, lambda x: fastopt.SGD(x, RATE, nonfinite="raise")])
def test_method_may_be_given_in_another_form(method, path):
    expected = without_interruption("data", method="sgd")
    interrupted("data", path, KeyboardInterrupt(), 5, method="sgd")
    options = {"epochs": EPOCHS} if callable(method) and not isinstance(method, type) else {
        "epochs": EPOCHS, "learning_rate": RATE}  # fmt: skip
    result = minimize(x0=START, method=method, resume=path, options=options, **OBJECTIVES["data"])
    assert outcome(result) == {**expected, "rng": None}


# --- interrupts at awkward places ------------------------------------------------------------------------------


def test_interrupt_while_the_schedule_is_told_the_loss(path):
    """An exception between the parts of the end of an epoch must not leave a checkpoint with some of them."""

    class Schedule(schedules.reduce_on_plateau):
        def update(self, value):
            super().update(value)
            if self.rate < 0.2 and trap:
                raise trap.pop()

    def flat(x, A, b):
        return 1.0, np.ones_like(x)

    def arguments(**options):
        schedule = Schedule(0.3, factor=0.5, patience=0)  # is reduced at the end of the second epoch
        return dict(fun=flat, tol=1e-9, epochs=9, options={"learning_rate": schedule, "patience": 4, **options})

    trap = []
    expected = without_interruption("data", **arguments())
    assert expected["counts"] == (15, 5)
    trap = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        run("data", **arguments(checkpoint=path))
    assert resumed("data", path, **arguments()) == expected


class Trap:
    """Samples that raise when they are selected for the n-th time; the first time is before the first iteration."""

    def __init__(self, array, at):
        self.array, self.shape = array, array.shape
        self.select = Counted(array.__getitem__, KeyboardInterrupt(), at)

    def __getitem__(self, index):
        return self.select(index)


@pytest.mark.parametrize("objective", ["data", "spsa, data"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 6, 8])
def test_interrupt_while_samples_are_selected(objective, at, path):
    data = (TABLE, RIGHT)
    expected = without_interruption(objective, data=data)
    with pytest.raises(KeyboardInterrupt):
        run(objective, data=(Trap(TABLE, at + 1), RIGHT), options={"checkpoint": path})
    assert _checkpoint.read(path, "minimize")["run"]["nit"] == at - 1
    assert resumed(objective, path, data=data) == expected


def test_interrupt_while_the_checkpoint_is_written_leaves_a_good_one(path, monkeypatch):
    expected = without_interruption("data")
    replace = Counted(os.replace, KeyboardInterrupt(), 3)
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        run("data", options={"checkpoint": path})
    assert os.listdir(os.path.dirname(path)) == ["run.npz"]
    assert resumed("data", path) == expected


def test_boundary_is_not_active_without_a_checkpoint():
    assert not DeferredInterrupt(False).active and DeferredInterrupt(True).active


# --- files that do not fit ---------------------------------------------------------------------------------------

MISMATCHES = {
    "method": (dict(method="sgd"), "method='Prodigy', got 'SGD'"),
    "size": (dict(fun=lambda x, A, b: (0.0, np.ones_like(x)), x0=np.zeros(4)), "x0.size=3, got 4"),
    "dtype": (dict(x0=START.astype(np.float32)), "x0.dtype='float64', got 'float32'"),
    "samples": (dict(data=(TABLE[:9], RIGHT[:9])), "n_samples=11, got 9"),
    "no samples": (dict(fun=bowl, data=None, batch_size=None), "n_samples=11, got None"),
    "batch size": (dict(batch_size=3), "batch"),
    "batch size, as many batches": (dict(batch_size=5), "batch_size=4, got 5"),
    "average": (dict(options={"average": "ema"}), "average=None, got 'ema'"),
    "spsa": (dict(fun=squares_value, jac="spsa"), "spsa"),
}


@pytest.mark.parametrize("mismatch", MISMATCHES)
def test_checkpoint_of_another_run_is_refused_before_the_first_evaluation(mismatch, path):
    changes, message = MISMATCHES[mismatch]
    interrupted("data", path, KeyboardInterrupt(), 5)
    before = Path(path).read_bytes()
    arguments = {**OBJECTIVES["data"], "x0": START, **changes}
    fun = arguments["fun"] = Counted(arguments["fun"])
    options = {"epochs": EPOCHS, "learning_rate": RATE, "checkpoint": path, **changes.get("options", {})}
    with pytest.raises(ValueError, match="`resume` must name a checkpoint of the same run") as caught:
        minimize(**{**arguments, "options": options}, resume=path)
    assert message in str(caught.value) and repr(path) in str(caught.value)
    assert fun.calls == 0
    assert Path(path).read_bytes() == before


def test_bad_rng_is_refused_in_a_resumed_run_too(path):
    interrupted("data", path, KeyboardInterrupt(), 5)
    with pytest.raises(TypeError, match=r"^`rng` must be None, a non-negative integer or a"):
        run("data", seed="seven", resume=path)


def test_epoch_length_of_another_run_is_refused(path):
    interrupted("plain", path, KeyboardInterrupt(), 5)
    with pytest.raises(ValueError, match="`resume` must name a checkpoint of the same run"):
        resumed("plain", path, options={"epoch_length": 4})


def test_state_of_another_form_of_the_method_is_refused(path):
    interrupted("plain", path, KeyboardInterrupt(), 5, method="sgd", options={"momentum": 0.9})
    with pytest.raises(ValueError, match="state"):
        resumed("plain", path, method="sgd")
    with pytest.raises(ValueError, match="`state_dict\\['learning_rate'\\]` must be"):
        resumed("plain", path, method="sgd", options={"momentum": 0.9, "learning_rate": 0.1})


def test_tolerance_may_be_taken_off_or_put_on_when_a_run_is_resumed(path):
    """A run that was ended by its tolerance may be wanted to go on without."""
    options = {"patience": 2, "checkpoint": path}
    first, _ = run("plain", tol=0.5, epochs=1000, options=options)
    assert first.status == 0
    result, _ = run("plain", resume=path, epochs=first.nepoch + 2)
    assert (result.status, result.nepoch) == (1, first.nepoch + 2)


def test_tolerance_may_be_put_on_when_a_run_is_resumed(path):
    """Both epochs before were progress to a run without it, which has no smallest change."""
    run("plain", epochs=2, options={"checkpoint": path})
    result, _ = run("plain", tol=1e3, epochs=100, resume=path, options={"patience": 3})
    assert (result.status, result.nepoch) == (0, 5)


@pytest.mark.parametrize("at", [0, 1, 70, -1, -100])
def test_damaged_file_is_refused(at, path):
    interrupted("data", path, KeyboardInterrupt(), 5)
    whole = Path(path).read_bytes()
    damaged = bytearray(whole)
    damaged[at] ^= 1
    for content in (damaged, whole[: len(whole) // 2], whole[:-1], b"", b"\0" * len(whole)):
        Path(path).write_bytes(content)
        fun = Counted(squares)
        with pytest.raises(CheckpointError) as caught:
            run("data", fun=fun, resume=path)
        assert caught.value.path == path
        assert fun.calls == 0


def test_file_of_something_else_is_refused(path):
    fastopt.save(path, fastopt.Adam(START.copy()))
    with pytest.raises(CheckpointError, match="it is of kind 'optimizer', expected 'minimize'"):
        run("plain", resume=path)
    np.savez(path, x=START)
    with pytest.raises(CheckpointError):
        run("plain", resume=path)
    interrupted("plain", path, KeyboardInterrupt(), 5)
    with pytest.raises(CheckpointError, match="it is of kind 'minimize', expected 'optimizer'"):
        fastopt.load(path, fastopt.Adam(START.copy()))


def test_missing_file(path):
    fun = Counted(bowl)
    with pytest.raises(FileNotFoundError) as caught:
        run("plain", fun=fun, resume=path)
    assert path in str(caught.value)
    assert fun.calls == 0


def test_checkpoint_in_a_missing_folder_is_refused_before_the_first_evaluation(path):
    fun = Counted(bowl)
    missing = os.path.join(os.path.dirname(path), "missing", "run.npz")
    with pytest.raises(FileNotFoundError, match="`checkpoint` must be a file in a folder that exists, got"):
        run("plain", fun=fun, options={"checkpoint": missing})
    assert fun.calls == 0


@pytest.mark.parametrize("name", ["folder", ""])
def test_checkpoint_that_is_a_folder_is_refused_before_the_first_evaluation(name, path):
    fun = Counted(bowl)
    folder = os.path.dirname(path) if name else ""
    with pytest.raises((OSError, ValueError)):
        run("plain", fun=fun, options={"checkpoint": folder})
    assert fun.calls == 0


def test_refused_file_leaves_the_generator_alone(path):
    interrupted("data", path, KeyboardInterrupt(), 5)
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError):
        run("data", seed=rng, method="sgd", resume=path)
    assert next_draws(rng) == next_draws(np.random.default_rng(4))
