"""What `options` may hold: minimize's own, and the hyper-parameters of the method."""

import dataclasses
import functools
import math

from .._finite_sum.method import FiniteSumMethod
from .._finite_sum.methods import FINITE_SUM_METHODS
from .._validation import minimize as validation
from .._validation.approximations import real_numbers
from .._validation.checkpoint_paths import checkpoint_path
from .._validation.optimizers import optimizer_name, refuse_base_class
from .._validation.scalars import choice, count, flag, real
from ..optimizers import OPTIMIZERS, Optimizer
from . import untuned
from .structures import starting_point, starting_point_of


def option(default, check, **limits):
    """A field of Settings: its default, and the function of name and value that checks what is given."""
    return dataclasses.field(default=default, metadata={"check": functools.partial(check, **limits)})


@dataclasses.dataclass
class Settings:
    """minimize's own options; a default of None depends on the other options."""

    maxiter: int | None = option(None, count, minimum=0)
    epochs: int | None = option(None, count, minimum=0)
    epoch_length: int | None = option(None, count, minimum=1)
    average: str | None = option(None, choice, allowed=("polyak", "ema"))
    average_decay: float = option(0.999, real, interval="[0, 1)")
    average_start: int = option(1, count, minimum=0)
    return_best: bool = option(False, flag)
    patience: int | None = option(None, count, minimum=1)
    disp: bool = option(False, lambda name, value: bool(value))
    progress: bool = option(False, flag)
    checkpoint: str | None = option(None, checkpoint_path)
    checkpoint_every: int = option(1, count, minimum=1)
    spsa_step: float | None = option(None, real, interval="(0, inf)")
    finite_diff_rel_step: float | None = option(None, real_numbers)
    parallel: str = option("batch", choice, allowed=("batch", "hogwild", "local"))
    parts: int | None = option(None, count, minimum=1)
    prefetch: int = option(0, count, minimum=0)

    MOST_ITERATIONS = 10_000
    MOST_EPOCHS = 100

    LONGEST_EPOCH = 100
    LEAST_EPOCHS = 5
    LEAST_EPOCHS_COUNTED = 50  # where something happens at their ends, or is decided by their number
    MOST_PATIENCE = 10

    @classmethod
    def take(cls, options):
        """Take minimize's own options out of a dict; what is left belongs to the method."""
        taken = {}
        for each in dataclasses.fields(cls):
            value = options.pop(each.name, None)
            if value is not None:  # None is the same as no option
                taken[each.name] = each.metadata["check"](each.name, value)
        return cls(**taken)

    @property
    def counts_epochs(self):
        """Whether an option counts epochs, or does something at their ends."""
        asked = self.return_best or self.progress
        return asked or any(each is not None for each in (self.patience, self.average, self.checkpoint))

    def iterations_per_epoch(self, counted, saved=None):
        """Iterations that count as an epoch without samples: by default as in the run to resume, else by the budget.

        An epoch costs as much as several iterations: so there are many in a small budget only if they are `counted`.
        """
        if self.epoch_length is not None:
            return self.epoch_length
        former = (saved or {}).get("epoch_length")
        if type(former) is int and former > 0:
            return former
        if self.maxiter is None or self.epochs is not None:
            return self.LONGEST_EPOCH
        least = self.LEAST_EPOCHS_COUNTED if counted or self.counts_epochs else self.LEAST_EPOCHS
        return min(max(self.maxiter // least, 1), self.LONGEST_EPOCH)

    def epochs_of_patience(self, limit, batches):
        """Epochs without progress that `tol` waits for: by default no more than half of those in the budget."""
        if self.patience is not None:
            return self.patience
        epochs = self.most_epochs(batches) if batches.per_epoch is None else limit // batches.per_epoch
        return int(min(max(epochs / 2, 1), self.MOST_PATIENCE))

    def limit(self, batches):
        """Most iterations, infinity if only epochs limit them, and the unit in which they were asked for."""
        limits = []
        if self.maxiter is not None:
            limits.append((self.maxiter, "iterations"))
        if batches.n_samples is None and self.maxiter is None and self.epochs is None:
            limits.append((self.MOST_ITERATIONS, "iterations"))
        epochs = self.most_epochs(batches)
        if epochs < math.inf and batches.per_epoch is not None:
            limits.append((epochs * batches.per_epoch, "epochs"))
        return min(limits, key=lambda each: each[0], default=(math.inf, "epochs"))

    def most_epochs(self, batches):
        """Most epochs, infinity if only iterations, or the end of the data, limit them."""
        if self.epochs is not None:
            return self.epochs
        unlimited = self.maxiter is not None or batches.n_samples is None or batches.read_once
        return math.inf if unlimited else self.MOST_EPOCHS


class Method:
    """Which optimizer runs, made from a registry name, a class, a callable or None, or made already; and its name."""

    def __init__(self, method, options):
        self.untuned = method is None
        method = untuned.OPTIMIZER if self.untuned else method
        if isinstance(method, str):
            method = optimizer_name(method, OPTIMIZERS | FINITE_SUM_METHODS, "method")
        self.made = method if isinstance(method, (Optimizer, FiniteSumMethod)) else None
        if self.made is None and not callable(method):
            validation.refuse_method(method)
        if method is Optimizer:
            refuse_base_class(method.__name__)
        self.make = method
        kind = type(method) if self.made is not None else method
        self.is_class = isinstance(method, type) and issubclass(method, (Optimizer, FiniteSumMethod))
        self.needs_objective = isinstance(kind, type) and issubclass(kind, FiniteSumMethod)
        self.shared = method not in (OPTIMIZERS | FINITE_SUM_METHODS).values()  # code of the caller has the optimizer
        self.name = getattr(kind, "__name__", type(kind).__name__)
        declared = method._declared if self.is_class else {}
        self.hyperparameters = {name: options.pop(name) for name in [*options] if name in declared}
        own = [each.name for each in dataclasses.fields(Settings)]
        validation.warn_unknown_options([*options], [*declared, *own], () if self.made is None else self.made._declared)

    @property
    def counts_epochs(self):
        """Whether the learning rate is told of each epoch, which is not known of what code of the caller will make."""
        if self.made is None and not self.is_class:
            return True
        rate = self.hyperparameters.get("learning_rate") if self.made is None else self.made.learning_rate
        return hasattr(rate, "update")

    @property
    def needs_budget(self):
        """Whether the learning rate is a function of the number of iterations."""
        return self.untuned and "learning_rate" not in self.hyperparameters

    def parameters(self, x0, dtype):
        """The parameters of a run that begins at x0, in a dtype or else in that which x0 asks for."""
        return starting_point(x0, dtype) if self.made is None else starting_point_of(self.made, x0)

    def optimizer(self, params, most_iterations):
        """The optimizer of a run; one that meets a non-finite gradient raises, unless the user said otherwise."""
        if self.made is not None:
            return self.made
        x = params.structured(params.vector)
        if not self.is_class:
            return validation.made_optimizer(self.make(x), params.structured(params.vector), Optimizer)
        if self.needs_objective:
            return self.make(x, **self.hyperparameters)
        if not self.make._takes_vectors:
            validation.matrices(params.own, params.keys, self.name)
        budget = most_iterations if self.needs_budget else None
        chosen = untuned.hyperparameters(params.vector, budget) if self.untuned else {}
        return self.make(x, **{"nonfinite": "raise", **chosen, **self.hyperparameters})
