"""Checkpoints that earlier versions wrote load in this one.

tests/versions has, per version of the format, an optimizer and a run. When the format changes, files of the new version
are added: python tests/checkpoint/test_checkpoint_versions.py. The old ones stay.
"""

from pathlib import Path

import numpy as np
import pytest

import fastopt
from fastopt import _checkpoint, schedules

VERSIONS = Path(__file__).parents[1] / "versions"
STEPS, EPOCHS = 3, 2


def optimizer():
    """Every part of a state is in use: slots, a schedule that counts, skipped steps, rows outstanding."""
    params = {"w": np.arange(12.0).reshape(6, 2), "b": np.float32([0.5, -0.5])}
    rate = schedules.warmup(schedules.reduce_on_plateau(0.1, factor=0.5, patience=0), 2)
    return fastopt.RMSprop(params, rate, centered=True, sparse="exact", nonfinite="skip", weight_decay=0.0)


def step(opt, k):
    rows = fastopt.RowSparse([k % 6, 1], np.array([[1.0, -0.5], [0.25, k]]))
    opt.step({"w": rows, "b": np.float32([np.nan if k == 1 else 0.5, 1.0])})
    opt.learning_rate.update(float(k))


def run(epochs, **options):
    data = np.arange(14.0).reshape(7, 2), np.arange(7.0)

    def squares(x, A, b):
        residual = A @ x - b
        return residual @ residual / len(b), 2 * A.T @ residual / len(b)

    resume = options.pop("resume", None)
    options = {"epochs": epochs, "learning_rate": 0.01, "average": "ema"} | options
    return fastopt.minimize(
        squares, np.ones(2), jac=True, data=data, batch_size=3, rng=5, method="nadam", options=options, resume=resume
    )


def test_present_version_is_among_them():
    assert (VERSIONS / f"optimizer_{_checkpoint.files.VERSION}.npz").exists()


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("optimizer_*.npz")), ids=lambda path: path.stem)
def test_checkpoint_of_each_version(path):
    opt, other = optimizer(), optimizer()
    for array in other.params.values():
        array[...] = 7
    fastopt.load(path, other)
    for k in range(STEPS):
        step(opt, k)
    assert (other.step_count, other.skipped_steps) == (STEPS - 1, 1)
    assert other.learning_rate.state_dict() == opt.learning_rate.state_dict()
    for k in range(STEPS, STEPS + 4):
        step(opt, k)
        step(other, k)
    for name in opt.params:
        np.testing.assert_allclose(other.params[name], opt.params[name], rtol=1e-6)
    for slot in opt.state:
        for name in opt.params:
            np.testing.assert_allclose(other.state[slot][name], opt.state[slot][name], rtol=1e-6)


@pytest.mark.parametrize("path", sorted(VERSIONS.glob("minimize_*.npz")), ids=lambda path: path.stem)
def test_run_of_each_version(path):
    resumed, whole = run(EPOCHS + 3, resume=path), run(EPOCHS + 3)
    np.testing.assert_allclose(resumed.x, whole.x, rtol=1e-9)
    assert (resumed.nit, resumed.nepoch) == (whole.nit, whole.nepoch)
    assert (resumed.status, resumed.success) == (whole.status, whole.success) == (1, True)


if __name__ == "__main__":
    version = _checkpoint.files.VERSION
    opt = optimizer()
    for k in range(STEPS):
        step(opt, k)
    fastopt.save(VERSIONS / f"optimizer_{version}.npz", opt)
    run(EPOCHS, checkpoint=VERSIONS / f"minimize_{version}.npz")
