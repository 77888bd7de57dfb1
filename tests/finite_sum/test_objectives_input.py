"""What fastopt.objectives refuses, with which message, and odd layouts that it takes."""

import copy
import pickle
import re
import tracemalloc

import finite_sums
import numpy as np
import pandas
import pytest
import scipy.sparse
from finite_sums import DTYPES, LOSSES, evaluation_bits, make_data, make_objective, make_parameters, make_weights
from helpers import exactly, misaligned, spread

import fastopt
from fastopt import objectives

N, D = 12, 3
SAMPLES = np.random.default_rng(40).standard_normal((N, D))
LABELS = np.tile([1.0, 0.0], N // 2)
CLASSES = [getattr(objectives, name) for name in objectives.__all__]
EVERY_CLASS = pytest.mark.parametrize("cls", CLASSES)
EVERY_DTYPE = pytest.mark.parametrize("dtype", DTYPES)


def labels_of(cls):
    """Labels that a loss takes."""
    return LABELS + 1.0 if cls is objectives.Gamma else LABELS


def says(name, *parts):
    """A pattern for a message about an argument that has these parts in this order."""
    return rf"^`{name}`(\.\w+)? must .*" + ".*".join(re.escape(str(part)) for part in parts)


def csr(dtype="float64", index=np.int32):
    X = scipy.sparse.csr_array(SAMPLES.astype(dtype))
    arrays = X.data, X.indices.astype(index), X.indptr.astype(index)
    return scipy.sparse.csr_array(arrays, X.shape)


def changed(**arrays):
    """A CSR matrix with arrays that SciPy would not have taken."""
    X = csr()
    for name, array in arrays.items():
        setattr(X, name, array)
    return X


def entry(X, at, value):
    """A copy with one other entry."""
    X = X.copy()
    X[at] = value
    return X


def test_names():
    assert sorted(objectives.__all__) == objectives.__all__ == sorted({case.class_name for case in LOSSES.values()})


# --- X ---------------------------------------------------------------------------------------------------

SWAPPED = SAMPLES.dtype.newbyteorder("S")
DTYPE = "float32 or float64"
FORMAT = "a NumPy array or"
ROWS = "contiguous rows (C order)"
SIZE = "at least one feature"
# What is wrong -> X, the exception, and parts of its message: the constraint, what was got, a remedy.
BAD_SAMPLES = {
    "float16": (SAMPLES.astype("float16"), TypeError, DTYPE, "got float16", "np.ascontiguousarray"),
    "integers": (np.ones((N, D), int), TypeError, DTYPE, "got int64", "np.ascontiguousarray"),
    "bool": (np.ones((N, D), bool), TypeError, DTYPE, "got bool", "np.ascontiguousarray"),
    "complex": (SAMPLES.astype(complex), TypeError, DTYPE, "got complex128", "np.hstack"),
    "long double": (SAMPLES.astype(np.longdouble), TypeError, DTYPE, f"got {np.dtype(np.longdouble)}", "np."),
    "objects": (SAMPLES.astype(object), TypeError, DTYPE, "got object", "np.ascontiguousarray"),
    "swapped bytes": (SAMPLES.astype(SWAPPED), TypeError, DTYPE, f"got {SWAPPED}", "np.ascontiguousarray"),
    "list": (SAMPLES.tolist(), TypeError, FORMAT, "got list"),
    "DataFrame": (pandas.DataFrame(SAMPLES), TypeError, FORMAT, "got DataFrame"),
    "None": (None, TypeError, FORMAT, "got NoneType"),
    "one number": (np.float64(1.0), TypeError, FORMAT, "got float64"),
    "CSC": (csr().tocsc(), TypeError, "CSR", "got csc", "tocsr()"),
    "COO": (csr().tocoo(), TypeError, "CSR", "got coo", "tocsr()"),
    "LIL": (csr().tolil(), TypeError, "CSR", "got lil", "tocsr()"),
    "DOK": (csr().todok(), TypeError, "CSR", "got dok", "tocsr()"),
    "BSR": (csr().tobsr(), TypeError, "CSR", "got bsr", "tocsr()"),
    "DIA": (csr().todia(), TypeError, "CSR", "got dia", "tocsr()"),
    "CSR of integers": (csr().astype(int), TypeError, DTYPE, "got int64", "astype"),
    "CSR of bools": (csr().astype(bool), TypeError, DTYPE, "got bool", "astype"),
    "CSR of complex": (csr().astype(complex), TypeError, DTYPE, "got complex128", "hstack"),
    "Fortran order": (np.asfortranarray(SAMPLES), ValueError, ROWS, "strides (8, 96)", "ascontiguousarray"),
    "transposed": (np.ones((D, N)).T, ValueError, ROWS, "strides (8, 96)", "ascontiguousarray"),
    "every second column": (np.ones((N, 2 * D))[:, ::2], ValueError, ROWS, "strides (48, 16)", "ascontiguousarray"),
    "columns backwards": (SAMPLES[:, ::-1], ValueError, ROWS, "strides (24, -8)", "ascontiguousarray"),
    "same columns again": (np.broadcast_to(1.0, (N, D)), ValueError, ROWS, "strides (0, 0)", "ascontiguousarray"),
    "rows of records": (
        np.zeros(N, [("x", "f8", D), ("y", "i4")])["x"], ValueError, "", "got", "np.ascontiguousarray(X)"
    ),
    "not aligned": (misaligned(SAMPLES), ValueError, "aligned", "got", "X.copy()"),
    "no dimension": (np.array(1.0), ValueError, "two dimensions", "got shape ()"),
    "one dimension": (SAMPLES[0], ValueError, "two dimensions", "got shape (3,)"),
    "three dimensions": (SAMPLES[None], ValueError, "two dimensions", "got shape (1, 12, 3)"),
    "CSR of one dimension": (scipy.sparse.csr_array(SAMPLES[0]), ValueError, "two dimensions", "got shape (3,)"),
    "no features": (SAMPLES[:, :0], ValueError, SIZE, "got shape (12, 0)"),
    "CSR without features": (scipy.sparse.csr_array((3, 0)), ValueError, SIZE, "got shape (3, 0)"),
    "NaN at the start": (entry(SAMPLES, (0, 0), np.nan), ValueError, "finite", "NaN", ";"),
    "infinity at the end": (entry(SAMPLES, (-1, -1), np.inf), ValueError, "finite", "infinity", ";"),
    "-infinity in a slice": (entry(SAMPLES, (2, 1), -np.inf)[::2, :2], ValueError, "finite", "infinity", ";"),
    "NaN of float32": (entry(SAMPLES.astype("float32"), (5, 1), np.nan), ValueError, "finite", "NaN", ";"),
    "NaN among many": (entry(np.zeros((2_200_000, 1)), -1, np.nan), ValueError, "finite", "NaN", ";"),
    "NaN among many rows": (entry(np.zeros((9, 150_000)), (7, -2), np.nan)[:, 1:], ValueError, "finite", "NaN", ";"),
    "NaN in CSR": (changed(data=entry(csr().data, -1, np.nan)), ValueError, "finite", "NaN", ";"),
    "infinity in CSR": (changed(data=entry(csr().data, 0, np.inf)), ValueError, "finite", "infinity", ";"),
    "infinite sum": (
        scipy.sparse.csr_array((np.full(2, 1e308), [0, 0], [0, 2, 2]), (2, 3)), ValueError, "finite", "infinity", ";"
    ),
    "column too far": (changed(indices=entry(csr().indices, -1, D)), ValueError, "[0, 3)", "3"),
    "column below": (changed(indices=entry(csr().indices, 0, -1)), ValueError, "[0, 3)", "-1"),
    "column far too far": (
        changed(indices=entry(csr().indices.astype(int), 4, 2**32 + 1), indptr=csr().indptr.astype(int)),
        ValueError, "[0, 3)", 2**32 + 1,
    ),
    "row pointers not from 0": (changed(indptr=entry(csr().indptr, 0, 1)), ValueError, "valid CSR", "row pointers"),
    "row pointers below 0": (changed(indptr=entry(csr().indptr, 0, -1)), ValueError, "valid CSR", "row pointers"),
    "row pointers descend": (changed(indptr=entry(csr().indptr, 4, 0)), ValueError, "valid CSR", "row pointers"),
    "row pointers end beyond": (changed(indptr=entry(csr().indptr, -1, 999)), ValueError, "valid CSR", "row pointers"),
    "row pointers end below 0": (changed(indptr=entry(csr().indptr, -1, -3)), ValueError, "valid CSR", "row pointers"),
    "too few row pointers": (changed(indptr=csr().indptr[:-1]), ValueError, "valid CSR", "row pointers"),
    "no row pointers": (changed(indptr=csr().indptr[:0]), ValueError, "valid CSR", "row pointers"),
    "columns of no width": (changed(indices=csr().indices[:, None][:, :0]), ValueError, "valid CSR", "entries"),
    "entries of no width": (changed(data=csr().data[:, None][:, :0]), ValueError, "valid CSR", "entries"),
    "entries in two columns": (changed(data=np.ones((csr().nnz, 2))), ValueError, "valid CSR", "entries"),
    "strided columns, one too far": (
        changed(indices=np.repeat(entry(csr().indices, -1, D), 2)[::2]), ValueError, "[0, 3)", "3"
    ),
    "too few columns": (changed(indices=csr().indices[:-1]), ValueError, "valid CSR", "entries"),
    "too few entries": (changed(data=csr().data[:-1]), ValueError, "valid CSR", "entries"),
    "short columns": (changed(indices=csr().indices.astype("i2")), TypeError, "int32 or int64", "got int16"),
    "unsigned columns": (changed(indices=csr().indices.astype("u4")), TypeError, "int32 or int64", "got uint32"),
    "swapped columns": (
        changed(indices=csr().indices.astype(csr().indices.dtype.newbyteorder("S"))), TypeError, "int32 or int64", "got"
    ),
    "short row pointers": (changed(indptr=csr().indptr.astype("i2")), TypeError, "int32 or int64", "got int16"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_SAMPLES.values(), ids=BAD_SAMPLES)
def test_bad_samples(case):
    X, exception, *parts = case
    y = np.zeros(X.shape[0] if getattr(X, "shape", ()) else N)
    for cls in (objectives.LeastSquares, objectives.Softmax):
        with pytest.raises(exception, match=says("X", *parts)):
            cls(X, y)


@EVERY_CLASS
@pytest.mark.parametrize("X", [SAMPLES[:0], scipy.sparse.csr_array((0, 3))], ids=["dense", "CSR"])
def test_no_samples_have_a_sum_but_no_mean(cls, X):
    """As on a rank that has none, where others have some."""
    objective = cls(X, np.zeros(0))
    x = np.ones(objective.n_parameters)
    assert objective.sums(x)[0] == objective.total_weight == 0.0 and not objective.sums(x)[1].any()
    for call in (objective, objective.gradient, lambda x: fastopt.minimize(objective, x)):
        with pytest.raises(ValueError, match=says("X", "at least one sample, but for ranks with `comm`", "got none")):
            call(x)
    assert objective.decision_function(x).size == 0


@EVERY_CLASS
def test_every_class_looks_at_its_samples(cls):
    with pytest.raises(ValueError, match=says("X", "finite", "NaN")):
        cls(entry(SAMPLES, (3, 0), np.nan), labels_of(cls))
    with pytest.raises(TypeError, match=says("X", "tocsr")):
        cls(csr().tocsc(), labels_of(cls))


@pytest.mark.parametrize("hidden", [np.nan, 0.0], ids=["NaN", "zero"])
def test_masked_samples(hidden):
    """What is behind a mask must not be taken for a value."""
    X = np.ma.masked_array(entry(SAMPLES, (0, 0), hidden), np.zeros((N, D), bool))
    X[0, 0] = np.ma.masked
    with pytest.raises((TypeError, ValueError), match=says("X")):
        objectives.LeastSquares(X, LABELS)


# --- labels ----------------------------------------------------------------------------------------------

BINARY = ["Logistic", "Hinge", "ModifiedHuber", "SquaredHinge"]
SQUARES = ["LeastSquares", "Huber", "SquaredEpsilonInsensitive"]
REAL = [*SQUARES, "Quantile", "EpsilonInsensitive"]
EITHER = ("{-1, 1}", "{0, 1}")
# What is wrong -> the classes that refuse it, one label instead of the first, and parts of the message.
BAD_LABELS = {
    "a third label": (BINARY, 2.0, *EITHER, "2"),
    "-1 among 0 and 1": (BINARY, -1.0, *EITHER, "0"),
    "a half": (BINARY, 0.5, *EITHER, "0.5"),
    "nearly 1": (BINARY, 1 + 1e-9, *EITHER),
    "negative count": (["Poisson", "Tweedie"], -0.5, "at least 0", "-0.5"),
    "zero": (["Gamma"], 0.0, "above 0", "Gamma", "0.0"),
    "negative number": (["Gamma"], -0.5, "above 0", "Gamma", "-0.5"),
    "negative class": (["Softmax"], -1.0, "0, 1, 2", "-1"),
    "half a class": (["Softmax"], 1.5, "0, 1, 2", "1.5"),
    "class beyond float32": (["Softmax"], 2.0**24, "2**24", "16777216"),
    "NaN": (objectives.__all__, np.nan, "finite", "NaN"),
    "infinity": (objectives.__all__, np.inf, "finite", "infinity"),
    "-infinity": (objectives.__all__, -np.inf, "finite", "infinity"),
}


@EVERY_DTYPE
@pytest.mark.parametrize(
    "name, case", [(name, case) for case in BAD_LABELS.values() for name in case[0]],
    ids=[f"{what} in {name}" for what, case in BAD_LABELS.items() for name in case[0]],
)  # fmt: skip
def test_bad_labels(name, case, dtype):
    _, label, *parts = case
    with pytest.raises(ValueError, match=says("y", *parts)):
        cls = getattr(objectives, name)
        cls(SAMPLES.astype(dtype), entry(labels_of(cls), 0, label))


@EVERY_CLASS
@pytest.mark.parametrize(
    "y, exception, parts",
    [
        (LABELS[:-1], ValueError, ["(12,)", "got (11,)"]),
        (np.tile(LABELS, 2), ValueError, ["(12,)", "got (24,)"]),
        (LABELS[None], ValueError, ["(12,)", "got (1, 12)"]),
        (LABELS[:, None, None], ValueError, ["(12,)", "got (12, 1, 1)"]),
        (1.0, ValueError, ["(12,)", "got ()"]),
        ([], ValueError, ["(12,)", "got (0,)"]),
        (None, TypeError, ["real numbers", "got NoneType"]),
        (list("abcdefghijkl"), TypeError, ["real numbers", "got dtype <U1"]),
        (LABELS.astype(complex), TypeError, ["real numbers", "got dtype complex128"]),
        (LABELS.astype(object), TypeError, ["real numbers", "got ndarray"]),
        (LABELS.astype("datetime64[s]"), TypeError, ["real numbers", "got dtype datetime64[s]"]),
        ([[1], [0, 1]], TypeError, ["real numbers", "got list"]),
        (scipy.sparse.csr_array(LABELS[:, None]), TypeError, ["real numbers", "got csr_array"]),
    ],
    ids=[
        "short", "long", "row", "three dimensions", "scalar", "empty", "None", "text", "complex", "objects",
        "dates", "ragged", "sparse",
    ],
)  # fmt: skip
def test_labels_that_are_no_vector_of_numbers(cls, y, exception, parts):
    with pytest.raises(exception, match=says("y", *parts)):
        cls(SAMPLES, y)


@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("name", [*REAL, "Poisson"])
def test_labels_beyond_float32(name, layout):
    """They become infinite in the dtype of X, and so would every value."""
    X = finite_sums.as_layout(SAMPLES.astype("float32"), layout)
    with pytest.raises(ValueError, match=says("y")):
        getattr(objectives, name)(X, entry(LABELS, 3, 1e39))
    getattr(objectives, name)(X, entry(LABELS, 3, 1e38))
    getattr(objectives, name)(X.astype("float64"), entry(LABELS, 3, 1e39))


def test_labels_of_pandas():
    y = pandas.Series(LABELS, index=range(100, 100 + N))
    x = np.ones(D)
    assert evaluation_bits(objectives.Logistic(SAMPLES, y), x) == evaluation_bits(
        objectives.Logistic(SAMPLES, LABELS), x
    )


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_more_classes_than_in_the_labels(n_classes):
    objective = objectives.Softmax(SAMPLES, LABELS, n_classes=n_classes, fit_intercept=True)
    assert (objective.n_outputs, objective.n_parameters) == (n_classes, (D + 1) * n_classes)
    np.testing.assert_allclose(objective(np.zeros((D + 1) * n_classes)), np.log(n_classes), rtol=1e-15)


@pytest.mark.parametrize(
    "n_classes, exception, parts",
    [
        (2, ValueError, ["n_classes", "2", "got 5"]),
        (5, ValueError, ["n_classes", "5", "got 5"]),
        (0, ValueError, ["got 0"]),
        (-3, ValueError, ["got -3"]),
        (6.0, TypeError, ["integer", "got 6.0"]),
        ("6", TypeError, ["integer", "got '6'"]),
        (True, TypeError, ["integer", "got True"]),
    ],
)
def test_bad_number_of_classes(n_classes, exception, parts):
    name = "y" if parts[0] == "n_classes" else "n_classes"
    with pytest.raises(exception, match=says(name, *parts)):
        objectives.Softmax(SAMPLES, entry(LABELS, 4, 5), n_classes=n_classes)


# --- weights and the rest --------------------------------------------------------------------------------


@EVERY_CLASS
@pytest.mark.parametrize(
    "weight, exception, parts",
    [
        (np.zeros(N), ValueError, ["positive", "one sample", "got 0.0"]),
        (entry(np.ones(N), 2, -1e-300), ValueError, ["at least 0", "got -1e-300", ";"]),
        (entry(np.ones(N), 2, np.nan), ValueError, ["finite", "NaN", ";"]),
        (entry(np.ones(N), 2, np.inf), ValueError, ["finite", "infinity", ";"]),
        (np.ones(N + 1), ValueError, ["(12,)", "got (13,)"]),
        (np.ones((N, 2)), ValueError, ["(12,)", "got (12, 2)"]),
        (2.0, ValueError, ["(12,)", "got ()"]),
        ("balanced", TypeError, ["real numbers", "got str"]),
        ({0: 1.0, 1: 2.0}, TypeError, ["real numbers", "got dict"]),
        (np.ones(N, complex), TypeError, ["real numbers", "got"]),
    ],
    ids=["zero", "negative", "NaN", "infinity", "long", "two columns", "scalar", "text", "dict", "complex"],
)
def test_bad_weights(cls, weight, exception, parts):
    with pytest.raises(exception, match=says("sample_weight", *parts)):
        cls(SAMPLES, labels_of(cls), sample_weight=weight)


def test_weights_in_a_column_are_those_in_a_row():
    weight = np.arange(1.0, N + 1)
    column, row = (objectives.LeastSquares(SAMPLES, LABELS, sample_weight=each) for each in (weight[:, None], weight))
    assert column(np.ones(D)) == row(np.ones(D))


STRENGTHS = [
    (-1e-300, ValueError, "[0, inf)"),
    (np.nan, ValueError, "[0, inf)"),
    (np.inf, ValueError, "[0, inf)"),
    (10**400, ValueError, "[0, inf)"),
    ("1", TypeError, "real number"),
    (None, TypeError, "real number"),
    (True, TypeError, "real number"),
    (1j, TypeError, "real number"),
    (np.ones(1), TypeError, "real number"),
]


@EVERY_CLASS
@pytest.mark.parametrize("value, exception, constraint", STRENGTHS, ids=repr)
@pytest.mark.parametrize("name", ["l1", "l2"])
def test_bad_penalties(cls, name, value, exception, constraint):
    with pytest.raises(exception, match=says(name, constraint, "got")):
        cls(SAMPLES, labels_of(cls), **{name: value})


@pytest.mark.parametrize(
    "value, exception, constraint",
    [(0, ValueError, "(0, inf)"), *((v, e, c.replace("[0", "(0")) for v, e, c in STRENGTHS)],
    ids=repr,
)
def test_bad_delta(value, exception, constraint):
    with pytest.raises(exception, match=says("delta", constraint, "got")):
        objectives.Huber(SAMPLES, LABELS, delta=value)


@pytest.mark.parametrize(
    "value, exception, constraint",
    [
        (0, ValueError, "(0, 1)"),
        (1, ValueError, "(0, 1)"),
        (np.nan, ValueError, "(0, 1)"),
        ("1", TypeError, "real number"),
    ],
)
def test_bad_quantile(value, exception, constraint):
    with pytest.raises(exception, match=says("q", constraint, "got")):
        objectives.Quantile(SAMPLES, LABELS, q=value)


@pytest.mark.parametrize("value, exception, constraint", STRENGTHS, ids=repr)
@pytest.mark.parametrize("name", ["EpsilonInsensitive", "SquaredEpsilonInsensitive"])
def test_bad_epsilon(name, value, exception, constraint):
    with pytest.raises(exception, match=says("epsilon", constraint, "got")):
        getattr(objectives, name)(SAMPLES, LABELS, epsilon=value)


@pytest.mark.parametrize(
    "value, exception, parts",
    [
        (0.5, ValueError, ["at most 0 or at least 1", "got 0.5"]),
        (np.nextafter(1.0, 0.0), ValueError, ["at most 0 or at least 1"]),
        (np.inf, ValueError, ["(-inf, inf)"]),
        (np.nan, ValueError, ["(-inf, inf)"]),
        ("1", TypeError, ["real number"]),
    ],
)
def test_bad_power(value, exception, parts):
    with pytest.raises(exception, match=says("power", *parts)):
        objectives.Tweedie(SAMPLES, LABELS, power=value)


@pytest.mark.parametrize(
    "power, least", [(-1.0, None), (0.0, None), (1.0, 0.0), (1.99, 0.0), (2.0, "above"), (3.5, "above")]
)
def test_labels_that_a_power_takes(power, least):
    good = {None: -2.0, 0.0: 0.0, "above": 1e-300}[least]
    objectives.Tweedie(SAMPLES, entry(LABELS + 1, 0, good), power=power)
    if least is not None:
        bad, words = (-1e-300, "at least 0") if least == 0.0 else (0.0, "above 0 for Tweedie of this power")
        with pytest.raises(ValueError, match=says("y", words, bad)):
            objectives.Tweedie(SAMPLES, entry(LABELS + 1, 0, bad), power=power)


@EVERY_CLASS
@pytest.mark.parametrize("value", [0, 1, None, "yes", 1.0, np.ones(1, bool)], ids=repr)
def test_bad_flag(cls, value):
    with pytest.raises(TypeError, match=says("fit_intercept", "True or False", f"got {value!r}")):
        cls(SAMPLES, labels_of(cls), fit_intercept=value)


@EVERY_CLASS
def test_options_have_names(cls):
    for arguments, keywords in [((0.1,), {}), ((), {"alpha": 0.1}), ((), {"intercept": True})]:
        with pytest.raises(TypeError, match="argument"):
            cls(SAMPLES, labels_of(cls), *arguments, **keywords)
    with pytest.raises(TypeError, match="argument"):
        cls(SAMPLES)


def test_numbers_of_numpy_are_numbers():
    objective = objectives.Huber(
        SAMPLES, LABELS, l2=np.float32(0.5), l1=np.int64(2), delta=np.float64(3), fit_intercept=np.True_
    )
    assert (objective.l2, objective.l1, objective.delta, objective.fit_intercept) == (0.5, 2.0, 3.0, True)


# --- evaluation ------------------------------------------------------------------------------------------

METHODS = {
    "value": lambda objective: objective,
    "gradient": lambda objective: objective.gradient,
    "both": lambda objective: objective.value_and_gradient,
}
EVERY_METHOD = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@EVERY_METHOD
@pytest.mark.parametrize("fit_intercept", [False, True], ids=["", "intercept"])
@EVERY_CLASS
def test_parameters_of_the_wrong_shape(cls, fit_intercept, method):
    objective = cls(csr(), labels_of(cls), fit_intercept=fit_intercept)
    n = (D + fit_intercept) * (2 if cls is objectives.Softmax else 1)
    x = np.ones(n)
    before = evaluation_bits(objective, x)
    for wrong in (np.ones(n - 1), np.ones(n + 1), np.ones((n, 1)), np.ones((1, n)), np.ones(0), np.float64(1.0)):
        with pytest.raises(ValueError, match=says("x", f"({n},)", f"got {np.shape(wrong)}")):
            method(objective)(wrong)
    with pytest.raises(ValueError, match=says("x", f"({n},)")):
        objective.decision_function(np.ones(n + 1))
    assert evaluation_bits(objective, x) == before


@EVERY_METHOD
@pytest.mark.parametrize(
    "x", [None, "abc", list("abc"), np.ones(D, complex), np.ones(D, object), [[1], [2, 3]], {}],
    ids=["None", "text", "list of text", "complex", "objects", "ragged", "dict"],
)  # fmt: skip
def test_parameters_that_are_no_numbers(x, method):
    with pytest.raises((TypeError, ValueError), match=says("x")):
        method(objectives.Logistic(SAMPLES, LABELS))(x)


BAD_IDX = {
    "too far": ([0, N], IndexError, "[0, 12)", "12"),
    "negative": ([3, -1], IndexError, "[0, 12)", "-1"),
    "far too far": (np.array([2**62]), IndexError, "[0, 12)", 2**62),
    "far below": (np.array([0, -(2**63)]), IndexError, "[0, 12)", -(2**63)),
    "wraps around": (np.array([2**64 - 1], np.uint64), IndexError, "[0, 12)", 2**64 - 1),
    "low bits in range": (np.array([2**32 + 1]), IndexError, "[0, 12)", 2**32 + 1),
    "int8 below": (np.array([-128], np.int8), IndexError, "[0, 12)", "-128"),
    "last of many": (np.append(np.zeros(100_000, int), N), IndexError, "[0, 12)", "12"),
    "empty": (np.array([], int), ValueError, "at least one"),
    "empty list": ([], ValueError, "at least one"),
    "a number": (3, (TypeError, ValueError), "one-dimensional", "got"),
    "two dimensions": ([[0, 1]], (TypeError, ValueError), "one-dimensional", "got"),
    "mask": (LABELS > 0, TypeError, "integers", "got bool"),
    "floats": ([0.0, 1.0], TypeError, "integers", "got float64"),
    "text": (["a"], TypeError, "integers", "got"),
    "objects": (np.array([0, None]), TypeError, "integers", "got object"),
    "slice": (slice(3), TypeError, "integers", "got"),
    "ragged": ([[0], [1, 2]], (TypeError, ValueError), "integers"),
}


@EVERY_METHOD
@pytest.mark.parametrize("case", BAD_IDX.values(), ids=BAD_IDX)
def test_bad_sample_numbers(case, method):
    idx, exception, *parts = case
    for X in (SAMPLES, csr()):
        objective = objectives.Logistic(X, LABELS)
        before = evaluation_bits(objective, np.ones(D), [0, 11])
        with pytest.raises(exception, match=says("idx", *parts)):
            method(objective)(np.ones(D), idx)
        assert evaluation_bits(objective, np.ones(D), [0, 11]) == before


@pytest.mark.parametrize("own", [SAMPLES, csr()], ids=["dense", "CSR"])
@EVERY_CLASS
def test_decision_function_of_other_features(cls, own):
    objective = cls(own, labels_of(cls))
    x = np.ones(objective.n_parameters)
    for X in (SAMPLES[:, :2], np.ones((4, D + 1)), SAMPLES[0], csr()[:, :2], np.float64(1.0)):
        with pytest.raises(ValueError, match=says("X", "(n, 3)", f"got {np.shape(X)}")):
            objective.decision_function(x, X)


@EVERY_DTYPE
@pytest.mark.parametrize("size", [1e30, 1e300])
@pytest.mark.parametrize("layout", ["dense", "csr32"])
@pytest.mark.parametrize("name", [*SQUARES, "SquaredHinge", "Poisson"])
def test_overflow_is_infinite(name, layout, size, dtype):
    """A line search may go far too far: it must see inf or NaN, or a huge number, but no warning."""
    X = finite_sums.as_layout(np.abs(SAMPLES).astype(dtype), layout)
    objective = getattr(objectives, name)(X, LABELS, l2=1e20, l1=1.0)
    for x in (np.full(D, size), np.full(D, -size)):
        value, gradient = objective.value_and_gradient(x)
        assert not value < 1e50 and not np.abs(gradient).min() < 1e29
        assert not objective(x) < 1e50


# --- odd layouts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [["data"], ["indices"], ["indptr"], ["data", "indices", "indptr"]], ids="-".join)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@EVERY_DTYPE
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_spread_arrays_of_csr(loss, dtype, index, which):
    """SciPy keeps views with gaps between their entries as they are."""
    case = LOSSES[loss]
    X, y = make_data(loss, 30, 6, dtype, "csr64" if index is np.int64 else "csr32", seed=41)
    arrays = {name: getattr(X, name) for name in ("data", "indices", "indptr")}
    arrays |= {name: spread(arrays[name]) for name in which}
    gaps = scipy.sparse.csr_array(tuple(arrays.values()), X.shape)
    assert all(getattr(gaps, name).strides[0] == 2 * getattr(gaps, name).itemsize for name in which)
    x = make_parameters(case, 6, dtype, False, seed=41)
    assert evaluation_bits(make_objective(case, gaps, y), x) == evaluation_bits(make_objective(case, X, y), x)
    assert evaluation_bits(make_objective(case, gaps, y), x, [7, 3, 29]) == evaluation_bits(
        make_objective(case, X, y), x, [7, 3, 29]
    )


@pytest.mark.parametrize("n_entries", [0, 1, 20])
def test_spare_room_in_csr(n_entries):
    """Entries beyond the last row pointer are not part of the matrix, whatever they are."""
    X = csr()
    X.indptr = np.minimum(X.indptr, n_entries)
    X.data[n_entries:], X.indices[n_entries:] = np.nan, -1
    exact = scipy.sparse.csr_array((X.data[:n_entries], X.indices[:n_entries], X.indptr), X.shape)
    x = np.ones(D)
    assert evaluation_bits(objectives.Logistic(X, LABELS), x) == evaluation_bits(objectives.Logistic(exact, LABELS), x)
    assert (X.nnz, len(X.data)) == (n_entries, N * D)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_numpy_matrix():
    """Decisions have the shape that they have for arrays."""
    objective = objectives.Logistic(np.asmatrix(SAMPLES), LABELS, fit_intercept=True)
    x = np.ones(D + 1)
    plain = objectives.Logistic(SAMPLES, LABELS, fit_intercept=True)
    assert evaluation_bits(objective, x) == evaluation_bits(plain, x)
    assert objective.max_smoothness == plain.max_smoothness
    for decisions in (objective.decision_function(x), plain.decision_function(x, np.asmatrix(SAMPLES))):
        assert decisions.shape == (N,)
        np.testing.assert_array_equal(decisions, plain.decision_function(x))


def test_what_is_outside_a_slice_does_not_matter():
    wide = np.full((2 * N, D + 2), np.nan)
    wide[::2, 1:-1] = SAMPLES
    actual, expected = objectives.Logistic(wide[::2, 1:-1], LABELS), objectives.Logistic(SAMPLES, LABELS)
    assert evaluation_bits(actual, np.ones(D)) == evaluation_bits(expected, np.ones(D))


@EVERY_DTYPE
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_read_only_csr(dtype, index):
    X = csr(dtype, index)
    x = np.ones(D, dtype)
    expected = evaluation_bits(objectives.Logistic(X, LABELS), x)
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    assert evaluation_bits(objectives.Logistic(X, LABELS), x) == expected


@pytest.mark.parametrize("duplicates", [False, True], ids=["sorted", "with duplicates"])
def test_read_only_csr_out_of_order(duplicates):
    """A copy is put in order, not the matrix."""
    columns = [2, 0, 2, 1] if duplicates else [2, 0, 1, 0]
    X = scipy.sparse.csr_array(([1.0, 2.0, 3.0, 4.0], columns, [0, 3, 4]), (2, 3))
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    objective = objectives.LeastSquares(X, [1.0, 2.0])
    expected = objectives.LeastSquares(X.toarray(), [1.0, 2.0])
    assert evaluation_bits(objective, np.ones(3)) == evaluation_bits(expected, np.ones(3))
    assert X.indices.tolist() == columns


@pytest.mark.parametrize("layout", ["dense", "slice", "csr32", "csr64"])
@EVERY_DTYPE
def test_samples_are_not_copied(dtype, layout):
    """Neither when the objective is made nor by an evaluation, but for the indices of CSR samples."""
    X = np.random.default_rng(42).standard_normal((20_000, 60)).astype(dtype)
    nbytes, indices, y = X.nbytes, 0, np.ones(20_000)
    X = X[:, 1:59] if layout == "slice" else finite_sums.as_layout(X, layout)
    if layout.startswith("csr"):
        indices = X.indices.nbytes + X.indptr.nbytes
    tracemalloc.start()
    try:
        objective = objectives.LeastSquares(X, y)
        objective.value_and_gradient(np.ones(X.shape[1]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.2 * nbytes + indices + 2**20


# --- copies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))],
                         ids=["copy", "deepcopy", "pickle"])  # fmt: skip
@pytest.mark.parametrize("layout", ["dense", "csr32", "csr64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_copies_and_pickles_give_the_same_bits(loss, layout, again):
    case = LOSSES[loss]
    X, y = make_data(loss, 9, 4, "float32", layout, seed=3)
    weights = make_weights(9, seed=3)
    objective = make_objective(case, X, y, l2=0.1, l1=0.2, fit_intercept=True, sample_weight=weights)
    other = again(objective)
    x = make_parameters(case, 4, "float32", True, seed=3)
    assert repr(other) == repr(objective)
    for before, after in zip(objective.value_and_gradient(x), other.value_and_gradient(x), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_deep_copy_has_data_of_its_own():
    X = np.ones((3, 2))
    objective = objectives.LeastSquares(X, np.zeros(3))
    other = copy.deepcopy(objective)
    X[...] = 0.0
    assert (objective(np.ones(2)), other(np.ones(2))) == (0.0, 2.0)


def test_a_method_in_the_place_of_args_is_pointed_out():
    objective = objectives.LeastSquares(np.ones((3, 2)), np.zeros(3))
    message = "`args` must be empty for a built-in objective, got 'adam'; pass method='adam'."
    with pytest.raises(ValueError, match=exactly(message)):
        fastopt.minimize(objective, np.zeros(2), "adam")


def test_classes_without_a_loss_of_this_library():
    class Unknown(objectives.Logistic):
        loss = "mine"

    with pytest.raises(KeyError, match="mine"):
        Unknown(np.ones((2, 1)), [0, 1])
    with pytest.raises(TypeError, match="is a base class without a loss; make one of its subclasses, such as"):
        objectives.Logistic.__mro__[1](np.ones((2, 1)), [0, 1])
