"""Losses of linear models over dense and sparse data, for `fastopt.minimize` and SciPy's `minimize`.

For a guide see "Objectives" in the documentation.
"""

from .epsilon_insensitive import EpsilonInsensitive
from .gamma import Gamma
from .hinge import Hinge
from .huber import Huber
from .least_squares import LeastSquares
from .logistic import Logistic
from .modified_huber import ModifiedHuber
from .poisson import Poisson
from .quantile import Quantile
from .softmax import Softmax
from .squared_epsilon_insensitive import SquaredEpsilonInsensitive
from .squared_hinge import SquaredHinge
from .tweedie import Tweedie

__all__ = [
    "EpsilonInsensitive",
    "Gamma",
    "Hinge",
    "Huber",
    "LeastSquares",
    "Logistic",
    "ModifiedHuber",
    "Poisson",
    "Quantile",
    "Softmax",
    "SquaredEpsilonInsensitive",
    "SquaredHinge",
    "Tweedie",
]


def __dir__():
    return __all__
