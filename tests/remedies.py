"""The table of tests/core/test_remedies.py: mistakes, and what is true when the message about each has been followed.

Each row is code of a user: `setup` makes the names, `call` is refused. The remedy is taken out of the message itself
where it is code, and done; `follow` does what a remedy in words says. Then `call` is made again, and `check` holds.
"""

import dataclasses
import io
import re
import tempfile
import traceback
import types
import warnings

import helpers
import numpy as np
import pandas
import scipy.optimize
import scipy.sparse
from refusals import MatricesOnly
from thread_ranks import alone

import fastopt
import fastopt.distributed


@dataclasses.dataclass
class Row:
    """One mistake; all but `again` is Python code, which sees the names of `namespace`."""

    setup: str
    call: str
    check: str = "True"
    follow: str = ""
    again: bool = True  # whether the call is made again once the remedy has been followed


class DetachedTensor:
    """What torch.Tensor has, as far as messages know of it: memory that it shares with a NumPy array."""

    dtype = "torch.float64"

    def __init__(self, array):
        self.memory = array

    def numpy(self):
        return self.memory

    def __array__(self, dtype=None, copy=None):
        return self.memory.astype(dtype or self.memory.dtype)


class BFloat16(DetachedTensor):
    """A tensor of a dtype that NumPy does not have."""

    dtype = "torch.bfloat16"

    def detach(self):
        return self

    def float(self):
        return DetachedTensor(self.memory.astype(np.float32))

    def numpy(self):
        raise TypeError("Got unsupported ScalarType BFloat16")

    def __array__(self, dtype=None, copy=None):
        return self.numpy()


class Tensor(DetachedTensor):
    """A tensor that takes part in automatic differentiation."""

    def detach(self):
        return DetachedTensor(self.memory)

    def numpy(self):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")

    __array__ = numpy


def namespace():
    """The names that rows use."""
    names = {name: getattr(fastopt, name) for name in fastopt.__all__ if name != "__version__"}
    names |= {name: getattr(fastopt.objectives, name) for name in fastopt.objectives.__all__}
    modules = {"np": np, "pandas": pandas, "scipy": scipy, "fastopt": fastopt, "types": types}
    modules |= {"io": io, "tempfile": tempfile, "warnings": warnings}
    modules |= {"distributed": fastopt.distributed, "comm": alone()}
    own = {"MatricesOnly": MatricesOnly, "Tensor": Tensor, "DetachedTensor": DetachedTensor, "BFloat16": BFloat16}
    return names | modules | own | {name: getattr(helpers, name) for name in ("misaligned", "on_disk", "read_only")}


# Statements, and the expression for what the message names first.
STATEMENTS = re.compile(
    r"(?:; bind the converted array and read the result there:|; make it one first:|; set|load it:"
    r"|as the state differs:|; leave such samples out:|out of the group:) (.+)\.$"
)
EXPRESSION = re.compile(r"; (?:pass|take) (?P<code>.+?)(?: for classes| for batches| where there is no gradient)?\.$")
NAME = re.compile(r"^[`']([^`']+)[`']")
MEANT = re.compile(r"`(\w+)`.*Did you mean [`'](\w+)[`']\?")


