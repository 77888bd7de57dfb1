"""Loops over the C interface in numba, Cython and C, each compiled in a temporary folder against the package."""

import importlib.util
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from helpers import bits

import fastopt
import fastopt.ctypes as interface

NUMBA_MODULE = """
    import numba
    import numpy as np

    @numba.njit(nogil=True, cache=True)
    def minimize_squares(step_dense, address, x, n_steps):
        gradient = np.empty_like(x)
        table = np.array([gradient.ctypes.data], np.uintp)
        for _ in range(n_steps):
            gradient[:] = 2 * x
            status = step_dense(address, table.ctypes)
            if status != 0:
                return status
        return 0
"""

CYTHON_MODULE = """
    # cython: language_level=3
    cimport fastopt

    def minimize_squares(optimizer, double[::1] x, double[::1] gradient, int n_steps):
        cdef fastopt.fo_handle *handle = fastopt.fo_handle_of(optimizer)
        cdef const void *table[1]
        cdef int status = fastopt.FO_STATUS_OK
        cdef Py_ssize_t k
        table[0] = &gradient[0]
        with nogil:
            for _ in range(n_steps):
                for k in range(x.shape[0]):
                    gradient[k] = 2 * x[k]
                status = fastopt.fo_step_dense(handle, table)
                if status != fastopt.FO_STATUS_OK:
                    break
        return status, fastopt.fo_step_count(handle)

    def handle_of(anything):
        fastopt.fo_handle_of(anything)
"""

CYTHON_SETUP = """
    import os
    from setuptools import Extension, setup
    from Cython.Build import cythonize
    import fastopt

    squares = Extension("squares", ["squares.pyx"], include_dirs=[fastopt.get_include()])
    around = os.path.dirname(fastopt.__path__[0])  # for Cython, which does not see what is installed as editable
    setup(ext_modules=cythonize(squares, include_path=[around]))
"""

C_SOURCE = """
    #include "fastopt.h"

    int minimize_squares(fo_handle *handle, const double *x, double *gradient, int n, int n_steps)
    {
        const void *table[] = {gradient};
        for (int done = 0; done < n_steps; ++done) {
            for (int k = 0; k < n; ++k)
                gradient[k] = 2 * x[k];
            const int status = fo_step_dense(handle, table);
            if (status != FO_STATUS_OK)
                return status;
        }
        return fo_step_dense(0, table) == FO_STATUS_BAD_ARGUMENT ? FO_STATUS_OK : -1;
    }
"""

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


def expected(n_steps=10):
    x = np.arange(1.0, 6.0)
    opt = fastopt.Adagrad(x, learning_rate=0.5)
    for _ in range(n_steps):
        opt.step(2 * x)
    return opt


def start():
    x = np.arange(1.0, 6.0)
    return x, fastopt.Adagrad(x, learning_rate=0.5)


