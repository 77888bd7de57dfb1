"""Groups: hyper-parameters of single arrays, in one pass over all of them."""

import copy
import math
import pickle

import numpy as np
import pytest
from cases import CASES, DTYPES, MODES, OPTIMIZERS, couples_arrays, form_id, own_numbers, skip_if_refused
from helpers import bits, exactly, refused

import fastopt
from fastopt import RowSparse, schedules

APART = [case for case in CASES if not couples_arrays(case[0])]
SHAPES = (31, (4, 3), 7)


def start(rng, dtype="float64"):
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def gradients(rng, params, n=5):
    return [[rng.standard_normal(p.shape).astype(p.dtype) for p in params] for _ in range(n)]


def copied(params):
    return [array.copy() for array in params]


def bits_of(opt, arrays):
    """The bits of some arrays, and of their state."""
    slots = opt.state.values()
    return [[opt.params[k].tobytes(), *(slot[k].tobytes() for slot in slots)] for k in arrays]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", APART, ids=form_id)
def test_arrays_move_as_in_optimizers_of_their_own(case, dtype, rng):
    cls, keywords = case
    own = own_numbers(cls, keywords)
    params = start(rng, dtype)
    opt = cls(copied(params), groups={1: own}, **keywords)
    one, other = cls([params[0], params[2]], **keywords), cls([params[1]], **{**keywords, **own})
    for grads in gradients(rng, params):
        opt.step(grads)
        one.step([grads[0], grads[2]])
        other.step([grads[1]])
    assert bits_of(opt, [0, 2]) == bits_of(one, [0, 1])
    assert bits_of(opt, [1]) == bits_of(other, [0])
    for k, twin in ((0, one.solution()[0]), (1, other.solution()[0]), (2, one.solution()[1])):
        assert np.array_equal(opt.solution()[k], twin)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_schedules_of_groups_see_the_same_steps(cls, rng):
    """The rate of each step, from a schedule, is as if it had been set before the step."""
    if cls._declared["learning_rate"].joint:
        pytest.skip("its rate is that of all arrays")
    params = start(rng)
    own, general = schedules.exponential_decay(0.5, 2, 0.7), schedules.step_decay(0.25, 2, 0.5)
    opt = cls(copied(params), learning_rate=general, groups={2: {"learning_rate": own}})
    twin = cls(copied(params), learning_rate=general(0), groups={2: {"learning_rate": own(0)}})
    for t, grads in enumerate(gradients(rng, params)):
        twin.learning_rate, twin.groups[2].learning_rate = general(t), own(t)
        opt.step(grads)
        twin.step(grads)
    assert bits(opt) == bits(twin)


def test_a_schedule_is_asked_once_a_step_for_all_its_arrays():
    asked = []

    def schedule(t):
        asked.append(t)
        return 0.1

    opt = fastopt.SGD([np.ones(2) for _ in range(3)], schedule, groups={1: {"weight_decay": 0.1}})
    for _ in range(2):
        opt.step([np.ones(2)] * 3)
    assert asked == [0, 1]


@pytest.mark.parametrize("case", APART, ids=form_id)
def test_one_norm_clips_all_arrays(case, rng):
    """Where the gradients of a step are scaled together, it is as if the caller had scaled them."""
    cls, keywords = case
    own = own_numbers(cls, keywords) | {"clip_value": 0.75}
    params = start(rng)
    opt = cls(copied(params), groups={1: own}, clip_norm=0.5, **keywords)
    twin = cls(copied(params), groups={1: {**own, "clip_value": None}}, **keywords)
    for grads in gradients(rng, params):
        opt.step(grads)
        clipped = [grads[0], np.clip(grads[1], -0.75, 0.75), grads[2]]
        norm = math.sqrt(sum((each**2).sum() for each in clipped))
        assert opt.last_grad_norm == pytest.approx(norm, rel=1e-14)
        twin.step([each * (0.5 / opt.last_grad_norm) for each in clipped])
    assert bits(opt)[2] == bits(twin)[2]


