"""Linear models with the interface of scikit-learn, which they need: classification and regression.

For a guide see "Linear models" in the documentation.
"""

try:
    from sklearn.utils.validation import validate_data as _of_version_1_6  # noqa: F401
except ImportError as _error:
    raise ImportError(
        'fastopt.linear_model needs scikit-learn 1.6 or later; install it with `pip install "fastopt[sklearn]"`.'
    ) from _error

from ._classifier import LinearClassifier
from ._regressor import LinearRegressor

__all__ = ["LinearClassifier", "LinearRegressor"]


def __dir__():
    return __all__
