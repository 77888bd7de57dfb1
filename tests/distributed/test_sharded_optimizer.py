"""State that is spread over the ranks: the bits of one optimizer that has all of it."""

import math
import shutil

import numpy as np
import pytest
from cases import CASES, OPTIMIZERS
from test_agreement import RANKS, caught
from thread_ranks import on_threads

import fastopt
from fastopt import _core
from fastopt.distributed import ShardedOptimizer, ShardedTable

SHAPES = {"table": (130, 64), "bias": (5000,), "scale": (), "none": (0, 3), "wide": (3, 4097)}
INDEPENDENT = [case for case in CASES if not _core.couples_entries(case[0].rule)]
STORAGES = [None, "bfloat16", "log8"]


def arrays(rng, dtypes=("float32",)):
    return {
        key: np.asarray(rng.standard_normal(shape), dtypes[k % len(dtypes)])
        for k, (key, shape) in enumerate(SHAPES.items())
    }


def gradients(step, n_ranks, dtypes):
    """Of all ranks; some lack a part of theirs."""
    found = [arrays(np.random.default_rng([step, rank]), dtypes) for rank in range(n_ranks)]
    found[step % n_ranks]["bias"] = None
    if step == 1:
        for each in found:
            each["table"] = None
    return found


def mean(grads):
    """In the order of ranks; what all lack is left out."""
    reduced = {}
    for key in SHAPES:
        parts = [each[key] for each in grads]
        if any(part is not None for part in parts):
            like = next(part for part in parts if part is not None)
            total = np.zeros_like(like) if parts[0] is None else parts[0].copy()
            for part in parts[1:]:
                total += 0 if part is None else part
            reduced[key] = np.asarray(total / len(grads), like.dtype)
    return reduced


def same(one, other):
    return all(one[key].tobytes() == other[key].tobytes() for key in one)


def steps_of_all_rules(comm, cases):
    """What went wrong, if anything."""
    rank, n_ranks, wrong = comm.Get_rank(), comm.Get_size(), []
    for number in cases:
        cls, keywords = INDEPENDENT[number]
        for dtypes, state_dtype in ((("float32", "float64"), None), (("float32",), "bfloat16"), (("float32",), "log8")):
            more = {"clip_norm": 2.0, "nonfinite": "skip", "groups": {"bias": {"weight_decay": 0.25}}}
            more |= keywords | {"state_dtype": state_dtype}
            start = np.random.default_rng(5)
            whole, params = arrays(start, dtypes), arrays(np.random.default_rng(5), dtypes)
            try:
                one = cls(whole, **more)
            except ValueError:  # no groups, or no state that could be stored in fewer bits
                more |= {"state_dtype": None, "groups": None}
                one = cls(whole, **more)
            opt = ShardedOptimizer(cls, params, comm, **more)
            for step in range(4):
                grads = gradients(step, n_ranks, dtypes)
                if step == 2:
                    grads[-1]["wide"][1, 7] = math.nan
                opt.step(grads[rank])
                one.step(mean(grads))
                if not same(params, whole) or opt.last_grad_norm != one.last_grad_norm:
                    wrong.append((cls.__name__, keywords, state_dtype, step))
            if (opt.step_count, opt.skipped_steps) != (3, 1) or not same(opt.solution(), one.solution()):
                wrong.append((cls.__name__, keywords, state_dtype, "end"))
    return wrong


@pytest.mark.parametrize("n_ranks", RANKS)
def test_bits_of_one_optimizer(n_ranks):
    """Every rule that keeps entries or rows apart, over arrays of two dtypes and with state in fewer bits."""
    chosen = range(len(INDEPENDENT)) if n_ranks in (2, 3) else range(n_ranks, len(INDEPENDENT), 5)
    assert on_threads(n_ranks, steps_of_all_rules, list(chosen), seconds=110) == [[]] * n_ranks


def structures(comm):
    """A single array and a list, summed; a learning rate that is set and one that is scheduled."""
    rank, found = comm.Get_rank(), []
    x = np.linspace(-1, 1, 20_000)
    opt = ShardedOptimizer(fastopt.Adam, x, comm, reduce="sum", learning_rate=fastopt.schedules.cosine_decay(0.1, 9))
    opt.step(np.full(20_000, 1.0 + rank)[::-1])
    found.append(x.tobytes())
    pair = [np.ones(3), np.ones((5000, 2), np.float32)]
    opt = ShardedOptimizer(fastopt.SGD, pair, comm, learning_rate=0.1, momentum=0.9)
    opt.learning_rate = 0.5
    opt.groups[1].weight_decay = 0.1
    opt.step([np.ones(3), np.ones((5000, 2), np.float32)])
    found += [each.tobytes() for each in pair]
    found.append(repr(opt).split(":")[0].replace(str(rank), "R", 1))
    return found, opt.params is not pair and opt.params[0] is pair[0]


