"""State in fewer bits: the codes against an oracle, the same bits whatever the gradient is like, and what is kept."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse
import state_codes
from cases import CASES, ISAS, form_id, is_refused
from helpers import bits, exactly, refused, spread

import fastopt
from fastopt import RowSparse, _core

SHAPE = (150, 9)  # more than five blocks and a part of one, and rows that end in the middle of one
PAIRS = [("float64", "float32"), ("float32", "bfloat16"), ("float32", "log8")]


def storages(cls, keywords, state_dtype):
    values = cls._validated((), keywords)
    return _core.slot_storages(cls.rule, values | {"state_dtype": state_dtype})


REDUCED = [
    (case, *pair)
    for case, pair in itertools.product(CASES, PAIRS)
    if not is_refused(case[0], case[1] | {"state_dtype": pair[1]}) and storages(*case, pair[1])
]
each_reduced = pytest.mark.parametrize(("case", "dtype", "state_dtype"), REDUCED, ids=form_id)


def optimizer(cls, dtype, keywords, **more):
    params = np.random.default_rng(3).standard_normal(SHAPE).astype(dtype)
    return cls(params, **keywords, **more)


def gradients(dtype, shape=SHAPE):
    rng = np.random.default_rng(4)
    return [(scale * rng.standard_normal(shape)).astype(dtype) for scale in (1, 30, 1)]


def codes(opt):
    return {name: [array.copy() for array in arrays] for name, arrays in opt.state_dict()["state"].items()}


def same(a, b):
    return all(x.tobytes() == y.tobytes() for name in a for x, y in zip(a[name], b[name], strict=True))


# --- codes --------------------------------------------------------------------------------------------------------


@each_reduced
def test_a_step_is_that_of_whole_state_and_a_rounding(case, dtype, state_dtype):
    """Decoded state, the step of an optimizer with whole state, and the codes of the oracle."""
    cls, keywords = case
    opt = optimizer(cls, dtype, keywords, state_dtype=state_dtype, state_seed=12)
    for grad in gradients(dtype):
        whole = cls(opt.params.copy(), **keywords)
        whole.load_state_dict(opt.state_dict())
        for each in (opt, whole):
            each.step(grad)
        assert opt.params.tobytes() == whole.params.tobytes()
        stored = codes(opt)
        numbers = [*_core.slot_contents(cls.rule)]
        for name, storage in storages(cls, keywords, state_dtype).items():
            random = state_codes.random_bits(opt.params.size, opt.step_count, numbers.index(name), seed=12)
            expected = state_codes.encoded(storage, whole.state[name], random)
            assert stored[name][0].tobytes() == expected.tobytes(), name
            assert np.array_equal(opt.state[name], state_codes.decoded(storage, expected, SHAPE))


@pytest.mark.parametrize("state_dtype", ["bfloat16", "log8"])
def test_special_numbers_stay(state_dtype):
    values = np.zeros(1000, np.float32)
    values[[3, 5, 300, 700]] = np.nan, np.inf, np.inf, np.float32(1e-30)
    values[400:500] = np.finfo(np.float32).max
    opt = fastopt.Adagrad(np.zeros(1000, np.float32), state_dtype=state_dtype, initial_accumulator_value=0.0)
    state = fastopt.Adagrad(np.zeros(1000, np.float32)).state_dict()
    state["state"]["accumulator"] = [values]
    opt.load_state_dict(state)
    stored = opt.state["accumulator"]
    assert np.array_equal(np.isnan(stored), np.isnan(values)) and np.array_equal(np.isinf(stored), np.isinf(values))
    assert np.array_equal(stored == 0, values == 0)
    assert np.isclose(stored[700], 1e-30, rtol=0.13)
    opt.step(np.zeros(1000, np.float32))
    assert np.array_equal(opt.state["accumulator"], stored, equal_nan=True)


@pytest.mark.parametrize("layout", ["dense", "rows"])
def test_what_is_finite_in_float64_stays_so(layout):
    """In float32 it would be an infinite second moment, which decays no more, and no step ever after."""
    most = float(np.finfo(np.float32).max)
    grad = np.array([[1e30, -1e-30, np.inf, 1.0]])
    opt = fastopt.Adam(np.zeros((1, 4)), 0.1, beta_2=0.5, state_dtype="float32")
    opt.step(grad if layout == "dense" else RowSparse(np.array([0]), grad))
    assert np.array_equal(opt.state["v"], [[most, 0, np.inf, 0.5]])
    for _ in range(300):
        opt.step(np.ones((1, 4)))
    assert np.allclose(opt.state["v"][0, [0, 1, 3]], 1) and opt.state["v"][0, 2] == np.inf


@pytest.mark.parametrize("state_dtype", ["bfloat16", "log8"])
def test_the_mean_is_exact(state_dtype):
    """Codes of one number under many seeds; each entry by itself, and all of a group."""
    n, seeds = 512, 400
    value = np.float32(1.0371)
    state = fastopt.Adagrad(np.zeros(n, np.float32)).state_dict()
    state["state"]["accumulator"] = [np.full(n, value)]
    opt = fastopt.Adagrad(np.zeros(n, np.float32), state_dtype=state_dtype)
    stored = np.empty((seeds, n))
    for seed in range(seeds):
        state["hyperparameters"]["state_seed"] = seed
        opt.load_state_dict(state)
        stored[seed] = opt.state["accumulator"]
    gap = np.ptp(np.unique(stored))
    assert len(np.unique(stored)) == 2
    assert abs(stored.mean() - value) < 0.01 * gap
    assert np.all(np.abs(stored.mean(axis=0) - value) < 5 * 0.5 * gap / np.sqrt(seeds))
    assert np.all(np.abs(stored.mean(axis=1) - value) < 8 * gap / n)


# --- the same bits ------------------------------------------------------------------------------------------------


def run(cls, dtype, keywords, grads, **more):
    opt = optimizer(cls, dtype, keywords, **more)
    for grad in grads:
        opt.step(grad)
    return bits(opt), codes(opt)


@each_reduced
def test_instruction_sets_and_strides(case, dtype, state_dtype, use_isa):
    cls, keywords = case
    more = dict(state_dtype=state_dtype, weight_decay=0.01 if cls is not fastopt.Rprop else 0.0)
    grads = gradients(dtype)
    expected = None
    for isa in ISAS:
        use_isa(isa)
        for each in (grads, [spread(grad) for grad in grads], [np.asfortranarray(grad) for grad in grads]):
            got = run(cls, dtype, keywords, each, **more)
            expected = expected or got
            assert got[0] == expected[0] and same(got[1], expected[1])


@each_reduced
def test_rows_and_elements(case, dtype, state_dtype, rng):
    """The same touched entries as rows, as single entries, in another order, and on any number of threads."""
    cls, keywords = case
    shape, n_touched = (30_000, 9), 14_500
    rows = rng.choice(shape[0], n_touched, replace=False)
    grads = gradients(dtype, (n_touched, shape[1]))
    rows_of_all = scipy.sparse.csr_array((np.ones(n_touched), (np.arange(n_touched), rows)), (n_touched, shape[0]))

    def steps(make, n_threads):
        params = np.random.default_rng(3).standard_normal(shape).astype(dtype)
        opt = cls(params, **keywords, state_dtype=state_dtype, num_threads=n_threads)
        for grad in grads:
            opt.step(make(grad))
        return bits(opt), codes(opt)

    order = rng.permutation(n_touched)
    expected = steps(lambda grad: RowSparse(rows, grad, unique=True), 1)
    for make, n_threads in [
        (lambda grad: RowSparse(rows, grad, unique=True), 7),
        (lambda grad: RowSparse(rows[order], grad[order]), 2),
        (lambda grad: scipy.sparse.csr_array(rows_of_all.T.astype(dtype) @ grad * 1), 3),
    ]:
        got = steps(make, n_threads)
        assert got[0] == expected[0] and same(got[1], expected[1])


@each_reduced
def test_sparse_after_other_layouts(case, dtype, state_dtype, rng):
    """Where a dense gradient lay in memory says nothing about a sparse one that follows."""
    cls, keywords = case
    made = []
    for arranged in (np.ascontiguousarray, spread, np.asfortranarray):
        opt = optimizer(cls, dtype, keywords, state_dtype=state_dtype)
        for k, grad in enumerate(gradients(dtype)):
            opt.step(arranged(grad))
            opt.step(RowSparse(np.arange(k, len(grad), 3), grad[k::3].copy(), unique=True))
            opt.step(scipy.sparse.csr_array(np.where(grad > 1, grad, 0)))
        made.append((bits(opt), codes(opt)))
    assert all(each[0] == made[0][0] and same(each[1], made[0][1]) for each in made)


def arranged(grad, rng):
    """The same gradient, as one of the forms that it may have."""
    forms = [np.ascontiguousarray, spread, np.asfortranarray, lambda grad: grad[::-1].copy()[::-1]]
    return forms[rng.integers(len(forms))](grad)


def touched(rng, shape, dtype, in_order):
    """Some rows of a gradient, or some of its entries; and the same in another order, or another format."""
    values = rng.standard_normal(shape).astype(dtype)
    if in_order:
        rows = np.sort(rng.choice(shape[0], rng.integers(shape[0] + 1), replace=False))
        order = rng.permutation(len(rows))
        return RowSparse(rows, values[rows], unique=True), RowSparse(rows[order].astype(np.int32), values[rows[order]])
    matrix = scipy.sparse.csr_array(np.where(rng.random(shape) < 0.2, values, 0))
    return matrix, [matrix.tocsc(), matrix.tocoo()][rng.integers(2)]


@pytest.mark.parametrize("seed", range(6))
@each_reduced
def test_sequences_of_all_that_may_differ(case, dtype, state_dtype, seed, use_isa):
    """Layouts, formats, instruction sets, threads and copies between steps: the bits of the plainest run."""
    cls, keywords = case
    rng = np.random.default_rng(seed)
    shapes = [[(257, 3), (6, 50)], [(1, 1), (1025, 7), (0, 3)], [(2, 512), (255, 1)]][seed % 3]
    params = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    more = {"state_dtype": state_dtype, "sparse": ["lazy", "exact"][seed % 2], "maximize": seed > 2}
    plain, other = (cls([each.copy() for each in params], **keywords, **more, num_threads=n) for n in (1, 3))
    for _ in range(5):
        grads, others = [], []
        for shape in shapes:
            kind = rng.integers(4)
            if kind == 0:
                pair = None, None
            elif kind == 1:
                pair = touched(rng, shape, dtype, in_order=rng.random() < 0.5)
            else:
                grad = rng.standard_normal(shape).astype(dtype)
                pair = grad, arranged(grad, rng)
            grads.append(pair[0])
            others.append(pair[1])
        use_isa(ISAS[-1])
        plain.step(grads)
        use_isa(ISAS[rng.integers(len(ISAS))])
        other.step(others)
        other = [copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt)), lambda opt: opt][rng.integers(3)](other)
    assert bits(plain) == bits(other) and same(codes(plain), codes(other))


@pytest.mark.parametrize("state_dtype", ["bfloat16", "log8"])
@pytest.mark.parametrize("cls", [fastopt.Adam, fastopt.Adagrad, fastopt.Prodigy, fastopt.LAMB, fastopt.Muon])
def test_threads(cls, state_dtype, rng):
    shape = (600, 400)
    grads = gradients(np.float32, shape)

    def steps(n_threads):
        opt = cls(np.ones(shape, np.float32), state_dtype=state_dtype, num_threads=n_threads)
        for grad in grads:
            opt.step(grad)
        return bits(opt), codes(opt)

    expected = steps(1)
    for n_threads in (2, 7):
        got = steps(n_threads)
        assert got[0] == expected[0] and same(got[1], expected[1])


@pytest.mark.parametrize("state_dtype", ["bfloat16", "log8"])
def test_parts_of_arrays(state_dtype, rng):
    """Each part of an array with an optimizer of its own, which knows where it is: the bits of the whole."""
    n, cut = 3000, 1024
    grads = [[rng.standard_normal(n).astype(np.float32) for _ in range(2)] for _ in range(3)]

    def made(arrays, places=None):
        opt = fastopt.Adam(arrays, state_dtype=state_dtype)
        if places:
            opt._set_places(places)
        return opt

    whole = made([np.ones(n, np.float32), np.ones(n, np.float32)])
    parts = [(part, made([np.ones(n, np.float32)[part]], [(1, part.start)])) for part in (slice(0, cut), slice(cut, n))]
    for grad in grads:
        whole.step(grad)
        for part, opt in parts:
            opt.step([grad[1][part]])
    for part, opt in parts:
        for name in ("m", "v"):
            assert np.array_equal(opt.state[name][0], whole.state[name][1][part])
    with pytest.raises(ValueError, match="multiple of 256 entries, got 100"):
        parts[0][1]._set_places([(0, 100)])


@pytest.mark.parametrize("state_dtype", ["bfloat16", "log8"])
def test_untouched_entries_keep_their_numbers(state_dtype, rng):
    """Entries of one block do not see each other's steps."""
    opt = fastopt.Adagrad(np.zeros(256, np.float32), state_dtype=state_dtype, initial_accumulator_value=0.0)
    opt.step(rng.standard_normal(256).astype(np.float32))
    before = opt.state["accumulator"]
    opt.step(scipy.sparse.csr_array((np.array([3000, 1], np.float32), ([0, 0], [7, 9])), (1, 256)))
    after = opt.state["accumulator"]
    near = after > after[7] * 2.0**-31
    untouched = ~np.isin(np.arange(256), [7, 9])
    assert after[7] > 8e6 and np.count_nonzero(untouched & near) > 220
    assert np.array_equal(before[untouched & near], after[untouched & near])
    assert np.all(after[~near] >= before[~near]) and np.all(after[~near] <= after[7] * 2.0**-31)


