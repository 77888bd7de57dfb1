"""Compiled objectives: what signatures are taken, and that arguments and results pass as documented."""

import ctypes
import gc
import shutil
import subprocess

import numpy as np
import pytest
from scipy import LowLevelCallable

import fastopt
from fastopt._minimize.native import NativeObjective

REALS = {"float32": ctypes.c_float, "float64": ctypes.c_double}
INDEX = ctypes.POINTER(ctypes.c_int64)
new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype, new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def squares(dtype, batch=False, seen=None):
    """A callback for sum(x^2) / 2 times the user's factor; a batch adds its mean to the value."""
    real = ctypes.POINTER(REALS[dtype])

    def fun(n, x, *rest):
        gradient, user_data = rest[-2:]
        factor = ctypes.cast(user_data, ctypes.POINTER(ctypes.c_double))[0] if user_data else 1.0
        x = np.ctypeslib.as_array(x, (n,))
        value = 0.5 * float(x @ x) * factor
        if batch:
            index = np.ctypeslib.as_array(rest[1], (rest[0],))
            value += float(index.mean())
            seen.append(index.copy())
        np.ctypeslib.as_array(gradient, (n,))[:] = x * factor
        return value

    middle = [ctypes.c_ssize_t, INDEX] if batch else []
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_ssize_t, real, *middle, real, ctypes.c_void_p)(fun)


def capsule(signature, callback=None):
    """A capsule as Cython makes them; its name must live as long."""
    callback = callback or squares("float64")
    name = signature.encode()
    made = new_capsule(ctypes.cast(callback, ctypes.c_void_p), name, None)
    return LowLevelCallable(made), (callback, name)


@pytest.mark.parametrize("dtype", REALS)
def test_value_and_gradient(dtype):
    native = NativeObjective(LowLevelCallable(squares(dtype)), np.dtype(dtype))
    x, gradient = np.array([3.0, -4.0], dtype), np.empty(2, dtype)
    x.flags.writeable = False
    assert not native.takes_batch
    assert native(x, gradient) == 12.5
    np.testing.assert_array_equal(gradient, x)


@pytest.mark.parametrize("dtype", REALS)
def test_batches(dtype):
    seen = []
    native = NativeObjective(LowLevelCallable(squares(dtype, True, seen)), np.dtype(dtype))
    assert native.takes_batch
    assert native(np.zeros(3, dtype), np.empty(3, dtype), np.array([4, 6])) == 5.0
    np.testing.assert_array_equal(seen[0], [4, 6])


def test_user_data():
    factor = ctypes.c_double(10.0)
    user_data = ctypes.cast(ctypes.pointer(factor), ctypes.c_void_p)
    native = NativeObjective(LowLevelCallable(squares("float64"), user_data), np.float64)
    gradient = np.empty(1)
    assert native(np.ones(1), gradient) == 5.0
    assert gradient[0] == 10.0


def test_callable_is_kept_alive():
    native = NativeObjective(LowLevelCallable(squares("float64")), np.float64)
    gc.collect()
    assert native(np.ones(2), np.empty(2)) == 1.0


@pytest.mark.parametrize(
    "signature",
    [
        "double (long, double *, double *, void *)",
        "double (Py_ssize_t, double const *, double *, void *)",
        "double(intptr_t,const double*,double*,void*)",
        "double (npy_intp, double *, double *, void *)",
        "double (long long, double *, double *, void *)",
        "double (__pyx_t_5numpy_npy_intp, double *, double *, void *)",
        "double (int64_t, double *, double *, void *)",
        "double (ptrdiff_t, const double *, double *, void *)",
    ],
)
def test_spellings_of_a_signature(signature):
    function, _alive = capsule(signature)
    assert NativeObjective(function, np.float64)(np.ones(2), np.empty(2)) == 1.0


@pytest.mark.parametrize(
    "signature",
    [
        "double (int, double *, double *, void *)",
        "double (long, double *, void *)",
        "float (long, double *, double *, void *)",
        "double (long, float *, float *, void *)",
        "double (long, double *, long, int *, double *, void *)",
        "void (long, double *, double *, void *)",
        "",
    ],
)
def test_other_signatures_are_refused(signature):
    function, _alive = capsule(signature)
    with pytest.raises(ValueError, match=r"`fun` must be a LowLevelCallable with the signature"):
        NativeObjective(function, np.float64)


def test_arrays_of_other_dtypes_are_refused():
    native = NativeObjective(LowLevelCallable(squares("float64")), np.float64)
    for arguments in ((np.ones(2, "f"), np.ones(2)), (np.ones(2), np.ones(2, "f")), (np.ones(4)[::2], np.ones(2))):
        with pytest.raises(TypeError, match="contiguous arrays of its dtypes"):
            native(*arguments)


@pytest.mark.parametrize("dtype", REALS)
def test_minimize(dtype):
    fun = LowLevelCallable(squares(dtype))
    res = fastopt.minimize(fun, np.ones(5, dtype), options={"maxiter": 1000})
    assert res.x.dtype == dtype and res.fun < 1e-6 and res.nfev == 1001
    again = fastopt.minimize(
        lambda x: (0.5 * float(x @ x), x.copy()), np.ones(5, dtype), jac=True, options={"maxiter": 1000}
    )
    np.testing.assert_array_equal(res.x, again.x)


def test_minimize_with_batches():
    seen = []
    fun = LowLevelCallable(squares("float64", True, seen))
    res = fastopt.minimize(fun, np.ones(2), n_samples=10, batch_size=4, options={"epochs": 3}, rng=0)
    assert [len(each) for each in seen[:6]] == [4, 4, 2] * 2
    assert sorted(np.concatenate(seen[:3])) == list(range(10))
    assert res.fun == pytest.approx(0.5 * res.x @ res.x + 4.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(args=(1,)), "`args` must be empty"),
        (dict(jac="2-point"), "`jac` must be None or True"),
        (dict(data=np.ones(3)), "`data` must be None"),
        (dict(n_samples=3), "`n_samples` must be None"),
    ],
)
def test_what_minimize_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        fastopt.minimize(LowLevelCallable(squares("float64")), np.ones(2), **change)


def test_minimize_refuses_a_batch_signature_without_samples():
    with pytest.raises(ValueError, match="`n_samples` must be given"):
        fastopt.minimize(LowLevelCallable(squares("float64", True, [])), np.ones(2))


SOURCE = """
#include <stdint.h>
double bowl(intptr_t n, const double *x, double *gradient, void *user_data)
{
    double value = 0.0;
    for (intptr_t i = 0; i < n; ++i) {
        value += 0.5 * x[i] * x[i];
        gradient[i] = x[i];
    }
    return value;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_c_function(tmp_path):
    source, library = tmp_path / "bowl.c", tmp_path / "bowl.so"
    source.write_text(SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", str(source), "-o", str(library)], check=True)
    bowl = ctypes.CDLL(str(library)).bowl
    real = ctypes.POINTER(ctypes.c_double)
    bowl.restype, bowl.argtypes = ctypes.c_double, [ctypes.c_ssize_t, real, real, ctypes.c_void_p]
    res = fastopt.minimize(LowLevelCallable(bowl), np.ones(3), options={"maxiter": 500})
    assert res.fun < 1e-6
