"""Hyper-parameters out of range, of the wrong type, unknown or at odds, for every class, from its declarations."""

import math
from fractions import Fraction

import numpy as np
import pytest
from cases import OPTIMIZERS
from helpers import bits, exactly, refused

import fastopt
from fastopt import _core
from fastopt.optimizers._hyperparameters import Choice, Flag, LearningRate, Real


def declared(kind):
    """Every hyper-parameter of one kind, and the first class that has it: one that is inherited is checked once."""
    classes = {}
    for cls in OPTIMIZERS.values():
        for each in cls._declared.values():
            classes.setdefault(each, cls)
    return [(cls, each) for each, cls in classes.items() if isinstance(each, kind)]


def name_of(value):
    if isinstance(value, type):
        return value.__name__
    return getattr(value, "name", None)


def ends(interval):
    return [float(end) for end in interval[1:-1].split(",")]


def outside(interval):
    """The nearest numbers that are not in the interval, and NaN."""
    low, high = ends(interval)
    below = math.nextafter(low, -math.inf) if interval[0] == "[" else low
    above = math.nextafter(high, math.inf) if interval[-1] == "]" else high
    return [x for x in (below, above, -math.inf) if not (interval[-1] == "]" and x == math.inf)] + [math.nan]


def inside(interval):
    """The outermost numbers that are in the interval."""
    low, high = ends(interval)
    return [
        low if interval[0] == "[" else math.nextafter(low, math.inf),
        high if interval[-1] == "]" else math.nextafter(high, -math.inf),
    ]


NOT_REAL = [True, np.False_, "0.1", b"1", 1j, [0.1], np.ones(2), np.array(True), object]


def test_the_intervals_of_these_tests():
    assert outside("[0, 1)")[:2] == [-5e-324, 1.0] and inside("[0, 1)") == [0.0, 1.0 - 2**-53]
    assert outside("(1, inf)")[:2] == [1.0, math.inf] and inside("(1, inf)") == [1.0 + 2**-52, np.finfo(float).max]
    assert outside("[0, inf]")[:2] == [-5e-324, -math.inf] and inside("[0, inf]") == [0.0, math.inf]


@pytest.mark.parametrize("cls, each", declared(Real), ids=name_of)
def test_out_of_range(cls, each):
    x = np.ones(3)
    for value in [*outside(each.interval), np.float32("nan"), Fraction(-(10**400))]:
        shown = "a number beyond the range of float64" if isinstance(value, Fraction) else repr(float(value))
        with pytest.raises(ValueError, match=exactly(f"`{each.name}` must be in {each.interval}, got {shown}.")):
            cls(x, **{each.name: value})
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize("cls, each", declared(Real), ids=name_of)
def test_outermost_values_are_accepted(cls, each):
    for value in inside(each.interval):
        assert each.check(value) == value
    for value in (Fraction(inside(each.interval)[0]), np.array(inside(each.interval)[0])):
        assert type(each.check(value)) is float


@pytest.mark.parametrize("cls, each", declared(Real), ids=name_of)
def test_not_a_real_number(cls, each):
    x = np.ones(3)
    values = [value for value in NOT_REAL if not (callable(value) and isinstance(each, LearningRate))]
    kind = "a real number or a callable t -> float" if isinstance(each, LearningRate) else "a real number"
    for value in values if each.default is None else [*values, None]:
        with pytest.raises(TypeError, match=exactly(f"`{each.name}` must be {kind}, got {value!r}.")):
            cls(x, **{each.name: value})
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize("cls, each", declared(Flag), ids=name_of)
def test_not_a_flag(cls, each):
    for value in (0, 1, None, "True", 1.0, np.ones(1, bool)):
        with pytest.raises(TypeError, match=exactly(f"`{each.name}` must be True or False, got {value!r}.")):
            cls(np.ones(3), **{each.name: value})
    assert each.check(np.True_) is True


