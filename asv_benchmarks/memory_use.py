"""What optimizers take of the memory."""

import resource

import problems


def extra_memory(name, n=2**24, **hyper):
    """Bytes per parameter that an optimizer and its steps take, besides parameter and gradient.

    Reads the high-water mark of the process, so it is right once in a process, if nothing larger was there before.
    """
    params, grad = problems.dense_problem(n)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problems.repeated_step(problems.optimizer(name, params, **hyper), [grad])(2)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / n
