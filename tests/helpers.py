"""Shared by several test files: the bits of an optimizer, refusals that change nothing, fresh interpreters."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
import textwrap

import numpy as np
import pytest

#: Seconds that a fresh interpreter may take; an emulator needs more.
PATIENCE = float(os.environ.get("FASTOPT_PATIENCE", "60"))

#: Whether this Python has no interpreter lock, or none until a module asks for it.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def flat(structure):
    """The arrays of one array, a list or a dict, as a list."""
    if isinstance(structure, np.ndarray):
        return [structure]
    return list(structure.values()) if isinstance(structure, dict) else list(structure)


def bits(opt):
    """All that a step may change, for comparison to the last bit."""
    arrays = flat(opt.params) + [array for slot in opt.state.values() for array in flat(slot)]
    return opt.step_count, opt.skipped_steps, [array.tobytes() for array in arrays]


def exactly(message):
    """A pattern for `pytest.raises` that the whole message has to match."""
    return f"^{re.escape(message)}$"


def beginning(message):
    """A pattern for a message that may go on with a remedy; tests/core/test_remedies.py follows those."""
    return f"^{re.escape(message.split(';')[0].rstrip('.'))}(; .*)?\\.$"


@contextlib.contextmanager
def refused(opt, exception, match):
    """Expect an exception with this message, and an optimizer that is as before, to the last bit."""
    before = bits(opt)
    with pytest.raises(exception, match=match):
        yield
    assert bits(opt) == before


def misaligned(array):
    """Equal values at an address that is no multiple of the item size."""
    memory = np.zeros(array.nbytes + array.itemsize + 1, np.uint8)
    start = 1 + -memory.ctypes.data % array.itemsize
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def spread(array):
    """Equal values, every second element of a larger array along each axis."""
    every_second = tuple(slice(None, None, 2) for _ in array.shape)
    wide = np.zeros([2 * n for n in array.shape], array.dtype)
    wide[every_second] = array
    return wide[every_second]


def on_disk(shape, dtype):
    """An array of zeros that takes neither memory nor, as long as nobody writes, room on the disk."""
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, dtype, "w+", shape=shape))


def read_only(array):
    """A copy that cannot be written."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def run_python(code, *arguments, **environment):
    """Run code in a fresh interpreter, which must succeed, and return what it printed."""
    return run_interpreter("-c", textwrap.dedent(code), *arguments, **environment)


def run_interpreter(*arguments, timeout=PATIENCE, **environment):
    """Run a fresh interpreter with these arguments; if it does not end in time, its own children end with it."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={name: value for name, value in (os.environ | environment).items() if value is not None},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            printed, errors = process.communicate(timeout=timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            pytest.fail("not done in {} s; it said:\n{}{}".format(timeout, *process.communicate()))
    assert process.returncode == 0, errors
    return printed.strip()