def test_structures_and_rates():
    results = on_threads(3, structures)
    assert all(result == results[0] for result in results)
    found, same_arrays = results[0]
    x = np.linspace(-1, 1, 20_000)
    fastopt.Adam(x, learning_rate=0.1).step(np.full(20_000, 6.0))
    assert found[0] == x.tobytes() and same_arrays
    assert np.frombuffer(found[1])[0] == 0.5 and found[3] == "<ShardedOptimizer, rank R of 3"


class Counting:
    """A rate that falls with each call, whatever the step; on the last rank the fourth call raises."""

    def __init__(self, fails):
        self.calls, self.fails = 0, fails

    def __call__(self, t):
        self.calls += 1
        if self.fails and self.calls == 4:
            raise LookupError
        return 1.0 / self.calls

    def __repr__(self):
        return "Counting()"


def counted(comm):
    """What two kinds of optimizers and one of one process have after steps of which one fails."""
    last, found = comm.Get_rank() == comm.Get_size() - 1, []
    x, whole = np.ones(9000), np.ones(9000)
    opt = ShardedOptimizer(fastopt.Adam, x, comm, learning_rate=Counting(last))
    table = ShardedTable(9000, 1, fastopt.Adam, comm, dtype="float64", init=1.0, learning_rate=Counting(last))
    one = fastopt.Adam(whole, learning_rate=Counting(False))
    for _ in range(3):
        one.step(whole.copy())
    for _ in range(4):
        rows = np.arange(9000 if last else 0)
        errors = caught(opt.step, x.copy()), caught(table.step, rows, table.lookup(rows))
        found.append([error and error[0] for error in errors])
    rows = table.lookup(np.arange(9000))[:, 0]
    return found, x.tobytes() == whole.tobytes(), rows.tobytes() == whole.tobytes(), opt.step_count, table.step_count


@pytest.mark.parametrize("n_ranks", RANKS)
def test_schedules_are_asked_once_in_a_step(n_ranks):
    *others, own = on_threads(n_ranks, counted)
    for result, kind in [*((each, "RankError") for each in others), (own, "LookupError")]:
        assert result == ([[None, None]] * 3 + [[kind, kind]], True, True, 3, 3)


def wrong_construction(comm):
    rank = comm.Get_rank()
    x, last = np.ones(10), rank == comm.Get_size() - 1

    def make(cls=fastopt.Adam, params=x, **more):
        return ShardedOptimizer(cls, params, comm, **more)

    calls = [
        lambda: make(learning_rate=0.1 + rank),
        lambda: make(params=np.ones(10 + last)),
        lambda: make(params=x + last),
        lambda: make(fastopt.SGD if last else fastopt.Adam),
        lambda: make(params={"a": x} if last else {"b": x}),
        lambda: make(beta_1=2.0 if last else 0.9),
        lambda: make(fastopt.LAMB),
        lambda: make("adam"),
        lambda: make(reduce="max"),
        lambda: make(groups={0: {"weight_decay": 0.1 * rank}}, params=[x]),
        lambda: make(params=[x, np.ones(3)] if last else [x]),
    ]
    return [caught(call)[:2] for call in calls]


def test_what_differs_between_ranks_is_found_at_construction():
    first, last = on_threads(2, wrong_construction)
    texts = [text for _, text in first]
    assert texts[0] == "`learning_rate` must be the same on all ranks, got 0.1 on rank 0 and 1.1 on rank 1."
    assert "(10,)" in texts[1] and "(11,)" in texts[1]
    assert texts[2].startswith("`params` must be the same on all ranks") and texts[2].endswith("on rank 1.")
    assert "Adam" in texts[3] and "SGD" in texts[3] and "'b'" in texts[4]
    assert first[5] == ("RankError", "Rank 1 failed: ValueError: `beta_1` must be in [0, 1), got 2.0.")
    assert last[5] == ("ValueError", "`beta_1` must be in [0, 1), got 2.0.")
    assert "do not depend on each other, got LAMB; use it on every rank" in texts[6]
    assert "`cls` must be a class of optimizers" in texts[7] and '"mean" or "sum"' in texts[8]
    assert "`groups` must be the same on all ranks" in texts[9] and "the keys of `params` must be the same" in texts[10]
    assert [each for k, each in enumerate(first) if k != 5] == [each for k, each in enumerate(last) if k != 5]


