"""Random sequences of everything that can be done with an optimizer, side by side with the float64 oracle.

FASTOPT_HYPOTHESIS=nightly tries ten thousand sequences.
"""

import copy
import math
import pickle
import threading

import hypothesis
import numpy as np
import pytest
import scipy.sparse
from cases import CASES, DTYPES, OPTIMIZERS, couples_arrays, is_refused
from helpers import flat, misaligned
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lazy_reference import REFERENCES

import fastopt
from fastopt import RowSparse, schedules
from fastopt._checkpoint import load, save

# The oracle is brought to the bits of the optimizer whenever all of it is compared, so errors add up only in between.
TOLERANCE = {"float32": dict(rtol=2e-3, atol=2e-4), "float64": dict(rtol=1e-8, atol=1e-10)}

SHAPES = [(), (0,), (1,), (7,), (40,), (3, 4), (6, 1), (0, 5), (5, 2, 3), (2100,), (40_000,)]
MODIFIERS = [
    {},
    {"weight_decay": 0.05},
    {"weight_decay": 0.05, "decoupled_weight_decay": True},
    {"clip_value": 0.7},
    {"clip_norm": 1.5},
    {"maximize": True},
    {"clip_norm": 2.0, "clip_value": 1.0, "weight_decay": 0.01, "maximize": True},
]
RATES = [0.01, 0.1, 0.0, schedules.cosine_decay(0.05, 20), schedules.warmup(schedules.constant(0.02), 5)]
STRUCTURES = {
    "array": lambda arrays: arrays[0],
    "list": list,
    "dict": lambda arrays: {f"p{k}": array for k, array in enumerate(arrays)},
}
# Hyper-parameters that decide which state there is.
ALLOCATING = ("momentum", "amsgrad", "centered", "averaging")
SEEDS = st.integers(0, 2**32 - 1)


def layouts(grad):
    """Equal values in other places."""
    flip = tuple(slice(None, None, -1) for _ in grad.shape)
    every_second = np.repeat(grad[..., None], 2, -1)[..., 0] if grad.ndim else grad.copy()
    return [grad, np.array(grad, order="F"), grad[flip].copy()[flip], every_second]


def values(rng, shape, dtype):
    scale = 10.0 ** rng.uniform(-2, 0.5, shape)
    return np.asarray(rng.standard_normal(shape) * scale, dtype)


