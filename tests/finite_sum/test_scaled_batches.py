"""Mini-batches of plain SGD over CSR samples of many columns, with penalties: their weights are scaled."""

import numpy as np
import pytest
from reference_epochs import SEED, assert_close, expected_run, problem

from fastopt import minimize, schedules

PENALTIES = {"l2": {"l2": 0.02}, "l1": {"l1": 0.004}, "both": {"l2": 0.02, "l1": 0.004}}


def wide(loss="logistic", layout="csr32", dtype="float64", **keywords):
    """A batch has entries in few of the columns."""
    return problem(loss, layout, dtype, n=60, d=300, density=0.02, fit_intercept=True, **keywords)


def run(p, callback=None, **options):
    options = {"epochs": 6, "learning_rate": 0.2, **options}
    return minimize(p.objective, p.x0, method="sgd", batch_size=7, rng=SEED, options=options, callback=callback)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layout", ["csr32", "csr64"])
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_steps_are_those_of_the_formula(loss, layout, dtype, penalty):
    p = wide(loss, layout, dtype, **PENALTIES[penalty])
    rate = schedules.piecewise_constant([20], [0.2, 0.05])
    expected = expected_run(p, "sgd", "lazy", epochs=6, learning_rate=rate)[-1]
    res = run(p, learning_rate=rate)
    assert_close(res.x, expected, **({"rtol": 1e-12, "atol": 1e-14} if dtype == "float64" else {}))
    if dtype == "float64" and "l1" in PENALTIES[penalty]:
        np.testing.assert_array_equal(res.x == 0, expected == 0)
        assert ((res.x == 0) & (p.x0 != 0)).any()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_parameters_may_be_read_after_every_step(penalty):
    p = wide(**PENALTIES[penalty])
    points = []
    run(p, callback=points.append)
    for x, expected in zip(
        points, expected_run(p, "sgd", "lazy", epochs=6, learning_rate=0.2)[-len(points) :], strict=True
    ):
        assert_close(x, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_any_number_of_threads_and_a_lock_free_one_make_the_same(dtype, penalty):
    p = wide("softmax", dtype=dtype, **PENALTIES[penalty])
    x = run(p).x
    assert run(p, num_threads=2).x.tobytes() == run(p, num_threads=3).x.tobytes() == x.tobytes()
    assert run(p, num_threads=1, parallel="hogwild").x.tobytes() == x.tobytes()
    assert_close(run(p, num_threads=2, parallel="hogwild").x, x, atol=0.2)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_gradient_that_is_not_finite_leaves_the_steps_before(penalty):
    p = wide("least_squares", **PENALTIES[penalty])
    points = []
    with np.errstate(all="ignore"):
        res = run(p, learning_rate=1e200, callback=lambda x: points.append(x.copy()))
    assert res.status == 2 and np.isfinite(res.x).all()
