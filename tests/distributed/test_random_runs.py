"""Random runs over 1 to 4 ranks, of which all have the same bits after every step, and those of one process."""

import os

import numpy as np
import pytest
from test_sharded_optimizer import INDEPENDENT, same
from thread_ranks import on_threads

from fastopt import RowSparse
from fastopt.distributed import ShardedOptimizer, ShardedTable, reduce_gradient
from fastopt.distributed._agreement import agree_same

RUNS = int(os.environ.get("FASTOPT_RANDOM_RUNS", "200"))
AT_A_TIME = 25


def hyperparameters(rng):
    """Those that every rule has."""
    more = {
        "clip_norm": [None, 0.5, 20.0],
        "clip_value": [None, 1.0],
        "nonfinite": ["propagate", "skip"],
        "weight_decay": [0.0, 0.1],
        "maximize": [False, True],
    }
    return {name: values[rng.integers(len(values))] for name, values in more.items()}


def array_run(comm, seed):
    """Steps of a sharded optimizer beside those of one with the reduced gradient."""
    rng = np.random.default_rng(seed)
    cls, keywords = INDEPENDENT[rng.integers(len(INDEPENDENT))]
    keywords = hyperparameters(rng) | keywords
    dtypes = [["float32"], ["float64"], ["float32", "float64"]][rng.integers(3)]
    shapes = [tuple(rng.integers(0, 120, rng.integers(0, 3))) for _ in range(rng.integers(1, 6))]
    shapes.append((int(rng.integers(1, 30_000)),))
    start = [np.asarray(rng.standard_normal(shape), dtypes[k % len(dtypes)]) for k, shape in enumerate(shapes)]
    params, whole = [each.copy() for each in start], [each.copy() for each in start]
    opt, one = ShardedOptimizer(cls, params, comm, **keywords), cls(whole, **keywords)
    for step in range(rng.integers(1, 5)):
        grads = [
            [None if chance < 0.1 else np.asarray(theirs.standard_normal(each.shape), each.dtype) for each, chance in
             zip(start, theirs.random(len(start)), strict=True)]
            for theirs in (np.random.default_rng([seed, step, rank]) for rank in range(comm.Get_size()))
        ]  # fmt: skip
        opt.step(grads[comm.Get_rank()])
        one.step(reduce_gradient(grads[comm.Get_rank()], comm))
        agree_same(comm, "params", params)
        assert same(dict(enumerate(params)), dict(enumerate(whole))), (seed, cls.__name__, keywords, step)


def table_run(comm, seed):
    """Steps of a sharded table beside those of one that has all rows."""
    rng = np.random.default_rng(seed)
    cls, keywords = INDEPENDENT[rng.integers(len(INDEPENDENT))]
    n_rows, width, dtype = int(rng.integers(1, 200)), int(rng.integers(1, 20)), ["float32", "float64"][rng.integers(2)]
    keywords = keywords | {"sparse": ["lazy", "exact"][rng.integers(2)], "weight_decay": 0.1 * rng.integers(2)}
    table, whole = ShardedTable(n_rows, width, cls, comm, dtype=dtype, **keywords), np.zeros((n_rows, width), dtype)
    one = cls(whole, **keywords)
    for step in range(rng.integers(1, 6)):
        parts = []
        for rank in range(comm.Get_size()):
            theirs = np.random.default_rng([seed, step, rank])
            rows = theirs.integers(0, n_rows, theirs.integers(0, 40))
            parts.append((rows, theirs.standard_normal((len(rows), width)).astype(dtype)))
        table.step(*parts[comm.Get_rank()])
        one.step(RowSparse(*map(np.concatenate, zip(*parts, strict=True))))
        found = table.lookup(np.arange(n_rows))
        agree_same(comm, "table", found)
        assert found.tobytes() == whole.tobytes(), (seed, cls.__name__, keywords, step)


def runs(comm, first, n):
    for seed in range(first, first + n):
        (array_run if seed % 2 else table_run)(comm, seed)


@pytest.mark.parametrize("first", range(0, RUNS, AT_A_TIME))
def test_random_runs(first):
    on_threads(1 + first // AT_A_TIME % 4, runs, first, AT_A_TIME)
