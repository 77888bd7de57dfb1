"""What `method=None` stands for: an optimizer, and its hyper-parameters for a starting point and a budget.

docs/performance/untuned.md compares it with other choices.
"""

import numpy as np

from ..optimizers import Prodigy
from ..schedules import cosine_decay

OPTIMIZER = Prodigy

# Shorter memories than Prodigy's defaults, for budgets of a hundred steps; d at most doubles, so that a lucky step does
# not make it too large; and an epsilon that is small beside the gradients of any problem.
FIXED = {"beta_1": 0.8, "beta_2": 0.97, "growth_rate": 2.0, "epsilon": 1e-12}

# The first d, as a share of the largest entry of the starting point, or of 1 if that is more. As d at most doubles, a
# budget of less than 50 steps begins with a larger one, from which a third of the steps lead to the whole.
FIRST_DISTANCE, STEPS_PER_DOUBLING = 1e-5, 3


def hyperparameters(x0, budget):
    """Those for a run from x0: the rate falls to zero over the budget, slowly at both ends.

    A budget of None plays no part: the user has a rate, and a run may go on with another budget.
    """
    largest = float(np.max(np.abs(x0), initial=1.0, where=np.isfinite(x0)))
    if budget is None:
        return {"d0": FIRST_DISTANCE * largest, **FIXED}
    share = max(FIRST_DISTANCE, 2.0 ** (-budget / STEPS_PER_DOUBLING))
    return {"learning_rate": cosine_decay(1.0, max(budget, 1)), "d0": share * largest, **FIXED}
