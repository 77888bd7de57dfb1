"""Every way in which a call on an optimizer is refused, one for each `raise` in the _validation modules of optimizers.

`test_no_trace.py` runs over these tables: a refused call leaves no trace. It fails for a message that no row reaches.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import scipy.sparse
from helpers import misaligned, on_disk

import fastopt
from fastopt import RowSparse

SHAPE = (8, 3)
SLOTTED = ("adam", "adagrad", "rmsprop", "lion", "ftrl")  # with state arrays whatever their hyper-parameters
SWAPPED = np.dtype(np.float64).newbyteorder("S")


class Rate:
    """A learning rate that a test changes, or makes raise or call something; it has state, like the schedules."""

    def __init__(self):
        self.value = 0.1

    def __call__(self, t):
        return self.value() if callable(self.value) else self.value

    def state_dict(self):
        return {"rate": 0.1}

    def load_state_dict(self, state):
        self.value = float(state["rate"])

    def __repr__(self):
        return "Rate()"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A call that is refused.

    `call(opt, at, folder)` makes it. Array `at` of the parameters has the shape `shape`, and the optimizer the
    hyper-parameters `keywords()`, and its parameters are a dict if `named`. The names of the optimizers that have what
    it takes are `only`, those of all if empty. What `lasts` is a change to the caller's arrays after which the
    optimizer cannot go on.
    """

    call: Callable
    shape: tuple = SHAPE
    keywords: Callable = dict
    only: tuple = ()
    named: bool = False
    lasts: bool = False


