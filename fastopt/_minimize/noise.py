"""What `jac=None` does about noise: an objective that gives two values at one point has no finite differences."""

import math

import numpy as np

from .._validation import approximations as validation
from . import arguments, precision
from .differences import Differences
from .spsa import Spsa

# Most rounding errors between two values of an objective without noise: sums may be taken in another order.
ROUNDING_ERRORS = 16


def perturbed_if_noisy(parts, chosen, jac):
    """The parts of a new run; with perturbation in the place of differences if the objective is noisy.

    Where there are samples, a value is that of a batch and is not asked for a second time.
    """
    fixed = parts.bounds is not None and parts.bounds.single_point
    if (
        not (validation.leaves_gradient_open(jac) and isinstance(parts.evaluate, Differences))
        or fixed
        or parts.limit == 0
    ):
        return parts
    if parts.batches.n_samples is not None or not is_noisy(parts.evaluate, parts.params.start):
        return parts
    validation.warn_noise()
    former = parts.evaluate
    evaluate = Spsa(former.fun, former.args, parts.settings.spsa_step, parts.rng, parts.bounds).calibrated()
    evaluate.nfev = former.nfev
    made = optimizer(chosen, evaluate, parts.params, parts.limit)
    identity = arguments.identity(parts.params, made, parts.batches, parts.settings) | evaluate.identity()
    return parts._replace(evaluate=evaluate, optimizer=made, identity=identity)


def is_noisy(differences, x):
    """Whether two values at one point differ by more than rounding; if not, the first iteration is given one."""
    x = np.array(x, np.float64)
    values = [differences.value(x, ()), differences.value(x, ())]
    differences.value_at_start = values[0]
    error = ROUNDING_ERRORS * precision.rounding(values) * max(np.abs(values))
    return math.isfinite(error) and abs(values[0] - values[1]) > error


def jac_of_run(jac, saved):
    """What `jac` means in a run that is resumed: it is not found out a second time whether the objective is noisy."""
    was_noisy = saved is not None and saved["identity"].get("spsa") is True
    return "spsa" if was_noisy and validation.leaves_gradient_open(jac) else jac


def optimizer(chosen, evaluate, params, limit):
    """The optimizer of a run; perturbation has steps of its own, which are taken where nothing else is asked for."""
    if chosen.untuned and not chosen.hyperparameters and isinstance(evaluate, Spsa):
        return evaluate.optimizer(params.structured(params.vector), limit)
    return chosen.optimizer(params, limit)