def test_exact_is_dense_for_a_rule_that_stays(rng):
    grad = scipy.sparse.random_array((1, 2000), density=0.1, random_state=rng, dtype=np.float32)
    made = []
    for each in (grad.tocsr(), grad.toarray()[0]):
        opt = fastopt.Adagrad(np.ones(2000, np.float32), state_dtype="log8", sparse="exact")
        for _ in range(3):
            opt.step(each)
        made.append(bits(opt))
    assert made[0] == made[1]


def test_a_state_that_decays_is_exact_too(rng):
    grad = scipy.sparse.random_array((1, 2000), density=0.01, random_state=rng, dtype=np.float32)
    made = []
    for each in (grad.tocsr(), grad.toarray()[0]):
        opt = fastopt.RMSprop(np.ones(2000, np.float32), state_dtype="bfloat16", sparse="exact")
        for _ in range(3):
            opt.step(each)
        made.append(bits(opt))
    assert made[0] == made[1]


# --- state, and its way through files ------------------------------------------------------------------------------


def stepped(state_dtype, dtype=np.float32, **keywords):
    opt = fastopt.AdamW(np.linspace(-1, 1, 700, dtype=dtype), state_dtype=state_dtype, weight_decay=0.01, **keywords)
    for k in range(4):
        opt.step(np.sin(np.arange(700) + k).astype(dtype))
    return opt


