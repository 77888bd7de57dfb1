"""The optimizers, one per file, and their registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _validation
from ._base import Optimizer as Optimizer
from .adabelief import AdaBelief as AdaBelief
from .adadelta import Adadelta as Adadelta
from .adafactor import Adafactor as Adafactor
from .adagrad import Adagrad as Adagrad
from .adam import Adam as Adam
from .adamax import Adamax as Adamax
from .adamw import AdamW as AdamW
from .adan import Adan as Adan
from .ademamix import AdEMAMix as AdEMAMix
from .adopt import ADOPT as ADOPT
from .asgd import ASGD as ASGD
from .cocob import COCOB as COCOB
from .dog import DoG as DoG
from .ftrl import FTRL as FTRL
from .lamb import LAMB as LAMB
from .lars import LARS as LARS
from .lion import Lion as Lion
from .momo import MoMo as MoMo
from .muon import Muon as Muon
from .nadam import NAdam as NAdam
from .prodigy import Prodigy as Prodigy
from .radam import RAdam as RAdam
from .rmsprop import RMSprop as RMSprop
from .rowwiseadagrad import RowwiseAdagrad as RowwiseAdagrad
from .rowwiseadam import RowwiseAdam as RowwiseAdam
from .rprop import Rprop as Rprop
from .schedulefreeadamw import ScheduleFreeAdamW as ScheduleFreeAdamW
from .schedulefreesgd import ScheduleFreeSGD as ScheduleFreeSGD
from .sgd import SGD as SGD
from .yogi import Yogi as Yogi

#: Name -> class of every optimizer; the name is the class's in lower case.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    name.lower(): each
    for name, each in sorted(globals().items(), key=lambda item: item[0].lower())
    if isinstance(each, type) and issubclass(each, Optimizer) and each is not Optimizer
}

if not TYPE_CHECKING:  # type checkers cannot evaluate it and would take it for empty
    __all__ = ["OPTIMIZERS", "Optimizer", "get_optimizer", *(each.__name__ for each in OPTIMIZERS.values())]


def get_optimizer(name: str) -> type[Optimizer]:
    """Return the optimizer class that has a name.

    Parameters
    ----------
    name : str
        A key of `fastopt.OPTIMIZERS`, in any case.

    Returns
    -------
    type
        Subclass of `fastopt.Optimizer`.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.get_optimizer("adam")
    <class 'fastopt.optimizers.adam.Adam'>
    """
    return _validation.optimizers.optimizer_name(name, OPTIMIZERS)
