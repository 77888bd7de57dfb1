"""The recipes of docs/recipes.md: fastopt against the formula, and the formula against the framework.

The table below is the only list: docs/recipes.md has to hold exactly its rows. The formulas are in
frameworks.py, so that the recipes stay tested where no framework is installed.
"""

import math
import os
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from frameworks import Formula, parse

import fastopt

STEPS = 12
# The first step keeps the rate of the recipe: a wrong one shows, and Rprop takes its step size from it.
RATE_FACTORS = [1.0] + [0.5 + 0.75 * (step % 4) for step in range(1, STEPS)]


@dataclass(frozen=True)
class Recipe:
    """A call as the framework spells it and the fastopt call that does the same, both as in the docs."""

    call: str
    fastopt: str
    start: tuple = ()  # a slot and the value it starts from, where that is not fastopt's
    rate_varies: bool = True  # False where the recipe's learning rate is a schedule
    rate_delay: int = 0  # by how many steps the framework is late in using a new learning rate
    solution: str = ""  # the framework's name for what opt.solution() returns, to compare as well
    takes_value: bool = False  # whether a step takes the value of the objective
    shape: tuple = (8,)  # of the parameter
    error: float = 0.0  # of the framework's way, relative to the largest of an entry, where it rounds to bfloat16

    @property
    def row(self):
        then = ', then `opt.state["{}"][...] = {}`'.format(*self.start) if self.start else ""
        return f"| `{self.call}` | `{self.fastopt}`{then} |"


