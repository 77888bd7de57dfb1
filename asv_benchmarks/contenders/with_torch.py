"""torch.optim on the CPU: its loop over tensors, its foreach functions, its fused kernels, its sparse gradients."""

import functools

REQUIRES = "torch"

#: fastopt's words for hyper-parameters -> torch's.
NAMES = {
    "learning_rate": "lr",
    "epsilon": "eps",
    "momentum": "momentum",
    "rho": "alpha",
    "initial_accumulator_value": "initial_accumulator_value",
    "beta_2_decay": "beta2_decay",
    "clip_threshold": "d",
    "nesterov": "nesterov",
    "weight_decay": "weight_decay",
}
CLASSES = {
    "adam": "Adam", "sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adafactor": "Adafactor", "muon": "Muon"
}  # fmt: skip
#: Method -> the implementations that torch has of it besides the default, where these are not all.
IMPLEMENTATIONS = {"rmsprop": ("foreach",), "adafactor": ("foreach",), "muon": ()}


def hyper(problem):
    found = {NAMES[name]: value for name, value in problem.hyper.items() if name in NAMES}
    if "beta_1" in problem.hyper:
        found["betas"] = problem.hyper["beta_1"], problem.hyper["beta_2"]
    return found


def step(implementation, problem, threads):
    import torch

    others = IMPLEMENTATIONS.get(problem.method, ("foreach", "fused"))
    if not hasattr(torch.optim, CLASSES.get(problem.method, "")) or implementation not in ("default", *others):
        return None
    if problem.method == "muon":
        torch.Tensor.bfloat16 = torch.Tensor.clone  # what it multiplies in: here all do the same work in float32
    torch.set_num_threads(threads)
    p, g = problem.arrays()
    parameter = torch.nn.Parameter(torch.from_numpy(p))
    if problem.rows is None:
        parameter.grad = torch.from_numpy(g)
        chosen = {each: implementation == each for each in others}
        opt = getattr(torch.optim, CLASSES[problem.method])([parameter], **hyper(problem), **chosen)
        return opt.step, lambda: p
    if implementation != "default":  # the others refuse sparse gradients
        return None
    index = torch.from_numpy(problem.rows[None])
    parameter.grad = torch.sparse_coo_tensor(index, torch.from_numpy(g), p.shape, check_invariants=True)
    name = "SparseAdam" if problem.method == "adam" else CLASSES[problem.method]
    opt = getattr(torch.optim, name)([parameter], **hyper(problem))
    return opt.step, lambda: p


STEPS = {
    "torch": functools.partial(step, "default"),
    "torch foreach": functools.partial(step, "foreach"),
    "torch fused": functools.partial(step, "fused"),
}
