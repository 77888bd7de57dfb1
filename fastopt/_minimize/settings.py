"""What `options` may hold: minimize's own, and the hyper-parameters of the method."""

import dataclasses

from .._validation.optimizers import refuse_base_class
from .._variance_reduced import FINITE_SUM_METHODS, FiniteSumMethod
from ..optimizers import OPTIMIZERS, Optimizer
from ..schedules import cosine_decay
from . import validation

# method=None: Adam from this rate down to zero, along a cosine over the whole budget.
DEFAULT_RATE = 0.05


@dataclasses.dataclass
class Settings:
    """minimize's own options. None stands for a default that depends on the rest."""

    maxiter: int | None = None
    epochs: int | None = None
    epoch_length: int = 100
    average: str | None = None
    average_decay: float = 0.999
    average_start: int = 1
    return_best: bool = False
    patience: int = 10
    disp: bool = False
    progress: bool = False
    checkpoint: str | None = None
    checkpoint_every: int = 1
    spsa_step: float = 0.01
    parallel: str = "batch"

    MOST_ITERATIONS = 10_000
    MOST_EPOCHS = 100

    @classmethod
    def take(cls, options):
        """Take minimize's own options out of a dict; what is left belongs to the method."""
        names = [each.name for each in dataclasses.fields(cls)]
        given = {name: validation.option(name, options.pop(name)) for name in names if name in options}
        settings = cls(**{name: value for name, value in given.items() if value is not None})
        return settings

    def limit(self, batches):
        """Most iterations, and the unit in which they were asked for."""
        limits = []
        if self.maxiter is not None:
            limits.append((self.maxiter, "iterations"))
        if self.epochs is not None:
            limits.append((self.epochs * batches.per_epoch, "epochs"))
        if not limits and batches.n_samples is None:
            limits.append((self.MOST_ITERATIONS, "iterations"))
        if not limits:
            limits.append((self.MOST_EPOCHS * batches.per_epoch, "epochs"))
        return min(limits, key=lambda each: each[0])


class Method:
    """Which optimizer runs, made from a registry name, a class, a callable or None; and its name."""

    def __init__(self, method, options):
        self.tuned = method is None
        method = "adam" if method is None else method
        if isinstance(method, str):
            method = validation.method_name(method, OPTIMIZERS | FINITE_SUM_METHODS)
        elif not callable(method):
            validation.refuse_method(method)
        if method is Optimizer:
            refuse_base_class(method.__name__)
        self.make = method
        self.is_class = isinstance(method, type) and issubclass(method, (Optimizer, FiniteSumMethod))
        self.needs_objective = self.is_class and issubclass(method, FiniteSumMethod)
        self.name = getattr(method, "__name__", type(method).__name__)
        declared = method._declared if self.is_class else {}
        self.hyperparameters = {name: options.pop(name) for name in [*options] if name in declared}
        validation.warn_unknown_options([*options])

    def optimizer(self, x, most_iterations):
        """The optimizer of x; one that meets a non-finite gradient raises, unless the user said otherwise."""
        if not self.is_class:
            return validation.made_optimizer(self.make(x), x, Optimizer)
        if self.needs_objective:
            return self.make(x, **self.hyperparameters)
        chosen = {"nonfinite": "raise", **self.hyperparameters}
        if self.tuned and "learning_rate" not in chosen:
            chosen["learning_rate"] = cosine_decay(DEFAULT_RATE, max(most_iterations, 1))
        return self.make(x, **chosen)
