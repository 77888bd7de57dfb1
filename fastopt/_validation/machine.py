"""Settings that depend on the machine: number of threads and instruction set."""

from .scalars import integer

MOST_THREADS = 8192  # more than any machine has


def num_threads(value):
    """Return a positive number of threads, or None."""
    return None if value is None else integer("num_threads", value, 1, MOST_THREADS)


def instruction_set(value, names, supported):
    """Return the name of an instruction set asked for by FASTOPT_ISA."""
    if value not in names:
        raise ValueError(f"`FASTOPT_ISA` must be one of {', '.join(names)}, got {value!r}; or unset it.")
    if not supported(value):
        usable = ", ".join(name for name in names if supported(name))
        raise RuntimeError(f"`FASTOPT_ISA` is {value!r}, which this processor does not run; use one of {usable}.")
    return value