@pytest.mark.parametrize("policy", ["skip", "raise"])
def test_one_bad_gradient_stops_all_arrays(policy):
    opt = fastopt.Adam({"w": np.ones(3), "b": np.ones(2)}, nonfinite=policy, groups={"b": {"clip_value": 1.0}})
    before = bits(opt)
    bad = {"w": np.ones(3), "b": np.array([1.0, np.inf])}
    if policy == "raise":
        with pytest.raises(FloatingPointError):
            opt.step(bad)
    else:
        opt.step(bad)
    assert bits(opt)[0] == before[0] and bits(opt)[2] == before[2]


@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_neither_threads_nor_strides_change_a_bit(case, rng):
    cls, keywords = case
    params = [rng.standard_normal((80, 90)), rng.standard_normal(5000), rng.standard_normal(3)]
    own = own_numbers(cls, keywords)
    found = set()
    many = [[each.repeat(2, axis=-1) for each in grads] for grads in gradients(rng, params, 3)]
    for n_threads in (1, 2, 3):
        opt = cls(copied(params), groups={1: own}, clip_norm=3.0, num_threads=n_threads, **keywords)
        for grads in many:
            strided = [each[..., ::2] for each in grads]
            opt.step(strided if n_threads == 2 else [np.ascontiguousarray(each) for each in strided])
        found.add(str(bits(opt)))
    assert len(found) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", APART, ids=form_id)
def test_an_embedding_beside_dense_arrays(case, mode, rng):
    cls, keywords = case
    own, params = own_numbers(cls, keywords), [rng.standard_normal((9, 4)), rng.standard_normal(6)]
    skip_if_refused(cls, {**keywords, **own, "sparse": mode})
    opt = cls(copied(params), sparse=mode, groups={0: own}, **keywords)
    table, vector = cls([params[0]], sparse=mode, **{**keywords, **own}), cls([params[1]], sparse=mode, **keywords)
    for k in range(4):
        rows, dense = RowSparse(np.array([k, 8 - k]), rng.standard_normal((2, 4))), rng.standard_normal(6)
        opt.step([rows, dense])
        table.step([rows])
        vector.step([dense])
    assert bits_of(opt, [0]) == bits_of(table, [0]) and bits_of(opt, [1]) == bits_of(vector, [0])


def test_weight_decay_of_one_group_moves_untouched_rows_of_that_group_alone():
    tables = [np.ones((5, 2)), np.ones((5, 2))]
    opt = fastopt.RMSprop(tables, 0.1, sparse="exact", groups={1: {"weight_decay": 0.1}})
    opt.step([RowSparse(np.array([2]), np.ones((1, 2)))] * 2)
    moved = [(table != 1).any(axis=1).tolist() for table in tables]
    assert moved == [[False, False, True, False, False], [True] * 5]


# --- rules that combine sums over all arrays -------------------------------------------------------------


def test_prodigy_estimates_one_distance_for_all_groups(rng):
    """The estimate is that of all arrays together; with the same numbers a group changes nothing."""
    params = start(rng)
    opt = fastopt.Prodigy(copied(params), weight_decay=0.1, groups={0: {"epsilon": 1e-8}, 1: {"weight_decay": 0.0}})
    for grads in gradients(rng, params):
        opt.step(grads)
    estimates = [{name: each[name] for name in ("d", "d_max", "numerator")} for each in opt._carry_of_arrays]
    assert estimates[0] == estimates[1] == estimates[2] and estimates[0]["d"] == opt._carry["d"] > 0
    twin, plain = (fastopt.Prodigy(copied(params), groups=groups) for groups in ({1: {"epsilon": 1e-8}}, None))
    for grads in gradients(rng, params):
        twin.step(grads)
        plain.step(grads)
    assert bits(twin) == bits(plain)


def test_momo_limits_the_common_rate_by_that_of_each_group(rng):
    """Where the limits decide, arrays move as with momentum SGD of their own rates."""
    params = start(rng)
    opt = fastopt.MoMo(copied(params), 1e-3, lower_bound=-1e9, groups={1: {"learning_rate": 1e-4}})
    twin = fastopt.MoMo(copied(params), 1e-3, lower_bound=-1e9)
    grads = gradients(rng, params, 1)[0]
    opt.step(grads, 1.0)
    twin.step(grads, 1.0)
    assert bits_of(opt, [0, 2]) == bits_of(twin, [0, 2])
    np.testing.assert_allclose(params[1] - opt.params[1], 0.1 * (params[1] - twin.params[1]), rtol=1e-9)


