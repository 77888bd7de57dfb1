"""The one table of steps that are compared, and what is hoped for."""

import dataclasses

import numpy as np
from registry import OPTIMIZERS

ADAM_SIZES = (100, 10_000, 100_000, 1_000_000, 2**24, 2**25, 50_000_000)
OTHER_SIZES = (100, 1_000_000, 2**24)
PAPER_SIZES = (1_000_000, 50_000_000)

#: Name in the tables -> name in fastopt's registry and hyper-parameters, in fastopt's words. They are all spelled out,
#: since defaults differ between libraries.
METHODS = {
    "Adam": ("adam", {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}),
    "SGD with momentum": ("sgd", {"learning_rate": 0.01, "momentum": 0.9}),
    "Adagrad": ("adagrad", {"learning_rate": 0.01, "initial_accumulator_value": 0.1, "epsilon": 1e-7}),
    "RMSprop": ("rmsprop", {"learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-7}),
}

#: The same for rules that came with a paper and a package of their own. First distances and trust coefficients are such
#: that the steps which are compared move parameters by hundreds of times what their results may differ by.
PAPER_METHODS = {
    "ScheduleFreeSGD": ("schedulefreesgd", {"learning_rate": 0.01, "beta_1": 0.9}),
    "ScheduleFreeAdamW": (
        "schedulefreeadamw", {"learning_rate": 0.0025, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
    ),
    "Prodigy": (
        "prodigy",
        {
            "learning_rate": 1.0, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "d0": 0.001,
            "use_bias_correction": True,
        },
    ),
    "DoG": ("dog", {"learning_rate": 1.0, "reps_rel": 0.01, "epsilon": 1e-8, "averaging": False}),
    "COCOB": ("cocob", {"learning_rate": 1.0, "alpha": 100.0, "epsilon": 1e-8}),
    "ADOPT": ("adopt", {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.9999, "epsilon": 1e-6}),
    "Adan": ("adan", {"learning_rate": 0.001, "beta_1": 0.98, "beta_2": 0.92, "beta_3": 0.99, "epsilon": 1e-8}),
    "AdEMAMix": (
        "ademamix",
        {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "beta_3": 0.9999, "alpha": 5.0, "epsilon": 1e-8},
    ),
    "LAMB": ("lamb", {"learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-6}),
    "LARS": ("lars", {"learning_rate": 1.0, "momentum": 0.9, "trust_coefficient": 0.01}),
    "MoMo": ("momo", {"learning_rate": 1.0, "beta": 0.9, "lower_bound": 0.0}),
}  # fmt: skip

#: And of those for matrices.
MATRIX_METHODS = {
    "Adafactor": ("adafactor", {"learning_rate": 0.01, "beta_2_decay": -0.8, "clip_threshold": 1.0}),
    "Muon": ("muon", {"learning_rate": 0.01, "momentum": 0.95, "nesterov": True, "weight_decay": 0.0}),
}


ALL_METHODS = METHODS | PAPER_METHODS | MATRIX_METHODS


@dataclasses.dataclass(frozen=True)
class Step:
    """One step: of all parameters of `shape`, or, with `n_rows`, of so many random rows of them."""

    label: str
    shape: tuple
    n_rows: int | None = None
    dtype: str = "float32"

    @property
    def key(self):
        """For the command line: dense/adam/100."""
        label = self.label.split()[-1].lower()
        return f"{self.kind}/{label}/{'x'.join(map(str, self.shape))}"

    @property
    def title(self):
        size = " x ".join(f"{n:,}" for n in self.shape)
        rows = "rows" if len(self.shape) > 1 else "entries"
        return f"{self.label}, {size}" if self.n_rows is None else f"{self.label}, {self.n_rows:,} {rows} of {size}"

    @property
    def kind(self):
        return "dense" if self.n_rows is None else "sparse"

    @property
    def method(self):
        return ALL_METHODS[self.label][0]

    @property
    def hyper(self):
        return ALL_METHODS[self.label][1]

    @property
    def value(self):
        """What the objective is said to be, for rules that use it: they then move by about 0.01 times the gradient."""
        return 0.01 * float(np.prod(self.shape))

    @property
    def rows(self):
        """Positions of the gradient's rows, distinct and in random order; None for a dense gradient."""
        if self.n_rows is None:
            return None
        return np.random.default_rng(0).choice(self.shape[0], self.n_rows, replace=False)

    def arrays(self):
        """Parameters and gradient, allocated as a user would; the same in every process."""
        rng = np.random.default_rng(1)
        p = np.empty(self.shape, self.dtype)
        p.fill(0.5)
        g = rng.standard_normal(self.shape if self.n_rows is None else (self.n_rows, *self.shape[1:]), self.dtype)
        return p, g


EVERY_STEP = (
    *(Step("Adam", (n,)) for n in ADAM_SIZES),
    *(Step(label, (n,)) for label in METHODS if label != "Adam" for n in OTHER_SIZES),
    *(Step(label, (n,)) for label in PAPER_METHODS for n in PAPER_SIZES),
    Step("Adafactor", (1000, 1000)),
    Step("Adafactor", (50_000, 1000)),
    Step("Muon", (1000, 1000)),
    Step("Muon", (4096, 4096)),
    Step("Adagrad", (1_000_000, 64), 8192),
    Step("Adam", (1_000_000, 64), 8192),
    Step("Adagrad", (5_000_000,), 100_000),
)

#: Those of the rules that there are.
STEPS = tuple(step for step in EVERY_STEP if step.method in OPTIMIZERS)

#: How many times as fast as another contender a step of dense Adam should be, by the number of parameters.
TARGETS = {
    "torch fused": {
        100: 60.0, 10_000: 12.0, 100_000: 3.0, 1_000_000: 1.5, 2**24: 1.2, 2**25: 1.2, 50_000_000: 0.97
    },
    "optax jitted": dict.fromkeys(ADAM_SIZES, 1.3),
}  # fmt: skip
