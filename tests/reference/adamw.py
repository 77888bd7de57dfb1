"""AdamW: Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019.

The update is Adam's; the decay of the parameter comes before it and is the same for all optimizers.
"""

from .adam import initial, update

__all__ = ["LEARNING_RATES", "initial", "update"]

LEARNING_RATES = {"quadratic": 0.1, "digits": 0.03}
