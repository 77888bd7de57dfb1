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
    }[problem.method]()


def step(problem, threads):
    if problem.rows is not None:
        return None
    limit_threads(threads)
    import jax
    import optax

    opt = transformation(problem)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(p, state, g):
        updates, state = opt.update(g, state, p)
        return optax.apply_updates(p, updates), state

    p, g = map(jax.device_put, problem.arrays())
    now = [p, jax.jit(opt.init)(p)]

    def run():
        now[:] = update(*now, g)
        now[0].block_until_ready()

    return run, lambda: np.asarray(now[0])


STEPS = {"optax jitted": step}