def test_dog_takes_its_distance_over_all_arrays(rng):
    params = start(rng)
    opt, twin = (fastopt.DoG(copied(params), groups=groups) for groups in ({1: {"learning_rate": 0.5}}, None))
    grads = gradients(rng, params, 1)[0]
    opt.step(grads)
    twin.step(grads)
    np.testing.assert_allclose(params[1] - opt.params[1], 0.5 * (params[1] - twin.params[1]), rtol=1e-6)
    assert bits_of(opt, [0]) == bits_of(twin, [0])


# --- state -----------------------------------------------------------------------------------------------


def passed_on(opt, way, path, make):
    """The same optimizer once more, over arrays of its own."""
    if way == "pickle":
        return pickle.loads(pickle.dumps(opt))
    if way == "copy":
        return copy.deepcopy(opt)
    other = make()
    for one, mine in zip(other.params, opt.params, strict=True):
        one[...] = mine
    if way == "state_dict":
        other.load_state_dict(opt.state_dict())
    else:
        fastopt.save(path, opt)
        fastopt.load(path, other)
    return other


@pytest.mark.parametrize("way", ["pickle", "copy", "state_dict", "file"])
@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_optimizers_with_groups_go_on_with_the_same_bits(case, way, path, no_sync, rng):
    """Also one whose groups were others when it was made: those saved hold."""
    cls, keywords = case
    params, own = start(rng), own_numbers(cls, keywords)
    opt = cls(copied(params), groups={1: own, 2: {"weight_decay": 0.2}}, clip_norm=2.0, **keywords)
    many = gradients(rng, params, 6)
    for grads in many[:3]:
        opt.step(grads)
    other = passed_on(opt, way, path, lambda: cls(copied(params), groups={0: {"weight_decay": 0.3}}, **keywords))
    assert bits(other) == bits(opt) and repr(other) == repr(opt) and other.groups == opt.groups
    for grads in many[3:]:
        opt.step(grads)
        other.step(grads)
    assert bits(other) == bits(opt) and other._carry_of_arrays == opt._carry_of_arrays


def test_schedules_of_groups_take_their_states(rng):
    params = start(rng)

    def make():
        plateau = schedules.reduce_on_plateau(0.5, patience=0)
        groups = {0: {"learning_rate": plateau}, 1: {"learning_rate": plateau}, 2: {"learning_rate": lambda t: 0.1}}
        return fastopt.SGD(copied(params), 0.1, groups=groups), plateau

    (opt, plateau), (other, fresh) = make(), make()
    for loss in (1.0, 2.0, 3.0):
        plateau.update(loss)
    other.load_state_dict(opt.state_dict())
    assert fresh(0) == plateau(0) < 0.5
    wrong = fastopt.SGD(copied(params), 0.1)
    with refused(
        wrong, ValueError, r"^`state_dict\['groups'\] for array 0` must be a number like the optimizer's, got "
    ):
        wrong.load_state_dict(opt.state_dict())


def test_state_dicts_of_former_versions_have_no_groups(rng):
    params = start(rng)
    opt = fastopt.Adam(params, groups={1: {"weight_decay": 0.5}})
    saved = fastopt.Adam(copied(params)).state_dict()
    del saved["groups"]
    opt.load_state_dict(saved)
    assert opt.groups[1].weight_decay == 0.0


def test_scalars_that_steps_carry_stay_with_an_array(rng):
    """An array that comes to have the optimizer's numbers again still has another past."""
    params = start(rng)
    opt = fastopt.NAdam(copied(params), groups={1: {"beta_1": 0.5}})
    twin = fastopt.NAdam([params[1].copy()], beta_1=0.5)
    first, second = gradients(rng, params, 2)
    opt.step(first)
    twin.step([first[1]])
    del opt.groups[1].beta_1
    twin.beta_1 = 0.9
    saved = opt.state_dict()
    opt.load_state_dict(saved)
    opt.step(second)
    twin.step([second[1]])
    assert bits_of(opt, [1]) == bits_of(twin, [0])


