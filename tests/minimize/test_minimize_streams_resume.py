"""A run over data in parts that was interrupted, even inside a chunk, ends with the bits of one that was not."""

import os

import numpy as np
import pytest
from objectives import Counted, outcome
from streaming import START, A, B, Loader, no_thread_is_left, parts, run, squares, squares_value

from fastopt import CheckpointError, _checkpoint, minimize

# name: data, and the size of batches. Their epochs have 5, 14, 5 and 4, 5, 14 iterations.
SOURCES = {
    "batches": (Loader, None),
    "chunks": (Loader, 4),
    "function": (lambda: lambda epoch: parts()[epoch % 2 :], None),
    "iterator": (lambda: iter(parts() * 3), None),
    "iterator of chunks": (lambda: iter(parts() * 3), 4),
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Where to write a checkpoint, without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return str(tmp_path / "run.npz")


def with_generator(source, seed=3, **arguments):
    data, size = SOURCES[source]
    rng = np.random.default_rng(seed)
    return outcome(run(data(), batch_size=size, rng=rng, **arguments), rng)


@pytest.mark.parametrize("ahead", [0, 2])
@pytest.mark.parametrize("maxiter", [0, 1, 3, 4, 5, 6, 9, 10, 13, 14])
@pytest.mark.parametrize("source", SOURCES)
def test_budget_is_raised(source, maxiter, ahead, path):
    """At every kind of place: the start, the middle and the end of an epoch, of a chunk, and of the data."""
    with_generator(source, maxiter=maxiter, checkpoint=path, prefetch=ahead)
    assert with_generator(source, seed=99, resume=path, prefetch=ahead) == with_generator(source)
    assert no_thread_is_left()


@pytest.mark.parametrize("maxiter", [3, 6, 7, 14])
@pytest.mark.parametrize("size", [None, 4])
def test_epochs_of_an_iterator(size, maxiter, path):
    def part(**arguments):
        rng = np.random.default_rng(3)
        return outcome(run(iter(parts() * 3), batch_size=size, epoch_length=6, rng=rng, **arguments), rng)

    part(maxiter=maxiter, checkpoint=path)
    assert part(resume=path, epochs=100) == part(epochs=100)


@pytest.mark.parametrize("source", ["batches", "chunks", "iterator of chunks"])
@pytest.mark.parametrize("jac", ["spsa", "2-point"])
def test_other_gradients(source, jac, path):
    with_generator(source, maxiter=7, checkpoint=path, fun=squares_value, jac=jac)
    resumed = with_generator(source, seed=99, resume=path, fun=squares_value, jac=jac)
    assert resumed == with_generator(source, fun=squares_value, jac=jac)


@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("at", [1, 3, 6, 7])
@pytest.mark.parametrize("source", ["batches", "chunks", "iterator"])
def test_ctrl_c(source, at, ahead, path):
    with pytest.raises(KeyboardInterrupt):
        with_generator(source, fun=Counted(squares, KeyboardInterrupt, at), checkpoint=path, prefetch=ahead)
    assert with_generator(source, seed=99, resume=path, prefetch=ahead) == with_generator(source)


def test_batches_that_were_used_are_read_and_dropped(path):
    run(Loader(), maxiter=8, checkpoint=path)
    loader = Loader()
    run(loader, resume=path, maxiter=10)
    assert loader.read[:5] == [0, 1, 2, 3, 4]


def test_finished_run_over_an_iterator_is_over(path):
    run(iter(parts()), checkpoint=path)
    res = run(iter(parts()), resume=path, epochs=9)
    assert (res.nit, res.nepoch, res.message) == (5, 1, "The data are used up.")


def test_data_that_end_before_the_place_of_the_checkpoint(path):
    run(Loader(), maxiter=9, checkpoint=path)
    message = r"^`data` must begin with the 4 batches that the run had used when it was saved, got 2; "
    with pytest.raises(ValueError, match=message):
        run(lambda: parts()[:2], resume=path)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (dict(data=Loader, batch_size=5), "batch_size"),
        (dict(data=Loader, batch_size=None), "batch_size"),
        (dict(data=lambda: iter(parts()), batch_size=4), "read_once"),
        (dict(data=lambda: (A, B), batch_size=4), "n_samples"),
    ],
    ids=["batch_size", "batches", "iterator", "arrays"],
)
def test_checkpoint_of_other_data_is_refused(other, name, path):
    run(Loader(), batch_size=4, maxiter=2, checkpoint=path)
    with pytest.raises(ValueError, match=f"^`resume` must name a checkpoint of the same run: .* was made with {name}="):
        run(other["data"](), batch_size=other["batch_size"], resume=path)


def test_length_of_epochs_of_an_iterator_is_that_of_the_checkpoint(path):
    run(iter(parts()), epoch_length=3, maxiter=2, checkpoint=path)
    with pytest.raises(ValueError, match=r"was made with epoch_length=3, got None\.$"):
        run(iter(parts()), resume=path)


@pytest.mark.parametrize("ends", [[5, 5], [5, 4], [0, 10], [5.0, 10.0], [5], [5, 2**62]], ids=str)
def test_forged_ends_of_epochs(ends, path):
    """Where the length of epochs is not known, the history has it: a forged one may lead nowhere."""
    run(Loader(), maxiter=12, checkpoint=path)
    saved = _checkpoint.read(path, "minimize")
    saved["run"]["history"]["columns"]["iteration"] = np.array(ends)
    _checkpoint.write(path, "minimize", saved)
    with pytest.raises(CheckpointError, match=r"run\['history'\]\['columns'\]|run\['nit'\]"):
        run(Loader(), resume=path)


def test_objective_without_samples_is_another_run(path):
    minimize(
        lambda x: (float(x @ x), 2 * x), START, method="adam", jac=True, options={"maxiter": 4, "checkpoint": path}
    )
    with pytest.raises(ValueError, match="was made with epoch_length="):
        run(iter(parts()), resume=path)


@pytest.mark.parametrize("maxiter", [3, 4, 5, 9, 10])
def test_each_epoch_has_one_call_of_the_epoch_callback(maxiter, path):
    """Also one whose end is found out when the run goes on."""
    calls = []

    def note(state):
        calls.append((state.nepoch, state.nit))

    run(Loader(), epoch_callback=note)
    expected, calls = calls, []
    run(Loader(), maxiter=maxiter, checkpoint=path, epoch_callback=note)
    run(Loader(), resume=path, epoch_callback=note)
    assert calls == expected
