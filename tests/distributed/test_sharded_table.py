"""Rows that are spread over the ranks: the bits of one table with one optimizer."""

import math

import numpy as np
import pytest
from test_agreement import RANKS, caught
from test_sharded_optimizer import INDEPENDENT, STORAGES
from thread_ranks import on_threads

import fastopt
from fastopt import RowSparse
from fastopt.distributed import ShardedTable

N_ROWS, WIDTH = 1000, 6


def first_rows(rows):
    """Of their numbers alone."""
    return np.sin(rows[:, None] * 7.0 + np.arange(WIDTH))


def batch(step, rank, dtype):
    """Rows that repeat, on one rank and on several; none on some ranks."""
    rng = np.random.default_rng([step, rank])
    k = 0 if (step + rank) % 4 == 3 else 40
    rows = np.minimum(rng.geometric(0.02, k), N_ROWS) - 1
    return rows * 17 % N_ROWS, rng.standard_normal((k, WIDTH)).astype(dtype)


def joined(step, n_ranks, dtype):
    parts = [batch(step, rank, dtype) for rank in range(n_ranks)]
    return RowSparse(*map(np.concatenate, zip(*parts, strict=True)))


def steps_of_all_rules(comm, dtype, sparse, state_dtype):
    """What went wrong, if anything."""
    rank, n_ranks, wrong = comm.Get_rank(), comm.Get_size(), []
    for cls, keywords in INDEPENDENT:
        more = keywords | {"sparse": sparse, "state_dtype": state_dtype}
        whole = first_rows(np.arange(N_ROWS)).astype(dtype)
        try:
            one = cls(whole, **more)
        except ValueError:  # no state that could be stored in fewer bits, or no steps that could be deferred
            continue
        table = ShardedTable(N_ROWS, WIDTH, cls, comm, init=first_rows, dtype=dtype, **more)
        for step in range(4):
            table.step(*batch(step, rank, dtype))
            one.step(joined(step, n_ranks, dtype))
            looked_up = np.random.default_rng(step).integers(0, N_ROWS, (n_ranks, 50))
            rows = looked_up[rank]
            found = table.lookup(rows)
            one.catch_up(looked_up)
            if found.tobytes() != whole[rows].tobytes():
                wrong.append((cls.__name__, keywords, step))
        if table.lookup(np.arange(N_ROWS)).tobytes() != one.gather(np.arange(N_ROWS)).tobytes():
            wrong.append((cls.__name__, keywords))
    return wrong


@pytest.mark.parametrize("n_ranks", RANKS)
@pytest.mark.parametrize("sparse", ["lazy", "exact", "deferred"])
@pytest.mark.parametrize(
    "dtype, state_dtype", [("float32", None), ("float64", None), ("float32", "log8"), ("float64", "float32")]
)
def test_bits_of_one_table(dtype, state_dtype, sparse, n_ranks):
    assert on_threads(n_ranks, steps_of_all_rules, dtype, sparse, state_dtype) == [[]] * n_ranks


def clipped(comm, policy):
    """With a norm over all ranks, and a gradient that is not finite on the last one."""
    last = comm.Get_rank() == comm.Get_size() - 1
    table = ShardedTable(300, 2, fastopt.SGD, comm, learning_rate=1.0, clip_norm=5.0, nonfinite=policy, init=1.0)
    table.step([comm.Get_rank()] * 2, np.full((2, 2), 4.0, np.float32))
    norm, rows = table.last_grad_norm, table.lookup(np.arange(4))
    bad = np.full((1, 2), math.nan if last else 1.0, np.float32)
    error = caught(table.step, [7], bad)
    unchanged = (table.lookup([7]) == 1).all()
    return norm, rows.tobytes(), error and error[:2], unchanged, table.step_count, table.skipped_steps


@pytest.mark.parametrize("n_ranks", RANKS)
def test_norm_and_policy_are_of_all_ranks(n_ranks):
    results = on_threads(n_ranks, clipped, "skip")
    assert results == [results[0]] * n_ranks
    norm, rows, *rest = results[0]
    assert norm == pytest.approx(8 * math.sqrt(2 * n_ranks))
    expected = np.float32(1) - np.float32(8) * np.float32(5 / norm)
    assert np.frombuffer(rows, np.float32)[0] == expected and rest == [None, True, 1, 1]
    for _, _, error, unchanged, *counts in on_threads(n_ranks, clipped, "raise"):
        assert error[0] == "FloatingPointError" and unchanged and counts == [1, 0]


def wide_rows(rows):
    return np.ones((len(rows), 3000))


