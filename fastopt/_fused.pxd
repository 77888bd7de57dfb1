# The dtypes of positions and of values, for loops that are compiled for each.
from libc.stdint cimport int32_t, int64_t


ctypedef fused index_t:
    int32_t
    int64_t

ctypedef fused real_t:
    float
    double
