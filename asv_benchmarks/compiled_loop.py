"""A loop over steps in C, compiled when it is first asked for."""

import ctypes
import functools
import os
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import fastopt

SOURCE = """
#include "fastopt.h"

int steps(fo_handle *handle, const void *const *grads, long n)
{
    int status = 0;
    for (long k = 0; k < n && status == 0; ++k)
        status = fo_step_dense(handle, grads);
    return status;
}
"""


@functools.cache
def _steps():
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "steps.c", Path(folder) / "steps.so"
        source.write_text(SOURCE, encoding="utf-8")
        flags = ["-O2", "-shared", "-fPIC", f"-I{fastopt.get_include()}"]
        subprocess.run([*compiler, *flags, str(source), "-o", str(library)], check=True)
        steps = ctypes.CDLL(str(library)).steps
    steps.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long
    return steps


def steps(opt, gradients, n):
    """Make n steps with the same dense gradients, one for each parameter."""
    table = (ctypes.c_void_p * len(gradients))(*[g.ctypes.data for g in gradients])
    status = _steps()(opt.address, table, n)
    if status != 0:
        raise RuntimeError(f"a step returned status {status}")
