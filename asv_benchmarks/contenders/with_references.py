"""The packages that came with the rules of papers, or that many take these from. They run over torch, on the CPU.

Left out is what does other work than fastopt: pytorch-optimizer's LARS leaves vectors alone and writes over the
gradient, and its Lamb limits the norm of the parameters to 10. Of these, optax does the same.
"""

import importlib
import importlib.util

REQUIRES = "torch"


def betas(hyper):
    """What the descendants of Adam have in common, in the words of torch."""
    decays = tuple(hyper[name] for name in ("beta_1", "beta_2", "beta_3") if name in hyper)
    return {"lr": hyper["learning_rate"], "betas": decays, "eps": hyper["epsilon"]}


#: Method -> package, class, and a function from fastopt's hyper-parameters to its own.
REFERENCES = {
    "schedulefreesgd": (
        "schedulefree", "SGDScheduleFree", lambda h: {"lr": h["learning_rate"], "momentum": h["beta_1"]}
    ),
    "schedulefreeadamw": ("schedulefree", "AdamWScheduleFree", betas),
    "prodigy": (
        "prodigyopt", "Prodigy",
        lambda h: betas(h) | {"d0": h["d0"], "use_bias_correction": h["use_bias_correction"]},
    ),
    "dog": (
        "dog", "DoG", lambda h: {"lr": h["learning_rate"], "reps_rel": h["reps_rel"], "eps": h["epsilon"]}
    ),
    "cocob": ("parameterfree", "COCOB", lambda h: {"alpha": h["alpha"], "eps": h["epsilon"]}),
    "adopt": ("pytorch_optimizer", "ADOPT", betas),
    "adan": ("pytorch_optimizer", "Adan", betas),
    "ademamix": ("pytorch_optimizer", "AdEMAMix", lambda h: betas(h) | {"alpha": h["alpha"]}),
}  # fmt: skip


def step(problem, threads):
    package, name, hyper = REFERENCES.get(problem.method, ("", "", None))
    if not package or problem.rows is not None or importlib.util.find_spec(package) is None:
        return None
    import torch

    torch.set_num_threads(threads)
    p, g = problem.arrays()
    parameter = torch.nn.Parameter(torch.from_numpy(p))
    parameter.grad = torch.tensor(g)  # a copy: schedulefree divides it in place
    opt = getattr(importlib.import_module(package), name)([parameter], **hyper(problem.hyper))
    if package != "schedulefree":
        return opt.step, lambda: p
    opt.train()
    return opt.step, lambda: p, lambda: parameter.grad.copy_(torch.from_numpy(g))


STEPS = {"reference package": step}