def valid_gradients(opt, at=None):
    """A sparse gradient for each array, rows and single entries in no order; a dense one for array `at`."""
    grads = []
    for k, param in enumerate(opt._flat_params):
        if k == at or param.ndim == 0:
            grads.append(np.full(param.shape, 0.5))
        else:
            values = np.arange(-2.0, 3.0).repeat(param.size // max(len(param), 1)).reshape(5, *param.shape[1:])
            grads.append(RowSparse(np.array([3, 1, 3, 0, 4]), values))
    return grads


def step(make, **more):
    """A step with one gradient that does not fit, and sparse ones that do."""

    def call(opt, at, folder):
        grads = valid_gradients(opt)
        grads[at] = make(opt._flat_params[at])
        opt.step(grads)

    return Refusal(call, **more)


def structure(change, **more):
    """A step with gradients in another structure than the parameters."""
    return Refusal(lambda opt, at, folder: opt.step(change(valid_gradients(opt))), **more)


def rows(index, values=None, **changes):
    grad = RowSparse(np.asarray(index), np.ones((len(index), 3)) if values is None else values)
    for name, value in changes.items():
        setattr(grad, name, value)
    return grad


def matrix(name="csr", **changes):
    grad = scipy.sparse.coo_array((np.ones(3), ([1, 4, 7], [2, 0, 1])), shape=SHAPE).asformat(name)
    for attribute, value in changes.items():
        setattr(grad, attribute, value)
    return grad


def read_only(opt, at, folder, change=lambda opt, at, grads: grads):
    opt.params[at].flags.writeable = False
    try:
        opt.step(change(opt, at, valid_gradients(opt)))
    finally:
        opt.params[at].flags.writeable = True


def read_only_and_dense(opt, at, folder):
    read_only(opt, at, folder, lambda opt, at, grads: valid_gradients(opt, at))


def moved(opt, at, folder):
    grads = valid_gradients(opt)
    opt.params[at].resize((1000, 3), refcheck=False)
    opt.step(grads)


def taken_away(param):
    base = np.ones((16, 3))
    grad = base[8:]
    base.resize((1, 3), refcheck=False)
    return grad


def scheduled(value):
    """A step whose learning rate is refused, or whose schedule calls the optimizer that asks it."""

    def call(opt, at, folder):
        rate = opt.learning_rate
        rate.value = value(opt) if callable(value) else value
        try:
            opt.step(valid_gradients(opt))
        finally:
            rate.value = 0.1

    return Refusal(call, keywords=lambda: {"learning_rate": Rate()})


def nonfinite(value):
    def make(param):
        grad = np.ones(SHAPE)
        grad[7, 2] = value
        return grad

    return step(make, keywords=lambda: {"nonfinite": "raise"})


def valued(value, **more):
    """A step with a value of the objective."""
    return Refusal(lambda opt, at, folder: opt.step(valid_gradients(opt), value), **more)


def state(*keys, value, **more):
    """Loading a state dictionary in which one entry is another; `value` may make it of the old one."""

    def call(opt, at, folder):
        saved = inner = opt.state_dict()
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value(inner[keys[-1]]) if callable(value) else value
        opt.load_state_dict(saved | {"step_count": saved["step_count"] + 1})

    return Refusal(call, **more)


def without(key):
    return Refusal(lambda opt, at, folder: opt.load_state_dict({k: v for k, v in opt.state_dict().items() if k != key}))


def first_slot(change):
    """Loading another list of arrays of the first slot."""

    def call(opt, at, folder):
        saved = opt.state_dict()
        saved["state"] = {name: change(arrays, at) for name, arrays in saved["state"].items()}
        opt.load_state_dict(saved | {"step_count": 99})

    return Refusal(call, keywords=dict, only=SLOTTED)


class Resizing:
    """A number that resizes an array when it is read."""

    def __init__(self, array):
        self.array = array

    def __float__(self):
        self.array.resize(1, refcheck=False)
        return 0.1


def resized_by_schedule(opt, at, folder):
    saved = opt.state_dict()
    arrays = next(iter(saved["state"].values()))
    arrays[at] = arrays[at].copy()
    opt.load_state_dict(saved | {"schedule": {"rate": Resizing(arrays[at])}, "step_count": 99})


def assign(name, value, only=()):
    # Classes of the user's may have attributes of their own; the tests have one, in the place of MoMo.
    only = only or tuple(each for each in fastopt.OPTIMIZERS if each != "momo")
    return Refusal(lambda opt, at, folder: setattr(opt, name, value), only=only)


def assign_own(name, value, **more):
    """Setting a number of one array."""
    return Refusal(lambda opt, at, folder: setattr(opt.groups[at], name, value), **more)


RECORD = {"array": 1, "hyperparameters": {"weight_decay": 0.5}, "carry": {}}


def loaded_groups(value, **more):
    """Loading other groups; `value` may make them of a record that fits."""

    def call(opt, at, folder):
        record = RECORD | {"carry": opt.state_dict()["carry"]}
        opt.load_state_dict(
            opt.state_dict() | {"groups": value(record) if callable(value) else value, "step_count": 99}
        )

    return Refusal(call, **more)


def loaded_by_single_array(opt, at, folder):
    single = type(opt)(np.ones(3))
    single.load_state_dict(single.state_dict() | {"groups": [RECORD | {"carry": opt.state_dict()["carry"]}]})


def other_file(**keywords):
    """Loading the checkpoint of an optimizer that another one wrote, over arrays of other shapes."""

    def call(opt, at, folder):
        path = folder / "other.npz"
        fastopt.save(path, type(opt)([np.full(param.shape or (2,), 7.0) for param in opt.params[::-1]], **keywords))
        fastopt.load(path, opt)

    return Refusal(call)


# What a call on an optimizer is refused for -> the call. The rows of the first table have a gradient in each place of
# a list.
STEPS = {
    "no array": step(lambda param: 1.0),
    "another shape": step(lambda param: np.ones((3, 8))),
    "another dtype": step(lambda param: np.ones(SHAPE, np.float32)),
    "another byte order": step(lambda param: np.ones(SHAPE, SWAPPED)),
    "misaligned": step(lambda param: misaligned(np.ones(SHAPE))),
    "the parameter": step(lambda param: param),
    "NaN": nonfinite(math.nan),
    "infinity": nonfinite(-math.inf),
    "read-only since, sparse": Refusal(read_only),
    "read-only since, dense": Refusal(read_only_and_dense),
    "resized since": Refusal(moved, lasts=True),
    "no axis": step(lambda param: rows([0]), shape=()),
    "rows of another width": step(lambda param: rows([1], np.ones((1, 2)))),
    "rows of another dtype": step(lambda param: rows([1], np.ones((1, 3), np.float32))),
    "an index too far": step(lambda param: rows([1, 8])),
    "indices of another dtype": step(lambda param: rows([1], indices=np.zeros(1))),
    "indices in a matrix": step(lambda param: rows([1], indices=np.zeros((1, 4), int))),
    "rows of the parameter": step(lambda param: rows([1, 0], param[2:4])),
    "too many positions": step(lambda param: rows([7] * 40, np.ones((40, 0))), shape=(2**59, 0)),
    "a matrix of another shape": step(lambda param: matrix("csr").T),
    "a matrix of another dtype": step(lambda param: matrix("coo").astype(np.float32)),
    "malformed": step(lambda param: matrix(indptr=np.array([0, 0, 3, 1, 2, 2, 2, 2, 3], np.int32))),
    "entries beyond the end": step(lambda param: matrix(indptr=np.array([0, 0, 1, 1, 1, 2, 2, 2, 4], np.int32))),
    "its memory taken away": step(taken_away),
    "indices in a list": step(lambda param: rows([1], indices=[1])),
    "rows without an axis": step(lambda param: rows([1], rows=np.array(1.0))),
    "a value missing": step(lambda param: matrix("coo", data=np.ones(2))),
    "a column too far": step(lambda param: matrix("csc", indices=np.array([0, 8, 1], np.int32))),
}

CALLS = {
    "an array for a list": structure(lambda grads: grads[0]),
    "a gradient too few": structure(lambda grads: grads[:2]),
    "a list for a dict": structure(lambda grads: grads, named=True),
    "a key that is not there": structure(lambda grads: dict(zip("abx", grads, strict=True)), named=True),
    "rate of NaN": scheduled(math.nan),
    "rate in words": scheduled("0.1"),
    "rate beyond float64": scheduled(10**400),
    "step in a schedule": scheduled(lambda opt: lambda: opt.step(valid_gradients(opt))),
    "save in a schedule": scheduled(lambda opt: lambda: opt.state_dict()),
    "load in a schedule": scheduled(lambda opt: lambda: opt.load_state_dict({})),
    "a value for a rule that takes none": valued(1.0, only=SLOTTED),
    "no value": valued(None, only=("momo",)),
    "a value in words": valued("1.0", only=("momo",)),
    "a value beyond float64": valued(10**400, only=("momo",)),
    "a value of NaN": valued(math.nan, only=("momo",), keywords=lambda: {"nonfinite": "raise"}),
    "stats of something else": Refusal(lambda opt, at, folder: opt.step(valid_gradients(opt), stats=1.0), only=SLOTTED),
    "not initialised": Refusal(lambda opt, at, folder: type(opt).__new__(type(opt)).step(np.ones(3))),
    "initialised again": Refusal(lambda opt, at, folder: opt.__init__([np.ones(3)])),
    "an option set": assign("maximize", True),
    "a number that decides which state there is": assign("momentum", 0.5, only=("sgd", "rmsprop")),
    "what the state began with": assign("initial_accumulator_value", 0.5, only=("adagrad", "ftrl", "yogi")),
    "a negative weight decay set": assign("weight_decay", -1.0),
    "groups set": assign("groups", {}),
    "a group of no array": Refusal(lambda opt, at, folder: opt.groups[3]),
    "a group of a single array": Refusal(lambda opt, at, folder: type(opt)(np.ones(3)).groups[0]),
    "an option of an array": assign_own("maximize", True),
    "a misspelt number of an array": assign_own("wieght_decay", 0.0),
    "a negative number of an array": assign_own("weight_decay", -1.0),
    "no number of an array": Refusal(lambda opt, at, folder: delattr(opt.groups[at], "weight_decay")),
    "state of an array": assign_own("momentum", 0.5, only=("sgd", "rmsprop")),
    "what the state of an array began with": assign_own("initial_accumulator_value", 0.5, only=("adagrad", "yogi")),
    "steps of an array out of order": assign_own("step_min", 60.0, only=("rprop",)),
    "a rate set in a schedule": scheduled(lambda opt: lambda: setattr(opt, "learning_rate", 0.1)),
    "an unknown attribute set": assign("lr", 2.0),
    "a method set": assign("step", None),
    "a negative learning rate set": assign("learning_rate", -1.0),
    "a learning rate in words set": assign("learning_rate", "0.1"),
    "a true learning rate set": assign("learning_rate", True),
    "rows of no array": Refusal(lambda opt, at, folder: opt.catch_up([1])),
    "rows of an unknown array": Refusal(lambda opt, at, folder: opt.gather({"d": [1]})),
    "rows in words": Refusal(lambda opt, at, folder: opt.gather({at: ["1"]})),
    "a row too far": Refusal(lambda opt, at, folder: opt.catch_up({0: [1], at: [0, 8]})),
    "rows of a number": Refusal(lambda opt, at, folder: opt.catch_up({at: [0]}), shape=()),
    "no dict": Refusal(lambda opt, at, folder: opt.load_state_dict([])),
    "an entry missing": without("carry"),
    "of another class": state("optimizer", value="Other"),
    "another hyper-parameter": state("hyperparameters", value=lambda old: old | {"sigma": 1.0}),
    "a hyper-parameter out of range": state("hyperparameters", "weight_decay", value=-1.0),
    "a flag that is none": state("hyperparameters", "maximize", value=1),
    "a choice that is none": state("hyperparameters", "sparse", value="dense"),
    "an unknown slot": state("state", value=lambda old: old | {"other": []}),
    "other slots": state("hyperparameters", "amsgrad", value=True, only=("adam", "adamw")),
    "a negative count": state("skipped_steps", value=-1),
    "a fractional count": state("step_count", value=lambda old: old + 0.5),
    "a huge count": state("skipped_steps", value=2**70),
    "a step of the future": state("last_steps", value=lambda old: [*old[:2], np.full(8, 99)]),
    "steps of rows that all are up to date": state(
        "last_steps", value=lambda old: [old[0], np.zeros(8, int), *old[2:]], keywords=lambda: {"weight_decay": 0.1}
    ),
    "a rate below zero": state("learning_rate", value=-0.5),
    "no kind of rate": state("learning_rate", value=None),
    "no list of groups": loaded_groups(5),
    "a group without its array": loaded_groups([{"hyperparameters": {}, "carry": {}}]),
    "a group twice": loaded_groups(lambda record: [record, record]),
    "a group of an array that there is not": loaded_groups(lambda record: [record | {"array": 3}]),
    "a group that carries something else": loaded_groups(lambda record: [record | {"carry": {"other": 1.0}}]),
    "a group of a single array loaded": Refusal(loaded_by_single_array),
    "a number of a group out of range": loaded_groups(
        lambda record: [record | {"hyperparameters": {"clip_value": -1}}]
    ),
    "a schedule of a group": loaded_groups(lambda record: [record | {"learning_rate": None, "schedule": None}]),
    "an array missing": first_slot(lambda arrays, at: arrays[:2]),
    "an array of another shape": first_slot(lambda arrays, at: [*arrays[:at], np.ones(7), *arrays[at + 1 :]]),
    "state that a schedule refuses": state(
        "schedule", value={"rate": "none"}, keywords=lambda: {"learning_rate": Rate()}
    ),
    "an array that a schedule resizes": Refusal(
        resized_by_schedule, keywords=lambda: {"learning_rate": Rate()}, only=SLOTTED
    ),
    "nesterov without momentum": state("hyperparameters", "nesterov", value=True, only=("sgd",)),
    "steps out of order": state("hyperparameters", "step_min", value=60.0, only=("rprop",)),
    "decoupled decay": state(
        "hyperparameters",
        "decoupled_weight_decay",
        value=True,
        only=("cocob", "ftrl", "lars", "momo", "schedulefreesgd"),
    ),
    "a file of other shapes": other_file(),
    "a file of another rate": other_file(learning_rate=Rate()),
    "no file": Refusal(lambda opt, at, folder: fastopt.load(folder / "none.npz", opt)),
    "a folder for a file": Refusal(lambda opt, at, folder: fastopt.save(folder, opt)),
}


def made(change=lambda params: params, cls=fastopt.Adam, **keywords):
    """Making an optimizer of three parameters after a change to their list."""
    return lambda params: cls(change(params), **keywords)


class MatricesOnly(fastopt.Muon):
    """As it is outside of the tests: see tests/cases.py."""

    _takes_vectors = False


def frozen(params):
    params[2].flags.writeable = False
    return params


# What making an optimizer is refused for -> how it is made of three parameters. The parameters stay as they are.
CONSTRUCTIONS = {
    "a number": made(lambda params: 1.0),
    "nothing": made(lambda params: []),
    "a list in a list": made(lambda params: [*params, [1.0]]),
    "another byte order": made(lambda params: [*params, np.ones(2, SWAPPED)]),
    "integers": made(lambda params: [*params, np.ones(2, int)]),
    "read-only": made(frozen),
    "strides": made(lambda params: [*params[:2], params[2][:, ::2]]),
    "misaligned": made(lambda params: [*params, misaligned(np.ones(4))]),
    "one array twice": made(lambda params: [*params, params[1][2:]]),
    "an unknown name": made(lr=0.1),
    "a base class": made(cls=fastopt.Optimizer),
    "too many arguments": lambda params: fastopt.SGD(params, *range(30)),
    "a rate of NaN": made(learning_rate=math.nan),
    "a schedule that fails": made(cls=fastopt.Rprop, learning_rate=lambda t: math.nan),
    "threads": made(num_threads=0),
    "groups in a list": made(groups=[{"weight_decay": 0.0}]),
    "groups of a single array": made(lambda params: params[0], groups={0: {"weight_decay": 0.0}}),
    "a group of an index that there is not": made(groups={3: {"weight_decay": 0.0}}),
    "a group of a key that there is not": made(
        lambda params: dict(zip("abc", params, strict=True)), groups={"d": {"weight_decay": 0.0}}
    ),
    "a group that is no dict": made(groups={0: 0.1}),
    "an empty group": made(groups={0: {}}),
    "a group with an unknown name": made(groups={0: {"lr": 0.1}}),
    "a group with an option": made(groups={0: {"amsgrad": True}}),
    "a group with other state": made(cls=fastopt.SGD, groups={0: {"momentum": 0.5}}),
    "a vector for a rule of matrices": made(lambda params: [*params, np.ones(4)], cls=MatricesOnly),
    "more columns than BLAS counts": made(lambda params: [*params, on_disk((1, 2**31), np.float32)], cls=fastopt.Muon),
    "deferred steps without a short form": made(cls=fastopt.Lion, sparse="deferred"),
    "deferred weight decay": made(weight_decay=0.1, sparse="deferred"),
    "deferred steps in fewer bits": made(state_dtype="bfloat16", sparse="deferred"),
    "deferred steps without epsilon": made(cls=fastopt.ADOPT, epsilon=0.0, sparse="deferred"),
    "deferred momentum that lasts": made(beta_1=0.95, beta_2=0.9, sparse="deferred"),
    "nesterov without momentum": made(cls=fastopt.SGD, nesterov=True),
    "nesterov with dampening": made(cls=fastopt.SGD, nesterov=True, momentum=0.9, dampening=0.5),
}