RECIPES = [
    # What happens to the gradient first
    Recipe(
        "torch.optim.SGD(params, weight_decay=0.1, maximize=True)",
        "fastopt.SGD(params, learning_rate=0.001, weight_decay=0.1, maximize=True)",
    ),
    Recipe(
        "torch.optim.Adam(params, weight_decay=0.1)",
        "fastopt.Adam(params, learning_rate=0.001, weight_decay=0.1)",
    ),
    Recipe(
        "keras.optimizers.SGD(momentum=0.9, weight_decay=0.1)",
        "fastopt.SGD(params, learning_rate=0.01, momentum=0.9, weight_decay=0.1, decoupled_weight_decay=True)",
    ),
    Recipe(
        "keras.optimizers.SGD(clipvalue=0.5)",
        "fastopt.SGD(params, learning_rate=0.01, clip_value=0.5)",
    ),
    Recipe(
        "keras.optimizers.SGD(global_clipnorm=1.0)",
        "fastopt.SGD(params, learning_rate=0.01, clip_norm=1.0)",
    ),
    # SGD
    Recipe(
        "torch.optim.SGD(params)",
        "fastopt.SGD(params, learning_rate=0.001)",
    ),
    Recipe(
        "torch.optim.SGD(params, momentum=0.9, dampening=0.1)",
        "fastopt.SGD(params, learning_rate=0.001, momentum=0.9, dampening=0.1, scaled_velocity=False)",
    ),
    Recipe(
        "torch.optim.SGD(params, momentum=0.9, nesterov=True)",
        "fastopt.SGD(params, learning_rate=0.001, momentum=0.9, nesterov=True, scaled_velocity=False)",
    ),
    Recipe(
        "keras.optimizers.SGD()",
        "fastopt.SGD(params, learning_rate=0.01)",
    ),
    Recipe(
        "keras.optimizers.SGD(momentum=0.9)",
        "fastopt.SGD(params, learning_rate=0.01, momentum=0.9)",
    ),
    Recipe(
        "keras.optimizers.SGD(momentum=0.9, nesterov=True)",
        "fastopt.SGD(params, learning_rate=0.01, momentum=0.9, nesterov=True)",
    ),
    Recipe(
        "optax.sgd(learning_rate=0.01)",
        "fastopt.SGD(params, learning_rate=0.01)",
    ),
    Recipe(
        "optax.sgd(learning_rate=0.01, momentum=0.9)",
        "fastopt.SGD(params, learning_rate=0.01, momentum=0.9, scaled_velocity=False)",
    ),
    Recipe(
        "optax.sgd(learning_rate=0.01, momentum=0.9, nesterov=True)",
        "fastopt.SGD(params, learning_rate=0.01, momentum=0.9, nesterov=True, scaled_velocity=False)",
    ),
    # Adagrad
    Recipe(
        "torch.optim.Adagrad(params)",
        "fastopt.Adagrad(params, learning_rate=0.01, initial_accumulator_value=0.0, epsilon=1e-10)",
    ),
    Recipe(
        "torch.optim.Adagrad(params, lr_decay=0.1)",
        "fastopt.Adagrad(params, learning_rate=fastopt.schedules.inverse_time_decay(0.01, 1, 0.1), "
        "initial_accumulator_value=0.0, epsilon=1e-10)",
        rate_varies=False,
    ),
    Recipe(
        "keras.optimizers.Adagrad()",
        "fastopt.Adagrad(params, learning_rate=0.001, epsilon=0.0, epsilon_root=1e-7)",
    ),
    Recipe(
        "optax.adagrad(learning_rate=0.01)",
        "fastopt.Adagrad(params, learning_rate=0.01, epsilon=0.0, epsilon_root=1e-7)",
    ),
    # Adadelta
    Recipe(
        "torch.optim.Adadelta(params)",
        "fastopt.Adadelta(params, learning_rate=1.0, rho=0.9, epsilon=1e-6)",
    ),
    Recipe(
        "keras.optimizers.Adadelta()",
        "fastopt.Adadelta(params, learning_rate=0.001, rho=0.95, epsilon=1e-7)",
    ),
    Recipe(
        "optax.adadelta(learning_rate=1.0)",
        "fastopt.Adadelta(params, learning_rate=1.0, rho=0.9, epsilon=1e-6)",
    ),
    Recipe(
        "optax.adadelta(learning_rate=1.0, weight_decay=0.1)",
        "fastopt.Adadelta(params, learning_rate=1.0, rho=0.9, epsilon=1e-6, weight_decay=0.1)",
    ),
    # RMSprop
    Recipe(
        "torch.optim.RMSprop(params)",
        "fastopt.RMSprop(params, learning_rate=0.01, rho=0.99, epsilon=1e-8)",
    ),
    Recipe(
        "torch.optim.RMSprop(params, momentum=0.9, centered=True)",
        "fastopt.RMSprop(params, learning_rate=0.01, rho=0.99, epsilon=1e-8, momentum=0.9, centered=True, "
        "scaled_velocity=False)",
    ),
    Recipe(
        "keras.optimizers.RMSprop()",
        "fastopt.RMSprop(params, learning_rate=0.001, epsilon=0.0, epsilon_root=1e-7)",
    ),
    Recipe(
        "keras.optimizers.RMSprop(momentum=0.9, centered=True)",
        "fastopt.RMSprop(params, learning_rate=0.001, epsilon=0.0, momentum=0.9, centered=True, epsilon_root=1e-7)",
    ),
    Recipe(
        "optax.rmsprop(learning_rate=0.001)",
        "fastopt.RMSprop(params, learning_rate=0.001, epsilon=0.0, epsilon_root=1e-8)",
    ),
    Recipe(
        "optax.rmsprop(learning_rate=0.001, eps_in_sqrt=False)",
        "fastopt.RMSprop(params, learning_rate=0.001, epsilon=1e-8)",
    ),
    Recipe(
        "optax.rmsprop(learning_rate=0.001, momentum=0.9, centered=True)",
        "fastopt.RMSprop(params, learning_rate=0.001, epsilon=0.0, momentum=0.9, centered=True, epsilon_root=1e-8)",
    ),
    Recipe(
        "optax.rmsprop(learning_rate=0.001, initial_scale=1.0)",
        "fastopt.RMSprop(params, learning_rate=0.001, epsilon=0.0, epsilon_root=1e-8)",
        start=("mean_square", 1.0),
    ),
    Recipe(
        "optax.rmsprop(learning_rate=0.001, bias_correction=True)",
        "fastopt.Adam(params, learning_rate=0.001, beta_1=0.0, beta_2=0.9, epsilon=0.0, epsilon_root=1e-8)",
    ),
    # Adam
    Recipe(
        "torch.optim.Adam(params)",
        "fastopt.Adam(params, learning_rate=0.001, epsilon=1e-8)",
    ),
    Recipe(
        "torch.optim.Adam(params, amsgrad=True)",
        "fastopt.Adam(params, learning_rate=0.001, epsilon=1e-8, amsgrad=True)",
    ),
    Recipe(
        "torch.optim.SparseAdam(params)",
        'fastopt.Adam(params, learning_rate=0.001, epsilon=1e-8, epsilon_hat=True, sparse="lazy")',
    ),
    Recipe(
        "keras.optimizers.Adam()",
        "fastopt.Adam(params, learning_rate=0.001, epsilon=1e-7, epsilon_hat=True)",
    ),
    Recipe(
        "keras.optimizers.Adam(amsgrad=True)",
        "fastopt.Adam(params, learning_rate=0.001, epsilon=1e-7, amsgrad=True, epsilon_hat=True)",
    ),
    Recipe(
        "optax.adam(learning_rate=0.001)",
        "fastopt.Adam(params, learning_rate=0.001, epsilon=1e-8)",
    ),
    Recipe(
        "optax.adam(learning_rate=0.001, eps=0.0, eps_root=1e-8)",
        "fastopt.Adam(params, learning_rate=0.001, epsilon=0.0, epsilon_root=1e-8)",
    ),
    Recipe(
        "optax.amsgrad(learning_rate=0.001, bias_correction_nu=False)",
        "fastopt.Adam(params, learning_rate=lambda t: 0.001 / math.sqrt(1 - 0.999 ** (t + 1)), epsilon=1e-8, "
        "amsgrad=True, epsilon_hat=True)",
        rate_varies=False,
    ),
    # AdamW
    Recipe(
        "torch.optim.AdamW(params)",
        "fastopt.AdamW(params, learning_rate=0.001, epsilon=1e-8, weight_decay=0.01)",
    ),
    Recipe(
        "torch.optim.AdamW(params, amsgrad=True)",
        "fastopt.AdamW(params, learning_rate=0.001, epsilon=1e-8, amsgrad=True, weight_decay=0.01)",
    ),
    Recipe(
        "keras.optimizers.AdamW()",
        "fastopt.AdamW(params, learning_rate=0.001, epsilon=1e-7, epsilon_hat=True, weight_decay=0.004)",
    ),
    Recipe(
        "optax.adamw(learning_rate=0.001)",
        "fastopt.AdamW(params, learning_rate=0.001, epsilon=1e-8, weight_decay=1e-4)",
    ),
    # Adamax
    Recipe(
        "torch.optim.Adamax(params)",
        "fastopt.Adamax(params, learning_rate=0.002, epsilon=0.0, epsilon_max=1e-8)",
    ),
    Recipe(
        "keras.optimizers.Adamax()",
        "fastopt.Adamax(params, learning_rate=0.001, epsilon=1e-7)",
    ),
    Recipe(
        "optax.adamax(learning_rate=0.001)",
        "fastopt.Adamax(params, learning_rate=0.001, epsilon=0.0, epsilon_max=1e-8)",
    ),
    Recipe(
        "optax.adamaxw(learning_rate=0.001)",
        "fastopt.Adamax(params, learning_rate=0.001, epsilon=0.0, epsilon_max=1e-8, weight_decay=1e-4, "
        "decoupled_weight_decay=True)",
    ),
    # NAdam
    Recipe(
        "torch.optim.NAdam(params)",
        "fastopt.NAdam(params, learning_rate=0.002, epsilon=1e-8, momentum_decay=0.004)",
    ),
    Recipe(
        "torch.optim.NAdam(params, weight_decay=0.1, decoupled_weight_decay=True)",
        "fastopt.NAdam(params, learning_rate=0.002, epsilon=1e-8, momentum_decay=0.004, "
        "weight_decay=0.1, decoupled_weight_decay=True)",
    ),
    Recipe(
        "keras.optimizers.Nadam()",
        "fastopt.NAdam(params, learning_rate=0.001, epsilon=1e-7, momentum_decay=1.0)",
    ),
    Recipe(
        "optax.nadam(learning_rate=0.001)",
        "fastopt.NAdam(params, learning_rate=0.001, epsilon=1e-8, momentum_decay=math.inf)",
    ),
    Recipe(
        "optax.nadamw(learning_rate=0.001)",
        "fastopt.NAdam(params, learning_rate=0.001, epsilon=1e-8, momentum_decay=math.inf, "
        "weight_decay=1e-4, decoupled_weight_decay=True)",
    ),
    # RAdam
    Recipe(
        "torch.optim.RAdam(params)",
        "fastopt.RAdam(params, learning_rate=0.001, epsilon=1e-8, epsilon_hat=True)",
    ),
    Recipe(
        "torch.optim.RAdam(params, weight_decay=0.1, decoupled_weight_decay=True)",
        "fastopt.RAdam(params, learning_rate=0.001, epsilon=1e-8, epsilon_hat=True, weight_decay=0.1, "
        "decoupled_weight_decay=True)",
    ),
    Recipe(
        "optax.radam(learning_rate=0.001)",
        "fastopt.RAdam(params, learning_rate=0.001, epsilon=1e-8)",
    ),
    # Lion
    Recipe(
        "keras.optimizers.Lion()",
        "fastopt.Lion(params, learning_rate=0.001)",
    ),
    Recipe(
        "optax.lion(learning_rate=0.001)",
        "fastopt.Lion(params, learning_rate=0.001, weight_decay=1e-3)",
    ),
    # Adafactor
    Recipe(
        "torch.optim.Adafactor(params)",
        "fastopt.Adafactor(params, learning_rate=0.01)",
        shape=(2, 2, 2),
    ),
    Recipe(
        "torch.optim.Adafactor(params, weight_decay=0.1, eps=(1e-3, 0.1), d=2.0, beta2_decay=-0.5)",
        "fastopt.Adafactor(params, learning_rate=0.01, beta_2_decay=-0.5, epsilon_1=1e-3, epsilon_2=0.1, "
        "clip_threshold=2.0, weight_decay=0.1)",
    ),
    # Muon
    Recipe(
        "torch.optim.Muon(params)",
        "fastopt.Muon(params, learning_rate=0.001)",
        shape=(2, 4),
        error=3e-2,
    ),
    Recipe(
        "torch.optim.Muon(params, momentum=0.9, nesterov=False, ns_steps=3, adjust_lr_fn='match_rms_adamw')",
        "fastopt.Muon(params, learning_rate=0.001, momentum=0.9, nesterov=False, ns_steps=3, match_rms_adamw=True)",
        shape=(4, 2),
        error=3e-2,
    ),
    # LAMB
    Recipe(
        "keras.optimizers.Lamb()",
        "fastopt.LAMB(params, learning_rate=0.001, epsilon=1e-7)",
    ),
    Recipe(
        "keras.optimizers.Lamb(weight_decay=0.1)",
        "fastopt.LAMB(params, learning_rate=0.001, epsilon=1e-7, weight_decay=0.1, decoupled_weight_decay=True)",
    ),
    Recipe(
        "optax.lamb(learning_rate=0.001)",
        "fastopt.LAMB(params, learning_rate=0.001, epsilon=1e-6)",
    ),
    Recipe(
        "optax.lamb(learning_rate=0.001, weight_decay=0.1)",
        "fastopt.LAMB(params, learning_rate=0.001, epsilon=1e-6, weight_decay=0.1)",
    ),
    # LARS
    Recipe(
        "optax.lars(learning_rate=1.0)",
        "fastopt.LARS(params, learning_rate=1.0)",
    ),
    Recipe(
        "optax.lars(learning_rate=1.0, momentum=0.8, nesterov=True, trust_coefficient=0.01, eps=0.1)",
        "fastopt.LARS(params, learning_rate=1.0, momentum=0.8, nesterov=True, trust_coefficient=0.01, epsilon=0.1)",
    ),
    # FTRL
    Recipe(
        "keras.optimizers.Ftrl()",
        "fastopt.FTRL(params, learning_rate=0.001)",
        start=("z", 0.0),
    ),
    Recipe(
        "keras.optimizers.Ftrl(learning_rate=0.1, l1_regularization_strength=0.1, "
        "l2_regularization_strength=0.2, beta=0.3)",
        "fastopt.FTRL(params, learning_rate=0.1, l1=0.1, l2=0.4, beta=0.3)",
        start=("z", 0.0),
    ),
    # Rprop
    Recipe(
        "torch.optim.Rprop(params)",
        "fastopt.Rprop(params, learning_rate=0.01)",
    ),
    # Yogi
    Recipe(
        "optax.yogi(learning_rate=0.01)",
        "fastopt.Yogi(params, learning_rate=0.01, bias_correction=True)",
        start=("m", 1e-6),
    ),
    # AdaBelief
    Recipe(
        "optax.adabelief(learning_rate=0.001)",
        "fastopt.AdaBelief(params, learning_rate=0.001)",
    ),
    # Adan
    Recipe(
        "pytorch_optimizer.Adan(params)",
        "fastopt.Adan(params, learning_rate=0.001)",
    ),
    Recipe(
        "pytorch_optimizer.Adan(params, weight_decay=0.1)",
        "fastopt.Adan(params, learning_rate=0.001, weight_decay=0.1)",
    ),
    Recipe(
        "pytorch_optimizer.Adan(params, weight_decay=0.1, weight_decouple=True)",
        "fastopt.Adan(params, learning_rate=0.001, weight_decay=0.1, decoupled_weight_decay=True)",
    ),
    # AdEMAMix
    Recipe(
        "pytorch_optimizer.AdEMAMix(params)",
        "fastopt.AdEMAMix(params, learning_rate=0.001)",
    ),
    Recipe(
        "pytorch_optimizer.AdEMAMix(params, weight_decay=0.1, t_alpha_beta3=8)",
        "fastopt.AdEMAMix(params, learning_rate=0.001, warmup_steps=8, weight_decay=0.1, decoupled_weight_decay=False)",
    ),
    Recipe(
        "optax.contrib.ademamix(learning_rate=0.001)",
        "fastopt.AdEMAMix(params, learning_rate=0.001)",
    ),
    Recipe(
        "optax.contrib.ademamix(learning_rate=0.001, eps_root=1e-8, weight_decay=0.1)",
        "fastopt.AdEMAMix(params, learning_rate=0.001, epsilon_root=1e-8, weight_decay=0.1)",
    ),
    # ADOPT
    Recipe(
        "pytorch_optimizer.ADOPT(params)",
        "fastopt.ADOPT(params, learning_rate=0.001, clip_delay=0.0)",
    ),
    Recipe(
        "pytorch_optimizer.ADOPT(params, weight_decay=0.1, weight_decouple=True)",
        "fastopt.ADOPT(params, learning_rate=0.001, clip_delay=0.0, weight_decay=0.1, decoupled_weight_decay=True)",
    ),
    Recipe(
        "optax.contrib.adopt(learning_rate=0.001)",
        "fastopt.ADOPT(params, learning_rate=0.001)",
    ),
    Recipe(
        "optax.contrib.adopt(learning_rate=0.001, use_clipping=False)",
        "fastopt.ADOPT(params, learning_rate=0.001, clip_exponent=math.inf)",
    ),
    # COCOB
    Recipe(
        "parameterfree.COCOB(params)",
        "fastopt.COCOB(params)",
        rate_varies=False,
    ),
    Recipe(
        "optax.contrib.cocob()",
        "fastopt.COCOB(params, learning_rate=1.0)",
    ),
    Recipe(
        "optax.contrib.cocob(alpha=50.0, weight_decay=0.1)",
        "fastopt.COCOB(params, learning_rate=1.0, alpha=50.0, weight_decay=0.1)",
    ),
    # ASGD
    Recipe(
        "torch.optim.ASGD(params)",
        "fastopt.ASGD(params, learning_rate=0.01)",
        rate_delay=1,
        solution="ax",
    ),
    Recipe(
        "torch.optim.ASGD(params, lambd=0.1, alpha=0.5, t0=4)",
        "fastopt.ASGD(params, learning_rate=0.01, lambd=0.1, alpha=0.5, t0=4)",
        rate_delay=1,
        solution="ax",
    ),
    # Schedule-free
    Recipe(
        "schedulefree.SGDScheduleFreeReference(params)",
        "fastopt.ScheduleFreeSGD(params, learning_rate=1.0)",
        solution="x",
    ),
    Recipe(
        "schedulefree.SGDScheduleFreeReference(params, lr=0.5, momentum=0.8, weight_decay=0.1, warmup_steps=5, "
        "r=0.5, weight_lr_power=1.0)",
        "fastopt.ScheduleFreeSGD(params, learning_rate=0.5, beta_1=0.8, weight_decay=0.1, warmup_steps=5, r=0.5, "
        "weight_power=1.0)",
        solution="x",
    ),
    Recipe(
        "schedulefree.AdamWScheduleFreeReference(params)",
        "fastopt.ScheduleFreeAdamW(params, learning_rate=0.0025)",
        solution="x",
    ),
    Recipe(
        "schedulefree.AdamWScheduleFreeReference(params, betas=(0.95, 0.99), weight_decay=0.1, warmup_steps=5)",
        "fastopt.ScheduleFreeAdamW(params, learning_rate=0.0025, beta_1=0.95, beta_2=0.99, weight_decay=0.1, "
        "warmup_steps=5)",
        solution="x",
    ),
    Recipe(
        "optax.contrib.schedule_free_sgd(learning_rate=1.0)",
        "fastopt.ScheduleFreeSGD(params, learning_rate=1.0)",
        solution="x",
    ),
    Recipe(
        "optax.contrib.schedule_free_adamw(learning_rate=0.0025, weight_decay=0.1)",
        "fastopt.ScheduleFreeAdamW(params, learning_rate=0.0025, weight_decay=0.1)",
        solution="x",
    ),
    # Prodigy
    Recipe(
        "prodigyopt.Prodigy(params, eps=1e-30)",
        "fastopt.Prodigy(params, epsilon=1e-30)",
    ),
    Recipe(
        "prodigyopt.Prodigy(params, eps=1e-30, weight_decay=0.1, d_coef=2.0)",
        "fastopt.Prodigy(params, epsilon=1e-30, weight_decay=0.1, d_coef=2.0)",
    ),
    Recipe(
        "optax.contrib.prodigy(eps=1e-30)",
        "fastopt.Prodigy(params, epsilon=1e-30, use_bias_correction=True)",
    ),
    # DoG
    Recipe(
        "dog.DoG(params)",
        "fastopt.DoG(params)",
    ),
    Recipe(
        "dog.LDoG(params, reps_rel=1e-4, weight_decay=0.1)",
        "fastopt.DoG(params, reps_rel=1e-4, layerwise=True, weight_decay=0.1)",
    ),
    Recipe(
        "optax.contrib.dog()",
        "fastopt.DoG(params, averaging=False)",
    ),
    # MoMo
    Recipe(
        "optax.contrib.momo()",
        "fastopt.MoMo(params)",
        takes_value=True,
    ),
    Recipe(
        "optax.contrib.momo(beta=0.5, lower_bound=-1.0, weight_decay=0.1)",
        "fastopt.MoMo(params, beta=0.5, lower_bound=-1.0, weight_decay=0.1)",
        takes_value=True,
    ),
]

