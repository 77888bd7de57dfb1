"""Stochastic optimizers for NumPy and SciPy: in place, on all cores, reproducible to the bit.

>>> import numpy as np, fastopt
>>> x = np.array([3.0, -2.0])
>>> opt = fastopt.Adam(x, learning_rate=0.1)
>>> for _ in range(500):
...     opt.step(2 * x)                    # gradient of x @ x
>>> bool(np.abs(x).max() < 1e-3)
True
"""

import os as _os
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

try:
    from . import _core
except ImportError as _error:
    raise ImportError(
        f"the compiled part of fastopt is missing in {__path__[0]!r}. If this is its source folder, leave it to use "
        "the installed package, or build in place with `pip install -e .`."
    ) from _error
# "as" tells type checkers to export the names: they cannot evaluate __all__.
from . import _validation
from ._core import GradientStats as GradientStats
from ._sparse.gradients import RowSparse as RowSparse
from ._threads import get_num_threads as get_num_threads
from ._threads import set_num_threads as set_num_threads
from ._threads import threads as threads
from .optimizers import *  # noqa: F403

if _TYPE_CHECKING:
    from . import ctypes as ctypes
    from . import objectives as objectives
    from . import plot as plot
    from . import schedules as schedules
    from ._checkpoint import CheckpointError as CheckpointError
    from ._checkpoint import load as load
    from ._checkpoint import load_result as load_result
    from ._checkpoint import save as save
    from ._finite_sum.methods import FINITE_SUM_METHODS as FINITE_SUM_METHODS
    from ._finite_sum.saga_svrg import SAGA as SAGA
    from ._finite_sum.saga_svrg import SVRG as SVRG
    from ._finite_sum.vw import VW as VW
    from ._info import get_include as get_include
    from ._info import show_versions as show_versions
    from ._minimize import minimize as minimize
    from ._minimize import scipy_method as scipy_method
    from ._version import __version__ as __version__
else:
    from .optimizers import __all__ as _optimizers

    #: Module -> the names that it has for users: imported at their first use, as steps need none of them.
    _LATER = {
        "_checkpoint": ("CheckpointError", "load", "load_result", "save"),
        "_finite_sum.methods": ("FINITE_SUM_METHODS",),
        "_finite_sum.saga_svrg": ("SAGA", "SVRG"),
        "_finite_sum.vw": ("VW",),
        "_info": ("get_include", "show_versions"),
        "_minimize": ("minimize", "scipy_method"),
        "_version": ("__version__",),
        "ctypes": (),
        "objectives": (),
        "plot": (),
        "schedules": (),
    }
    _MODULE_OF = {name: module for module, names in _LATER.items() for name in names or [module]}

    __all__ = [
        "GradientStats",
        "RowSparse",
        "get_num_threads",
        "set_num_threads",
        "threads",
        *_MODULE_OF,
        *_optimizers,
    ]

    def __getattr__(name):
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = _import_module("." + _MODULE_OF[name], __name__)
        globals()[name] = module if _MODULE_OF[name] == name else getattr(module, name)
        return globals()[name]


def _select_instruction_set():
    """The widest that this processor runs, or what FASTOPT_ISA asks for."""
    asked, names = _os.environ.get("FASTOPT_ISA"), _core.isa_names()
    if asked:
        _core.use_isa(_validation.machine.instruction_set(asked, names, _core.isa_supported))
    else:
        _core.use_isa([name for name in names if _core.isa_supported(name)][-1])


_select_instruction_set()


def __dir__():
    return __all__
