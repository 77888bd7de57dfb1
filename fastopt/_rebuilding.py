"""What pickles and copies are rebuilt of: arrays that came another way than through a constructor.

joblib and Dask hand large arrays over as views of a file or of a message, read-only or misaligned. Nobody holds such an
array who would expect it to change, so it is copied where an object is rebuilt. What a user passes to a constructor is
never copied there: the user is told.
"""

import copy

import numpy as np


def writable(params):
    """Parameters in their structure; those arrays are copied that no step could update in place.

    So are those of a file that was mapped: steps would change it, and not the state that lies beside them.
    """
    if isinstance(params, dict):
        return {key: writable(each) for key, each in params.items()}
    if isinstance(params, list):
        return [writable(each) for each in params]
    in_place = params.flags.writeable and params.flags.aligned and not isinstance(params, np.memmap)
    return params if in_place else np.array(params)


def readable(value):
    """An attribute of an object that only reads arrays; misaligned ones are copied, alone, in a tuple or in CSR."""
    if isinstance(value, tuple):
        return tuple([readable(each) for each in value])
    if isinstance(value, np.ndarray):
        return value if value.flags.aligned else np.array(value)
    if not hasattr(value, "tocsr"):
        return value
    arrays = {name: getattr(value, name) for name in ("data", "indices", "indptr")}
    if all(each.flags.aligned for each in arrays.values()):
        return value
    value = copy.copy(value)  # the caller's matrix, which may be in the same pickle, stays as it is
    for name, array in arrays.items():
        setattr(value, name, readable(array))
    return value
