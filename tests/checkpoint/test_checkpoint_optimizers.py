"""save() and load(): an optimizer goes on with the same bits, or stays as it was."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, DTYPES, OPTIMIZERS, form_id
from helpers import bits, exactly, refused

import fastopt
from fastopt import RowSparse, schedules
from fastopt._checkpoint import CheckpointError, load, save, write

# --- optimizers ------------------------------------------------------------------------------------------


SHAPES = {"w": (7, 3), "b": (), "none": (0,), "v": (300,)}


def draw(rng, dtype, shapes=SHAPES):
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in shapes.items()}


def copied(params):
    return {name: array.copy() for name, array in params.items()}


def blank(params):
    return {name: np.full_like(array, 9) for name, array in params.items()}


ALLOCATING = ("momentum", "amsgrad", "centered", "averaging")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_resumed_run_has_the_same_bits(case, dtype, path, rng, no_sync):
    cls, keywords = case
    params = draw(rng, dtype)
    keywords = keywords | {"learning_rate": 0.02, "weight_decay": 0.1, "clip_norm": 2.0}
    never, opt = cls(copied(params), **keywords), cls(copied(params), **keywords)
    for _ in range(3):
        grad = draw(rng, dtype)
        never.step(grad)
        opt.step(grad)
    save(path, opt)
    arrays = blank(params)
    resumed = cls(arrays, num_threads=1, **{name: keywords[name] for name in ALLOCATING if name in keywords})
    load(path, resumed)
    assert bits(resumed) == bits(opt) and resumed.num_threads == 1
    for _ in range(5):
        grad = draw(rng, dtype)
        for each in (never, opt, resumed):
            each.step(grad)
    assert bits(resumed) == bits(opt) == bits(never)
    assert resumed.params["w"] is arrays["w"] and resumed.last_grad_norm == never.last_grad_norm


def row_gradients(rng, dtype, steps):
    for step in range(steps):
        rows = {name: rng.integers(0, n, 4) for name, n in (("w", 30), ("v", 50))}
        if step == steps - 1:
            yield {"w": rng.standard_normal((30, 4)).astype(dtype), "v": rng.standard_normal(50).astype(dtype)}
        else:
            yield {
                "w": RowSparse(rows["w"], rng.standard_normal((4, 4)).astype(dtype)),
                "v": RowSparse(rows["v"], rng.standard_normal(4).astype(dtype)),
            }


@pytest.mark.parametrize("mode", ["lazy", "exact"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_rows_outstanding(cls, dtype, mode, path, rng, no_sync):
    params = draw(rng, dtype, {"w": (30, 4), "v": (50,)})
    never, opt = (cls(copied(params), sparse=mode) for _ in range(2))
    grads = list(row_gradients(rng, dtype, 9))
    for grad in grads[:4]:
        never.step(grad)
        opt.step(grad)
    save(path, opt)
    resumed = cls(blank(params))
    load(path, resumed)
    outstanding = [array is not None for array in opt._last_steps]
    assert [array is not None for array in resumed._last_steps] == outstanding
    if cls in (fastopt.Adadelta, fastopt.RMSprop) and mode == "exact":
        assert all(outstanding)
    for grad in grads[4:]:
        for each in (never, opt, resumed):
            each.step(grad)
    assert bits(resumed) == bits(opt) == bits(never)


@pytest.mark.parametrize("structure", [lambda a, b: a, lambda a, b: [a, b], lambda a, b: {1: a, (2, "b"): b}])
def test_structures(structure, path, rng):
    opt = fastopt.Adam(structure(*rng.standard_normal((2, 3, 4))))
    opt.step(structure(*rng.standard_normal((2, 3, 4))))
    save(path, opt)
    resumed = fastopt.Adam(structure(*np.zeros((2, 3, 4))))
    load(path, resumed)
    assert bits(resumed) == bits(opt)


def test_schedule_goes_on(path):
    def make():
        rate = schedules.warmup(schedules.reduce_on_plateau(0.1, factor=0.5, patience=0), 2)
        return fastopt.Adam(np.ones(3), rate)

    opt, resumed = make(), make()
    opt.step(np.ones(3))
    for value in (1.0, 2.0, 2.0):
        opt.learning_rate.update(value)
    save(path, opt)
    load(path, resumed)
    assert resumed.learning_rate.state_dict() == opt.learning_rate.state_dict() != make().learning_rate.state_dict()


def test_counters_and_hyperparameters(path):
    opt = fastopt.NAdam(np.ones(3), nonfinite="skip", beta_1=0.5)
    for grad in (1.0, np.nan, 2.0):
        opt.step(np.full(3, grad))
    opt.learning_rate = 0.3
    save(path, opt)
    resumed = fastopt.NAdam(np.zeros(3))
    load(path, resumed)
    assert repr(resumed) == repr(opt) and resumed.skipped_steps == 1 and resumed._carry == opt._carry


def test_saving_changes_nothing(path, rng):
    opt = fastopt.RMSprop(rng.standard_normal((30, 4)), sparse="exact")
    opt.step(RowSparse([1, 2], rng.standard_normal((2, 4))))
    outstanding = opt._last_steps[0].copy()
    save(path, opt)
    first = Path(path).read_bytes()
    assert np.array_equal(opt._last_steps[0], outstanding)
    save(path, opt)
    assert Path(path).read_bytes() == first


class Odd:
    """A schedule whose state is no plain thing."""

    def __call__(self, t):
        return 0.1

    def state_dict(self):
        return {"seen": {1, 2}}

    def load_state_dict(self, state):
        raise KeyError("seen")


def test_schedule_that_cannot_be_written(path):
    with pytest.raises(TypeError, match=r"^`tree\['schedule'\]\['seen'\]` must be a dict, .*, got set\.$"):
        save(path, fastopt.Adam(np.ones(3), Odd()))
    assert os.listdir(os.path.dirname(path)) == []


def test_schedule_that_does_not_load(path):
    saved = fastopt.Adam(np.ones(3), schedules.reduce_on_plateau(0.1))
    saved.step(np.ones(3))
    save(path, saved)
    opt = fastopt.Adam(np.zeros(3), Odd())
    with refused(opt, KeyError, "seen"):
        load(path, opt)


def frozen(opt):
    opt.params["w"].flags.writeable = False
    return opt


def weights(dtype="float64", **shapes):
    return {name: np.ones(shape, dtype) for name, shape in (shapes or {"w": 3, "b": 3}).items()}


MISFITS = {
    "class": (lambda: fastopt.Yogi(weights()), "`state_dict['optimizer']` must be 'Yogi', got 'Adam'."),
    "slots": (lambda: fastopt.Adam(weights(), amsgrad=True), "`state_dict['state']` must have the entries "),
    "rate": (
        lambda: fastopt.Adam(weights(), schedules.constant(0.1)),
        "`state_dict['learning_rate']` must be a schedule like the optimizer's, got a number; ",
    ),
    "shape": (
        lambda: fastopt.Adam(weights(w=3, b=(3, 1))),
        "`params['b']` must be float64 of shape (3,) like the saved one, got float64 of shape (3, 1).",
    ),
    "dtype": (
        lambda: fastopt.Adam(weights("float32")),
        "`params['w']` must be float64 of shape (3,) like the saved one, got float32 of shape (3,).",
    ),
    "fewer": (lambda: fastopt.Adam(np.ones(3)), "`params` must be saved as a list of 1 arrays, got 2 of them."),
    "more": (
        lambda: fastopt.Adam(weights(w=3, b=3, c=3)),
        "`params` must be saved as a list of 3 arrays, got 2 of them.",
    ),
    "order": (
        lambda: fastopt.Adam(weights(b=3, w=3)),
        "`params` must have the keys ['w', 'b'] in this order, got ['b', 'w'].",
    ),
    "read-only": (lambda: frozen(fastopt.Adam(weights())), "`params['w']` must be writable, "),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_misfit_changes_nothing(misfit, path):
    make, reason = MISFITS[misfit]
    saved = fastopt.Adam(weights(), 0.3)
    saved.step({"w": np.ones(3), "b": np.arange(3.0)})
    save(path, saved)
    opt = make()
    values = dict(opt._values)
    with refused(opt, ValueError, "^" + re.escape(f"checkpoint {path!r} does not fit the optimizer: {reason}")):
        load(path, opt)
    assert opt._values == values


TREES_OF_OTHERS = {
    "a list": ([1, 2], "`params` must be saved as a list of 1 arrays, got NoneType."),
    "no parameters": ({}, "`params` must be saved as a list of 1 arrays, got NoneType."),
    "parameters only": ({"params": [np.ones(3)]}, "`state_dict` must have the entries "),
    "no arrays": ({"params": [1.0]}, "`params` must be float like the saved one, got float64 of shape (3,)."),
    "byte order": (
        {"params": [np.ones(3, ">f8")]},
        "`params` must be >f8 of shape (3,) like the saved one, got float64 of shape (3,).",
    ),
}


@pytest.mark.parametrize("case", TREES_OF_OTHERS)
def test_intact_file_that_is_no_state(case, path):
    tree, reason = TREES_OF_OTHERS[case]
    write(path, "optimizer", tree)
    opt = fastopt.Adam(np.zeros(3))
    with refused(opt, ValueError, f"^checkpoint .* does not fit the optimizer: {re.escape(reason)}"):
        load(path, opt)


def test_unreadable_file_changes_nothing(path):
    opt = fastopt.Adam(np.zeros(3))
    with refused(opt, FileNotFoundError, "run.npz"):
        load(path, opt)
    write(path, "minimize", {})
    with refused(opt, CheckpointError, "it is of kind 'minimize', expected 'optimizer'; pass it to what wrote it.$"):
        load(path, opt)
    save(path, fastopt.Adam(np.ones(3)))
    contents = bytearray(Path(path).read_bytes())
    contents[-300] ^= 1
    Path(path).write_bytes(contents)
    with refused(opt, CheckpointError, "it is damaged"):
        load(path, opt)


@pytest.mark.parametrize("given", [None, np.ones(3), fastopt.Adam, "run.npz"], ids=lambda each: type(each).__name__)
def test_what_is_no_optimizer(given, path):
    for call in (save,) if given is None else (save, load):  # `load` without one is for estimators
        message = f"`optimizer` must be a fastopt.Optimizer, got {type(given).__name__}."
        with pytest.raises(TypeError, match=exactly(message)):
            call(path, given)
    assert os.listdir(os.path.dirname(path)) == []