def row_gradient(rng, param):
    """Some rows, none or all, in any order, twice perhaps; for the optimizer, and for the oracle."""
    n = len(param)
    k = int(rng.choice([0, 1, 2, n // 2, n, 2 * n])) if n else 0
    index = rng.integers(0, max(n, 1), k, dtype=rng.choice([np.int32, np.int64]))
    rows = values(rng, (k, *param.shape[1:]), param.dtype)
    return RowSparse(index, rows), (index, rows)


def scipy_gradient(rng, param, container):
    """Single entries, those that stand twice included."""
    k = int(rng.choice([0, 1, 2, 5, 30])) if param.size else 0
    data, index = values(rng, k, param.dtype), rng.integers(0, max(param.size, 1), k)
    if param.ndim == 1:
        matrix = scipy.sparse.coo_array((data, (np.zeros(k, int), index)), shape=(1, len(param)))
        return container(matrix), (index, data)
    at = np.unravel_index(index, param.shape) if k else (index, index)
    return container(scipy.sparse.coo_array((data, at), shape=param.shape)), (at, data)


CONTAINERS = [
    scipy.sparse.coo_array,
    scipy.sparse.coo_matrix,
    scipy.sparse.csr_array,
    scipy.sparse.csr_matrix,
    scipy.sparse.csc_array,
]


def twin(oracle):
    """A copy of an oracle; its formulas are a module, which cannot be copied."""
    other = copy.copy(oracle)
    other.params = copy.deepcopy(oracle.params)
    other._slots, other._carry = copy.deepcopy((oracle._slots, oracle._carry))
    return other


# What is wrong with a gradient -> one made from a good dense one and its parameter; None if it would be right.
BAD = {
    "shape": lambda grad, param: np.ones((*grad.shape, 2), grad.dtype),
    "dtype": lambda grad, param: grad.astype(np.float16),
    "byte order": lambda grad, param: grad.astype(grad.dtype.newbyteorder("S")),
    "misaligned": lambda grad, param: misaligned(grad) if grad.size else None,
    "the parameter": lambda grad, param: param if param.size else None,
    "a list": lambda grad, param: grad.tolist() if grad.ndim else None,
    "nothing": lambda grad, param: None,
    "a row too far": lambda grad, param: out_of_range(param, len(param)) if param.ndim else None,
    "a row below": lambda grad, param: out_of_range(param, -1) if param.ndim else None,
    "a matrix of another shape": lambda grad, param: scipy.sparse.csr_array((3, 99)),
}


def out_of_range(param, index):
    return RowSparse([index], np.ones((1, *param.shape[1:]), param.dtype))


class AnOptimizer(RuleBasedStateMachine):
    """An optimizer, its oracle, and points in time to go back to."""

    def __init__(self):
        super().__init__()
        self.saved = []

    def teardown(self):
        fastopt.set_num_threads(None)

    @initialize(
        case=st.sampled_from(CASES),
        modifiers=st.sampled_from(MODIFIERS),
        mode=st.sampled_from(["exact", "lazy"]),  # deferred rows, which reads of parameters miss: tests/fuzz
        policy=st.sampled_from(["propagate", "skip", "raise"]),
        structure=st.sampled_from(sorted(STRUCTURES)),
        arrays=st.lists(st.tuples(st.sampled_from(SHAPES), st.sampled_from(DTYPES)), min_size=1, max_size=3),
        seed=SEEDS,
    )
    def construct(self, case, modifiers, mode, policy, structure, arrays, seed):
        cls, keywords = case
        if is_refused(cls, {"decoupled_weight_decay": True}):
            modifiers = {name: each for name, each in modifiers.items() if name != "decoupled_weight_decay"}
        rng = np.random.default_rng(seed)
        arrays = [values(rng, shape, dtype) for shape, dtype in arrays[: 1 if structure == "array" else None]]
        self.structure = STRUCTURES[structure]
        self.keywords = keywords | modifiers | {"sparse": mode, "nonfinite": policy}
        self.opt = cls(self.structure(arrays), **self.keywords)
        self.oracle = REFERENCES[mode](cls.__name__.lower(), arrays, dict(self.opt._values))
        self.skipped = 0

    # --- steps ---------------------------------------------------------------------------------------------

    def rate(self):
        rate = self.opt.learning_rate
        return rate(self.opt.step_count) if callable(rate) else rate

    def step(self, grads, expected):
        rate = self.rate()
        self.opt.step(self.structure(grads))
        self.oracle.step(expected, rate)

    def dense(self, rng):
        return [values(rng, param.shape, param.dtype) for param in flat(self.opt.params)]

    @rule(seed=SEEDS, layout=st.integers(0, 3))
    def step_dense(self, seed, layout):
        grads = self.dense(np.random.default_rng(seed))
        self.step([layouts(grad)[layout] for grad in grads], grads)

    @rule(seed=SEEDS, forms=st.lists(st.sampled_from(["dense", "rows", "scipy"]), min_size=3, max_size=3))
    def step_mixed(self, seed, forms):
        """Each array its own form, as far as it has one."""
        rng = np.random.default_rng(seed)
        grads, expected = [], []
        for param, dense, form in zip(flat(self.opt.params), self.dense(rng), forms, strict=False):
            if form == "rows" and param.ndim:
                grad, plain = row_gradient(rng, param)
            elif form == "scipy" and param.ndim in (1, 2):
                grad, plain = scipy_gradient(rng, param, CONTAINERS[rng.integers(len(CONTAINERS))])
            else:
                grad = plain = dense
            grads.append(grad)
            expected.append(plain)
        self.step(grads, expected)

    @rule(seed=SEEDS)
    def step_in_another_thread(self, seed):
        grads = self.dense(np.random.default_rng(seed))
        thread = threading.Thread(target=self.step, args=(grads, grads))
        thread.start()
        thread.join()

    @rule(seed=SEEDS, which=st.integers(0, 2), fault=st.sampled_from(sorted(BAD)))
    def step_that_is_refused(self, seed, which, fault):
        """The bad gradient stands at any place among good ones."""
        params, grads = flat(self.opt.params), self.dense(np.random.default_rng(seed))
        which %= len(grads)
        bad = BAD[fault](grads[which], params[which])
        if bad is None and (fault != "nothing" or not isinstance(self.opt.params, np.ndarray)):
            return  # of several arrays one may have no gradient
        grads[which] = bad
        before = self.raw()
        with pytest.raises((TypeError, ValueError, IndexError)):
            self.opt.step(self.structure(grads))
        assert self.raw() == before

    @precondition(lambda self: self.opt.nonfinite != "propagate" and any(each.size for each in flat(self.opt.params)))
    @rule(seed=SEEDS, value=st.sampled_from([math.nan, math.inf, -math.inf]), sparse=st.booleans())
    def step_that_is_not_finite(self, seed, value, sparse):
        rng = np.random.default_rng(seed)
        grads = self.dense(rng)
        which = int(rng.choice([k for k, grad in enumerate(grads) if grad.size]))
        grads[which].flat[rng.integers(grads[which].size)] = value
        if sparse and grads[which].ndim:
            grads[which] = RowSparse(np.arange(len(grads[which])), grads[which])
        before = self.raw()
        if self.opt.nonfinite == "raise":
            with pytest.raises(FloatingPointError):
                self.opt.step(self.structure(grads))
        else:
            self.opt.step(self.structure(grads))
            self.skipped += 1
        assert self.opt.skipped_steps == self.skipped
        assert self.raw() == before

    # --- settings ------------------------------------------------------------------------------------------

    @rule(rate=st.sampled_from(RATES))
    def set_learning_rate(self, rate):
        if rate == 0.0 and isinstance(self.opt, fastopt.FTRL):  # which divides by it
            rate = 1e-3
        self.opt.learning_rate = rate

    @rule(bad=st.sampled_from([-1.0, math.nan, "0.1", None, 1j]))
    def set_learning_rate_that_is_refused(self, bad):
        before = self.raw(), self.opt.learning_rate
        with pytest.raises((TypeError, ValueError)):
            self.opt.learning_rate = bad
        assert (self.raw(), self.opt.learning_rate) == before

    @rule(n=st.sampled_from([None, 1, 2, 5]))
    def set_threads(self, n):
        fastopt.set_num_threads(n)

    # --- copies --------------------------------------------------------------------------------------------

    def fresh(self):
        """Another optimizer of the same kind, with everything but the kind of learning rate different."""
        rate = self.opt.learning_rate
        allocating = {name: each for name, each in self.keywords.items() if name in ALLOCATING}
        arrays = [np.full_like(array, 3) for array in flat(self.opt.params)]
        return type(self.opt)(self.structure(arrays), rate if callable(rate) else 0.5, **allocating)

    @rule(way=st.sampled_from(["pickle", "deepcopy", "copy", "state_dict", "file"]))
    def go_on_with_a_copy(self, way):
        """What is copied stays as it is from then on, but for the parameters that a shallow copy shares."""
        before = self.raw()
        if way in ("pickle", "deepcopy", "copy"):
            other = {
                "pickle": lambda opt: pickle.loads(pickle.dumps(opt)),
                "deepcopy": copy.deepcopy,
                "copy": copy.copy,
            }[way](self.opt)
        else:
            other = self.fresh()
            if way == "file":
                save(self.path, self.opt)
                load(self.path, other)
            else:
                other.load_state_dict(self.opt.state_dict())
                for array, own in zip(flat(other.params), flat(self.opt.params), strict=True):
                    array[...] = own
        assert self.raw(other) == self.raw() == before
        self.opt = other

    @rule()
    def remember(self):
        arrays = [array.copy() for array in flat(self.opt.params)]
        self.saved.append((self.opt.state_dict(), arrays, twin(self.oracle), self.skipped, self.opt.learning_rate))

    @precondition(lambda self: self.saved)
    @rule(which=st.integers(0, 100))
    def go_back(self, which):
        saved, arrays, oracle, self.skipped, rate = self.saved[which % len(self.saved)]
        self.opt.learning_rate = rate  # a number, or the schedule that is not in the dictionary
        self.opt.load_state_dict(saved)
        for array, then in zip(flat(self.opt.params), arrays, strict=True):
            array[...] = then
        self.oracle = twin(oracle)

    @rule(key=st.sampled_from(["format", "step_count", "state", "hyperparameters", "last_steps", "carry"]))
    def load_what_does_not_fit(self, key):
        before, saved = self.raw(), self.opt.state_dict()
        with pytest.raises((TypeError, ValueError)):
            self.opt.load_state_dict(saved | {key: None})
        assert self.raw() == before

    # --- comparisons ---------------------------------------------------------------------------------------

    def tolerance(self, array):
        """Sums over all arrays bring the rounding of those in single precision into those of double precision."""
        sums = self.opt.clip_norm is not None or couples_arrays(type(self.opt))
        shared = sums and any(each.dtype == np.float32 for each in flat(self.opt.params))
        return TOLERANCE["float32" if shared else array.dtype.name]

    def raw(self, opt=None):
        """All bits, without the look at `state` that would bring it up to date."""
        opt = self.opt if opt is None else opt
        arrays = [*opt._flat_params, *(array for arrays in opt._slot_arrays for array in arrays)]
        up_to_date = [each is None or (each == opt.step_count).all() for each in opt._last_steps]  # two ways to say so
        last_steps = [None if new else each.tolist() for new, each in zip(up_to_date, opt._last_steps, strict=True)]
        return opt.step_count, opt._carry, last_steps, [array.tobytes() for array in arrays]

    @rule()
    def look_at_the_state(self):
        """Compare it, and let the oracle go on from its bits."""
        state = self.opt.state
        assert list(state) == list(self.oracle.state)
        for slot, arrays in state.items():
            for k, array in enumerate(flat(arrays)):
                expected = self.oracle._slots[k][slot]
                tolerance = self.tolerance(flat(self.opt.params)[k])
                np.testing.assert_allclose(array, expected, **tolerance, err_msg=slot)
                self.oracle._slots[k][slot] = array.astype(np.float64)
        self.oracle.params = [np.array(param, np.float64) for param in flat(self.opt.params)]

    @invariant()
    def parameters_are_those_of_the_oracle(self):
        for param, expected in zip(flat(self.opt.params), self.oracle.params, strict=True):
            np.testing.assert_allclose(param, expected, **self.tolerance(param))
        assert (self.opt.step_count, self.opt.skipped_steps) == (self.oracle.step_count, self.skipped)


@pytest.fixture
def sequences(path, no_sync):
    """How many to try, and the machine with a file to write."""
    AnOptimizer.path = path
    default = hypothesis.settings.default
    return hypothesis.settings(
        max_examples=max(300, default.max_examples), stateful_step_count=25, deadline=None,
        derandomize=default.derandomize,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_any_sequence_of_calls(sequences):
    hypothesis.stateful.run_state_machine_as_test(AnOptimizer, settings=sequences)


def test_every_optimizer_is_driven():
    assert {cls for cls, _ in CASES} == set(OPTIMIZERS.values())