def test_state_is_a_read_only_float32_copy():
    opt = stepped("log8")
    for name in ("m", "v"):
        state = opt.state[name]
        assert state.dtype == np.float32 and state.shape == opt.params.shape and not state.flags.writeable
    stored = opt.state_dict()["state"]
    assert stored["m"][0].dtype == np.uint16 and stored["v"][0].nbytes == state_codes.log8_bytes(700)[1]


def test_a_slot_that_must_be_exact_stays_writable():
    opt = fastopt.ScheduleFreeAdamW(np.ones(9, np.float32), state_dtype="bfloat16")
    assert opt.state["z"].flags.writeable and not opt.state["v"].flags.writeable


@pytest.mark.parametrize(("dtype", "state_dtype"), PAIRS)
def test_copies_go_on_with_the_same_bits(dtype, state_dtype, tmp_path):
    opt, others = stepped(state_dtype, dtype), []
    others += [pickle.loads(pickle.dumps(opt)), copy.deepcopy(opt)]
    loaded = stepped(state_dtype, dtype)
    loaded.load_state_dict(opt.state_dict())
    loaded.params[...] = opt.params
    others.append(loaded)
    fastopt.save(tmp_path / "run.npz", opt)
    resumed = stepped(state_dtype, dtype, state_seed=5)
    fastopt.load(tmp_path / "run.npz", resumed)
    others.append(resumed)
    grad = np.cos(np.arange(700)).astype(dtype)
    for each in (opt, *others):
        each.step(grad)
    for each in others:
        assert bits(each) == bits(opt) and same(codes(each), codes(opt))


