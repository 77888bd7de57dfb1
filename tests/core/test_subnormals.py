"""Subnormal numbers: zero inside kernels, alive everywhere else, in the caller's thread and in the workers."""

import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cases import DTYPES, OPTIMIZERS
from helpers import run_python
from reference import Reference

import fastopt

LARGE = 300_000  # shared by two threads


def test_subnormal_numbers_stay_alive():
    """Kernels take subnormals as zero; the threads that call them must not, neither before nor after."""
    code = """
        import warnings
        warnings.simplefilter("error")  # numpy.finfo warns where subnormals are flushed
        import numpy as np, fastopt
        fastopt.Muon._takes_vectors = True

        def alive():
            for dtype in (np.float32, np.float64):
                tiny = np.full(40, np.finfo(dtype).tiny)
                assert np.finfo(dtype).smallest_subnormal != 0
                assert ((tiny / 4) * 4 == tiny).all() and (tiny / 4 != 0).all()
            assert 5e-324 != 0.0 and 5e-324 * 2.0 == 1e-323

        alive()
        for cls in fastopt.OPTIMIZERS.values():
            for n in (10, 300_000):
                opt = cls(np.ones(n, np.float32), num_threads=2, clip_norm=1.0, nonfinite="raise")
                value = [1.0] if opt._uses_value else []
                opt.step(np.ones(n, np.float32), *value)
                alive()
                try:
                    opt.step(np.full(n, np.nan, np.float32), *value)
                except FloatingPointError:
                    alive()
        print("alive")
    """
    assert run_python(code) == "alive"


def test_mode_of_the_floating_point_unit_is_as_before():
    """All modes at once, traps and rounding included: fegetenv before and after."""
    code = """
        import ctypes, ctypes.util, platform
        libm = ctypes.util.find_library("m")
        if libm is None or platform.machine() not in ("x86_64", "AMD64"):
            print(True)
        else:
            import numpy as np
            libm = ctypes.CDLL(libm)

            def mode():
                environment = (ctypes.c_uint32 * 8)()
                libm.fegetenv(environment)
                return environment[7] & ~0x3F  # MXCSR without the flags of exceptions that any arithmetic raises

            seen = {mode()}
            import fastopt
            seen.add(mode())
            for n in (10, 300_000):
                opt = fastopt.Adam(np.ones(n), num_threads=2, clip_norm=1.0)
                for _ in range(3):
                    opt.step(np.full(n, 1e-310))
                    seen.add(mode())
            print(seen == {0x1F80})
    """
    assert run_python(code) == "True"


SOURCE = """
#include <omp.h>
#include <xmmintrin.h>
/* The mode of each thread of a team of n, without the flags of exceptions; returns the size of the team. */
int modes(unsigned *mode, int n)
{
    int size = 0;
    #pragma omp parallel num_threads(n)
    {
        mode[omp_get_thread_num()] = _mm_getcsr() & ~0x3Fu;
        #pragma omp master
        size = omp_get_num_threads();
    }
    return size;
}
"""


@pytest.mark.skipif(
    shutil.which("cc") is None or platform.machine() != "x86_64" or not sys.platform.startswith("linux"),
    reason="reads the MXCSR of libgomp's threads with a C function",
)
def test_mode_of_the_workers_is_as_before(tmp_path):
    """Of those that OpenMP shares among all that use it in the process, such as scikit-learn: none of them is ours."""
    source, library = tmp_path / "modes.c", tmp_path / "modes.so"
    source.write_text(SOURCE)
    subprocess.run(["cc", "-fopenmp", "-shared", "-fPIC", "-O1", str(source), "-o", str(library)], check=True)
    code = """
        import ctypes, os, sys
        import numpy as np, fastopt
        from fastopt import _core

        library = ctypes.CDLL(sys.argv[1])

        def modes():
            seen = (ctypes.c_uint * 2)()
            assert library.modes(seen, 2) == 2
            return list(seen)

        def tasks():
            return len(os.listdir("/proc/self/task"))

        _core.always_share(True)
        before, started = modes(), tasks()
        for options in ({}, {"clip_norm": 1.0, "nonfinite": "raise"}):
            opt = fastopt.Adam(np.ones(300_000), num_threads=2, **options)
            for grad in (np.full(300_000, 1e-310), fastopt.RowSparse(np.arange(299_999, -1, -1), np.ones(300_000))):
                opt.step(grad)
                assert modes() == before, modes()
        assert tasks() == started + _core.has_openmp()  # a worker of our own, where there are any
        print(before)
    """
    assert run_python(code, str(library)) == str([0x1F80] * 2)


def tiny(dtype):
    return np.finfo(dtype).tiny


def subnormal(array):
    return (array != 0) & (np.abs(array) < tiny(array.dtype))


@pytest.mark.parametrize("n", [50, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_state_that_decays_ends_at_zero(cls, dtype, n):
    """A small gradient, then zeros: the state goes through the range of subnormals without a stop in it."""
    first = np.full(n, tiny(dtype) * 1e3, dtype)
    opt = cls(np.ones(n, dtype), num_threads=2)
    oracle = Reference(cls.__name__.lower(), [np.ones(1, dtype)], opt._values)
    for k in range(150 if n == 50 else 20):
        grad = first if k == 0 else np.zeros(n, dtype)
        opt.step(grad)
        oracle.step([grad[:1]])
        for array in opt.state.values():
            assert not subnormal(array).any()
    if cls is fastopt.LAMB and n == 50:  # its steps have full length until the direction, however small, is zero
        before = opt.params.copy()
        opt.step(np.zeros(n, dtype))
        assert np.array_equal(opt.params, before)
    else:
        np.testing.assert_allclose(opt.params, np.broadcast_to(oracle.params[0], n), rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cls", OPTIMIZERS.values())
def test_subnormal_input_counts_as_zero(cls, dtype):
    """Parameters and gradients that are subnormal give the bits that zeros give."""
    small = np.full(40, tiny(dtype) / 8, dtype)
    assert subnormal(small).all()
    opts = [cls(np.array(value), clip_norm=1.0) for value in (small, np.zeros(40, dtype))]
    for _ in range(3):
        opts[0].step(small)
        opts[1].step(np.zeros(40, dtype))
    arrays = [[opt.params, *opt.state.values()] for opt in opts]
    for array, expected in zip(*arrays, strict=True):  # one that is only passed on, or kept, may be subnormal still
        assert np.array_equal(np.where(subnormal(array), 0, array), expected)
