"""The C interface as functions of ctypes, by plain addresses: for numba, cffi and anything else that calls addresses.

The first argument of each is `opt.address`; the others are those of the header, which `fastopt.get_include()` finds.
numba caches what it compiles only if these functions are passed to it as arguments. See "Compiled code" in the
documentation.
"""

from __future__ import annotations

import ctypes as _ctypes
import types as _types

from . import _core

_HANDLE, _POINTER, _SIZE, _INT, _REAL = (
    _ctypes.c_size_t,
    _ctypes.c_void_p,
    _ctypes.c_ssize_t,
    _ctypes.c_int,
    _ctypes.c_double,
)
_SIGNATURES = {
    "step_dense": (_INT, _HANDLE, _POINTER),
    "step_rows": (_INT, _HANDLE, _SIZE, _POINTER, _INT, _SIZE, _POINTER, _INT),
    "catch_up": (_INT, _HANDLE, _SIZE, _POINTER, _INT, _SIZE),
    "learning_rate": (_REAL, _HANDLE),
    "set_learning_rate": (_INT, _HANDLE, _REAL),
    "step_count": (_ctypes.c_int64, _HANDLE),
    "last_norm": (_REAL, _HANDLE),
    "measure": (_INT, _HANDLE, _POINTER, _POINTER, _POINTER),
}

#: Name -> address of each function; the handle, `opt.address`, is the first argument.
addresses = _types.MappingProxyType(_core.interface_addresses())

_functions = {name: _ctypes.CFUNCTYPE(*types)(addresses[name]) for name, types in _SIGNATURES.items()}

step_dense = _functions["step_dense"]
step_rows = _functions["step_rows"]
catch_up = _functions["catch_up"]
learning_rate = _functions["learning_rate"]
set_learning_rate = _functions["set_learning_rate"]
step_count = _functions["step_count"]
last_norm = _functions["last_norm"]
measure = _functions["measure"]

__all__ = ["addresses", *_SIGNATURES]


def __dir__():
    return __all__