# --- setting numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=form_id)
def test_every_number_can_be_set_between_steps(case, rng):
    """As if it had come from a state dictionary; in a group as for an optimizer."""
    cls, keywords = case
    params, own = start(rng), own_numbers(cls, keywords)
    many = gradients(rng, params, 4)
    opt, twin = cls(copied(params), **keywords), cls(copied(params), **keywords)
    grouped = cls(copied(params), groups={0: {"weight_decay": opt.weight_decay}}, **keywords)
    for each in (opt, twin, grouped):
        each.step(many[0])
    for name, value in own.items():
        if cls._declared[name].initial:
            with refused(opt, AttributeError, f"^`{name}` of {cls.__name__} says what the state begins with"):
                setattr(opt, name, value)
            continue
        setattr(opt, name, value)
        assert getattr(opt, name) == value
        for k in range(3):
            setattr(grouped.groups[k], name, value)
            assert getattr(grouped.groups[k], name) == value
    saved = twin.state_dict()
    settable = {name: value for name, value in own.items() if not cls._declared[name].initial}
    saved["learning_rate"] = settable.pop("learning_rate", saved["learning_rate"])
    saved["hyperparameters"] |= settable
    twin.load_state_dict(saved)
    for grads in many[1:]:
        for each in (opt, twin, grouped):
            each.step(grads)
    assert bits(opt) == bits(twin) == bits(grouped)


@pytest.mark.parametrize("cls", [fastopt.RMSprop, fastopt.Adadelta])
def test_rows_left_behind_decay_with_the_number_of_their_steps(cls):
    """The steps that rows have missed were made with the number that was in force then."""
    opt, twin = (cls(np.ones((6, 2)), sparse="exact") for _ in range(2))
    dense = np.zeros((6, 2))
    dense[[1, 4]] = 1.0
    for each, grad in ((opt, RowSparse(np.array([1, 4]), np.ones((2, 2)))), (twin, dense)):
        each.step(np.ones((6, 2)))
        for rho in (0.9, 0.5, 0.7):
            each.rho = rho
            for _ in range(3):
                each.step(grad)
        each.weight_decay = 0.1
        each.load_state_dict(each.state_dict())
    for name, slot in opt.state.items():
        np.testing.assert_allclose(slot, twin.state[name], rtol=1e-13)


def test_numbers_of_all_arrays_can_be_set(rng):
    params = start(rng)
    opt = fastopt.Adam(params)
    opt.clip_norm, opt.num_threads, opt.clip_value = 1.0, 1, 0.5
    opt.step(gradients(rng, params, 1)[0])
    assert opt.last_grad_norm > 0 and (opt.clip_norm, opt.num_threads, opt.clip_value) == (1.0, 1, 0.5)
    opt.clip_norm = opt.clip_value = opt.num_threads = None
    opt.step(gradients(rng, params, 1)[0])


def test_a_number_that_decides_the_state_is_refused():
    opt = fastopt.SGD([np.ones(3), np.ones(2)], momentum=0.5)
    opt.momentum = 0.75
    with refused(opt, AttributeError, r"^`momentum` is fixed when the optimizer is made.*SGD\(params, momentum=0.0\)"):
        opt.momentum = 0.0
    message = "`groups[1].momentum` must be in [0, 1), got 1.0."
    with refused(opt, ValueError, exactly(message)):
        opt.groups[1].momentum = 1.0
    with refused(
        opt, ValueError, r"^`groups\[1\]\['momentum'\]` must not be 0, as `momentum` of the optimizer is 0.75"
    ):
        opt.groups[1].momentum = 0.0
    assert opt.momentum == opt.groups[1].momentum == 0.75


def test_combinations_are_checked_when_numbers_are_set():
    opt = fastopt.Rprop([np.ones(3), np.ones(2)], groups={1: {"step_max": 2.0}})
    with refused(
        opt, ValueError, "^`groups\\[1\\]` must go with the other hyper-parameters: `step_min` must be at most"
    ):
        opt.step_min = 3.0
    with refused(
        opt, ValueError, "^`groups\\[0\\]` must go with the other hyper-parameters: `step_min` must be at most"
    ):
        opt.groups[0].step_min = 51.0
    assert (opt.step_min, opt.groups[0].step_min) == (1e-6, 1e-6)


class SetsItself:
    """A schedule that sets the rate of the optimizer in the middle of its step."""

    def __call__(self, t):
        self.opt.learning_rate = 0.5
        return 0.1


def test_numbers_are_not_set_in_the_middle_of_a_step():
    schedule = SetsItself()
    opt = schedule.opt = fastopt.Adam(np.ones(3), schedule)
    message = "`learning_rate` must not be set while another step, save or load of this optimizer is under way"
    with refused(opt, RuntimeError, f"^{message}"):
        opt.step(np.ones(3))


