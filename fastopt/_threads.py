"""How many threads a call may use; csrc/core/workers.c starts them."""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from . import _core, _validation

_in_context = contextvars.ContextVar("fastopt_num_threads", default=None)
_setting = None


def set_num_threads(n: int | None) -> None:
    """Set the number of threads that optimizers use when they were given no `num_threads`.

    Parameters
    ----------
    n : int or None
        A positive number of threads; None returns to the default: ``OMP_NUM_THREADS`` if it is set, else the
        smaller of the cores in the affinity mask and the cgroup quota.

    Notes
    -----
    Results are the same bits for any number. A limit set through threadpoolctl holds as well.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.set_num_threads(1)
    >>> fastopt.get_num_threads()
    1
    >>> fastopt.set_num_threads(None)
    """
    global _setting
    _setting = _validation.machine.num_threads(n)


def get_num_threads() -> int:
    """Return the number of threads that an optimizer without `num_threads` may use at present.

    Small work uses fewer, as does work for which the system refuses to start threads. In a build without OpenMP it
    is 1. A forked child process has threads of its own.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.get_num_threads() >= 1
    True
    """
    return resolve(None)


@contextlib.contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Limit the number of threads inside a ``with`` block, in this thread of execution only.

    Threads that are started inside the block have the limit, too, where Python hands contexts on to new threads: with
    ``-X thread_inherit_context``, which free-threaded Python 3.14 has by itself.

    Parameters
    ----------
    n : int or None
        As for `set_num_threads`.

    Yields
    ------
    None
        While the limit holds.

    Examples
    --------
    >>> import fastopt
    >>> with fastopt.threads(1):
    ...     fastopt.get_num_threads()
    1
    """
    token = _in_context.set(_validation.machine.num_threads(n))
    try:
        yield
    finally:
        _in_context.reset(token)


def resolve(num_threads: int | None) -> int:
    """Return the first that is set: an optimizer's `num_threads`, the context's, the setting, the default.

    A lowered maximum of the OpenMP runtime (threadpoolctl, or a library that limits its workers) holds for
    all but an optimizer's own number.
    """
    if not _core.has_openmp():
        return 1
    if num_threads is not None:
        return num_threads
    wanted = _in_context.get() or _setting or _default()
    allowed = _core.openmp_max_threads()
    return min(wanted, allowed) if allowed < _openmp_at_import else wanted


@cache
def _default():
    if os.environ.get("OMP_NUM_THREADS"):
        return _openmp_at_import
    return max(1, min(_openmp_at_import, _cores(), _cgroup_quota()))


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota():
    """Whole processors that the cgroup (version 2 or 1) allows, rounded up; infinite without a quota."""
    folder = Path("/sys/fs/cgroup")
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # absent, "max", or not to be read
            quota, period = map(int, " ".join((folder / file).read_text() for file in files).split())
            return -(-quota // period) if quota > 0 else float("inf")
    return float("inf")


_openmp_at_import = _core.openmp_max_threads()
