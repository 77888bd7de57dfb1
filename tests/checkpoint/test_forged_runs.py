"""Intact files made by others to do harm: what is in them is checked before it is used, and no process crashes."""

from pathlib import Path

import numpy as np
import pytest
from forged_runs import OPTIMIZERS, PLAIN, RESULTS, RUNS
from helpers import bits, run_interpreter

import fastopt
from fastopt import CheckpointError, _checkpoint, minimize

SCRIPT = str(Path(__file__).parents[1] / "forged_runs.py")


def test_some_forgeries_of_each_kind():
    printed = run_interpreter(SCRIPT, "41", timeout=110)
    assert [line.split(":")[0] for line in printed.splitlines()] == [*RUNS, *OPTIMIZERS, *RESULTS]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [*RUNS, *OPTIMIZERS, *RESULTS])
def test_all_forgeries(kind):
    """In a process of their own, which a memory error would end."""
    assert run_interpreter(SCRIPT, "1", kind, timeout=500).startswith(f"{kind}: ")


FIELDS = {
    "nit": (-1, "`run['nit']` must be at least 4, got -1"),
    "nepoch": (2**60, "`run['nepoch']` must be at most"),
    "finite_x": (np.zeros(1), r"`run['finite_x']` must be a float64 array of shape (3,), got float64 (1,)"),
    "weight_sum": (0.0, "`run['weight_sum']` must be in [1, 1], got 0.0"),
    "rng": ({"bit_generator": "BitGenerator"}, None),
}


@pytest.mark.parametrize("field", FIELDS)
def test_message_names_file_and_field(field, path, no_sync):
    value, message = FIELDS[field]
    minimize(**PLAIN, options={"maxiter": 5, "epoch_length": 4, "checkpoint": path})
    saved = _checkpoint.read(path, "minimize")
    saved["run"][field] = value
    _checkpoint.write(path, "minimize", saved)
    with pytest.raises(ValueError) as caught:
        minimize(**PLAIN, options={"maxiter": 9, "epoch_length": 4}, resume=path)
    if message is not None:
        assert type(caught.value) is CheckpointError and caught.value.path == path
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("MT19937", ("state", "pos"), 10**9),
        ("Philox", ("buffer_pos",), 10**6),
        ("PCG64", ("state", "inc"), 2),
        ("PCG64DXSM", ("has_uint32",), 2),
    ],
)
def test_states_of_generators_that_numpy_takes_but_none_is_ever_in(kind, field, value, path, no_sync):
    make = getattr(np.random, kind)
    arguments = PLAIN | {"options": {"maxiter": 5, "epoch_length": 4}}
    rng = np.random.Generator(make(3))
    minimize(**PLAIN, rng=rng, options=arguments["options"] | {"checkpoint": path})
    saved = _checkpoint.read(path, "minimize")
    entry = saved["run"]["rng"]
    for key in field[:-1]:
        entry = entry[key]
    entry[field[-1]] = value
    _checkpoint.write(path, "minimize", saved)
    with pytest.raises(CheckpointError, match=rf"'{field[-1]}'\]` must be in range"):
        minimize(**arguments, rng=rng, resume=path)


def test_steps_of_rows_are_not_taken_for_those_of_entries():
    """With lazy gradients a kernel would look at the array for rows as if it had an item for each entry."""
    opt = fastopt.RMSprop(np.ones((4, 1000)))
    state = opt.state_dict() | {"last_steps": [np.zeros(4, np.int64)]}
    before = bits(opt)
    with pytest.raises(ValueError, match=r"last_steps.* must hold None only"):
        opt.load_state_dict(state)
    assert bits(opt) == before