# --- the attribute ---------------------------------------------------------------------------------------


def test_groups_show_the_numbers_of_each_array():
    opt = fastopt.AdamW({"w": np.ones(3), 7: np.ones(2)}, groups={7: {"weight_decay": 0.0}})
    assert [*opt.groups] == ["w", 7] and len(opt.groups) == 2
    assert (opt.groups["w"].weight_decay, opt.groups[7].weight_decay, opt.groups[7].beta_1) == (0.01, 0.0, 0.9)
    assert "groups={7: {'weight_decay': 0.0}}" in repr(opt)
    assert repr(opt.groups[7]) == "<groups[7] of AdamW: {'weight_decay': 0.0}>"
    assert "weight_decay" in dir(opt.groups[7]) and "clip_norm" not in dir(opt.groups[7])
    opt.weight_decay = 0.5
    assert (opt.groups["w"].weight_decay, opt.groups[7].weight_decay) == (0.5, 0.0)
    del opt.groups[7].weight_decay
    assert opt.groups[7].weight_decay == 0.5 and "groups" not in repr(opt)


def test_of_many_groups_the_repr_shows_some():
    groups = {k: {"weight_decay": 0.5} for k in range(100)}
    assert len(repr(fastopt.Adam([np.ones(2) for _ in range(100)], groups=groups))) < 500


def test_a_single_array_has_no_groups():
    opt = fastopt.Adam(np.ones(3), groups={})
    assert [*opt.groups] == [] and "groups" not in repr(opt)
    with pytest.raises(KeyError, match="`groups` has no keys for a single array; set what it has on the Adam itself"):
        opt.groups[0]