def written(folder, name, text):
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def imported(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_numba_compiles_once(tmp_path):
    pytest.importorskip("numba")
    written(tmp_path, "squares.py", NUMBA_MODULE)
    program = """
        import numpy as np, fastopt, fastopt.ctypes, squares
        x = np.arange(1.0, 6.0)
        opt = fastopt.Adagrad(x, learning_rate=0.5)
        assert squares.minimize_squares(fastopt.ctypes.step_dense, opt.address, x, 10) == 0
        print(sum(squares.minimize_squares.stats.cache_hits.values()), *x)
    """
    for hits in ("0", "1"):
        found, *values = run(sys.executable, "-c", textwrap.dedent(program), folder=tmp_path).split()
        assert found == hits
        assert [float(value) for value in values] == expected().params.tolist()


@pytest.mark.slow
@needs_compiler
def test_cython_needs_no_library(tmp_path):
    pytest.importorskip("Cython")
    written(tmp_path, "squares.pyx", CYTHON_MODULE)
    written(tmp_path, "setup.py", CYTHON_SETUP)
    run(sys.executable, "setup.py", "-q", "build_ext", "--inplace", folder=tmp_path)
    (library,) = [path for path in tmp_path.glob("squares.*") if path.suffix in (".so", ".pyd")]
    module = imported(library, "squares")
    x, opt = start()
    assert module.minimize_squares(opt, x, np.empty(5), 10) == (0, 10)
    assert bits(opt) == bits(expected())
    with pytest.raises(AttributeError, match="capsule"):
        module.handle_of(x)
    with pytest.raises(RuntimeError, match="must be initialised"):
        module.handle_of(fastopt.Adam.__new__(fastopt.Adam))


@needs_compiler
@pytest.mark.parametrize("language", ["c", "c++"])
def test_c_through_cffi(tmp_path, language):
    cffi = pytest.importorskip("cffi")
    if language == "c++" and shutil.which("c++") is None:
        pytest.skip("needs a C++ compiler")
    prototype = "int minimize_squares(void *handle, const double *x, double *gradient, int n, int n_steps);"
    source = C_SOURCE
    if language == "c++":
        source = source.replace("int minimize", 'extern "C" int minimize')
    path = written(tmp_path, "squares.c", source)
    flags = ["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{fastopt.get_include()}"]
    run("cc", "-x", language, *flags, str(path), "-o", str(tmp_path / "squares.so"), folder=tmp_path)
    ffi = cffi.FFI()
    ffi.cdef(prototype)
    library = ffi.dlopen(str(tmp_path / "squares.so"))
    x, opt = start()
    handle, memory = ffi.cast("void *", opt.address), ffi.from_buffer("double[]", x)
    assert library.minimize_squares(handle, memory, ffi.new("double[]", 5), 5, 10) == 0
    assert bits(opt) == bits(expected())


def test_cffi_calls_addresses():
    cffi = pytest.importorskip("cffi")
    ffi = cffi.FFI()
    step = ffi.cast("int (*)(void *, const void *const *)", interface.addresses["step_dense"])
    x, opt = start()
    for _ in range(10):
        gradient = 2 * x
        table = ffi.new("const void *[]", [ffi.from_buffer(gradient)])
        assert step(ffi.cast("void *", opt.address), table) == 0
    assert bits(opt) == bits(expected())


@needs_compiler
def test_a_native_objective_with_a_step_of_its_own(tmp_path):
    """The objective of `minimize` fits one inner parameter by a step of another optimizer, then gives its value."""
    import ctypes

    from scipy import LowLevelCallable

    source = """
        #include "fastopt.h"

        typedef struct { fo_handle *inner; double *scale, *gradient; } user_data;

        double fun(intptr_t n, const double *x, double *gradient, void *given)
        {
            user_data *it = given;
            double value = 0.0;
            *it->gradient = 2 * (*it->scale - 3);
            const void *table[] = {it->gradient};
            if (fo_step_dense(it->inner, table) != FO_STATUS_OK)
                return NAN;
            for (intptr_t k = 0; k < n; ++k) {
                value += x[k] * x[k];
                gradient[k] = 2 * x[k];
            }
            return value;
        }
    """
    path = written(tmp_path, "nested.c", source)
    flags = ["-std=c11", "-shared", "-fPIC", f"-I{fastopt.get_include()}"]
    run("cc", *flags, str(path), "-o", str(tmp_path / "nested.so"), folder=tmp_path)
    scale, gradient = np.zeros(1), np.zeros(1)
    inner = fastopt.SGD(scale, learning_rate=0.25)
    data = np.array([inner.address, scale.ctypes.data, gradient.ctypes.data], np.uintp)
    fun = ctypes.CDLL(str(tmp_path / "nested.so")).fun
    real = ctypes.POINTER(ctypes.c_double)
    fun.restype, fun.argtypes = ctypes.c_double, [ctypes.c_ssize_t, real, real, ctypes.c_void_p]
    objective = LowLevelCallable(fun, ctypes.c_void_p(data.ctypes.data))
    result = fastopt.minimize(objective, np.ones(3), method="adam", options={"maxiter": 200, "learning_rate": 0.1})
    assert np.abs(result.x).max() < 0.1
    assert scale[0] == pytest.approx(3.0)
    assert inner.step_count == result.nfev
