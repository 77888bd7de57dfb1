"""Every check of what users pass in, and every message they get, in one voice.

A message names the argument, the constraint, the value it got and, where there is one, the remedy. Nothing
here changes anything: callers validate first and mutate after.
"""

import difflib
import itertools
import numbers
import sys

import numpy as np

DTYPES = ("float32", "float64")
INDEX_DTYPES = (np.dtype(np.int32), np.dtype(np.int64))
MOST_THREADS = 8192  # more than any machine has
MOST_STEPS = 2**53  # up to here a float64 holds every step number


# --- scalars ---------------------------------------------------------------------------------------------


def real(name, value, interval="(-inf, inf)"):
    """Return `value` as a float inside `interval`, written as "[0, 1)"; NaN is in no interval."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"`{name}` must be a real number, got {value!r}.")
    try:
        value = float(value)
    except OverflowError:
        raise ValueError(f"`{name}` must be in {interval}, got a number beyond the range of float64.") from None
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    if not (above and below):
        raise ValueError(f"`{name}` must be in {interval}, got {value!r}.")
    return value


def integer(name, value, minimum, maximum=None):
    """Return `value` as an int that is at least `minimum` and, if it is given, at most `maximum`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"`{name}` must be an integer, got {value!r}.")
    if value < minimum:
        kind = {0: "a non-negative integer", 1: "a positive integer"}.get(minimum, f"at least {minimum}")
        raise ValueError(f"`{name}` must be {kind}, got {int(value)!r}.")
    if maximum is not None and value > maximum:
        raise ValueError(f"`{name}` must be at most {maximum}, got {int(value)!r}.")
    return int(value)