every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.call)


@pytest.fixture
def problem(recipe):
    """A start and a gradient per step; tiny gradients tell where epsilon goes, and one is always 0."""
    rng = np.random.default_rng(20)
    start, *gradients = rng.normal(size=(STEPS + 1, 8))
    scales = np.array([1.0, 1.0, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 0.0])
    return start.reshape(recipe.shape), [(scales * gradient).reshape(recipe.shape) for gradient in gradients]


def learning_rates(recipe):
    base = Formula(recipe.call).learning_rate
    return [base * factor if recipe.rate_varies else base for factor in RATE_FACTORS]


def values(recipe):
    """What a step is given beside the gradient."""
    return [{"value": 3.0 / (step + 1)} if recipe.takes_value else {} for step in range(STEPS)]


def run_formula(recipe, start, gradients):
    formula = Formula(recipe.call)
    p, path = start, []
    steps = zip(gradients, values(recipe), learning_rates(recipe), strict=True)
    for gradient, value, formula.learning_rate in steps:
        p = formula.step(p, gradient, **value)
        path.append(np.concatenate([p.ravel(), formula.state[recipe.solution] if recipe.solution else []]))
    return path


def run_fastopt(recipe, start, gradients):
    p, path = start.copy(), []
    opt = eval(recipe.fastopt, {"fastopt": fastopt, "math": math, "params": p})
    if recipe.start:
        slot, value = recipe.start
        opt.state[slot][...] = value
    rates = learning_rates(recipe)
    for step, (gradient, value) in enumerate(zip(gradients, values(recipe), strict=True)):
        if recipe.rate_varies and step > recipe.rate_delay:
            opt.learning_rate = rates[step - recipe.rate_delay]
        opt.step(gradient, **value)
        path.append(np.concatenate([p.ravel(), opt.solution() if recipe.solution else []]))
    return path