@pytest.mark.parametrize("source", [None, "float32", "bfloat16", "log8"])
@pytest.mark.parametrize("target", [None, "bfloat16", "log8"])
def test_loading_converts(source, target):
    """What needs no rounding is the same numbers; rounding is as good as that of a step."""
    saved, opt = stepped(source), stepped(target)
    opt.load_state_dict(saved.state_dict())
    assert opt.state_dtype == target and opt.step_count == saved.step_count
    for name in ("m", "v"):
        error = np.abs(opt.state[name] - saved.state[name]) / np.maximum(np.abs(saved.state[name]), 1e-30)
        stays = target is None or target == source or {source, target} == {"bfloat16", "log8"}
        coarse = (name, target) == ("v", "log8")
        limit = 0 if stays and not (coarse and source != "log8") else 2**-3 if coarse else 2**-7
        assert error.max() <= limit and (limit == 0 or error.max() > 0)


def test_state_dictionaries_that_are_older_than_the_hyperparameter():
    saved, opt = stepped(None), stepped("bfloat16")
    state = saved.state_dict()
    del state["hyperparameters"]["state_dtype"], state["hyperparameters"]["state_seed"]
    opt.load_state_dict(state)
    assert opt.step_count == 4 and opt.state_seed == 0


def test_the_seed_matters_and_is_loaded():
    first, second = stepped("bfloat16"), stepped("bfloat16", state_seed=1)
    assert not same(codes(first), codes(second))
    second.load_state_dict(first.state_dict())
    assert second.state_seed == 0 and same(codes(first), codes(second))


