"""What there is to know of this installation: where its C header lies; versions and build, for bug reports."""

from __future__ import annotations

import platform
from pathlib import Path

from . import _core, _threads
from ._version import __version__


def get_include() -> str:
    """Return the folder of `fastopt.h`, for compilers of C and Cython.

    Returns
    -------
    str
        The folder to look for headers in.

    Examples
    --------
    >>> import os, fastopt
    >>> os.listdir(fastopt.get_include())
    ['fastopt.h']
    """
    return str(Path(__file__).with_name("include"))


def show_versions() -> None:
    """Print versions, build, instruction sets found and used, and threads.

    Examples
    --------
    >>> import fastopt
    >>> fastopt.show_versions()                        # doctest: +SKIP
    """
    import numpy
    import scipy

    supported = [name for name in _core.isa_names() if _core.isa_supported(name)]
    rows = {
        "fastopt": __version__,
        "Python": f"{platform.python_version()} on {platform.platform()}",
        "NumPy": numpy.__version__,
        "SciPy": scipy.__version__,
        "compiler": _core.compiler(),
        "OpenMP": "yes" if _core.has_openmp() else "no (built with FASTOPT_NO_OPENMP=1)",
        "instruction sets": f"{', '.join(supported)} found, {_core.isa_in_use()} used",
        "threads": str(_threads.get_num_threads()),
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
    for pool in _thread_pools():
        print(f"{'thread pool':<{width}}  {pool}")


def _thread_pools():
    """One line per native thread pool in the process, if threadpoolctl is installed."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return [f"{pool['internal_api']}, {pool['num_threads']} threads, {pool['filepath']}" for pool in threadpool_info()]
