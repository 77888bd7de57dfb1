"""The optimizers, one per file, and their registry."""
# ruff: noqa: F401 (the registry and __all__ are made from the imported names)

from .. import _validation
from ._base import Optimizer
from .adabelief import AdaBelief
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam
from .adamax import Adamax
from .adamw import AdamW
from .asgd import ASGD
from .ftrl import FTRL
from .lion import Lion
from .nadam import NAdam
from .radam import RAdam
from .rmsprop import RMSprop
from .rprop import Rprop
from .sgd import SGD
from .yogi import Yogi

#: Name -> class of every optimizer; the name is the class's in lower case.
OPTIMIZERS = {
    name.lower(): each
    for name, each in sorted(globals().items(), key=lambda item: item[0].lower())
    if isinstance(each, type) and issubclass(each, Optimizer) and each is not Optimizer
}

__all__ = ["OPTIMIZERS", "Optimizer", "get_optimizer", *(each.__name__ for each in OPTIMIZERS.values())]


def get_optimizer(name):
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
    return _validation.optimizer_name(name, OPTIMIZERS)
