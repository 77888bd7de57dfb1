"""optax on the CPU: update and application compiled into one function that may write into the old buffers."""

import functools
import os

import numpy as np

REQUIRES = "optax"


def limit_threads(threads):
    """XLA takes as many threads as the process has cores; so before jax is loaded, that number is set."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: max(1, threads)])
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ["JAX_PLATFORMS"] = "cpu"


def transformation(problem):
    import optax

    h = problem.hyper
    return {
        "adam": lambda: optax.adam(h["learning_rate"], h["beta_1"], h["beta_2"], h["epsilon"]),
        "sgd": lambda: optax.sgd(h["learning_rate"], h["momentum"]),
        "adagrad": lambda: optax.adagrad(h["learning_rate"], h["initial_accumulator_value"], h["epsilon"]),
        "rmsprop": lambda: optax.rmsprop(h["learning_rate"], h["rho"], h["epsilon"], eps_in_sqrt=False),
        "schedulefreesgd": lambda: optax.contrib.schedule_free_sgd(h["learning_rate"], b1=h["beta_1"]),
        "schedulefreeadamw": lambda: optax.contrib.schedule_free_adamw(
            h["learning_rate"], b1=h["beta_1"], b2=h["beta_2"], eps=h["epsilon"]
        ),
        "prodigy": lambda: optax.contrib.prodigy(
            h["learning_rate"], (h["beta_1"], h["beta_2"]), eps=h["epsilon"], estim_lr0=h["d0"]
        ),
        "dog": lambda: optax.contrib.dog(h["learning_rate"], ("heuristic", h["reps_rel"]), h["epsilon"]),
        "cocob": lambda: optax.contrib.cocob(h["learning_rate"], h["alpha"], h["epsilon"]),
        "adopt": lambda: optax.contrib.adopt(h["learning_rate"], h["beta_1"], h["beta_2"], h["epsilon"]),
        "adan": lambda: optax.adan(
            h["learning_rate"], h["beta_1"], h["beta_2"], h["beta_3"], h["epsilon"], eps_root=0.0
        ),
        "ademamix": lambda: optax.contrib.ademamix(
            h["learning_rate"], h["beta_1"], h["beta_2"], h["beta_3"], h["alpha"], h["epsilon"]
        ),
        "lamb": lambda: optax.lamb(h["learning_rate"], h["beta_1"], h["beta_2"], h["epsilon"]),
        "lars": lambda: optax.lars(
            h["learning_rate"], trust_coefficient=h["trust_coefficient"], momentum=h["momentum"]
        ),
        "momo": lambda: optax.contrib.momo(h["learning_rate"], h["beta"], h["lower_bound"]),
        "adafactor": lambda: optax.adafactor(
            h["learning_rate"], decay_rate=-h["beta_2_decay"], clipping_threshold=h["clip_threshold"]
        ),
        "muon": lambda: optax.contrib.muon(
            h["learning_rate"], beta=h["momentum"], nesterov=h["nesterov"], weight_decay=h["weight_decay"]
        ),
    }[problem.method]()


def step(problem, threads):
    if problem.rows is not None:
        return None
    limit_threads(threads)
    import jax
    import optax

    opt = optax.with_extra_args_support(transformation(problem))  # those that use the value take it, others may

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(p, state, g):
        updates, state = opt.update(g, state, p, value=problem.value)
        return optax.apply_updates(p, updates), state

    p, g = map(jax.device_put, problem.arrays())
    now = [p, jax.jit(opt.init)(p)]

    def run():
        now[:] = update(*now, g)
        now[0].block_until_ready()

    return run, lambda: np.asarray(now[0])


STEPS = {"optax jitted": step}
