"""Memory whose misuse is noticed: a fence around every array of NumPy, unless a sanitizer sees to it."""

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path

import numpy as np

# Where NumPy's table of C functions has PyDataMem_SetHandler, in every version from 1.22 on.
SET_HANDLER = 304
kept_alive = []


def compiled(name, folder, *flags):
    """A shared library made of a C file of this folder, in `folder`; made once."""
    library = Path(folder) / f"{name}.so"
    if not library.exists():
        building = library.with_suffix(f".{os.getpid()}")
        source = Path(__file__).with_name(f"{name}.c")
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run([*compiler, "-O1", "-g", "-shared", "-fPIC", *flags, "-o", building, source], check=True)
        building.replace(library)
    return library


def sanitized():
    """Whether AddressSanitizer is loaded."""
    with contextlib.suppress(AttributeError):
        return bool(ctypes.CDLL(None).__asan_init)
    return False


class Allocator(ctypes.Structure):
    """PyDataMemAllocator of NumPy."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")]


class Handler(ctypes.Structure):
    """PyDataMem_Handler of NumPy."""

    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", Allocator)]


def put_up_the_fence(folder):
    """From now on arrays of this thread end at a forbidden page."""
    library = ctypes.CDLL(str(compiled("fence", folder)))
    functions = [ctypes.cast(getattr(library, f"fence_{name}"), ctypes.c_void_p) for name, _ in Allocator._fields_[1:]]
    handler = Handler(b"fence", 1, Allocator(None, *functions))
    api = ctypes.pythonapi
    api.PyCapsule_New.restype = ctypes.py_object
    api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(
        api.PyCapsule_GetPointer(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p)
    )
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_HANDLER])
    capsule = api.PyCapsule_New(ctypes.addressof(handler), b"mem_handler", None)
    kept_alive.extend([library, handler, capsule, set_handler(capsule)])
