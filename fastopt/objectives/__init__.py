"""Losses of linear models over dense and sparse data, for `fastopt.minimize` and SciPy's `minimize`.

For a guide see "Objectives" in the documentation.
"""

from .hinge import Hinge
from .huber import Huber
from .least_squares import LeastSquares
from .logistic import Logistic
from .poisson import Poisson
from .softmax import Softmax
from .squared_hinge import SquaredHinge

__all__ = ["Hinge", "Huber", "LeastSquares", "Logistic", "Poisson", "Softmax", "SquaredHinge"]


def __dir__():
    return __all__