def run_torch(recipe, start, gradients):
    torch = pytest.importorskip("torch")
    framework, method, options = parse(recipe.call)
    package = pytest.importorskip(framework)
    default_dtype = torch.get_default_dtype()
    # NAdam's product of mu and ASGD's eta have the default dtype, not the parameter's.
    torch.set_default_dtype(torch.float64)
    try:
        p, path = torch.tensor(start), []
        opt = attrgetter(method)(package)([p], **options)
        if framework == "schedulefree":
            opt.train()
        for gradient, opt.param_groups[0]["lr"] in zip(gradients, learning_rates(recipe), strict=True):
            p.grad = torch.tensor(gradient)
            if method == "optim.SparseAdam":
                indices = torch.arange(len(start))[None]
                p.grad = torch.sparse_coo_tensor(indices, p.grad, check_invariants=True)
            opt.step()
            solution = opt.state[p][recipe.solution].numpy() if recipe.solution else []
            path.append(np.concatenate([p.numpy().ravel(), solution]))
    finally:
        torch.set_default_dtype(default_dtype)
    return path


def run_keras(recipe, start, gradients):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    pytest.importorskip("jax").config.update("jax_enable_x64", True)
    keras = pytest.importorskip("keras")
    _, method, options = parse(recipe.call)
    default_dtype = keras.config.floatx()
    # The learning rate is a variable of this dtype.
    keras.config.set_floatx("float64")
    try:
        p, path = keras.Variable(start), []
        opt = attrgetter(method)(keras)(**options)
        for gradient, opt.learning_rate in zip(gradients, learning_rates(recipe), strict=True):
            opt.apply([keras.ops.convert_to_tensor(gradient)], [p])
            path.append(np.asarray(p.value))
    finally:
        keras.config.set_floatx(default_dtype)
    return path