def wrong_steps(comm):
    """Errors of single ranks, each followed by what they left, and a good step."""
    rank, last = comm.Get_rank(), comm.Get_rank() == comm.Get_size() - 1
    params = [np.ones(5000), np.ones((100, 64))]
    opt = ShardedOptimizer(fastopt.Adam, params, comm, nonfinite="raise")
    good = [np.ones(5000), np.ones((100, 64))]
    bad = [
        [good[0], good[1][:50]],
        good[:1],
        [good[0].astype(np.float32), good[1]],
        [good[0], fastopt.RowSparse([1], np.ones((1, 64)))],
        [good[0], "gradient"],
        [np.full(5000, math.nan), good[1]],
    ]
    seen = []
    for grad in bad:
        seen.append(caught(opt.step, grad if last else good)[:2])
        seen.append([(each == 1).all() for each in params])
    opt.step(good)
    seen.append([each.tobytes() for each in params])
    return rank, opt.step_count, seen


@pytest.mark.parametrize("n_ranks", [2, 3])
def test_refused_step_of_one_rank_changes_nothing_on_any(n_ranks):
    results = on_threads(n_ranks, wrong_steps)
    for rank, count, seen in results:
        assert count == 1 and seen[-1] == results[0][2][-1]
        assert all(all(each) for each in seen[1:-1:2])
        errors = seen[:-1:2]
        if rank < n_ranks - 1:
            assert all(kind == "RankError" for kind, _ in errors[:5])
            assert all(text.startswith(f"Rank {n_ranks - 1} failed: ") for _, text in errors[:5])
        else:
            assert [kind for kind, _ in errors[:5]] == [
                "ValueError",
                "ValueError",
                "TypeError",
                "TypeError",
                "TypeError",
            ]
        assert errors[5][0] == "FloatingPointError"
    assert "use a `ShardedTable` for sparse gradients" in results[-1][2][6][1]


def saved_run(comm, folder, n_before, n_after, state_dtype):
    """Steps whose gradients do not depend on the number of ranks, with a save in between."""
    found = []
    for cls in (fastopt.Adam, fastopt.RowwiseAdagrad, fastopt.ScheduleFreeAdamW, fastopt.SGD):
        params = {key: np.asarray(array) for key, array in arrays(np.random.default_rng(1)).items()}
        more = {"state_dtype": state_dtype} if cls is not fastopt.SGD and cls is not fastopt.RowwiseAdagrad else {}
        opt = ShardedOptimizer(cls, params, comm, reduce="sum", clip_norm=50.0, **more)
        path = f"{folder}/{cls.__name__}"
        if n_before is None:
            opt.load(path)
            opt.load(path)
        else:
            opt.save(path)  # the second one replaces it
        for step in range(opt.step_count, opt.step_count + (n_before or 0)):
            opt.step(own_gradient(comm, step))
        if n_before is not None:
            opt.save(path)
        for step in range(opt.step_count, opt.step_count + n_after):
            opt.step(own_gradient(comm, step))
        found.append([opt.step_count, {key: each.tobytes() for key, each in opt.solution().items()}])
        found.append({key: each.tobytes() for key, each in params.items()})
    return found


def own_gradient(comm, step):
    """The last rank has all of it."""
    grad = arrays(np.random.default_rng([9, step]))
    last = comm.Get_rank() == comm.Get_size() - 1
    return grad if last else {key: np.zeros_like(each) for key, each in grad.items()}


@pytest.mark.parametrize("state_dtype", STORAGES)
def test_checkpoints_fit_any_number_of_ranks(state_dtype, tmp_path):
    expected = on_threads(1, saved_run, str(tmp_path / "1"), 5, 0, state_dtype)[0]
    for saving, loading in ((1, 3), (3, 2), (4, 1), (2, 4)):
        folder = tmp_path / f"{saving} {loading}"
        on_threads(saving, saved_run, str(folder), 3, 0, state_dtype)
        files = sorted(path.name for path in (folder / "Adam").iterdir())
        assert len(files) == saving + 1 and files[-1] == "manifest.npz"
        assert on_threads(loading, saved_run, str(folder), None, 2, state_dtype) == [expected] * loading
        shutil.rmtree(folder)


def test_every_rule_is_sharded_or_refused():
    refused = {cls.__name__ for cls in OPTIMIZERS.values() if _core.couples_entries(cls.rule)}
    assert refused == {"Adafactor", "DoG", "LAMB", "LARS", "MoMo", "Muon", "Prodigy"}
