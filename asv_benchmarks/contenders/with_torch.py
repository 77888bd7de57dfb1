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
}
CLASSES = {"adam": "Adam", "sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop"}
WITHOUT_FUSED = ("rmsprop",)


def hyper(problem):
    found = {NAMES[name]: value for name, value in problem.hyper.items() if name in NAMES}
    if "beta_1" in problem.hyper:
        found["betas"] = problem.hyper["beta_1"], problem.hyper["beta_2"]
    return found


def step(implementation, problem, threads):
    import torch

    torch.set_num_threads(threads)
    p, g = problem.arrays()
    parameter = torch.nn.Parameter(torch.from_numpy(p))
    if problem.rows is None:
        if implementation == "fused" and problem.method in WITHOUT_FUSED:
            return None
        parameter.grad = torch.from_numpy(g)
        chosen = {"foreach": implementation == "foreach"}
        if problem.method not in WITHOUT_FUSED:
            chosen["fused"] = implementation == "fused"
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
