"""What `options` may hold: minimize's own, and the hyper-parameters of the method."""

import dataclasses
import functools

from .._finite_sum.saga_svrg import FINITE_SUM_METHODS, FiniteSumMethod
from .._validation import minimize as validation
from .._validation.optimizers import optimizer_name, refuse_base_class
from .._validation.scalars import choice, count, flag, real
from ..optimizers import OPTIMIZERS, Optimizer
from . import untuned


def option(default, check, **limits):
    """A field of Settings: its default, and the function of name and value that checks what is given."""
    return dataclasses.field(default=default, metadata={"check": functools.partial(check, **limits)})


@dataclasses.dataclass
class Settings:
    """minimize's own options; a default of None depends on the other options."""

    maxiter: int | None = option(None, count, minimum=0)
    epochs: int | None = option(None, count, minimum=0)
    epoch_length: int = option(100, count, minimum=1)
    average: str | None = option(None, choice, allowed=("polyak", "ema"))
    average_decay: float = option(0.999, real, interval="[0, 1)")
    average_start: int = option(1, count, minimum=0)
    return_best: bool = option(False, flag)
    patience: int = option(10, count, minimum=1)
    disp: bool = option(False, lambda name, value: bool(value))
    progress: bool = option(False, flag)
    checkpoint: str | None = option(None, validation.checkpoint_path)
    checkpoint_every: int = option(1, count, minimum=1)
    spsa_step: float | None = option(None, real, interval="(0, inf)")
    finite_diff_rel_step: float | None = option(None, validation.real_numbers)
    parallel: str = option("batch", choice, allowed=("batch", "hogwild"))

    MOST_ITERATIONS = 10_000
    MOST_EPOCHS = 100

    @classmethod
    def take(cls, options):
        """Take minimize's own options out of a dict; what is left belongs to the method."""
        taken = {}
        for each in dataclasses.fields(cls):
            value = options.pop(each.name, None)
            if value is not None:  # None is the same as no option
                taken[each.name] = each.metadata["check"](each.name, value)
        return cls(**taken)

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
        self.untuned = method is None
        method = untuned.OPTIMIZER if self.untuned else method
        if isinstance(method, str):
            method = optimizer_name(method, OPTIMIZERS | FINITE_SUM_METHODS, "method")
        elif not callable(method):
            validation.refuse_method(method)
        if method is Optimizer:
            refuse_base_class(method.__name__)
        self.make = method
        self.is_class = isinstance(method, type) and issubclass(method, (Optimizer, FiniteSumMethod))
        self.needs_objective = self.is_class and issubclass(method, FiniteSumMethod)
        self.shared = method not in (OPTIMIZERS | FINITE_SUM_METHODS).values()  # code of the caller makes the optimizer
        self.name = getattr(method, "__name__", type(method).__name__)
        declared = method._declared if self.is_class else {}
        self.hyperparameters = {name: options.pop(name) for name in [*options] if name in declared}
        validation.warn_unknown_options([*options], [*declared, *(each.name for each in dataclasses.fields(Settings))])

    def optimizer(self, params, most_iterations):
        """The optimizer of a run; one that meets a non-finite gradient raises, unless the user said otherwise."""
        x = params.structured(params.vector)
        if not self.is_class:
            return validation.made_optimizer(self.make(x), params.structured(params.vector), Optimizer)
        if self.needs_objective:
            return self.make(x, **self.hyperparameters)
        chosen = untuned.hyperparameters(params.vector, most_iterations) if self.untuned else {}
        return self.make(x, **{"nonfinite": "raise", **chosen, **self.hyperparameters})
