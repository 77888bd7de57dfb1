"""Gradients of several ranks become one, the same to the last bit on all of them."""

import numpy as np
import pytest
from test_agreement import RANKS, caught
from thread_ranks import on_threads

from fastopt import RowSparse
from fastopt.distributed import local_parts, reduce_gradient

PARTS = 12
SHAPE = (7, 5)


def gradients(n, dtype):
    """Of n parts: a dense one, a sparse one, and one that only every other part has."""
    rng = np.random.default_rng(3)
    return [
        {
            "dense": rng.standard_normal(SHAPE).astype(dtype),
            "rows": RowSparse(rng.integers(0, 9, 4), rng.standard_normal((4, 2)).astype(dtype)),
            "some": rng.standard_normal(3).astype(dtype) if k % 2 else None,
            "none": None,
        }
        for k in range(n)
    ]


def plain(grad):
    """A gradient without fastopt's types, for comparison to the last bit."""
    if grad is None:
        return None
    if isinstance(grad, RowSparse):
        return grad.indices.tolist(), grad.rows.tobytes(), grad.rows.shape
    return grad.tobytes(), grad.shape, grad.dtype.name


def reduced(comm):
    found = []
    for dtype in ("float32", "float64"):
        own = gradients(comm.Get_size(), dtype)[comm.Get_rank()]
        parts = [gradients(PARTS, dtype)[k] for k in local_parts(PARTS, comm)]
        for grad, more in ((own, {}), (own, {"reduce": "sum"}), (parts, {"parts": PARTS})):
            found.append({key: plain(each) for key, each in reduce_gradient(grad, comm, **more).items()})
        found.append([plain(each) for each in reduce_gradient([own["dense"], own["some"]], comm)])
        found.append(plain(reduce_gradient(own["dense"], comm)))
    return found


def in_order(grads, divisor):
    """What is expected of dense gradients and of rows, which are added in their order."""
    dense = grads[0]["dense"].copy()
    for each in grads[1:]:
        dense += each["dense"]
    rows = np.zeros((9, 2), dense.dtype)
    for each in grads:
        for index, row in zip(each["rows"].indices, each["rows"].rows, strict=True):
            rows[index] += row
    indices = np.unique(np.concatenate([each["rows"].indices for each in grads]))
    return plain(dense / dense.dtype.type(divisor)), plain(RowSparse(indices, rows[indices] / rows.dtype.type(divisor)))


@pytest.mark.parametrize("n_ranks", RANKS)
def test_sums_are_in_order_and_the_same_on_all_ranks(n_ranks):
    results = on_threads(n_ranks, reduced)
    assert all(result == results[0] for result in results)
    for dtype, (mean, total, parts, some, single) in zip(
        ("float32", "float64"), (results[0][:5], results[0][5:]), strict=True
    ):
        grads = gradients(n_ranks, dtype)
        assert (mean["dense"], mean["rows"]) == in_order(grads, n_ranks)
        assert (total["dense"], total["rows"]) == in_order(grads, 1)
        assert (parts["dense"], parts["rows"]) == in_order(gradients(PARTS, dtype), PARTS)
        assert mean["none"] is parts["none"] is None and (mean["some"] is None) == (n_ranks == 1)
        assert some[0] == single == mean["dense"]


def wrong(comm):
    rank = comm.Get_rank()
    good = np.ones(3)
    calls = [
        (good if rank else np.ones(4), {}),
        ([good, good] if rank else [good], {}),
        (good if rank else RowSparse([1], np.ones((1, 3))), {}),
        (good if rank else "gradient", {}),
        (good, {"reduce": "sum" if rank else "mean"}),
        (good, {"reduce": "max"}),
        (good, {"parts": 1}),
        ([good], {"parts": 4}),
    ]
    return [caught(lambda grad=grad, more=more: reduce_gradient(grad, comm, **more))[:2] for grad, more in calls]


def test_what_does_not_fit_is_refused_on_all_ranks():
    first, second = on_threads(2, wrong)
    assert first[0] == second[0]
    assert first[0][1] == "`grad` must be the same on all ranks, got float64 of shape (4,) on rank 0 and " + (
        "float64 of shape (3,) on rank 1."
    )
    assert first[1] == second[1] and "the structure 1 on rank 0 and 2 on rank 1" in first[1][1]
    assert first[2] == second[2] and "got a RowSparse with float64 rows of shape (3,) on rank 0" in first[2][1]
    assert first[3] == ("TypeError", "`grad` must be a NumPy array or a RowSparse, got str.")
    assert second[3][0] == "RankError" and first[3][1] in second[3][1]
    assert first[4] == second[4] and first[4][0] == "ValueError"
    assert first[5] == second[5] == ("ValueError", '`reduce` must be "mean" or "sum", got \'max\'.')
    assert first[6] == second[6] == ("ValueError", "`parts` must be at least the number of ranks, 2, got 1.")
    assert "2 parts, as `local_parts` says, got 1 of them" in first[7][1]