@pytest.mark.parametrize("cls, each", declared(Choice), ids=name_of)
def test_not_a_choice(cls, each):
    listed = ", ".join(map(repr, each.allowed))
    for value in ("", each.allowed[-1].upper(), None, 0, [each.allowed[-1]]):
        if value in each.allowed:
            continue
        with pytest.raises(ValueError, match=exactly(f"`{each.name}` must be one of {listed}, got {value!r}.")):
            cls(np.ones(3), **{each.name: value})


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_unknown_keyword(cls):
    message = f"{cls.__name__}() got an unexpected keyword argument `learning_rat`. Did you mean `learning_rate`?"
    with pytest.raises(TypeError, match=exactly(message)):
        cls(np.ones(3), learning_rat=0.1)
    listed = ", ".join(f"`{name}`" for name in cls._declared)
    message = f"{cls.__name__}() got an unexpected keyword argument `qq`. It takes {listed}."
    with pytest.raises(TypeError, match=exactly(message)):
        cls(np.ones(3), qq=0.1)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_positional_arguments(cls):
    by_position = [each for each in cls._declared.values() if not each.keyword_only]
    opt = cls(np.ones(3), *(each.default for each in by_position))
    assert opt._values == cls(np.ones(3))._values
    with pytest.raises(TypeError, match="too many positional arguments"):
        cls(np.ones(3), *(each.default for each in by_position), 0.1)
    with pytest.raises(TypeError, match="multiple values for argument 'learning_rate'"):
        cls(np.ones(3), 0.1, learning_rate=0.1)


COMBINATIONS = {
    "`nesterov` needs `momentum` > 0, got 0.0; pass for example momentum=0.9.": (fastopt.SGD, dict(nesterov=True)),
    "`nesterov` needs `dampening` = 0, got 0.5.": (fastopt.SGD, dict(nesterov=True, momentum=0.9, dampening=0.5)),
    "`decoupled_weight_decay` must be False for FTRL, whose parameters are recomputed from its state, got True; "
    "use `l2`.": (fastopt.FTRL, dict(decoupled_weight_decay=True, weight_decay=0.1)),
    "`decoupled_weight_decay` must be False for ScheduleFreeSGD, in which both kinds are the same, got True; leave it "
    "out.": (fastopt.ScheduleFreeSGD, dict(decoupled_weight_decay=True, weight_decay=0.1)),
    "`decoupled_weight_decay` must be False for LARS, in whose formula it has no place, got True; use `weight_decay` "
    "alone.": (fastopt.LARS, dict(decoupled_weight_decay=True, weight_decay=0.1)),
    "`step_min` must be at most `step_max`, got 2.0 > 1.0.": (fastopt.Rprop, dict(step_min=2, step_max=1)),
    "`decoupled_weight_decay` must be False for COCOB, whose parameters are recomputed from its state, got True; "
    "use `weight_decay` alone.": (fastopt.COCOB, dict(decoupled_weight_decay=True, weight_decay=0.1)),
}


@pytest.mark.parametrize("message", COMBINATIONS)
def test_combinations(message):
    cls, keywords = COMBINATIONS[message]
    with pytest.raises(ValueError, match=exactly(message)):
        cls(np.ones(3), **keywords)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_learning_rate_is_checked_when_set(cls):
    opt = cls(np.ones(3), 0.25)
    interval = cls._declared["learning_rate"].interval
    for value in outside(interval):
        with refused(opt, ValueError, exactly(f"`learning_rate` must be in {interval}, got {value!r}.")):
            opt.learning_rate = value
    for value in ("0.1", None, True):
        with refused(opt, TypeError, "^`learning_rate` must be a real number or a callable t -> float, got "):
            opt.learning_rate = value
    assert opt.learning_rate == 0.25


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_learning_rate_that_was_set_is_used(cls, rng):
    """A number, then a schedule, then a number: as if each step's optimizer had been made with it."""
    start, grads = rng.standard_normal(9), rng.standard_normal((4, 9))
    opt, twin = cls(start.copy(), 0.5), cls(start.copy(), lambda t: [0.5, 0.25, 0.125, np.float32(0.5)][t])
    for rate, grad in zip((0.5, Fraction(1, 4), lambda t: 0.125, 0.5), grads, strict=True):
        opt.learning_rate = rate
        opt.step(grad)
        twin.step(grad)
    assert bits(opt) == bits(twin)


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_hyperparameters_that_are_no_numbers_cannot_be_set(cls):
    """Numbers can: test_groups.py."""
    opt = cls(np.ones(3))
    for name, each in cls._declared.items():
        if each.is_number or name == "groups":
            continue
        message = rf"^`{name}` is fixed when the optimizer is made, as it decides how arrays are updated\. "
        with refused(opt, AttributeError, message):
            setattr(opt, name, each.default)
        assert getattr(opt, name) == each.default