def run_optax(recipe, start, gradients):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    jax.config.update("jax_enable_x64", True)
    _, method, options = parse(recipe.call)
    p, state, path = jax.numpy.array(start), None, []
    for gradient, value, rate in zip(gradients, values(recipe), learning_rates(recipe), strict=True):
        # The rate is no part of the state, so a transformation with another rate continues it.
        transformation = attrgetter(method)(optax)(**{**options, "learning_rate": rate})
        if state is None:
            state = transformation.init(p)
        updates, state = transformation.update(jax.numpy.array(gradient), state, p, **value)
        p = optax.apply_updates(p, updates)
        solution = optax.contrib.schedule_free_eval_params(state, p) if recipe.solution else []
        path.append(np.concatenate([p, solution]))
    return path


def assert_same_path(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-14)


@every_recipe
def test_fastopt_follows_the_formula(recipe, problem):
    assert_same_path(run_fastopt(recipe, *problem), run_formula(recipe, *problem))


@every_recipe
def test_formula_is_the_frameworks(recipe, problem):
    run = {"keras": run_keras, "optax": run_optax}.get(parse(recipe.call)[0], run_torch)
    formula, framework = run_formula(recipe, *problem), run(recipe, *problem)
    if recipe.error:
        way = np.abs(framework - problem[0].ravel()).max()
        np.testing.assert_allclose(formula, framework, rtol=0, atol=recipe.error * way)
    else:
        assert_same_path(formula, framework)


def test_docs_hold_these_recipes_and_no_others():
    lines = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if "| `fastopt." in line]
    assert sorted(rows) == sorted(recipe.row for recipe in RECIPES)
