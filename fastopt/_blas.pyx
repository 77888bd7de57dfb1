"""The BLAS of SciPy, for the kernels that multiply matrices: importing this hands it to C.

A module of its own, as `scipy.linalg` takes time to import, and few optimizers need it.
"""

from scipy.linalg cimport cython_blas

from ._core cimport use_blas
from ._csrc cimport fo_blas

cdef fo_blas found

found.f32.syrk, found.f32.symm = cython_blas.ssyrk, cython_blas.ssymm
found.f64.syrk, found.f64.symm = cython_blas.dsyrk, cython_blas.dsymm
use_blas(&found)
