"""What messages show of what they got, and the names that they suggest."""

import ast
import inspect
import re
import warnings
from pathlib import Path

import numpy as np
import pandas
import pytest
import scipy.sparse

import fastopt
from fastopt import objectives, schedules
from fastopt._minimize.settings import Settings
from fastopt._validation import names
from fastopt._validation.text import shown

MANY = 20_000
LONG = {
    "array": np.zeros(MANY),
    "objects": np.full(MANY, None),
    "list": [0.0] * MANY,
    "tuple": (0.5,) * MANY,
    "list of arrays": [np.zeros(1000)] * 100,
    "dict": dict.fromkeys(range(20_000), 0.5),
    "set": set(range(20_000)),
    "text": "a" * MANY,
    "bytes": b"a" * MANY,
    "integer": 10**20_000,
    "table": pandas.DataFrame(np.zeros((1000, 50))),
    "record": np.zeros(1000, [("x", "f8"), ("y", "i4")]),
    "matrix": scipy.sparse.csr_array(np.ones((100, 100))),
}
LONGEST = 600
X, Y = np.ones((3, 2)), [0, 1, 1]


def sphere(x, *args):
    return x @ x


CALLS = {
    "params": lambda value: fastopt.Adam(value, learning_rate="fast"),
    "params in a list": lambda value: fastopt.Adam([value], learning_rate="fast"),
    "rate": lambda value: fastopt.Adam(np.ones(2), learning_rate=value),
    "hyper-parameter": lambda value: fastopt.Adam(np.ones(2), beta_1=value),
    "flag": lambda value: fastopt.Adam(np.ones(2), amsgrad=value),
    "choice": lambda value: fastopt.Adam(np.ones(2), sparse=value),
    "threads": lambda value: fastopt.Adam(np.ones(2), num_threads=value),
    "gradient": lambda value: fastopt.Adam(np.ones(2)).step(value),
    "gradient of a key": lambda value: fastopt.Adam({"w": np.ones(2)}).step({"w": value}),
    "keys": lambda value: fastopt.Adam({k: np.ones(1) for k in range(2000)}).step({"w": value}),
    "indices": lambda value: fastopt.RowSparse(value, np.ones(2)),
    "rows": lambda value: fastopt.RowSparse([0, 1], value),
    "state": lambda value: fastopt.Adam(np.ones(2)).load_state_dict(value),
    "step count": lambda value: load("step_count", value),
    "state arrays": lambda value: load("state", value),
    "last steps": lambda value: load("last_steps", value),
    "hyper-parameters": lambda value: load("hyperparameters", value),
    "format": lambda value: load("format", value),
    "samples": lambda value: objectives.Logistic(value, [0, 1]),
    "labels": lambda value: objectives.Logistic(X, value),
    "classes": lambda value: objectives.Softmax(X, value),
    "number of classes": lambda value: objectives.Softmax(X, Y, n_classes=value),
    "weights": lambda value: objectives.Logistic(X, Y, sample_weight=value),
    "penalty": lambda value: objectives.Logistic(X, Y, l2=value),
    "parameters": lambda value: objectives.Logistic(X, Y)(value),
    "batch": lambda value: objectives.Logistic(X, Y)([0, 0], value),
    "x0": lambda value: fastopt.minimize(sphere, [value, value], options={"maxiter": 1}),
    "args": lambda value: fastopt.minimize(objectives.Logistic(X, Y), [0, 0], args=value),
    "method": lambda value: fastopt.minimize(sphere, [0.0], method=value),
    "jac": lambda value: fastopt.minimize(sphere, [0.0], jac=value),
    "bounds": lambda value: fastopt.minimize(sphere, [0.0], bounds=value),
    "bounds of parameters": lambda value: fastopt.minimize(sphere, [0.0], bounds=[(value, value)]),
    "tol": lambda value: fastopt.minimize(sphere, [0.0], tol=value),
    "callback": lambda value: fastopt.minimize(sphere, [0.0], callback=value),
    "epoch_callback": lambda value: fastopt.minimize(sphere, [0.0], epoch_callback=value),
    "validation": lambda value: fastopt.minimize(sphere, [0.0], validation=value),
    "value of a validation": lambda value: fastopt.minimize(
        sphere, [1.0], validation=lambda x: value, options={"maxiter": 1}
    ),
    "options": lambda value: fastopt.minimize(sphere, [0.0], options=value),
    "count": lambda value: fastopt.minimize(sphere, [0.0], options={"maxiter": value, "average": "no"}),
    "checkpoint": lambda value: fastopt.minimize(sphere, [0.0], options={"checkpoint": value}),
    "n_samples": lambda value: fastopt.minimize(sphere, [0.0], n_samples=value, options={"maxiter": "no"}),
    "batch_size": lambda value: fastopt.minimize(sphere, [0.0], n_samples=4, batch_size=value),
    "rng": lambda value: fastopt.minimize(sphere, [0.0], rng=value, options={"maxiter": "no"}),
    "value": lambda value: fastopt.minimize(lambda x: value, [0.0]),
    "pair": lambda value: fastopt.minimize(lambda x: value, [0.0], jac=True),
    "slope": lambda value: fastopt.minimize(lambda x: (0.0, value), [0.0], jac=True),
    "schedule": lambda value: schedules.constant(value),
    "boundaries": lambda value: schedules.piecewise_constant(value, [0.1]),
    "attribute of a schedule": lambda value: setattr(schedules.piecewise_constant(range(2000), [0] * 2001), "x", value),
}


