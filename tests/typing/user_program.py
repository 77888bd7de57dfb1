"""A program as users write them: `mypy --strict` accepts it, and it runs."""

import os
import tempfile
from typing import assert_type

import numpy as np
import numpy.typing as npt
from scipy import sparse

import fastopt
from fastopt import schedules


def loss(
    w: npt.NDArray[np.float64], X: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[float, npt.NDArray[np.float64]]:
    residual = X @ w - y
    return float(residual @ residual) / (2 * len(y)), X.T @ residual / len(y)


def main() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 5))
    y = X @ np.arange(5.0)

    w = np.zeros(5)
    rate = schedules.warmup(schedules.cosine_decay(0.1, 100), 10)
    assert_type(rate(3), float)
    opt = fastopt.Adam(w, learning_rate=rate, weight_decay=0.01, nonfinite="skip")
    for _ in range(5):
        opt.step(loss(w, X, y)[1])
    opt.step(sparse.csr_array(np.eye(1, 5)))
    assert_type(opt.step_count, int)
    assert_type(opt.last_grad_norm, float | None)

    table = {"embedding": np.zeros((10, 3), np.float32)}
    rows = fastopt.RowSparse([1, 7], np.ones((2, 3), np.float32))
    cls = fastopt.get_optimizer("sgd")
    by_name = cls(table, momentum=0.9)
    by_name.step({"embedding": rows})
    by_name.learning_rate = 0.001
    names: list[str] = list(fastopt.OPTIMIZERS)
    assert "adam" in names

    saved = opt.state_dict()
    opt.load_state_dict(saved)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "opt.npz")
        fastopt.save(path, opt)
        try:
            fastopt.load(path, opt)
        except fastopt.CheckpointError as error:
            print(error)

    res = fastopt.minimize(loss, np.zeros(5), jac=True, data=(X, y), batch_size=50, rng=0, options={"epochs": 2})
    objective = fastopt.objectives.LeastSquares(X, y, l2=0.1)
    value, gradient = objective.value_and_gradient(res.x)
    assert_type(value, float)
    fitted = fastopt.minimize(objective, np.zeros(5), method="saga", options={"epochs": 2}, rng=0)
    print(fitted.fun <= value, gradient.shape, objective.decision_function(fitted.x).shape)

    with fastopt.threads(1):
        assert_type(fastopt.get_num_threads(), int)
    fastopt.set_num_threads(None)


if __name__ == "__main__":
    main()