def refusal(row):
    """The names after `setup`, and the exception of `call`."""
    names = namespace()
    exec(row.setup, names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(row.call, names)
    except Exception as error:
        return names, error
    raise AssertionError(f"not refused: {row.call}")


def raised_at(error):
    """File and line of the statement that raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename, last.lineno


def remedy_of(row, message):
    """The code that does what a message says."""
    statements = STATEMENTS.search(message)
    if statements:
        return statements[1]
    expression = EXPRESSION.search(message)
    assert expression, f"no code in {message!r}"
    return f"{NAME.match(message)[1]} = {expression['code']}"


def followed(row):
    """The names after the remedy has been followed and the call made again."""
    names, error = refusal(row)
    meant = MEANT.search(str(error))
    call = row.call
    if row.follow:
        exec(row.follow, names)
    elif meant:
        call = re.sub(rf"\b{meant[1]}\b", meant[2], call)
    else:
        exec(remedy_of(row, str(error)), names)
    if row.again:
        exec(call, names)
    return names


# --- parameters ------------------------------------------------------------------------------------------------

BIND = "opt = SGD(params, learning_rate=1.0)"
TRAINED = "opt.step(np.ones_like(params)) or (params == before - 1).all()"


def bound(setup, before):
    """Parameters that are bound after a conversion; training changes the array that the user has then."""
    return Row(f"{setup}; before = {before}", BIND, TRAINED)


PARAMETERS = {
    "read-only": bound("params = read_only(np.arange(3.0))", "np.arange(3.0)"),
    "read-only float32": bound("params = read_only(np.ones(3, np.float32))", "np.ones(3, np.float32)"),
    "a JAX array, which is read-only": bound("params = np.broadcast_to(2.0, (3,))", "np.full(3, 2.0)"),
    "strided": bound("params = np.arange(24.0).reshape(4, 6)[:, ::2]", "params.copy()"),
    "Fortran order": bound("params = np.asfortranarray(np.arange(6.0).reshape(2, 3))", "params.copy()"),
    "reversed": bound("params = np.arange(3.0)[::-1]", "params.copy()"),
    "misaligned": bound("params = misaligned(np.arange(3.0))", "params.copy()"),
    "misaligned and strided": bound("params = misaligned(np.arange(6.0))[::2]", "params.copy()"),
    "other byte order": bound("params = np.arange(3.0).astype(np.dtype('f8').newbyteorder('S'))", "np.arange(3.0)"),
    "int": bound("params = np.arange(3)", "np.arange(3.0)"),
    "int in Fortran order": bound("params = np.arange(6).reshape(2, 3).T", "params.astype(float)"),
    "float16": bound("params = np.ones(3, np.float16)", "np.ones(3)"),
    "bool": bound("params = np.ones(3, bool)", "np.ones(3)"),
    "objects": bound("params = np.array([1, 2.5], object)", "np.array([1, 2.5])"),
    "masked": bound("params = np.ma.masked_array([1.0, 2.0], [False, True])", "np.array([1.0, 0.0])"),
    "masked int": bound("params = np.ma.masked_array([1, 2], [False, True])", "np.array([1.0, 0.0])"),
    "masked without masked entries": bound("params = np.ma.masked_array([1.0, 2.0])", "np.array([1.0, 2.0])"),
    "number": bound("params = 1.5", "np.array(1.5)"),
    "list of numbers": bound("params = [1.0, 2, 3]", "np.array([1.0, 2, 3])"),
    "lists of numbers": bound("params = [[1.0, 2], [3, 4]]", "np.array([[1.0, 2], [3, 4]])"),
    "tuple of numbers": bound("params = (1.0, np.float32(2))", "np.array([1.0, 2])"),
    "bfloat16": bound("params = BFloat16(np.ones(3))", "np.ones(3, np.float32)"),
    "DataFrame": bound("params = pandas.DataFrame({'a': [1.0, 2.0], 'b': [3, 4]})", "params.to_numpy(float)"),
    "Series": bound("params = pandas.Series([1, 2])", "params.to_numpy(float)"),
    "tensor": bound("memory = np.ones(3); params = Tensor(memory)", "np.ones(3)"),
    "tensor without gradient": bound("memory = np.ones(3); params = DetachedTensor(memory)", "np.ones(3)"),
    "the tensor itself is trained": Row(
        "memory = np.ones(3); params = Tensor(memory)", BIND, "opt.step(np.ones(3)) or (memory == 0).all()"
    ),
    "complex": Row(
        "params = mine = np.array([1 + 2j, 3 - 1j])", BIND,
        "opt.step((mine - 5).view(float)) or (mine == 5).all()",  # of |p - 5|^2 / 2; in place
    ),
    "complex64": Row(
        "params = mine = np.array([1 + 2j], np.complex64)", BIND, "opt.step(np.ones(2, 'f4')) or mine[0] == 1j"
    ),
    "complex in Fortran order": Row(
        "params = np.ones((2, 3), complex, order='F')", BIND, "params.shape == (2, 6) and opt.params is params"
    ),
    "complex and read-only": Row("params = read_only(np.ones(2, complex))", BIND, "opt.step(np.ones(4)) is None"),
    "one complex number": Row("params = np.array(1 + 2j)", BIND, "params.tolist() == [1, 2]"),
    "generator": Row(
        "arrays = [np.ones(2), np.ones(3)]; params = (each for each in arrays)", BIND,
        "opt.step([np.ones(2), np.ones(3)]) or (arrays[0] == 0).all()",
    ),
    "values of a dict": Row("w = {'a': np.ones(2)}; params = w.values()", BIND, "opt.params[0] is w['a']"),
    "mapping": Row("w = np.ones(2); params = types.MappingProxyType({'a': w})", BIND, "opt.params['a'] is w"),
    "list in a list": Row("params = [[1, 2], np.ones(2)]", BIND, "params[0].tolist() == [1, 2] and len(params) == 2"),
    "number in a dict": Row("params = {'b': 1.0, 'w': np.ones(2)}", BIND, "opt.params['b'] is params['b']"),
    "read-only in a tuple": Row("params = (np.ones(2), read_only(np.ones(3)))", BIND, "opt.params[1] is params[1]"),
    "groups of torch": Row(
        "w, b = np.ones(2), np.ones(3); params = [{'params': [w], 'lr': 0.5}, {'params': b, 'lr': 0.25}]",
        "Adam(params)",
        "[each.learning_rate for each in opts] == [0.5, 0.25] and opts[0].params[0] is w and opts[1].params is b",
        "opts = [Adam(group['params'], learning_rate=group['lr']) for group in params]", again=False,
    ),
    "groups of torch without rates": Row(
        "w, b = np.ones(2), np.ones(3); params = [{'params': [w]}, {'params': b}]", "Adam(params)",
        "[each.learning_rate for each in opts] == [0.001] * 2 and opts[0].params[0] is w",
        "opts = [Adam(group['params']) for group in params]", again=False,
    ),
    "groups of torch, some with rates": Row(
        "w, b = np.ones(2), np.ones(3); params = [{'params': [w]}, {'params': b, 'lr': 0.25}]", "Adam(params)",
        "[each.learning_rate for each in opts] == [0.001, 0.25] and opts[0].params[0] is w",
        "opts = [Adam(group['params'], learning_rate=group.get('lr', 0.001)) for group in params]", again=False,
    ),
    "one group of torch": Row(
        "w = np.ones(2); params = {'params': [w], 'lr': 0.5}", "Adam(params)",
        "opt.learning_rate == 0.5 and opt.params[0] is w", again=False,
    ),
    "one group of torch with an array": Row(
        "w = np.ones(2); params = {'params': w, 'weight_decay': 0.5}", "Adam(params)", "opt.params is w", again=False,
    ),
    "nested": Row(
        "w = np.ones(2); params = {'layer': {'w': w}}", BIND, "opt.params['layer.w'] is w", "params = {'layer.w': w}"
    ),
    "None": Row("params = [np.ones(2), None]", BIND, "len(opt.params) == 1", "del params[1]"),
    "twice": Row("w = np.ones(2); params = [w, w]", BIND, "opt.params[0] is w", "params = [w]"),
    "resized": Row(
        "params = np.ones(2); opt = SGD(params); params.resize(3, refcheck=False); grad = np.ones(3)", "opt.step(grad)",
        "opt.step_count == 1", "opt = SGD(params)",
    ),
}  # fmt: skip

# --- gradients -------------------------------------------------------------------------------------------------

STEP = "opt.step(grad)"


def stepped(grad, param="np.zeros(2)", expected="[-1, -2]"):
    """A gradient that is converted; the step is that of the numbers in it."""
    return Row(f"w = {param}; opt = SGD(w, learning_rate=1.0); grad = {grad}", STEP, f"w.tolist() == {expected}")


SPARSE = "w = np.zeros((3, 2)); opt = SGD(w, learning_rate=1.0); "
MATRIX = SPARSE + "grad = scipy.sparse.csr_array([[0, 0], [0, 5.0], [0, 0]]); "
FIVE = "w.tolist() == [[0, 0], [0, -5], [0, 0]]"
GRADIENTS = {
    "list as gradient": stepped("[1, 2]"),
    "float32 for float64": stepped("np.array([1, 2], np.float32)"),
    "int": stepped("np.array([1, 2])"),
    "objects as gradient": stepped("np.array([1, 2], object)"),
    "gradient in other byte order": stepped("np.array([1.0, 2]).astype(np.dtype('f8').newbyteorder('S'))"),
    "misaligned gradient": stepped("misaligned(np.array([1.0, 2]))"),
    "column": stepped("np.array([[1.0], [2.0]])"),
    "masked gradient": stepped("np.ma.masked_array([1.0, 9.0], [False, True])", expected="[-1, 0]"),
    "matrix as gradient": stepped("np.array([[1.0, 2.0]]).view(np.matrix)"),
    "strided matrix as gradient": stepped("np.array([[1.0, 0, 2.0]]).view(np.matrix)[:, ::2]"),
    "masked gradient without masked entries": stepped("np.ma.masked_array([1.0, 2.0])"),
    "bfloat16 as gradient": stepped("BFloat16(np.array([1.0, 2.0]))", "np.zeros(2, 'f4')"),
    "Series as gradient": stepped("pandas.Series([1.0, 2.0])"),
    "DataFrame as gradient": stepped("pandas.DataFrame({'a': [1.0], 'b': [2.0]})", "np.zeros((1, 2))", "[[-1, -2]]"),
    "tensor as gradient": stepped("Tensor(np.array([1.0, 2.0]))"),
    "complex for real": stepped("np.array([1 + 9j, 2])"),
    "complex for real and imaginary parts": stepped("np.array([1 + 2j])"),
    "complex64 for real and imaginary parts": stepped("np.array([1 + 2j], np.complex64)"),
    "number as gradient": stepped("3.0", "np.zeros(())", "-3.0"),
    "no gradient": Row("params = np.ones(2); opt = SGD(params); grad = None", STEP, "params.tolist() == [1, 1]"),
    "gradients from a generator": Row(
        "w = np.ones(2); opt = SGD([w], learning_rate=1.0); grad = (each for each in [np.ones(2)])", STEP,
        "w.tolist() == [0, 0]",
    ),
    "an array for a list": Row(
        "w = np.ones(2); opt = SGD([w], learning_rate=1.0); grad = np.ones(2)", STEP, "w.tolist() == [0, 0]"
    ),
    "a mapping for a dict": Row(
        "opt = SGD({'w': np.ones(2)}); grad = types.MappingProxyType({'w': np.ones(2)})", STEP, "opt.step_count == 1"
    ),
    "shares memory": Row(
        "w = np.ones(2); opt = SGD(w, learning_rate=1.0); grad = w[::-1]", STEP, "w.tolist() == [0, 0]",
    ),
    "vectors for Muon": Row(
        "params = [np.ones((2, 2)), np.ones(2)]", "MatricesOnly(params)",
        "opt.params[0].shape == (2,)", follow="opt = fastopt.AdamW([params.pop()])",
    ),
    "more columns than BLAS counts": Row(
        "params = on_disk((1, 2**31), np.float32)", "Muon(params)", "opt.params is params",
        follow="opt = fastopt.SGD(params)", again=False,
    ),
    "rows that share memory": Row(
        SPARSE + "w += 1; grad = RowSparse([1], w[1:2])", STEP, "w.tolist() == [[1, 1], [0, 0], [1, 1]]"
    ),
    "matrix that shares memory": Row(
        SPARSE + "w += 1; grad = scipy.sparse.csr_array(w); grad.data = w.ravel()", STEP, "(w == 0).all()"
    ),
    "rows of float32": Row(SPARSE + "grad = RowSparse([1], np.ones((1, 2), 'f4'))", STEP, "w[1].tolist() == [-1, -1]"),
    "matrix of float32": Row(MATRIX + "grad = grad.astype('f4')", STEP, FIVE),
    "matrix of int": Row(MATRIX + "grad = grad.astype(int)", STEP, FIVE),
    "complex matrix": Row(MATRIX + "grad = grad.astype(complex)", STEP, FIVE),
    "matrix with short columns": Row(MATRIX + "grad.indices = grad.indices.astype('i2')", STEP, FIVE),
    "matrix with short row pointers": Row(MATRIX + "grad.indptr = grad.indptr.astype('i2')", STEP, FIVE),
    "COO with short columns": Row(
        MATRIX + "grad = grad.tocoo(); grad.coords = tuple(each.astype('i2') for each in grad.coords)", STEP, FIVE
    ),
    "rows with short indices": Row(
        SPARSE + "grad = RowSparse([1], np.ones((1, 2))); grad.indices = grad.indices.astype('i2')", STEP,
        "w[1, 0] == -1",
    ),
    "malformed matrix": Row(
        MATRIX + "grad.indptr = np.array([0, 1, 0, 1], np.int32)", STEP, "said",
        "said = False\ntry:\n    grad.check_format()\nexcept ValueError:\n    said = True", again=False,
    ),
    "mask as indices": Row(
        SPARSE + "indices = np.array([False, True, False]); rows = np.ones((1, 2))", "grad = RowSparse(indices, rows)",
        "opt.step(grad) or w[:, 0].tolist() == [0, -1, 0]",
    ),
    "floats as indices": Row("indices = [0.0, 2.0]", "grad = RowSparse(indices, np.ones(2))", "grad.indices[1] == 2"),
    "short indices": Row("indices = np.ones(1, 'u2')", "grad = RowSparse(indices, np.ones(1))", "grad.indices[0] == 1"),
    "masked indices": Row(
        "indices = np.ma.masked_array([3, 1], [True, False])", "grad = RowSparse(indices, np.ones(2))",
        "grad.indices.tolist() == [0, 1]",
    ),
    "int rows": Row("rows = [1, 2]", "grad = RowSparse([0, 1], rows)", "grad.rows.tolist() == [1, 2]"),
    "masked rows": Row(
        "rows = np.ma.masked_array([3.0, 1], [True, False])", "grad = RowSparse([0, 1], rows)",
        "grad.rows.tolist() == [0, 1]",
    ),
    "too many entries": Row(
        SPARSE, "fastopt._validation.sparse_gradients.refuse_sparse_size(2**33, 2**62)", "(w[1] == -1).all()",
        "opt.step(RowSparse([1], np.ones((1, 2)), unique=True))", again=False,
    ),
    "indices in a list": Row(
        SPARSE + "grad = RowSparse([1], np.ones((1, 2))); grad.indices = [2]", STEP, "w[2].tolist() == [-1, -1]"
    ),
    "rows in a list": Row(
        SPARSE + "grad = RowSparse([1], np.ones((1, 2))); grad.rows = [[1, 2]]", STEP, "w[1].tolist() == [-1, -2]"
    ),
    "COO with columns in lists": Row(
        MATRIX + "grad = grad.tocoo(); grad.coords = tuple(each.tolist() for each in grad.coords)", STEP, FIVE
    ),
    "base resized": Row(
        "w = np.zeros(2); opt = SGD(w, learning_rate=1.0); base = np.ones(4); grad = base[2:]\n"
        "base.resize(1, refcheck=False)",
        STEP, "w.tolist() == [-1, -1]", "grad = np.ones(2)",
    ),
    "not finite": Row(
        "w = np.ones(2); opt = SGD(w, nonfinite='raise'); grad = np.array([1, np.inf])", STEP, "(w == 1).all()",
        "opt = SGD(w, nonfinite='skip')",
    ),
    "value not finite": Row(
        "w = np.ones(2); opt = MoMo(w, nonfinite='raise'); f = np.nan", "opt.step(w + 1, value=f)", "(w == 1).all()",
        "opt = MoMo(w, nonfinite='skip')",
    ),
    "value left out": Row(
        "w = np.ones(2); opt = MoMo(w); grad = w + 1; f = 1.0", "opt.step(grad)", "(w < 1).all()",
        "opt.step(grad, value=f)", again=False,
    ),
    "value for nothing": Row(
        "w = np.ones(2); opt = SGD(w); grad = w + 1", "opt.step(grad, value=1.0)", "(w < 1).all()", "opt.step(grad)",
        again=False,
    ),
}  # fmt: skip

# --- hyper-parameters and attributes ---------------------------------------------------------------------------

X = "params = x = np.ones(3); "
TWO = "params = {'w': np.ones(3), 'b': np.ones(2)}; "
OPTIMIZERS = {
    "lr": Row(X, "opt = Adam(x, lr=0.5)", "opt.learning_rate == 0.5"),
    "eps": Row(X, "opt = Adam(x, eps=0.5)", "opt.epsilon == 0.5"),
    "misspelt": Row(X, "opt = Adam(x, beta1=0.5)", "opt.beta_1 == 0.5"),
    "betas": Row(
        X, "opt = Adam(x, betas=(0.5, 0.75))", "opt.beta_1 == 0.5", "opt = Adam(x, beta_1=0.5, beta_2=0.75)",
        again=False,
    ),
    "alpha of torch.optim.RMSprop": Row(X, "opt = RMSprop(x, alpha=0.5)", "opt.rho == 0.5"),
    "batch_size": Row(
        X, "Adam(x, batch_size=2)", "res.nit == 2",
        "res = minimize(lambda x, i: x @ x, x, n_samples=4, batch_size=2, options={'epochs': 1})", again=False,
    ),
    "array of one rate": Row(
        X + "learning_rate = np.array([0.5])", "opt = Adam(x, learning_rate)", "opt.learning_rate == 0.5",
    ),
    "array of one count": Row("n_samples = np.array([5])", "minimize(lambda x, i: x @ x, [1.0], n_samples=n_samples)"),
    "opt.lr": Row(X + "opt = Adam(x)", "opt.lr = 0.5", "opt.learning_rate == 0.5"),
    "opt.momentum": Row(
        X + "opt = SGD(x)", "opt.momentum = 0.5", "opt.momentum == 0.5 and opt.params is x", again=False,
    ),
    "opt.nesterov": Row(
        X + "opt = SGD(x)", "opt.nesterov = True", "opt.nesterov and opt.params is x",
        "opt = SGD(params, nesterov=True, momentum=0.9)", again=False,
    ),
    "opt.amsgrad": Row(X + "opt = Adam(x)", "opt.amsgrad = True", "opt.amsgrad and opt.params is x", again=False),
    "opt.centered": Row(X + "opt = RMSprop(x)", "opt.centered = True", "opt.centered", again=False),
    "opt.epsilon_hat": Row(
        X + "opt = Adam(x); opt.step(np.ones(3)); value = True", "opt.epsilon_hat = value",
        "opt.epsilon_hat and opt.step_count == 1", again=False,
    ),
    "what the state begins with": Row(
        X + "opt = Adagrad(x)", "opt.initial_accumulator_value = 1.0", "opt.state['accumulator'][0] == 1.0",
        "opt = Adagrad(x, initial_accumulator_value=1.0)", again=False,
    ),
    "groups of one array": Row(
        X, "AdamW(x, groups={0: {'weight_decay': 0.0}})", "opt.weight_decay == 0.0", "opt = AdamW(x, weight_decay=0.0)",
        again=False,
    ),
    "no groups": Row(
        TWO, "AdamW(params, groups={'b': {}})", "opt.groups['b'].weight_decay == 0.01", "opt = AdamW(params)",
        again=False,
    ),
    "a key of groups": Row(
        "params = {'0': np.ones(3)}", "Adam(params, groups={0: {'beta_1': 0.5}})", "opt.groups['0'].beta_1 == 0.5",
        "opt = Adam(params, groups={'0': {'beta_1': 0.5}})", again=False,
    ),
    "a misspelt key of groups": Row(
        "params = {'weights': np.ones(3)}", "Adam(params, groups={'weight': {'beta_1': 0.5}})", "opt.groups['weights']",
        "opt = Adam(params, groups={'weights': {'beta_1': 0.5}})", again=False,
    ),
    "lr of groups": Row(
        TWO, "Adam(params, groups={'b': {'lr': 0.5}})", "opt.groups['b'].learning_rate == 0.5",
        "opt = Adam(params, groups={'b': {'learning_rate': 0.5}})", again=False,
    ),
    "an option in groups": Row(
        TWO, "Adam(params, groups={'b': {'amsgrad': True}})", "opt.amsgrad", "opt = Adam(params, amsgrad=True)",
        again=False,
    ),
    "clip_norm in groups": Row(
        TWO, "Adam(params, groups={'b': {'clip_norm': 1.0}})", "opt.clip_norm == 1.0",
        "opt = Adam(params, clip_norm=1.0)", again=False,
    ),
    "opt.groups": Row(
        TWO + "opt = AdamW(params)", "opt.groups = {'w': {'weight_decay': 0.0}}", "opt.groups['w'].weight_decay == 0.0",
        "opt.groups['w'].weight_decay = 0.0", again=False,
    ),
    "the group of one array": Row(
        X + "opt = AdamW(x)", "opt.groups[0].weight_decay = 0.0", "opt.weight_decay == 0.0", "opt.weight_decay = 0.0",
        again=False,
    ),
    "opt.rule": Row(X + "opt = SGD(x)", "opt.rule = 'adam'", "opt.rule == 'adam'", "opt = Adam(x)", again=False),
    "state_dtype of exact state": Row(
        "x = np.ones((3, 2), np.float32)", "opt = Adafactor(x, state_dtype='log8')", "opt.state_dtype is None",
        "opt = Adafactor(x)", again=False,
    ),
    "state_dtype of float64": Row(
        X, "opt = Adam(x, state_dtype='bfloat16')", "opt.state['m'].dtype == np.float32",
        "opt = Adam(x, state_dtype='float32')", again=False,
    ),
    "state_dtype of a difference": Row(
        "x = np.ones(3, np.float32)", "opt = RMSprop(x, centered=True, state_dtype='log8')",
        "opt.state['mean_grad'].dtype == np.float32", "opt = RMSprop(x, centered=True)", again=False,
    ),
    "state_dtype of a state dictionary": Row(
        X + "saved = Adam(x.astype(np.float32), state_dtype='log8').state_dict()", "Adam(x).load_state_dict(saved)",
        "saved['hyperparameters']['state_dtype'] == 'log8'", "Adam(x.astype(np.float32)).load_state_dict(saved)",
        again=False,
    ),
    "state_dtype of long rows": Row(
        "x = np.ones((2, 1025), np.float32)", "opt = RowwiseAdam(x, state_dtype='bfloat16')",
        "opt.state['m'].shape == (2, 1025)", "opt = RowwiseAdam(x)", again=False,
    ),
    "state_dtype in epochs": Row(
        "f = LeastSquares(np.eye(2, dtype=np.float32), np.ones(2, np.float32), l2=0.1); x = np.zeros(2, np.float32)",
        "res = minimize(f, x, method='adagrad', options={'state_dtype': 'bfloat16'})",
        "res.optimizer.state_dtype is None", "res = minimize(f, x, method='adagrad')", again=False,
    ),
    "SAGA's rate": Row(
        "f = LeastSquares(np.eye(2), [1.0, 2]); res = minimize(f, [0.0, 0.0], method='saga')",
        "res.optimizer.learning_rate = 0.5", "res.optimizer.learning_rate == 0.5",
        "res = minimize(f, [0.0, 0.0], method='saga', options={'learning_rate': 0.5})", again=False,
    ),
    "deferred Lion": Row(
        X, 'Lion(x, sparse="deferred")', 'opt.sparse == "exact"', 'opt = Lion(x, sparse="exact")', again=False,
    ),
    "deferred decay": Row(
        X, 'Adam(x, weight_decay=0.1, sparse="deferred")', 'opt.sparse == "deferred"',
        'opt = Adam(x, weight_decay=0.1, sparse="deferred", decoupled_weight_decay=True)', again=False,
    ),
    "deferred decay of COCOB": Row(
        X, 'COCOB(x, weight_decay=0.1, sparse="deferred")', 'opt.sparse == "exact"',
        'opt = COCOB(x, weight_decay=0.1, sparse="exact")', again=False,
    ),
    "deferred steps in fewer bits": Row(
        X, 'Adam(x, state_dtype="float32", sparse="deferred")', 'opt.state_dtype == "float32"',
        'opt = Adam(x, state_dtype="float32", sparse="exact")', again=False,
    ),
    "deferred without epsilon": Row(
        X, 'ADOPT(x, epsilon=0.0, sparse="deferred")', 'opt.sparse == "deferred"',
        'opt = ADOPT(x, epsilon=1e-8, sparse="deferred")', again=False,
    ),
    "deferred momentum that lasts": Row(
        X, 'Adam(x, beta_1=0.95, beta_2=0.9, sparse="deferred")', 'opt.sparse == "exact"',
        'opt = Adam(x, beta_1=0.95, beta_2=0.9, sparse="exact")', again=False,
    ),
    "nesterov": Row(
        X, "SGD(x, nesterov=True)", "opt.nesterov", "opt = SGD(x, nesterov=True, momentum=0.9)", again=False,
    ),
    "FTRL": Row(
        X, "FTRL(x, weight_decay=0.1, decoupled_weight_decay=True)", "opt.l2", "opt = FTRL(x, l2=0.1)", again=False,
    ),
    "COCOB": Row(
        X, "COCOB(x, weight_decay=0.1, decoupled_weight_decay=True)", "opt.weight_decay",
        "opt = COCOB(x, weight_decay=0.1)", again=False,
    ),
    "schedule-free SGD": Row(
        X, "ScheduleFreeSGD(x, weight_decay=0.1, decoupled_weight_decay=True)", "opt.weight_decay == 0.1",
        "opt = ScheduleFreeSGD(x, weight_decay=0.1)", again=False,
    ),
    "LARS": Row(
        X, "LARS(x, weight_decay=0.1, decoupled_weight_decay=True)", "opt.weight_decay",
        "opt = LARS(x, weight_decay=0.1)", again=False,
    ),
    "base class": Row(X, "Optimizer(x)", "opt.params is x", "opt = Adam(x)", again=False),
    "base class of objectives": Row(
        "", "fastopt.objectives._base.Objective(np.eye(2), [0, 1])", "f", "f = Logistic(np.eye(2), [0, 1])", again=False
    ),
    "__init__ again": Row(X + "opt = Adam(x)", "opt.__init__(x)", "opt.params is x", "opt = Adam(x)", again=False),
    "made without __init__": Row(
        X + "opt = Adam.__new__(Adam)", "opt.step(np.ones(3))", "opt.step_count == 1", "opt = Adam(x)"
    ),
    "a step inside a step": Row(
        X + "opt = SGD(x, lambda t: opt.step(np.ones(3)) or 0.1)", "opt.step(np.ones(3))", "opt.step_count == 1",
        "other = SGD(np.ones(3)); opt = SGD(x, lambda t: other.step(np.ones(3)) or 0.1)",
    ),
    "name": Row("", "minimize(np.sum, [1.0], method='addam')", "res.nit == 1",
                "res = minimize(np.sum, [1.0], method='adam', options={'maxiter': 1})", again=False),
    "state of a schedule": Row(
        X + "opt = SGD(x, lambda t: 0.5); saved = SGD(x, 0.25).state_dict()", "opt.load_state_dict(saved)",
        "opt.learning_rate == 0.25", "opt = SGD(x, 0.5)",
    ),
    "rate of a schedule": Row(
        "rate = fastopt.schedules.constant(0.5)", "rate.rate = 0.25", "rate(0) == 0.25",
        "rate = fastopt.schedules.constant(0.25)", again=False,
    ),
    "instruction set": Row(
        "set_by_name = fastopt._validation.machine.instruction_set; asked = 'v9'",
        "asked and set_by_name(asked, ('v3', 'v4'), bool)", follow="asked = None",
    ),
    "instruction set of another processor": Row(
        "set_by_name = fastopt._validation.machine.instruction_set; asked = 'v4'",
        "set_by_name(asked, ('v3', 'v4'), 'v3'.__eq__)", follow="asked = 'v3'",
    ),
}  # fmt: skip

# --- objectives ------------------------------------------------------------------------------------------------

DATA = "X, y = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([0, 1, 1]); "
MAKE = "f = Logistic(X, y)"
GOOD = "Logistic(np.array([[1.0, 2], [3, 4], [5, 6]]), [0, 1, 1])"
SAME = f"f.gradient(np.ones(2)).tobytes() == {GOOD}.gradient(np.ones(2)).tobytes()"
CSR = DATA + "X = scipy.sparse.csr_array(X); "
OBJECTIVES = {
    "samples in a list": Row(DATA + "X = X.tolist()", MAKE, SAME),
    "samples in a DataFrame": Row(DATA + "X = pandas.DataFrame(X)", MAKE, SAME),
    "samples in a tensor": Row(DATA + "X = Tensor(X)", MAKE, SAME),
    "samples in Fortran order": Row(DATA + "X = np.asfortranarray(X)", MAKE, SAME),
    "int samples in Fortran order": Row(DATA + "X = np.asfortranarray(X.astype(int))", MAKE, SAME),
    "samples as objects": Row(DATA + "X = X.astype(object)", MAKE, SAME),
    "masked entries of samples": Row(
        DATA + "X = np.ma.masked_array(X, X == 4)", MAKE, "f.X.tolist() == [[1, 2], [3, 0], [5, 6]]"
    ),
    "masked samples": Row(DATA + "X = np.ma.masked_array(X, X > 9)", MAKE, SAME),
    "misaligned samples": Row(DATA + "X = misaligned(X)", MAKE, SAME),
    "complex samples": Row(DATA + "X = X + 1j", MAKE, "f.n_features == 4 and f.X[0].tolist() == [1, 2, 1, 1]"),
    "complex CSR": Row(
        CSR + "X = X * (1 + 1j)", MAKE, "f.n_features == 4 and f.X.toarray()[0].tolist() == [1, 2, 1, 2]",
    ),
    "CSC": Row(CSR + "X = X.tocsc()", MAKE, f"np.allclose(f.gradient(np.ones(2)), {GOOD}.gradient(np.ones(2)))"),
    "int CSR": Row(CSR + "X = X.astype(int)", MAKE, "f.n_features == 2"),
    "CSR with short columns": Row(CSR + "X.indices = X.indices.astype('i2')", MAKE, "f.n_features == 2"),
    "CSR with short row pointers": Row(CSR + "X.indptr = X.indptr.astype('i2')", MAKE, "f.n_features == 2"),
    "one sample": Row("X, y = np.ones(2), [1]", MAKE, "f.n_samples == 1", "X = X.reshape(1, -1)"),
    "one feature": Row("X, y = np.ones(2), [1, 0]", MAKE, "f.n_samples == 2", "X = X.reshape(-1, 1)"),
    "NaN in samples": Row(
        DATA + "X[0, 0] = np.nan", MAKE, "f.n_samples == 2",
        "rows = np.isfinite(X).all(axis=1); X, y = X[rows], y[rows]",
    ),
    "NaN replaced": Row(DATA + "X[0, 0] = np.nan", MAKE, "f.X[0, 0] == 0", "X = np.nan_to_num(X)"),
    "two labels": Row(DATA + "y = np.array([1, 2, 2])", MAKE, SAME),
    "labels in words": Row(DATA + "y = np.array(['ham', 'spam', 'spam'])", MAKE, SAME),
    "labels in words in a column of pandas": Row(DATA + "y = pandas.Series(['ham', 'spam', 'spam'])", MAKE, SAME),
    "objects as labels": Row(DATA + "y = y.astype(object)", MAKE, SAME),
    "tensor as labels": Row(DATA + "y = Tensor(y)", MAKE, SAME),
    "masked labels": Row(
        DATA + "y = np.ma.masked_array([5, 0, 1], [True, False, False])", MAKE,
        "f.X.tolist() == [[3, 4], [5, 6]] and f(np.ones(2)) == Logistic(X, [0, 1])(np.ones(2))",
    ),
    "masked labels of several targets": Row(
        DATA + "y = np.ma.masked_array([[5, 0], [0, 1], [1, 1]], [[True, False], [False] * 2, [False] * 2])", MAKE,
        "f.X.tolist() == [[3, 4], [5, 6]] and f.n_outputs == 2",
    ),
    "masked labels without masked entries": Row(DATA + "y = np.ma.masked_array(y)", MAKE, SAME),
    "labels in strings of numbers": Row(DATA + "y = np.array(['0', '1', '1'])", MAKE, SAME),
    "labels in a list of strings of numbers": Row(DATA + "y = ['0', '1', '1.0']", MAKE, SAME),
    "strings of numbers in a column of pandas": Row(DATA + "y = pandas.Series(['-1', '1', '1'])", MAKE, SAME),
    "targets in strings": Row(
        DATA + "y = np.array(['1.5', '2', '-3'])", "f = LeastSquares(X, y)",
        "f(np.ones(2)) == LeastSquares(X, [1.5, 2, -3])(np.ones(2))",
    ),
    "sparse labels": Row(DATA + "y = scipy.sparse.csr_array(y[:, None])", MAKE, SAME),
    "three labels": Row(DATA + "y = [0, 1, 2]", MAKE, "f.n_classes == 3", "f = Softmax(X, y)", again=False),
    "classes from 1": Row(DATA + "y = [1.5, 2, 3]", "f = Softmax(X, y)", "f.n_classes == 3"),
    "classes in words": Row(DATA + "y = list('abc')", "f = Softmax(X, y)", "f.n_classes == 3"),
    "negative weight": Row(
        DATA + "w = np.array([-1.0, 1, 1])", "f = Logistic(X, y, sample_weight=w)", "f.n_samples == 2",
        "X, y, w = X[w >= 0], y[w >= 0], w[w >= 0]",
    ),
    "masked weights": Row(
        DATA + "sample_weight = np.ma.masked_array([1.0, 1, 5], [False, False, True])",
        "f = Logistic(X, y, sample_weight=sample_weight)", "f.n_samples == 3",
    ),
    "mask of samples": Row(
        DATA + MAKE + "; idx = np.array([True, False, True])", "f(np.ones(2), idx)", "idx.tolist() == [0, 2]",
    ),
    "floats as numbers of samples": Row(DATA + MAKE + "; idx = [0.0, 2.0]", "f(np.ones(2), idx)"),
    "slice of samples": Row(DATA + MAKE + "; idx = slice(1, None)", "f(np.ones(2), idx)", "idx.tolist() == [1, 2]"),
    "CSR with a list of values": Row(CSR + "X.data = X.data.tolist()", MAKE, SAME),
    "CSR that is given other values": Row(
        CSR + MAKE + "; X.data = 2 * X.data", "f(np.ones(2))", "f.X.data is X.data", MAKE
    ),
    "samples resized": Row(
        DATA + "X = np.ones((3, 2)); " + MAKE + "; X.resize((2, 2), refcheck=False); y = y[:2]", "f(np.ones(2))",
        "f.n_samples == 2", MAKE,
    ),
}  # fmt: skip

# --- minimize --------------------------------------------------------------------------------------------------

RUN = "res = minimize(fun, x0, options={'maxiter': 3})"
FUN = "fun = lambda x, *args: x @ x; x0 = np.ones(2); "
RATE = "res = minimize(f, np.zeros(2), method='saga', options={'learning_rate': 1e-3, 'epochs': 1})"
WITH_DLPACK = "data = [type('Shared', (Tensor,), {'__dlpack__': None, 'shape': (4,)})(np.ones(4))]; "
DATA_CALL = "res = minimize(fun, x0, method='sgd', data=data, options={'epochs': 1})"
NATIVE = "check = fastopt._validation.minimize.native_arguments; batches = types.SimpleNamespace(n_samples=1, data=1); "
MINIMIZE = {
    "average of averages": Row(
        FUN + "options = {'average': 'ema', 'maxiter': 1}", "minimize(fun, x0, method='asgd', options=options)",
        "res.nit == 1", "del options['average']; res = minimize(fun, x0, method='asgd', options=options)", again=False,
    ),
    "lr as an option": Row(FUN + "options = {'lr': 0.5, 'maxiter': 1}", "res = minimize(fun, x0, options=options)",
                           "res.optimizer.learning_rate == 0.5", "options = {'learning_rate': 0.5, 'maxiter': 1}"),
    "batch_size as an option": Row(
        FUN, "minimize(fun, x0, n_samples=4, options={'batch_size': 2})", "res.nit == 2",
        "res = minimize(fun, x0, n_samples=4, batch_size=2, options={'epochs': 1})", again=False,
    ),
    "matrix as x0 of an objective": Row(
        DATA + "f = Softmax(X, [0, 1, 2]); x0 = np.ones((3, 2))", "res = minimize(f, x0, options={'epochs': 1})",
        "res.x.shape == (6,)",
    ),
    "np.matrix as x0": Row(FUN + "x0 = np.ones((1, 2)).view(np.matrix)", RUN, "res.x.shape == (2,)"),
    "nested list as x0 of an objective": Row(
        DATA + "f = Softmax(X, [0, 1, 2]); x0 = [[0.0] * 2] * 3", "res = minimize(f, x0, options={'epochs': 1})",
        "res.x.shape == (6,)",
    ),
    "complex x0": Row(FUN + "x0 = np.array([1 + 2j])", RUN, "res.x.shape == (2,)"),
    "dict in a list as x0": Row(
        "fun = lambda x: x[0] @ x[1]; x0 = [np.ones(2), {'a': 1.0, 'b': 2.0}]", RUN, "res.x[1].shape == (2,)"
    ),
    "generator as x0": Row(FUN + "x0 = (1.0 for _ in range(2))", RUN, "res.x.shape == (2,)"),
    "masked x0": Row(FUN + "x0 = np.ma.masked_array([1.0, 2], [False, True])", RUN, "x0.tolist() == [1, 0]"),
    "tensor as x0": Row(FUN + "x0 = Tensor(np.ones(2))", RUN, "res.x.shape == (2,)"),
    "value and gradient without jac": Row(
        FUN + "fun = lambda x: (x @ x, 2 * x)", RUN, "res.nit == 1",
        "res = minimize(fun, x0, jac=True, options={'maxiter': 1})", again=False,
    ),
    "jac without gradient": Row(
        FUN, "minimize(fun, x0, jac=True)", "res.nit == 1", "res = minimize(fun, x0, jac=None, options={'maxiter': 1})",
        again=False,
    ),
    "jac misspelt": Row(
        FUN, "minimize(fun, x0, jac='3 points')", "np.allclose(res.jac, 2 * res.x, atol=1e-9)",
        "res = minimize(fun, x0, jac='3-point', options={'maxiter': 1})", again=False,
    ),
    "gradient as jac": Row(
        FUN, "minimize(fun, x0, jac=2 * x0)", "res.jac.tolist() == (2 * res.x).tolist()",
        "res = minimize(fun, x0, jac=lambda x: 2 * x, options={'maxiter': 1})", again=False,
    ),
    "complex steps of a real function": Row(
        "fun = lambda x: np.abs(x).sum(); x0 = np.ones(2)", "minimize(fun, x0, jac='cs')", "res.nit == 1",
        "res = minimize(fun, x0, jac='3-point', options={'maxiter': 1})", again=False,
    ),
    "step of differences as an option": Row(
        FUN, "minimize(fun, x0, method='sgd', options={'eps': 1e-3, 'maxiter': 1})", "res.jac[0] > 2 * res.x[0] + 1e-4",
        "res = minimize(fun, x0, method='sgd', options={'finite_diff_rel_step': 1e-3, 'maxiter': 1})", again=False,
    ),
    "jac that SciPy drops": Row(
        FUN, "scipy.optimize.minimize(fun, x0, jac='3-point', method=scipy_method(maxiter=1))", "res.nfev == 12",
        "res = scipy.optimize.minimize(fun, x0, method=scipy_method(maxiter=1, jac='3-point'))", again=False,
    ),
    "no jac through SciPy": Row(
        FUN, "scipy.optimize.minimize(fun, x0, method=scipy_method(maxiter=1))", "res.nfev == 8",
        "res = scipy.optimize.minimize(fun, x0, method=scipy_method(maxiter=1, jac=None))", again=False,
    ),
    "noise": Row(
        "noise = np.random.default_rng(0).standard_normal; fun = lambda x: x @ x + 0.01 * noise(); x0 = np.ones(2)",
        "minimize(fun, x0, method=None)", "(res.x ** 2).sum() < 0.1",
        "res = minimize(fun, x0, method=None, jac='spsa', options={'maxiter': 500})", again=False,
    ),
    "noise and differences": Row(
        "noise = np.random.default_rng(0).standard_normal; fun = lambda x: x @ x + 0.01 * noise(); x0 = np.ones(2)",
        "minimize(fun, x0)", "np.allclose(res.jac, 2 * res.x, atol=0.5)",
        "res = minimize(fun, x0, jac='2-point', options={'finite_diff_rel_step': 0.2, 'maxiter': 5})", again=False,
    ),
    "method as args": Row(
        DATA + MAKE, "minimize(f, np.zeros(2), 'saga')", "res.optimizer.step_count == 3",
        "res = minimize(f, np.zeros(2), method='saga', options={'epochs': 1})", again=False,
    ),
    "no Lipschitz constant": Row(
        DATA + "f = Poisson(X, y)", "minimize(f, np.zeros(2), method='saga')", "res.success", RATE, again=False
    ),
    "hogwild with norms": Row(
        DATA + "f = LeastSquares(X, y)",
        "minimize(f, np.zeros(2), method='lars', options={'parallel': 'hogwild', 'epochs': 1})", "res.nit == 1",
        "res = minimize(f, np.zeros(2), method='lars', options={'epochs': 1})", again=False,
    ),
    "hogwild with single samples": Row(
        DATA + "f = LeastSquares(X, y)",
        "minimize(f, np.zeros(2), method='vw', options={'parallel': 'hogwild', 'epochs': 1})", "res.nit == 3",
        "res = minimize(f, np.zeros(2), method='vw', options={'epochs': 1})", again=False,
    ),
    "several margins a label": Row(
        "X, y, classes = np.eye(3), np.arange(3), np.arange(3); f = Softmax(X, y)",
        "res = minimize(f, np.zeros((3, 3)), method='vw', options={'epochs': 1})", "res.nit == 3",
        "f = Logistic(X, y[:, None] == classes)",
    ),
    "a linear part and single samples": Row(
        DATA + "f = LeastSquares(X, y, linear=np.ones(2))", "minimize(f, np.zeros(2), method='vw')", "res.nepoch > 0",
        "res = minimize(f, np.zeros(2), method='adagrad')", again=False,
    ),
    "a vector to start from for Muon": Row(
        "def f(x): return float(x @ x), 2 * x", "minimize(f, np.ones(2), jac=True, method=MatricesOnly)", "res.success",
        "res = minimize(f, np.ones(2), jac=True, method='adamw')", again=False,
    ),
    "hogwild without a method": Row(
        DATA + "f = LeastSquares(X, y)", "minimize(f, np.zeros(2), options={'parallel': 'hogwild', 'epochs': 1})",
        "res.nit == 1", "res = minimize(f, np.zeros(2), method='sgd', options={'parallel': 'hogwild', 'epochs': 1})",
        again=False,
    ),
    "a sample that is too long": Row(
        DATA + "X = X * 1e200; " + MAKE, "res = minimize(f, np.zeros(2), method='saga')", "res.success",
        "X = X / np.abs(X).max(); " + MAKE,
    ),
    "a sample that is too long, with a rate": Row(
        DATA + "X = X * 1e200; " + MAKE, "minimize(f, np.zeros(2), method='saga')",
        "res.optimizer.learning_rate == 1e-3", RATE, again=False,
    ),
    "NaN as a bound": Row(
        FUN + "bounds = [(np.nan, 1), (0, 1)]", "res = minimize(fun, x0, bounds=bounds, options={'maxiter': 1})",
        "res.nit == 1", "bounds = [(None, 1), (0, 1)]",
    ),
    "constraints": Row(
        FUN + "method = scipy_method(maxiter=1, jac=None); con = {'type': 'ineq', 'fun': lambda x: 1 - x[0]}",
        "scipy.optimize.minimize(fun, x0, method=method, constraints=con)", "res.nit == 1",
        "res = scipy.optimize.minimize(fun, x0, method=method, bounds=[(None, 1)] * 2)", again=False,
    ),
    "data in a dict": Row(
        FUN + "data = {'a': np.ones(4), 'b': np.ones(4)}", "res = minimize(fun, x0, data=data, options={'epochs': 1})",
        "res.nepoch == 1",
    ),
    "data from a function that gives an array": Row(
        FUN + "data = lambda: np.ones(4)", "res = minimize(fun, x0, method='sgd', data=data, options={'epochs': 1})",
        "res.nit == 1", "data = lambda: [np.ones(4)]",
    ),
    "data from a function of files": Row(
        FUN + "read = data = lambda folder, names: [np.ones(4)]",
        "res = minimize(fun, x0, method='sgd', data=data, options={'epochs': 1})", "res.nit == 1",
        "data = lambda: read('.', [])",
    ),
    "data that are not those of the checkpoint": Row(
        "check = fastopt._validation.streams.refuse_shorter; used = 9; data = [1, 2]",
        "len(data) < used and check(len(data), used)", follow="data = [*range(9)]",
    ),
    "the default method over an iterator": Row(
        FUN + "data = iter(np.ones((9, 2)))", "minimize(fun, x0, method=None, data=data)", "res.nit == 4",
        "res = minimize(fun, x0, method=None, data=data, options={'maxiter': 4})", again=False,
    ),
    "tensor as data": Row(FUN + WITH_DLPACK, DATA_CALL, "res.nit == 1"),
    "tensor on a device as data": Row(
        FUN + WITH_DLPACK + "data[0].device = types.SimpleNamespace(type='cuda'); data[0].detach = lambda: "
        "types.SimpleNamespace(cpu=lambda: DetachedTensor(np.ones(4)))", DATA_CALL, "res.nit == 1",
    ),
    "data in a list of batches": Row(
        FUN + "data = [(np.ones((4, 2)), np.ones(4)), (np.ones((3, 2)), np.ones(3))]",
        "res = minimize(fun, x0, data=data, batch_size=1, options={'epochs': 1})", "res.nit == 7",
    ),
    "data in a tuple of tuples": Row(
        FUN + "data = ((np.ones((4, 2)), np.ones(4)), (np.ones((3, 2)), np.ones(3)))",
        "res = minimize(fun, x0, data=data, batch_size=1, options={'epochs': 1})", "res.nit == 7",
    ),
    "data from zip": Row(
        FUN + "X, y = np.ones((4, 2)), np.ones(4); data = zip(X, y)",
        "res = minimize(fun, x0, data=data, batch_size=1, options={'epochs': 1})", "res.nit == 4", "data = (X, y)",
    ),
    "data written over": Row(
        "fun = lambda x, batch: mine.indices.fill(9) or float(x @ x)\n"
        "make = lambda: scipy.sparse.csr_array(np.eye(4)); data = mine = make()",
        "res = minimize(fun, [1.0], data=data, batch_size=2, options={'epochs': 1})", "res.nepoch == 1",
        "mine = make(); data = mine.copy()",
    ),
    "a generator of no permutations": Row(
        FUN + "\nclass Zeros(np.random.Generator):\n    permutation = lambda self, n: np.zeros(n)\n"
        "rng = Zeros(np.random.PCG64(0))",
        "res = minimize(fun, x0, n_samples=4, batch_size=2, rng=rng, options={'epochs': 1})", "res.nepoch == 1",
        "rng = 0",
    ),
    "data and n_samples": Row(
        FUN + "n_samples = 4", "minimize(fun, x0, data=np.ones(4), n_samples=n_samples, options={'epochs': 1})",
        follow="n_samples = None",
    ),
    "a share of the samples as validation": Row(
        FUN + "X, validation = np.arange(8.0), 0.25; fun = lambda x, X: (x @ x + X.sum(), 2 * x)",
        "res = minimize(fun, x0, jac=True, data=X, validation=validation, options={'epochs': 1})",
        "len(res.history['validation']) == 1", "X, validation = X[:6], X[6:]",
    ),
    "an iterator as validation": Row(
        FUN + "X = np.arange(8.0); validation = iter([X[6:]]); fun = lambda x, X: (x @ x + X.sum(), 2 * x)",
        "res = minimize(fun, x0, jac=True, data=X[:6], validation=validation, options={'epochs': 2})",
        "len(res.history['validation']) == 2", "validation = (X[6:],)",
    ),
    "validation samples without data": Row(
        FUN + "validation = np.ones(4)", "res = minimize(fun, x0, validation=validation, options={'epochs': 1})",
        "len(res.history['validation']) == 1", "validation = lambda x: fun(x) + 1.0",
    ),
    "weighted validation samples": Row(
        "X, y = np.eye(4), np.array([0, 1, 0, 1]); fun, validation = Logistic(X, y), (X, y, np.arange(4.0))",
        "res = minimize(fun, np.zeros(4), validation=validation, options={'epochs': 1})",
        "len(res.history['validation']) == 1",
        "validation = fastopt.objectives.Logistic(X, y, sample_weight=np.arange(4.0))",
    ),
    "args of a compiled objective": Row(
        NATIVE + "batches.data = None", "check(None, (1,), batches)", again=False, follow="check(None, (), batches)",
    ),
    "data of a compiled objective": Row(
        NATIVE, "check(None, (), batches)", follow="batches.data = None",
    ),
}  # fmt: skip

# --- estimators ------------------------------------------------------------------------------------------------

MODEL = (
    "from fastopt.linear_model import LinearClassifier as C, LinearRegressor as R; import sklearn.base\n"
    "X = np.random.default_rng(0).standard_normal((60, 3)); y = np.repeat([0, 1, 2], 20); m = C(solver='adam')\n"
    "warnings.simplefilter('ignore')\n"
)

ESTIMATORS = {
    "a solver in other words": Row(MODEL + "name = 'adamm'", "C(solver=name).fit(X, y)", follow="name = 'adam'"),
    "weights that balance chunks": Row(
        MODEL + "m.set_params(class_weight='balanced')", "m.partial_fit(X, y, classes=[0, 1, 2])",
        follow="from sklearn.utils.class_weight import compute_class_weight as compute\n"
        "m.class_weight = dict(enumerate(compute('balanced', classes=np.unique(y), y=y)))",
    ),
    "classes of a later chunk": Row(
        MODEL + "known = [0, 1]", "m = C(solver='adam').partial_fit(X[:40], y[:40], classes=known).partial_fit(X, y)",
        "m.classes_.tolist() == [0, 1, 2]", "known = np.unique(y)",
    ),
    "more targets than before": Row(
        MODEL + "m = R(solver='adam').partial_fit(X, y)", "m.partial_fit(X, X[:, :2])", "m.coef_.shape == (2, 3)",
        "m = sklearn.base.clone(m)",
    ),
    "targets whose loss overflows": Row(
        MODEL + "y = y * 1e200", "R().fit(X, y)", follow="y /= y.max()",
    ),
    "a warm start with other classes": Row(
        MODEL + "m = C(warm_start=True).fit(X, y)", "m.fit(X, y > 0)", "len(m.classes_) == 2",
        "m.set_params(warm_start=False)",
    ),
    "early stopping with one sample": Row(
        MODEL + "m = R(early_stopping=True)", "m.fit(X[:1], y[:1])", follow="m.set_params(early_stopping=False)"
    ),
    "early stopping with a class of one sample": Row(
        MODEL + "m = C(early_stopping=True); y = np.repeat([0, 1], [59, 1])", "m.fit(X, y)",
        follow="m.set_params(early_stopping=False)"
    ),
    "a share that holds out all but nothing": Row(
        MODEL + "m = C(early_stopping=True, validation_fraction=0.99)", "m.fit(X, y)",
        follow="m.set_params(validation_fraction=0.5)"
    ),
    "a share that holds out nearly nothing": Row(
        MODEL + "m = C(early_stopping=True, validation_fraction=0.01)", "m.fit(X, y)",
        follow="m.set_params(early_stopping=False)"
    ),
    "early stopping of a solver over all samples": Row(
        MODEL + "m = C(solver='lbfgs', early_stopping=True)", "m.fit(X, y)", follow="m.set_params(early_stopping=False)"
    ),
    "an average of a solver over all samples": Row(
        MODEL + "m = C(solver='lbfgs', average=True)", "m.fit(X, y)", follow="m.set_params(solver='auto')"
    ),
    "an average of an average": Row(
        MODEL + "m = C(solver='asgd', average=True)", "m.fit(X, y)", follow="m.set_params(average=False)"
    ),
    "columns whose squares overflow": Row(
        MODEL + "X *= 1e200", "m = R().fit(X, y)", "np.isfinite(m.coef_).all()",
        "from sklearn.preprocessing import MaxAbsScaler; X = MaxAbsScaler().fit_transform(X)",
    ),
    "a fit that diverges": Row(
        MODEL + "m = R(solver='sgd', learning_rate=0.5); X *= 1e6", "m.fit(X, y)", "np.isfinite(m.coef_).all()",
        "from sklearn.preprocessing import StandardScaler; X = StandardScaler().fit_transform(X)",
    ),
    "a fit that diverges at its rate": Row(
        MODEL + "m = R(solver='sgd', learning_rate=1e200)", "m.fit(X, y)", "np.isfinite(m.coef_).all()",
        "m.learning_rate = 0.1",
    ),
    "a generator in a file": Row(
        MODEL + "m = C(random_state=np.random.RandomState(0)).fit(X, y); path = io.BytesIO()", "fastopt.save(path, m)",
        "fastopt.load(io.BytesIO(path.getvalue())).random_state is None", "m.set_params(random_state=None)",
    ),
}  # fmt: skip

# --- files -----------------------------------------------------------------------------------------------------

FILES = {
    "written as text": Row(
        X + "opt = Adam(x); path = io.StringIO()", "fastopt.save(path, opt)",
        "path.tell() > 0 and path.close() is None", "path = tempfile.TemporaryFile('wb')",
    ),
    "saga that has not run": Row(
        "f = LeastSquares(np.eye(2), [1.0, 2]); opt = SAGA(np.zeros(2)); path = io.BytesIO()",
        "fastopt.save(path, opt)", "path.tell() > 0",
        "opt = minimize(f, np.zeros(2), method='saga', options={'epochs': 1}).optimizer",
    ),
    "read as text": Row(
        X + "opt = Adam(x); opt.step(np.ones(3)); saved = io.BytesIO(); fastopt.save(saved, opt); new = Adam(x)\n"
        "path = io.StringIO()",
        "fastopt.load(path, new)", "new.step_count == 1", "path = io.BytesIO(saved.getvalue())",
    ),
}  # fmt: skip

# --- plots -----------------------------------------------------------------------------------------------------

PLOTS = {
    "a result without iterates": Row(
        FUN + "import matplotlib; matplotlib.use('agg'); points = minimize(fun, x0, options={'maxiter': 3})",
        "fastopt.plot.path(points, fun)", "len(points) == 3",
        "points = []; minimize(fun, x0, options={'maxiter': 3}, callback=points.append)",
    ),
    "iterates that are not finite": Row(
        FUN + "import matplotlib; matplotlib.use('agg'); points = np.array([[1.0, 2], [0, 0.5], [np.inf, 0]])",
        "fastopt.plot.path(points, fun)", follow="points = points[np.isfinite(points).all(axis=1)]",
    ),
    "a function that is nowhere finite": Row(
        FUN + "import matplotlib; matplotlib.use('agg'); points = np.array([[1.0, 2], [0, 0.5]]); bounds = None\n"
        "fun = lambda x: x @ x if x[0] > 10 else np.nan",
        "fastopt.plot.path(points, fun, bounds=bounds)", follow="bounds = [(9, 12), (0, 1)]",
    ),
}  # fmt: skip

DISTRIBUTED = {
    "steps that depend on whole arrays": Row(
        "x = np.ones(3)", "distributed.ShardedOptimizer(LAMB, x, comm)", "opt.step_count == 1",
        "opt = LAMB(x); opt.step(distributed.reduce_gradient(np.ones(3), comm))", again=False,
    ),
    "a sparse gradient of a sharded array": Row(
        "grad = RowSparse([1], np.ones((1, 2))); opt = distributed.ShardedOptimizer(SGD, np.ones((3, 2)), comm)",
        "opt.step(grad)", "table.step_count == 1",
        "table = distributed.ShardedTable(3, 2, SGD, comm, dtype='float64'); table.step(grad.indices, grad.rows)",
        again=False,
    ),
    "gradients of another dtype than the table": Row(
        "table = distributed.ShardedTable(3, 2, SGD, comm); grads = np.ones((1, 2))", "table.step([1], grads)",
        "table.step_count == 1",
    ),
}  # fmt: skip

TABLE = {
    f"{group}: {name}": row
    for group, rows in {
        "parameters": PARAMETERS,
        "gradients": GRADIENTS,
        "optimizers": OPTIMIZERS,
        "objectives": OBJECTIVES,
        "minimize": MINIMIZE,
        "estimators": ESTIMATORS,
        "files": FILES,
        "plots": PLOTS,
        "several processes": DISTRIBUTED,
    }.items()
    for name, row in rows.items()
}