def shapes(comm):
    """More ranks than rows, and wide rows."""
    small = ShardedTable(2, 3, fastopt.Adam, comm, learning_rate=0.5)
    small.step([1], np.ones((1, 3), np.float32))
    wide = ShardedTable(
        5, 3000, fastopt.RowwiseAdagrad, comm, dtype="float64", init=lambda rows: np.ones((len(rows), 3000))
    )
    wide.step([], np.zeros((0, 3000)))
    return (
        small.n_local_rows,
        small.lookup([1, 0, 1]).tolist(),
        wide.lookup([4])[0, 0],
        small.shape,
        len(wide.local_rows),
    )


def test_fewer_rows_than_ranks():
    results = on_threads(4, shapes)
    assert sum(each[0] for each in results) == 2 and sum(each[4] for each in results) == 5
    assert all(each[1:4] == ([[-0.5] * 3, [0.0] * 3, [-0.5] * 3], 1.0, (2, 3)) for each in results)


def wrong_calls(comm):
    last = comm.Get_rank() == comm.Get_size() - 1
    table = ShardedTable(10, 2, fastopt.SGD, comm, learning_rate=1.0)
    good = np.ones((1, 2), np.float32)
    calls = [
        lambda: table.step([10 if last else 1], good),
        lambda: table.step([1.5] if last else [1], good),
        lambda: table.step([1], good[:, :1] if last else good),
        lambda: table.step([1], good.astype(np.float64) if last else good),
        lambda: table.lookup([-1] if last else [1]),
        lambda: ShardedTable(10 + last, 2, fastopt.SGD, comm),
        lambda: ShardedTable(10, 2, fastopt.SGD, comm, init=0.5 * last),
        lambda: ShardedTable(10, 2, fastopt.SGD, comm, dtype="int32"),
        lambda: ShardedTable(10, 2, fastopt.SGD, comm, init=lambda rows: np.ones(3)),
        lambda: ShardedTable(0, 2, fastopt.SGD, comm),
        lambda: ShardedTable(10, 2, fastopt.Muon, comm),
    ]
    seen = [caught(call)[:2] for call in calls]
    return seen, table.step_count, (table.lookup(np.arange(10)) == 0).all()


def test_what_does_not_fit_is_refused_on_all_ranks():
    (first, *rest), (last, *_) = on_threads(2, wrong_calls)
    assert rest == [0, True]
    kinds = ["IndexError", "TypeError", "ValueError", "TypeError", "IndexError"]
    assert [kind for kind, _ in last[:5]] == kinds and [kind for kind, _ in first[:5]] == ["RankError"] * 5
    assert all(theirs in own for (_, own), (_, theirs) in zip(first[:5], last[:5], strict=True))
    assert last[0][1] == "`rows` must be in [0, 10), got 10." and "astype(np.float32)" in last[3][1]
    assert first[5] == last[5] and "`n_rows` must be the same on all ranks, got 10 on rank 0 and 11" in first[5][1]
    assert "`init` must be the same" in first[6][1] and "`dtype` must be float32 or float64" in first[7][1]
    assert "`init` must return numbers of shape" in first[8][1] + last[8][1]
    assert "`n_rows` must be a positive integer" in first[9][1] and "got Muon" in first[10][1]


def saved_run(comm, folder, until, state_dtype):
    """Go on to a number of steps, whose gradients the last rank has, and save."""
    last = comm.Get_rank() == comm.Get_size() - 1
    found = []
    rules = (fastopt.Adam, "lazy"), (fastopt.Adam, "exact"), (fastopt.SGD, "deferred"), (fastopt.RowwiseAdagrad, "lazy")
    for cls, sparse in rules:
        more = {"state_dtype": state_dtype} if cls is fastopt.Adam else {}
        more |= {"momentum": 0.9} if cls is fastopt.SGD else {}
        table = ShardedTable(N_ROWS, WIDTH, cls, comm, init=first_rows, sparse=sparse, **more)
        path = f"{folder}/{cls.__name__}-{sparse}"
        if until > 3:
            table.load(path)
        for step in range(table.step_count, until):
            rows, grads = batch(step, 0, "float32")
            table.step(rows if last else [], grads if last else grads[:0])
        table.save(path)
        found.append((table.step_count, table.lookup(np.arange(N_ROWS)).tobytes()))
    return found


@pytest.mark.parametrize("state_dtype", STORAGES)
def test_checkpoints_fit_any_number_of_ranks(state_dtype, tmp_path):
    on_threads(1, saved_run, str(tmp_path / "one"), 3, state_dtype)
    expected = on_threads(1, saved_run, str(tmp_path / "one"), 6, state_dtype)[0]
    assert [count for count, _ in expected] == [6] * 4
    for saving, loading in ((1, 4), (3, 2), (4, 1), (2, 3)):
        folder = str(tmp_path / f"{saving} {loading}")
        on_threads(saving, saved_run, folder, 3, state_dtype)
        assert on_threads(loading, saved_run, folder, 6, state_dtype) == [expected] * loading