W, B = np.ones(3), np.ones(2)
BAD_GROUPS = {
    "no dict": (TypeError, [W, B], [{"weight_decay": 0.0}], "`groups` must be a dict that has a dict of "),
    "single array": (ValueError, W, {0: {"weight_decay": 0.0}}, "`groups` must be left out for a single array, got "),
    "index": (ValueError, [W, B], {2: {"beta_1": 0.0}}, "`groups` must have indices from 0 to 1 as keys, got 2."),
    "negative": (ValueError, [W, B], {-1: {"beta_1": 0.0}}, "`groups` must have indices from 0 to 1 as keys, got -1."),
    "True": (ValueError, [W, B], {True: {"beta_1": 0.0}}, "`groups` must have indices from 0 to 1 as keys, got True."),
    "'0'": (ValueError, [W, B], {"0": {"beta_1": 0.0}}, "`groups` must have indices from 0 to 1 as keys, got '0'."),
    "0 for '0'": (
        ValueError, {"0": W}, {0: {"weight_decay": 0.0}},
        "`groups` must have keys of the parameters, got 0. Did you mean '0'?",
    ),
    "unknown key": (ValueError, {"w": W}, {"bias": {"weight_decay": 0.0}}, "`groups` must have keys of the parameters"),
    "misspelt key": (
        ValueError, {"weights": W}, {"weight": {"weight_decay": 0.0}},
        "`groups` must have keys of the parameters, got 'weight'. Did you mean `weights`?",
    ),
    "no dict in it": (TypeError, [W, B], {0: 0.1}, "`groups[0]` must be a dict of hyper-parameters, got 0.1."),
    "empty": (ValueError, [W, B], {0: {}}, "`groups[0]` must have a hyper-parameter at least, got {}; leave "),
    "lr": (
        ValueError, [W, B], {0: {"lr": 0.1}},
        "`groups[0]` must have numbers of AdamW, got 'lr'. Did you mean `learning_rate`?",
    ),
    "unknown number": (ValueError, [W, B], {0: {"qq": 0.1}}, "`groups[0]` must have numbers of AdamW, got 'qq'. It "),
    "option": (
        ValueError, [W, B], {0: {"amsgrad": True}},
        "`groups[0]` must not have `amsgrad`, as it decides how all arrays are updated; pass it to AdamW() itself.",
    ),
    "choice": (ValueError, [W, B], {0: {"sparse": "exact"}}, "`groups[0]` must not have `sparse`, as it decides how "),
    "clip_norm": (
        ValueError, [W, B], {1: {"clip_norm": 1.0}},
        "`groups[1]` must not have `clip_norm`, as it belongs to all arrays together; pass it to AdamW() itself.",
    ),
    "num_threads": (ValueError, [W, B], {1: {"num_threads": 1}}, "`groups[1]` must not have `num_threads`, as it bel"),
    "value": (
        ValueError, {"w": W}, {"w": {"beta_1": 1.0}}, "`groups['w']['beta_1']` must be in [0, 1), got 1.0.",
    ),
    "type": (
        TypeError, {"w": W}, {"w": {"learning_rate": "fast"}},
        "`groups['w']['learning_rate']` must be a real number or a callable t -> float, got 'fast'.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_GROUPS)
def test_groups_that_cannot_be(name):
    exception, params, groups, message = BAD_GROUPS[name]
    with pytest.raises(exception) as error:
        fastopt.AdamW(params, groups=groups)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(("cls", "names"), [(fastopt.Prodigy, ("learning_rate", "d0")), (fastopt.MoMo, ("beta",))])
def test_numbers_of_an_estimate_over_all_arrays(cls, names):
    for name in names:
        with pytest.raises(ValueError, match=f"^`groups\\[0\\]` must not have `{name}`, as it belongs to all arrays"):
            cls([np.ones(2)], groups={0: {name: 0.5}})


@pytest.mark.parametrize("name", ["weight_decay", "beta_1"])
def test_attributes_of_groups_are_checked(name):
    opt = fastopt.AdamW({"w": np.ones(3), "b": np.ones(2)})
    with refused(opt, ValueError, f"^`groups\\['b'\\].{name}` must be in "):
        setattr(opt.groups["b"], name, -1.0)
    with refused(
        opt, AttributeError, r"^`groups\['b'\]` must have numbers of AdamW, got 'lr'. Did you mean `learning_ra"
    ):
        opt.groups["b"].lr = 0.1
    with refused(opt, AttributeError, r"^`groups\['b'\]` must not have `amsgrad`"):
        opt.groups["b"].amsgrad = True
    with refused(opt, AttributeError, r"^`groups\['b'\]` has no `weight_decay` of its own to be deleted"):
        del opt.groups["b"].weight_decay
    with refused(
        opt, AttributeError, r"^`groups` cannot be replaced; set single numbers, such as opt.groups\['w'\]\.w"
    ):
        opt.groups = {}
    with pytest.raises(KeyError, match="got 'c'"):
        opt.groups["c"]


def bad_records(opt):
    """State dictionaries with groups that do not fit, by what is wrong with them."""
    good = opt.state_dict()["groups"][0]
    return {
        r"`state_dict\['groups'\]` must be a list": 5,
        r"`state_dict\['groups'\]\[0\]` must have the entries": [{"array": 0}],
        r"`state_dict\['groups'\]\[0\]\['array'\]` must be at most 2": [good | {"array": 3}],
        r"`state_dict\['groups'\]` must have each array once": [good, good],
        r"`state_dict\['groups'\]\[0\]\['carry'\]` must be a dict": [good | {"carry": {"q": 1.0}}],
        r"`state_dict\['groups'\]\[0\]\['carry'\]\['mu_product'\]` must be in": [
            good | {"carry": {"mu_product": math.nan}}
        ],
        r"`state_dict\['groups'\]\[0\]\['hyperparameters'\]` must be a dict": [good | {"hyperparameters": []}],
        r"`groups\[1\]` must not have `clip_norm`": [good | {"hyperparameters": {"clip_norm": 1.0}}],
        r"`groups\[1\]\['beta_1'\]` must be in ": [good | {"hyperparameters": {"beta_1": 2.0}}],
    }


def test_state_dicts_with_other_groups_change_nothing(rng):
    opt = fastopt.NAdam(start(rng), groups={1: {"beta_1": 0.5}})
    for message, groups in bad_records(opt).items():
        with refused(opt, (TypeError, ValueError), f"^{message}"):
            opt.load_state_dict(opt.state_dict() | {"groups": groups})
    single = fastopt.NAdam(np.ones(3))
    with refused(single, ValueError, r"^`state_dict\['groups'\]\[0\]` must be left out for a single array"):
        single.load_state_dict(single.state_dict() | {"groups": opt.state_dict()["groups"]})