@pytest.mark.parametrize("cls", fastopt.OPTIMIZERS.values())
def test_attributes_that_do_not_exist_cannot_be_set(cls):
    """A step would not look at them."""
    opt = cls(np.ones(3))
    for name, meant in {"lr": "`learning_rate`", "learning_rte": "`learning_rate`", "clipnorm": "`clip_norm`"}.items():
        message = f"{cls.__name__} has no attribute `{name}` to be set. Did you mean {meant}?"
        with refused(opt, AttributeError, exactly(message)):
            setattr(opt, name, 0.1)
    with refused(opt, AttributeError, rf"^{cls.__name__} has no attribute `qq` to be set\. It has .*`learning_rate`"):
        opt.qq = 1
    assert "qq" not in vars(opt)
    opt._note = "private names are the caller's"
    opt.learning_rate = 0.5
    opt.step(np.ones(3), *([1.0] if _core.uses_value(cls.rule) else []))


def test_attributes_of_saga_and_svrg():
    objective = fastopt.objectives.LeastSquares(np.eye(2), [1.0, 2.0])
    for method in ("saga", "svrg"):
        opt = fastopt.minimize(objective, [0.0, 0.0], method=method, options={"epochs": 1}).optimizer
        with pytest.raises(AttributeError, match=r" has no attribute `lr` to be set\. Did you mean `learning_rate`\?$"):
            opt.lr = 0.1


class Recorded(fastopt.Adam):
    """Has an attribute of the class and others that its own __init__ makes."""

    label = None

    def __init__(self, params, **keywords):
        super().__init__(params, **keywords)
        self.history = []

    def step(self, grad):
        super().step(grad)
        self.history.append(float(np.abs(self.params).max()))


class Labelled(fastopt.Adam):
    label = None


def test_attributes_of_subclasses():
    opt = Recorded(np.ones(3), learning_rate=0.5)
    opt.label = "first"
    opt.step(np.ones(3))
    assert (opt.label, len(opt.history)) == ("first", 1)
    for name in ("lr", "betas", "learning_rte"):
        with pytest.raises(AttributeError, match=rf"^Recorded has no attribute `{name}` to be set\. Did you mean "):
            setattr(opt, name, 0.1)
    other = Labelled(np.ones(3))
    other.label = "second"
    assert other.label == "second"
    other.history = []
    other.rng = 3
    for name in ("step", "rule", "state_dict"):
        with pytest.raises(AttributeError, match=f"^`{name}` of Labelled cannot be replaced, but by a subclass"):
            setattr(other, name, None)
    with pytest.raises(AttributeError, match=r"^Adam has no attribute `history` to be set\. It has "):
        fastopt.Adam(np.ones(3)).history = []


@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_schedule_that_returns_nonsense(cls):
    given = 0.1
    opt = cls([np.ones(3), np.ones(2)], lambda t: given, clip_norm=0.5)
    grads = [np.full(3, 0.5), np.ones(2)]
    opt.step(grads)
    interval, norm = cls._declared["learning_rate"].interval, opt.last_grad_norm
    for given in outside(interval):
        with refused(opt, ValueError, exactly(f"`learning_rate(1)` must be in {interval}, got {given!r}.")):
            opt.step(grads)
    for given in ("0.1", None, True, 1j, np.ones(2)):
        with refused(opt, TypeError, exactly(f"`learning_rate(1)` must be a real number, got {given!r}.")):
            opt.step(grads)
    assert opt.last_grad_norm == norm
    given = 0.2
    opt.step(grads)
    assert opt.step_count == 2


@pytest.mark.parametrize("exception", [KeyError("epoch"), KeyboardInterrupt(), StopIteration()], ids=repr)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_schedule_that_raises(cls, exception):
    """Its own exception comes out, nothing has changed, and the optimizer is not left busy."""
    fails = False

    def schedule(t):
        if fails:
            raise exception
        return 0.1

    opt = cls(np.ones(3), schedule)
    opt.step(np.ones(3))
    fails, before = True, bits(opt)
    with pytest.raises(type(exception)) as raised:
        opt.step(np.ones(3))
    assert raised.value is exception and bits(opt) == before
    fails = False
    opt.step(np.ones(3))
    assert opt.step_count == 2


@pytest.mark.parametrize("cls", [fastopt.Adagrad, fastopt.COCOB, fastopt.Rprop, fastopt.FTRL, fastopt.Yogi])
def test_schedule_that_fails_at_construction(cls):
    """These fill their state with the first rate or beside it."""
    x = np.ones(3)
    with pytest.raises(ValueError, match=r"^`learning_rate\(0\)` must be in .*, got nan\.$"):
        cls(x, lambda t: math.nan)
    assert x.tolist() == [1, 1, 1]