def flag(name, value):
    """Return `value` as a bool; only True and False are accepted."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False, got {value!r}.")
    return bool(value)


def choice(name, value, allowed):
    """Return `value` if it is one of the strings in `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        listed = ", ".join(repr(each) for each in allowed)
        raise ValueError(f"`{name}` must be one of {listed}, got {value!r}.")
    return value


def learning_rate(value, interval):
    """Return a learning rate as a float, or the callable that gives it for a step number."""
    if callable(value):
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"`learning_rate` must be a real number or a callable t -> float, got {value!r}.")
    return real("learning_rate", value, interval)


def scheduled_rate(value, interval, t):
    """Return what a learning-rate callable gave for step `t`, as a float."""
    return real(f"learning_rate({t})", value, interval)


def num_threads(value):
    """Return a positive number of threads, or None."""
    return None if value is None else integer("num_threads", value, 1, MOST_THREADS)


def no_nesterov_without_momentum(values):
    """Refuse the combinations in which Nesterov's look-ahead has no meaning."""
    if values["nesterov"] and values["momentum"] == 0:
        raise ValueError("`nesterov` needs `momentum` > 0, got 0.0; pass for example momentum=0.9.")
    if values["nesterov"] and values["dampening"] != 0:
        raise ValueError(f"`nesterov` needs `dampening` = 0, got {values['dampening']!r}.")


def no_decoupled_decay(values):
    """Refuse decoupled weight decay for a rule that recomputes the parameter from its state."""
    if values["decoupled_weight_decay"]:
        raise ValueError(
            "`decoupled_weight_decay` must be False for FTRL, whose parameters are recomputed from its state, "
            "got True; use `l2`."
        )


def ordered_steps(values):
    """Refuse a step range without room."""
    if values["step_min"] > values["step_max"]:
        raise ValueError(f"`step_min` must be at most `step_max`, got {values['step_min']!r} > {values['step_max']!r}.")


def refuse_unknown_argument(owner, name, known):
    """Raise for a keyword that does not exist, with the nearest that does."""
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f" Did you mean `{near[0]}`?" if near else f" It takes {', '.join(f'`{each}`' for each in known)}."
    raise TypeError(f"{owner}() got an unexpected keyword argument `{name}`.{remedy}")


def refuse_base_class(name):
    """Raise for a class without a rule."""
    raise TypeError(f"{name} is a base class without an update rule; make one of its subclasses, such as fastopt.Adam.")


def refuse_second_init(name):
    """Raise for __init__ on an optimizer that is already bound to its parameters."""
    raise RuntimeError(f"{name}.__init__() must be called once only; make a new optimizer.")


def refuse_assignment(name):
    """Raise for an assignment to a hyper-parameter other than the learning rate."""
    raise AttributeError(
        f"`{name}` is fixed when the optimizer is made; only `learning_rate` can be set. "
        "Make a new optimizer, and carry its state over with `load_state_dict`."
    )


def optimizer_name(value, registry):
    """Return the class that the registry holds under a name."""
    if isinstance(value, str) and value.lower() in registry:
        return registry[value.lower()]
    near = difflib.get_close_matches(str(value).lower(), registry, n=1)
    remedy = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"`name` must be one of {', '.join(registry)}, got {value!r}.{remedy}")


def instruction_set(value, names, supported):
    """Return the name of an instruction set asked for by FASTOPT_ISA."""
    if value not in names:
        raise ValueError(f"`FASTOPT_ISA` must be one of {', '.join(names)}, got {value!r}; or unset it.")
    if not supported(value):
        usable = ", ".join(name for name in names if supported(name))
        raise RuntimeError(f"`FASTOPT_ISA` is {value!r}, which this processor does not run; use one of {usable}.")
    return value


# --- parameters ------------------------------------------------------------------------------------------


def label(name, keys, k):
    """How messages call array k of an argument: `grad`, `grad[2]` or `grad['w']`."""
    if keys is None:
        return f"`{name}`"
    return f"`{name}[{keys[k]!r}]`" if isinstance(keys, tuple) else f"`{name}[{k}]`"


def parameters(params):
    """Return the arrays of `params` as a tuple, and its structure.

    The structure is None for one array, the length of a list, or the tuple of keys of a dict.
    """
    if isinstance(params, np.ndarray):
        arrays, keys = (params,), None
    elif isinstance(params, dict):
        arrays, keys = tuple(params.values()), tuple(params)
    elif isinstance(params, (list, tuple)):
        arrays, keys = tuple(params), len(params)
    else:
        raise TypeError(
            f"`params` must be a NumPy array, or a list or dict of them, got {type(params).__name__}; "
            "pass np.asarray(params, dtype=np.float64)."
        )
    if not arrays:
        raise ValueError(f"`params` must hold at least one array, got {params!r}.")
    for k, array in enumerate(arrays):
        _check_parameter(label("params", keys, k), array)
    _check_disjoint(arrays, keys)
    return arrays, keys


def is_masked(array):
    """Whether it is a masked array. None exist before numpy.ma is imported, which NumPy leaves to the first who says
    `np.ma`: a child forked meanwhile from another thread would wait for that import for ever."""
    return isinstance(array, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ()))


def _check_parameter(name, array):
    if not isinstance(array, np.ndarray) or is_masked(array):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}.")
    if array.dtype.kind == "f" and array.dtype.name in DTYPES and not array.dtype.isnative:
        raise TypeError(
            f"{name} must be of native byte order, got dtype {array.dtype.str!r}; "
            f"pass params.astype(np.{array.dtype.name})."
        )
    if array.dtype.name not in DTYPES:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}; pass params.astype(np.float64).")
    if not array.flags.writeable:
        raise ValueError(f"{name} must be writable, as it is updated in place, got a read-only array; pass a copy.")
    if not array.flags.c_contiguous:
        raise ValueError(
            f"{name} must be C-contiguous, as it is updated in place, got shape {array.shape} with strides "
            f"{array.strides}; pass np.ascontiguousarray(params) and use that array from then on."
        )
    if not array.flags.aligned:
        raise ValueError(f"{name} must be aligned to its dtype, got a misaligned array; pass params.copy().")


def _check_disjoint(arrays, keys):
    """Two contiguous arrays overlap exactly if their byte ranges do."""
    spans = sorted((array.ctypes.data, array.ctypes.data + array.nbytes, k) for k, array in enumerate(arrays))
    spans = [span for span in spans if span[0] < span[1]]
    pairs = [(a[2], b[2]) for a, b in itertools.pairwise(spans) if b[0] < a[1]]
    pairs += [(j, k) for k in range(len(arrays)) for j in range(k) if arrays[j] is arrays[k]][:1]
    for j, k in pairs:
        raise ValueError(
            f"{label('params', keys, max(j, k))} must not share memory with {label('params', keys, min(j, k))}, "
            "as each entry is updated once a step, got overlapping arrays; pass each array once."
        )


def refuse_moved_parameter(name):
    """Raise for a parameter whose memory is no longer where it was bound."""
    raise ValueError(
        f"{name} must stay where it was when the optimizer was made, got an array that has been resized; "
        "make a new optimizer."
    )


# --- gradients -------------------------------------------------------------------------------------------


def flat_gradients(grad, keys):
    """Return gradients in the order of the parameters, from a structure that must mirror theirs."""
    if isinstance(keys, tuple):
        if not isinstance(grad, dict):
            raise TypeError(f"`grad` must be a dict like the parameters, got {type(grad).__name__}.")
        missing = [key for key in keys if key not in grad]
        if missing or len(grad) != len(keys):
            extra = [key for key in grad if key not in keys]
            raise ValueError(
                f"`grad` must have the keys of the parameters, got missing {missing!r} and unknown {extra!r}."
            )
        return [grad[key] for key in keys]
    if not isinstance(grad, (list, tuple)):
        raise TypeError(f"`grad` must be a list like the parameters, got {type(grad).__name__}.")
    grad = list(grad)  # a copy: other threads may change the list
    if len(grad) != keys:
        raise ValueError(f"`grad` must have {keys} arrays like the parameters, got {len(grad)}.")
    return grad


def gradient_array(name, grad, param):
    """Return a gradient that is not plainly an ndarray as one, without a copy, or refuse it."""
    if isinstance(grad, np.generic) and param.ndim == 0:
        return np.asarray(grad)  # NumPy's arithmetic on 0-d arrays returns scalars
    if isinstance(grad, np.ndarray) and not is_masked(grad):
        return grad.view(np.ndarray)
    raise TypeError(
        f"{name} must be a NumPy array, got {type(grad).__name__}; pass np.asarray(grad, dtype=np.{param.dtype})."
    )


def refuse_read_only(name):
    """Raise for a parameter that can no longer be updated in place."""
    raise ValueError(f"{name} must be writable, got an array made read-only since.")


def refuse_gradient(name, grad, param):
    """Raise with the reason why a gradient does not fit its parameter, or the parameter no longer does."""
    if not param.flags.writeable:
        refuse_read_only(name.replace("grad", "params", 1))
    if grad.dtype.newbyteorder("=") == param.dtype and not grad.dtype.isnative:
        raise TypeError(
            f"{name} must be of native byte order, got dtype {grad.dtype.str!r}; pass grad.astype(np.{param.dtype})."
        )
    if grad.dtype != param.dtype:
        raise TypeError(
            f"{name} must be {param.dtype} like its parameter, got {grad.dtype}; pass grad.astype(np.{param.dtype})."
        )
    if grad.shape != param.shape:
        raise ValueError(f"{name} must have the shape {param.shape} of its parameter, got {grad.shape}.")
    raise ValueError(f"{name} must be aligned to its dtype, got a misaligned array; pass grad.copy().")


def refuse_overlap(name, grad, owners):
    """Raise if a gradient shares memory with a parameter or a state array; its outer bounds are known to."""
    for array in (array for arrays in owners for array in arrays):
        try:
            shared = np.shares_memory(grad, array, max_work=100_000)
        except np.exceptions.TooHardError:
            shared = True
        if shared:
            raise ValueError(
                f"{name} must not share memory with the parameters or the state, which the step overwrites, "
                "got an overlapping array; pass grad.copy()."
            )


def refuse_nonfinite(t):
    """Raise for a gradient with NaN or infinity under nonfinite="raise"."""
    raise FloatingPointError(
        f"`grad` must be finite, got NaN or infinity in step {t}; parameters and state are as before. "
        'A smaller learning rate, `clip_value`, or nonfinite="skip" may help.'
    )


def refuse_concurrent_use(call):
    """Raise for what starts while a step, or a look at the whole, of the same optimizer is under way."""
    raise RuntimeError(
        f"{call} must not be called while another step, save or load of this optimizer is under way; "
        "use one optimizer per thread, or a lock."
    )


# --- state dictionaries ----------------------------------------------------------------------------------


def state_dict(given, own):
    """Check that a state dictionary fits an optimizer whose own one is `own`; nothing is copied."""
    if not isinstance(given, dict):
        raise TypeError(f"`state_dict` must be a dict, got {type(given).__name__}.")
    missing = [key for key in own if key not in given]
    if missing:
        raise ValueError(f"`state_dict` must have the entries {list(own)!r}, got none for {missing!r}.")
    for key in ("format", "optimizer"):
        if given[key] != own[key]:
            raise ValueError(f"`state_dict[{key!r}]` must be {own[key]!r}, got {given[key]!r}.")
    for key in ("hyperparameters", "carry", "state"):
        if not isinstance(given[key], dict) or set(given[key]) != set(own[key]):
            got = list(given[key]) if isinstance(given[key], dict) else given[key]
            raise ValueError(f"`state_dict[{key!r}]` must have the entries {list(own[key])!r}, got {got!r}.")
    for slot, arrays in own["state"].items():
        _check_state_arrays(slot, given["state"][slot], arrays)
    for key in ("step_count", "skipped_steps"):
        integer(f"state_dict[{key!r}]", given[key], 0, MOST_STEPS)
    for name, value in given["carry"].items():
        real(f"state_dict['carry'][{name!r}]", value)


def last_steps(given, sizes):
    """Check the steps that rows of a state dictionary are up to date with: one array or None per parameter."""
    given, step_count = given["last_steps"], given["step_count"]
    fits = isinstance(given, (list, tuple)) and len(given) == len(sizes)
    if not fits or any(
        each is not None
        and not (
            isinstance(each, np.ndarray)
            and each.dtype == np.int64
            and each.shape == (size,)
            and (size == 0 or (each.min() >= 0 and each.max() <= step_count))
        )
        for each, size in zip(given, sizes, strict=True)
    ):
        raise ValueError(
            f"`state_dict['last_steps']` must be a list of {len(sizes)} items, each None or an int64 array of steps "
            f"up to {step_count} for the {sizes!r} rows of the parameters, got {given!r}."
        )


def same_slots(given, own):
    """Refuse hyper-parameters with which the state would have slots `given` instead of `own`."""
    if list(given) != list(own):
        raise ValueError(
            f"`state_dict['hyperparameters']` must go with the state {list(own)!r}, got values for {list(given)!r}."
        )


def _check_state_arrays(slot, given, own):
    name = f"`state_dict['state'][{slot!r}]`"
    if not isinstance(given, (list, tuple)) or len(given) != len(own):
        raise ValueError(f"{name} must be a list of {len(own)} arrays, got {type(given).__name__}.")
    for k, (array, mine) in enumerate(zip(given, own, strict=True)):
        if not isinstance(array, np.ndarray) or array.dtype != mine.dtype or array.shape != mine.shape:
            got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"{name}[{k}] must be a {mine.dtype} array of shape {mine.shape}, got {got}.")


def learning_rate_state(given, own, learning_rate):
    """Check that the learning rate of a state dictionary fits an optimizer's own.

    Both must be numbers, both schedules without state, or both schedules with it.
    """
    kinds = [
        "a number"
        if each["learning_rate"] is not None
        else "a schedule with state"
        if each["schedule"] is not None
        else "a schedule"
        for each in (given, own)
    ]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"`state_dict['learning_rate']` must be {kinds[1]} like the optimizer's, got {kinds[0]}; "
            "make the optimizer with the learning rate that the saved one had."
        )
    if given["learning_rate"] is not None:
        real("state_dict['learning_rate']", given["learning_rate"], learning_rate.interval)


# --- sparse gradients ------------------------------------------------------------------------------------


def row_indices(indices):
    """Return the indices of a RowSparse as a one-dimensional int32 or int64 array."""
    indices = np.asarray(indices)
    if indices.size == 0 and indices.dtype == np.float64:
        indices = indices.astype(np.int64)  # what NumPy makes of an empty list
    _index_array("`indices`", "", indices)
    return indices


def _index_array(name, attribute, indices):
    if indices.dtype not in INDEX_DTYPES:
        raise TypeError(
            f"{name}{attribute} must be int32 or int64, got {indices.dtype}; pass indices.astype(np.int64)."
        )
    if indices.ndim != 1:
        raise ValueError(f"{name}{attribute} must have one dimension, got shape {indices.shape}.")


def row_values(rows, indices):
    """Return the rows of a RowSparse as an array with one row per index."""
    rows = np.asarray(rows)
    if rows.dtype.name not in DTYPES or not rows.dtype.isnative:
        raise TypeError(f"`rows` must be float32 or float64, got {rows.dtype}; pass rows.astype(np.float64).")
    if rows.ndim == 0 or len(rows) != len(indices):
        raise ValueError(f"`rows` must have one row for each of the {len(indices)} indices, got shape {rows.shape}.")
    return rows


def row_sparse(name, grad, param):
    """Check that a RowSparse fits its parameter; its arrays may have been changed since it was made."""
    if param.ndim == 0:
        raise ValueError(f"{name} must be a number for a parameter without dimensions, got {grad!r}.")
    _index_array(name, ".indices", grad.indices)
    if len(grad.rows) != len(grad.indices) or grad.rows.shape[1:] != param.shape[1:]:
        raise ValueError(
            f"{name} must have rows of the shape {param.shape[1:]} of those of its parameter, one for each of "
            f"{len(grad.indices)} indices, got {grad.rows.shape}."
        )
    _same_dtype(name, grad.rows.dtype, param.dtype)


def scipy_gradient(name, grad, param):
    """Check shape and dtype of a scipy.sparse gradient."""
    vector = param.ndim == 1 and grad.shape in ((1, param.size), (param.size, 1))
    if grad.shape != param.shape and not vector:
        or_vector = f", or ({param.size}, 1) or (1, {param.size})," if param.ndim == 1 else ""
        raise ValueError(f"{name} must have the shape {param.shape}{or_vector} of its parameter, got {grad.shape}.")
    _same_dtype(name, grad.dtype, param.dtype)


def compressed(name, grad):
    """Check the index arrays of a CSR or CSC gradient as far as their bounds go; return the number of its rows."""
    indptr, n_major = grad.indptr, grad.shape[0] if grad.format == "csr" else grad.shape[1]
    if grad.ndim == 1:
        n_major = 1
    if indptr.shape != (n_major + 1,) or indptr[0] != 0 or (n_major > 1 and (indptr[1:] < indptr[:-1]).any()):
        raise ValueError(
            f"{name}.indptr must start at 0 and not descend over {n_major + 1} entries; the matrix is malformed, "
            f"as {grad.format}.check_format() would say."
        )
    if not 0 <= indptr[-1] <= min(len(grad.indices), len(grad.data)):
        raise ValueError(
            f"{name}.indptr must end at the number of entries, at most {min(len(grad.indices), len(grad.data))}, "
            f"got {indptr[-1]}."
        )
    _index_array(name, ".indices", grad.indices)
    if indptr.dtype != grad.indices.dtype:
        raise TypeError(f"{name}.indptr must be {grad.indices.dtype} like its indices, got {indptr.dtype}.")
    _one_value_each(name, grad.data[: indptr[-1]], grad.indices[: indptr[-1]])
    return n_major


def coordinates(name, grad):
    """Check the index arrays of a COO gradient but for their bounds."""
    for index in grad.coords:
        _index_array(name, ".coords", index)
        _one_value_each(name, grad.data, index)


def _one_value_each(name, values, index):
    if values.shape != index.shape:
        raise ValueError(f"{name} must have one value for each of {len(index)} indices, got shape {values.shape}.")


def _same_dtype(name, dtype, expected):
    if dtype != expected or not dtype.isnative:
        raise TypeError(f"{name} must be {expected} like its parameter, got {dtype}; pass grad.astype(np.{expected}).")


def refuse_index(name, index, at, n_positions):
    """Raise for an index that is outside the parameter."""
    raise IndexError(f"{name} must have indices in [0, {n_positions}), got {index[at]} at position {at}.")


def refuse_sparse_size(n, n_positions):
    """Raise for a gradient whose positions cannot be sorted in 64 bits each."""
    raise ValueError(
        f"`grad` must have fewer entries to be put in order, got {n} of {n_positions} positions; "
        "pass a dense gradient, or RowSparse(..., unique=True)."
    )


def refuse_moved_data(name):
    """Raise for data of an objective whose memory is no longer where it was bound."""
    raise ValueError(
        f"`{name}` must stay where it was when the objective was made, got an array that has been resized; "
        "make a new objective."
    )


# --- native objectives -----------------------------------------------------------------------------------


def refuse_signature(signature, real):
    """Raise for a LowLevelCallable whose signature is none of those that are called."""
    arguments = (f"intptr_t n, const {real} *x", f"{real} *gradient, void *user_data")
    raise ValueError(
        f"`fun` must be a LowLevelCallable with the signature `double ({', '.join(arguments)})`, or "
        f"`double ({', intptr_t n_batch, const int64_t *batch, '.join(arguments)})`, for {real} parameters, "
        f"got `{signature}`."
    )
