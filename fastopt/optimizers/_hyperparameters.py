"""Declarations of hyper-parameters: default, range and place in the signature, each stated once.

A class body lists its hyper-parameters as these descriptors. `declare` makes the signature from them; `Optimizer` the
validation, the attributes, of which numbers can be set, the repr and the state dictionary.
"""

from __future__ import annotations

import inspect
from typing import Any

from .. import _validation


def declare(cls):
    """Give a class its hyper-parameters by name, those of its bases first, and the signature that they make."""
    declared = {}
    for base in reversed(cls.__mro__):
        declared |= {name: each for name, each in vars(base).items() if isinstance(each, Hyperparameter)}
    cls._declared = dict(sorted(declared.items(), key=lambda item: item[1].keyword_only))
    params = inspect.Parameter("params", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    cls.__signature__ = inspect.Signature([params, *(each.parameter() for each in cls._declared.values())])


class KnownAttributes:
    """Refuses assignments to attributes that a class does not have: ``opt.lr = 0.1`` would change nothing.

    Private names can be set. A class of the user's may have more attributes, with any names but those by which other
    libraries call its hyper-parameters. What a class of fastopt has itself, its methods among it, is not replaced.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self._check_name(name)
        super().__setattr__(name, value)

    def _check_name(self, name):
        cls = type(self)
        owner = next((base for base in cls.__mro__ if name in vars(base)), None)
        if owner is not None and hasattr(vars(owner)[name], "__set__"):
            return  # it decides itself: a hyper-parameter, a property, a slot
        if owner is None and _is_ours(cls):
            known = sorted(each for each in dir(cls) if not each.startswith("_"))
            _validation.optimizers.refuse_attribute(cls.__name__, name, known)
        elif owner is None:
            _validation.optimizers.no_alias(cls.__name__, name, cls._declared)
        elif _is_ours(owner) and (name == "rule" or callable(vars(owner)[name])):
            _validation.optimizers.refuse_replacement(cls.__name__, name)


def _is_ours(cls):
    return cls.__module__.partition(".")[0] == __package__.partition(".")[0]


class Hyperparameter:
    """A named value of an optimizer.

    Parameters
    ----------
    default : object
        Default in the signature.
    keyword_only : bool
        Whether it must be named in calls.

    Attributes
    ----------
    is_number : bool
        Whether it can be set between steps, and be another one for some arrays.
    joint : bool
        Whether such a number belongs to all arrays together, and is none of some arrays alone.
    initial : bool
        Whether such a number only says what the state begins with, so that setting it later would do nothing.
    """

    is_number = joint = initial = False

    def __init__(self, default, *, keyword_only=False):
        self.default = default
        self.keyword_only = keyword_only

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else instance._values[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance._assign(self, value)

    def parameter(self):
        """Its place in a signature."""
        kind = inspect.Parameter.KEYWORD_ONLY if self.keyword_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Parameter(self.name, kind, default=self.default)

    def check(self, value, name=None):
        """Return the value in its proper type, or raise; messages have the name, by default that of the declaration."""
        raise NotImplementedError


class Number(Hyperparameter):
    """A number, which can be set between steps; see `Hyperparameter` for `joint` and `initial`."""

    is_number = True

    def __init__(self, default, *, keyword_only=False, joint=False, initial=False):
        super().__init__(default, keyword_only=keyword_only)
        self.joint, self.initial = joint, initial


class Real(Number):
    """A real number in an interval such as "[0, 1)"; None is allowed if it is the default."""

    def __init__(self, default, interval, **kind):
        super().__init__(default, **kind)
        self.interval = interval

    def check(self, value, name=None):
        if value is None and self.default is None:
            return None
        return _validation.scalars.real(name or self.name, value, self.interval)


class LearningRate(Real):
    """The learning rate: a number or a callable t -> number."""

    def __init__(self, default, interval="[0, inf)", **kind):
        super().__init__(default, interval, **kind)

    def check(self, value, name=None):
        return _validation.optimizers.learning_rate(value, self.interval, name or self.name)


class Flag(Hyperparameter):
    """True or False."""

    def check(self, value, name=None):
        return _validation.scalars.flag(name or self.name, value)


class Count(Number):
    """An integer from `minimum` to `maximum`."""

    def __init__(self, default, minimum, maximum, **kind):
        super().__init__(default, **kind)
        self.minimum, self.maximum = minimum, maximum

    def check(self, value, name=None):
        return _validation.scalars.count(name or self.name, value, self.minimum, self.maximum)


class Choice(Hyperparameter):
    """One of several strings, the first of which is the default; or of None, if it is, and strings."""

    def __init__(self, *allowed, keyword_only=False):
        super().__init__(allowed[0], keyword_only=keyword_only)
        self.allowed = allowed

    def check(self, value, name=None):
        if value is None and self.default is None:
            return None
        return _validation.scalars.choice(name or self.name, value, self.allowed)


class ThreadCount(Number):
    """A positive number of threads, or None."""

    def __init__(self, default, *, keyword_only=False):
        super().__init__(default, keyword_only=keyword_only, joint=True)

    def check(self, value, name=None):
        return _validation.machine.num_threads(value)