# --- refusals -------------------------------------------------------------------------------------------------------


EXACT = ["Adafactor", "ASGD", "COCOB", "DoG", "FTRL", "MoMo", "RowwiseAdagrad", "ScheduleFreeSGD"]


@pytest.mark.parametrize("cls", [getattr(fastopt, name) for name in EXACT])
def test_rules_whose_state_is_exact(cls):
    message = f"`state_dtype` must be None for {cls.__name__}, whose state has to be exact, got 'log8'; leave it out."
    with pytest.raises(ValueError, match=exactly(message)):
        cls(np.ones((3, 2), np.float32), state_dtype="log8")
    assert "It must be None here" in cls.__doc__


@pytest.mark.parametrize("state_dtype", ["bfloat16", "log8"])
def test_a_variance_that_is_a_difference(state_dtype):
    message = (
        "`state_dtype` must be None or 'float32' with `centered`, which divides by a difference of means that has to "
        f"be exact, got {state_dtype!r}; leave it out."
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fastopt.RMSprop(np.ones(3, np.float32), centered=True, state_dtype=state_dtype)
    opt = fastopt.RMSprop(np.ones(3), centered=True, state_dtype="float32")
    assert opt.state["mean_square"].dtype == np.float32 and opt.state["mean_grad"].dtype == np.float64


def test_codes_that_the_parameters_cannot_have():
    opt, saved = stepped("float32", np.float64), stepped("bfloat16").state_dict()
    message = (
        "`state_dict['hyperparameters']['state_dtype']` must be None or 'float32' for float64 parameters, got "
        "'bfloat16'; load it into an optimizer of float32 parameters."
    )
    with refused(opt, ValueError, exactly(message)):
        opt.load_state_dict(saved)
    fastopt.AdamW(np.ones(700, np.float32)).load_state_dict(saved)


def test_a_slot_that_is_not_there():
    message = "`state_dtype` must be None for SGD, which keeps no velocity like this, got 'bfloat16'; leave it out."
    with pytest.raises(ValueError, match=exactly(message)):
        fastopt.SGD(np.ones(3, np.float32), state_dtype="bfloat16")


def test_float64():
    message = (
        "`state_dtype` must be None or 'float32' for float64 parameters, got 'bfloat16' for `params['b']`; pass "
        'state_dtype="float32", or make the parameters float32.'
    )
    with pytest.raises(ValueError, match=exactly(message)):
        fastopt.Adam({"a": np.ones(3, np.float32), "b": np.ones(3)}, state_dtype="bfloat16")
    mixed = fastopt.Adam([np.ones(3, np.float32), np.ones(3)], state_dtype="float32")
    assert [array.dtype for array in mixed.state["m"]] == [np.float32, np.float32]


def test_long_rows():
    with pytest.raises(ValueError, match="rows of more than 1,024 entries, got rows of 1,025 in `params`"):
        fastopt.RowwiseAdam(np.ones((2, 1025), np.float32), state_dtype="bfloat16")


@pytest.mark.parametrize("value", ["float16", "bf16", 8, True])
def test_names(value):
    with pytest.raises(ValueError, match="`state_dtype` must be one of None, 'float32', 'bfloat16', 'log8', got"):
        fastopt.Adam(np.ones(3, np.float32), state_dtype=value)


# --- accuracy -------------------------------------------------------------------------------------------------------


def test_long_runs_do_not_stall():
    """A second moment that changes by 0.1 % a step: to nearest it would stay where it is."""
    n, steps = 256, 4000
    grads = 10.0 ** np.linspace(-3, 1, n)
    for state_dtype in ("bfloat16", "log8"):
        opt = fastopt.Adam(np.zeros(n, np.float32), 1e-4, state_dtype=state_dtype)
        whole = fastopt.Adam(np.zeros(n, np.float32), 1e-4)
        for k in range(steps):
            for each in (opt, whole):
                each.step((grads * (1.0 if k < 500 else 0.1)).astype(np.float32))
        assert abs((opt.state["v"] / whole.state["v"]).mean() - 1) < 0.03
        assert abs((opt.params / whole.params).mean() - 1) < 0.06  # the mean of 1 / sqrt(v) is above that of the mean


def test_an_ill_scaled_problem():
    """Curvatures over four decades, mixed inside blocks: as near to the optimum as with float32."""
    n, rng = 2**16, np.random.default_rng(0)
    curvature, target = 10.0 ** rng.uniform(-2, 2, n), rng.standard_normal(n)
    distance = {}
    for state_dtype in (None, "bfloat16", "log8"):
        x = np.zeros(n, np.float32)
        opt = fastopt.Adam(x, 0.01, state_dtype=state_dtype)
        noise = np.random.default_rng(1)
        for _ in range(400):
            opt.step((curvature * (x - target + 0.1 * noise.standard_normal(n))).astype(np.float32))
        distance[state_dtype] = np.sqrt(np.mean((x - target) ** 2))
    assert distance["bfloat16"] < 1.03 * distance[None] and distance["log8"] < 1.03 * distance[None]


@pytest.mark.parametrize("state_dtype", ["bfloat16", "log8"])
@pytest.mark.parametrize("cls", [fastopt.AdaBelief, fastopt.Adadelta, fastopt.Adan, fastopt.Adam, fastopt.SGD])
def test_an_optimum_far_from_zero(cls, state_dtype):
    """Small differences of large numbers, and steps that are made of those before: as near as with whole state."""
    n, rng = 300, np.random.default_rng(0)
    curvature, optimum = 10.0 ** rng.uniform(-1, 1, n), 30 + rng.standard_normal(n)
    start = optimum + 10 * rng.standard_normal(n)
    keywords = {} if cls is fastopt.Adadelta else {"learning_rate": 0.05}
    keywords |= {"momentum": 0.9} if cls is fastopt.SGD else {}
    losses = []
    for storage in (None, state_dtype):
        x, noise, values = start.astype(np.float32), np.random.default_rng(1), []
        opt = cls(x, **keywords, state_dtype=storage)
        for _ in range(3000):
            opt.step((curvature * (x - optimum) + 0.3 * noise.standard_normal(n)).astype(np.float32))
            values.append(np.sum(curvature * (x - optimum) ** 2))
        losses.append(np.mean(values[-1000:]))
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