def load(entry, value):
    opt = fastopt.Adam(np.ones(2))
    opt.load_state_dict(opt.state_dict() | {entry: value})


@pytest.mark.parametrize("name", CALLS)
def test_messages_are_short_whatever_was_given(name):
    """They are read in a terminal; a list of a million numbers in one would hide the words."""
    refused = 0
    for kind, value in LONG.items():
        if name == "checkpoint" and kind in ("text", "bytes"):
            continue  # names of files: the operating system refuses them
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                CALLS[name](value)
        except Exception as error:
            refused += 1
            assert len(str(error)) < LONGEST, f"{kind}: {str(error)[:2000]}"
    assert refused >= len(LONG) // 2


@pytest.mark.parametrize("value", [1.5, "a", [1, 2], (), {"a": 1}, None, np.float32(2), np.ones(2), slice(3)], ids=repr)
def test_short_values_are_shown_as_they_are(value):
    assert shown(value) == repr(value)


def test_long_values_are_shown_by_what_they_are():
    assert shown(np.zeros((7, 300), np.float32)) == "an array of shape (7, 300), dtype float32"
    assert shown([np.zeros(9)]) == "[an array of shape (9,), dtype float64]"
    assert shown(10**5000) == "an integer of 16,610 bits"
    assert shown(list(range(9))) == "[0, 1, 2, 3, 4, 5, ...]"


def test_messages_show_values_of_users_in_one_way():
    """`!r` is for names of our own: of keys, slots, hyper-parameters that have been checked."""
    ours = {"key", "own[key]", "slot", "name", "missing", "kind", "near[0]", "list(own)", "list(own[key])"}
    ours |= {"list(given)", "values['dampening']", "values['step_min']", "values['step_max']", "args", "path", "value"}
    ours |= {"array.dtype.str", "grad.dtype.str", "params", "list(needed)", "list(checks)", "mode"}
    for path in (Path(fastopt.__file__).parent / "_validation").glob("*.py"):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.FormattedValue) and each.conversion == ord("r"):
                assert ast.unparse(each.value) in ours, f"{path.name}:{each.lineno}"


# --- names -----------------------------------------------------------------------------------------------


def known_names():
    declared = {name for cls in fastopt.OPTIMIZERS.values() for name in cls._declared}
    return declared | set(Settings.__dataclass_fields__) | set(names.ARGUMENTS)


def test_names_of_other_libraries_stand_for_names_that_exist_and_are_none_themselves():
    for alias, meant in names.ALIASES.items():
        assert set(meant) <= known_names(), alias
        assert alias not in set(Settings.__dataclass_fields__) | set(names.ARGUMENTS)


def test_arguments_are_those_of_minimize():
    parameters = [*inspect.signature(fastopt.minimize).parameters]
    assert sorted(names.ARGUMENTS) == sorted(set(parameters) - {"fun", "x0", "callback", "options"} | {"callback"})


@pytest.mark.parametrize("cls", fastopt.OPTIMIZERS.values())
def test_every_alias_of_a_hyperparameter_is_a_hint(cls):
    for alias, meant in names.ALIASES.items():
        own = [name for name in meant if name in cls._declared]
        if alias in cls._declared or not own:
            continue
        words = re.escape(" and ".join(f"`{name}`" for name in own))
        with pytest.raises(TypeError, match=rf"unexpected keyword argument `{alias}`\. Did you mean {words}\?$"):
            cls(np.ones((2, 2)), **{alias: 0.5})
        with pytest.raises(
            AttributeError, match=rf"^{cls.__name__} has no attribute `{alias}` to be set\. Did you mean "
        ):
            setattr(cls(np.ones((2, 2))), alias, 0.5)
