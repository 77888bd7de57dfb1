"""Parts of a saved optimizer: what arrays that are parts of the saved ones need, read without the rest."""

import tracemalloc

import numpy as np
import pytest
from cases import CASES, form_id
from helpers import bits

import fastopt
from fastopt import GradientStats, RowSparse, _core
from fastopt._checkpoint import files

SHAPES = {"w": (300, 64), "b": (5000,)}
INDEPENDENT = [case for case in CASES if not _core.couples_entries(case[0].rule)]
STARTS = {"w": [0, 8192], "b": [0, 4096]}


def arrays(rng, dtype):
    return {key: rng.standard_normal(shape).astype(dtype) for key, shape in SHAPES.items()}


def part(whole, which):
    """The entries of each array before or from its cut, as rows of a matrix and as a vector."""
    found = {}
    for key, array in whole.items():
        cut = STARTS[key][1]
        flat = array.reshape(-1)[cut:] if which else array.reshape(-1)[:cut]
        found[key] = flat.reshape(-1, *array.shape[1:]).copy()
    return found


def starts(which):
    return {key: each[which] for key, each in STARTS.items()}


@pytest.mark.parametrize("state_dtype", [None, "bfloat16", "log8"])
@pytest.mark.parametrize("case", INDEPENDENT, ids=form_id)
def test_parts_go_on_with_the_bits_of_the_whole(case, state_dtype, tmp_path, rng):
    cls, keywords = case
    keywords = keywords | {"clip_norm": 3.0, "state_dtype": state_dtype}
    try:
        whole = cls(arrays(rng, "float32"), **keywords)
    except ValueError:
        pytest.skip("this state cannot be stored in fewer bits")
    for _ in range(2):
        whole.step(arrays(rng, "float32"))
    fastopt.save(tmp_path / "run.npz", whole)
    parts = [cls(part(arrays(rng, "float32"), which), **keywords) for which in (0, 1)]
    for which, opt in enumerate(parts):
        fastopt.load(tmp_path / "run.npz", opt, starts=starts(which))
        assert opt.step_count == 2
    grad = arrays(rng, "float32")
    whole.step(grad)
    grads = [part(grad, which) for which in (0, 1)]
    total = sum([opt.gradient_stats(each) for opt, each in zip(parts, grads, strict=True)], GradientStats())
    for which, (opt, each) in enumerate(zip(parts, grads, strict=True)):
        opt.step(each, stats=total)
        for key, expected in part(whole.params, which).items():
            assert opt.params[key].tobytes() == expected.tobytes()
        for name, slot in whole.state.items():
            if slot["w"].shape == SHAPES["w"]:
                assert all(np.array_equal(opt.state[name][key], each) for key, each in part(slot, which).items())


def test_vector_part_of_a_matrix_and_rows_that_lag(tmp_path, rng):
    table = rng.standard_normal((40, 8))
    opt = fastopt.Adam(table, sparse="exact")
    opt.step(rng.standard_normal((40, 8)))
    opt.step(RowSparse([3, 20], rng.standard_normal((2, 8))))
    fastopt.save(tmp_path / "run.npz", opt)
    rows = fastopt.Adam(np.zeros((10, 8)), sparse="exact")
    fastopt.load(tmp_path / "run.npz", rows, starts=120)
    assert np.array_equal(rows.params, table[15:25]) and np.array_equal(rows.state["m"], opt.state["m"][15:25])
    fastopt.save(tmp_path / "run.npz", opt)
    flat = fastopt.Adam(np.zeros(100))
    fastopt.load(tmp_path / "run.npz", flat, starts=13)
    assert np.array_equal(flat.params, table.reshape(-1)[13:113])


def test_memory_is_that_of_the_part(tmp_path):
    opt = fastopt.Adam(np.ones(2_000_000))
    fastopt.save(tmp_path / "run.npz", opt)
    small = fastopt.Adam(np.zeros(1000))
    tracemalloc.start()
    try:
        fastopt.load(tmp_path / "run.npz", small, starts=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert small.params[0] == 1.0


REFUSED = {
    "beyond the end": (fastopt.Adam, (10,), {}, 91, "must be at most 90 for a part of 10, got 91"),
    "negative": (fastopt.Adam, (10,), {}, -1, "must be a non-negative integer"),
    "a list for an array": (fastopt.Adam, (10,), {}, [0], "must be an integer"),
    "another class": (fastopt.SGD, (10,), {"momentum": 0.9}, 0, "must be saved with the entries"),
    "another class with its slots": (fastopt.AdamW, (10,), {}, 0, "'optimizer'"),
    "another dtype": (fastopt.Adam, (10,), {"dtype": "float32"}, 0, "must be of the dtype of the saved one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_changes_nothing(name, tmp_path):
    cls, shape, keywords, start, message = REFUSED[name]
    keywords = dict(keywords)
    fastopt.save(tmp_path / "run.npz", fastopt.Adam(np.ones(100)))
    opt = cls(np.zeros(shape, keywords.pop("dtype", "float64")), **keywords)
    before = bits(opt)
    with pytest.raises((TypeError, ValueError), match=message):
        fastopt.load(tmp_path / "run.npz", opt, starts=start)
    assert bits(opt) == before


def test_what_only_a_path_and_an_optimizer_have(tmp_path):
    path = tmp_path / "run.npz"
    fastopt.save(path, fastopt.Adam(np.ones(100)))
    with open(path, "rb") as file, pytest.raises(TypeError, match="must be a path where `starts` is given"):
        fastopt.load(file, fastopt.Adam(np.ones(10)), starts=0)
    with pytest.raises(TypeError, match=r"goes with a fastopt\.Optimizer, got SAGA"):
        fastopt.load(path, fastopt.SAGA(np.ones(10)), starts=0)


def test_parts_of_coded_state_begin_with_a_group(tmp_path):
    fastopt.save(tmp_path / "run.npz", fastopt.Adam(np.ones(1000, np.float32), state_dtype="log8"))
    opt = fastopt.Adam(np.ones(100, np.float32), state_dtype="log8")
    with pytest.raises(ValueError, match="must be a multiple of 256"):
        fastopt.load(tmp_path / "run.npz", opt, starts=100)


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "run.npz"
    fastopt.save(path, fastopt.Adam(np.ones(1000)))
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)
    with pytest.raises(fastopt.CheckpointError, match="damaged"):
        fastopt.load(path, fastopt.Adam(np.ones(10)), starts=0)


def test_forged_arrays_are_refused(tmp_path):
    """State that is shorter than the parameters, with the right checksum."""
    opt = fastopt.Adam(np.ones(1000))
    tree = opt._snapshot() | {"params": [opt.params], "names": None}
    tree["state"]["m"] = [np.zeros(3)]
    files.write(tmp_path / "run.npz", "optimizer", tree)
    with pytest.raises(ValueError, match="must be saved with arrays that go with the parameters"):
        fastopt.load(tmp_path / "run.npz", fastopt.Adam(np.ones(10)), starts=500)
