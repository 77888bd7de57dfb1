"""The structure of x0: arrays for the user and the optimizer, and one vector for the run, which are the same memory."""

import contextlib
import itertools

import numpy as np

from .._memory import Held, Pinned, base_view, read_only, sealed
from .._types import in_structure
from .._validation import starting_points as validation
from .._validation.gradients import flat_gradients
from .._validation.parameters import label, refuse_moved
from .gradients import as_gradient


class Parameters:
    """The parameters of a run, in memory of its own.

    Parameters
    ----------
    arrays : list of ndarrays
        The starting point; copied.
    keys : None, int or tuple
        Its structure: None for one array, the length of a list, or the keys of a dict.
    dtype : dtype
        Of all parameters.

    Attributes
    ----------
    vector : ndarray of shape (n,)
        All parameters, one array after the other: what the run works with.
    view : ndarray of shape (n,)
        The same memory, which nobody can write to.
    arrays : tuple of ndarrays
        The same numbers in the shapes of x0, for the optimizer: `vector` itself where x0 is one, else views of it,
        through which nobody gets hold of it.
    own : list of ndarrays
        Views of `arrays` that nobody else has, so that their shapes and dtypes stay.
    start : ndarray of shape (n,)
        The starting point.
    is_vector : bool
        Whether x0 is one array of one dimension, as for SciPy.
    """

    def __init__(self, arrays, keys, dtype):
        self._lay_out(arrays, keys)
        self.vector = self.start = sealed(np.empty(self.parts[-1].stop, dtype))
        self.view, self.own = read_only(self.vector), self.views(self.vector)
        for own, array in zip(self.own, arrays, strict=True):
            own[...] = array
        self.arrays = (self.vector,) if self.is_vector else tuple(self.views(self.vector))
        self.held = [Held(array) for array in self.arrays]

    def _lay_out(self, arrays, keys):
        """Find the place of each array in the vector."""
        self.keys, self.shapes = keys, [array.shape for array in arrays]
        self.is_vector = keys is None and arrays[0].ndim == 1
        stops = [0, *itertools.accumulate(array.size for array in arrays)]
        self.parts = [slice(*ends) for ends in itertools.pairwise(stops)]

    # --- memory ----------------------------------------------------------------------------------------------

    def views(self, vector):
        """Views of a vector like the parameters in the shapes of x0; read-only for good if it is."""
        parts = zip(self.parts, self.shapes, strict=True)
        return [sealed(vector[part].reshape(shape)) for part, shape in parts]

    def assign(self, vector):
        """Write a vector into the parameters."""
        for own, view in zip(self.own, self.views(vector), strict=True):
            own[...] = view

    def gathers(self, in_structure):
        """Whether an evaluator looks at `view` that is up to date only after `gather`."""
        return False

    def in_use(self):
        """A context for the run, in which nobody can resize the parameters."""
        return contextlib.nullcontext()

    def check_unmoved(self):
        """Refuse to go on with arrays that the caller's code has given another dtype or shape."""
        for k, held in enumerate(self.held):
            changed = held.now_and_before
            if changed is not None:
                refuse_moved(label("params", self.keys, k), "optimizer", *changed)

    # --- from vectors to the structure of x0 and back --------------------------------------------------------

    def together(self, arrays):
        """Arrays in the structure of x0: one array, a list or a dict."""
        return in_structure(arrays, self.keys)

    def structured(self, vector):
        """A vector like the parameters in their structure, without a copy where dtypes agree; of themselves, theirs."""
        if vector is self.vector:
            return self.together(self.arrays)
        if self.is_vector:
            return vector
        parts = zip(self.views(vector), self.own, strict=True)
        return self.together([view.astype(own.dtype, copy=False) for view, own in parts])

    def each_of(self, structured):
        """The arrays in the structure of x0 one by one; of gradients None where there is none."""
        return [structured] if self.keys is None else flat_gradients(structured, self.keys)

    def flat(self, structured):
        """The opposite: a vector with the numbers of arrays in the structure of x0."""
        if self.is_vector:
            return structured
        return np.concatenate([array.ravel() for array in self.each_of(structured)])

    def function(self, function):
        """A function of the user's as one of a vector and what follows it."""
        return function if self.is_vector else InStructure(function, self)

    def description(self):
        """The structure as text, for a checkpoint and the call that resumes it; None for a vector."""
        return None if self.is_vector else repr(self.together(self.shapes))

    # --- gradients -------------------------------------------------------------------------------------------

    def converter(self, in_structure):
        """A function of what an evaluator gave as a gradient and of `own[0]`: what the optimizer takes.

        `in_structure` says whether the evaluator gives gradients in the structure of x0, as the user does, or vectors.
        """
        if self.is_vector:
            return as_gradient
        return self._of_user if in_structure else self._of_vector

    def _of_user(self, given, _):
        """The user's gradient in dtype and shapes of the parameters where that can be, and in memory of its own."""
        parts = zip(self.each_of(given), self.own, strict=True)
        gradients = [None if each is None else as_gradient(each, own) for each, own in parts]
        for k, each in enumerate(gradients):  # the gradient of a.b is b, a, and a step overwrites both
            if type(each) is np.ndarray and each.base is not None and self._holds(each):
                gradients[k] = each.copy()
        return self.together(gradients)

    def _of_vector(self, gradient, _):
        """The arrays that make up a gradient."""
        parts = zip(self.views(gradient), self.own, strict=True)
        return self.together([as_gradient(each, own) for each, own in parts])

    def _holds(self, array):
        """Whether an array may be part of the parameters."""
        return np.may_share_memory(array, self.view)


class ParametersOf(Parameters):
    """The parameters of an optimizer that the caller has made: the caller's arrays, which the run goes on to update.

    Several arrays are no vector. They are copied into one when it is asked for, and `view` is of the last copy.

    Parameters
    ----------
    optimizer : Optimizer or FiniteSumMethod
        Left as it is until `assign` is called.
    arrays : list of ndarrays
        The starting point, in the shapes of the parameters; copied.
    keys : None, int or tuple
        The structure of the parameters.
    """

    def __init__(self, optimizer, arrays, keys):
        self._lay_out(arrays, keys)
        self.arrays = optimizer._flat_params
        self.own = [base_view(array) for array in self.arrays]
        self.held = [Held(array) for array in self.arrays]
        dtype = np.result_type(*(own.dtype for own in self.own))
        self.separate = len(self.own) > 1
        self.buffer = np.empty(self.parts[-1].stop, dtype) if self.separate else self.own[0].reshape(-1)
        self.view = read_only(self.buffer)
        self.start = np.empty(self.parts[-1].stop, dtype)
        for view, own, array in zip(self.views(self.start), self.own, arrays, strict=True):
            view[...] = array.astype(own.dtype)

    @property
    def vector(self):
        if self.separate:
            self.gather()
        return self.buffer

    def gather(self):
        """Copy the arrays into the vector."""
        for view, own in zip(self.views(self.buffer), self.own, strict=True):
            view[...] = own

    def gathers(self, in_structure):
        return self.separate and not in_structure

    def in_use(self):
        return Pinned(self.own)

    def _holds(self, array):
        return any(np.may_share_memory(array, own) for own in self.own)


class InStructure:
    """A function of the user's, which is called with arrays in the structure of x0 in place of their vector."""

    def __init__(self, function, params):
        self.function, self.params = function, params
        self.vector = self.views = None

    def __call__(self, vector, *rest):
        if vector is not self.vector:  # in the iterations it always is
            self.views, self.vector = self.views_at(vector), vector
        return self.function(self.params.together(self.views), *rest)

    def views_at(self, vector):
        """Views of a vector in the shapes of x0; of the parameters as they are, those of their arrays."""
        if vector is self.params.view:
            return [read_only(own) for own in self.params.own]
        return self.params.views(vector)


def starting_point(x0, dtype=None):
    """The parameters of a run that begins at x0, in a dtype or else in that which x0 asks for."""
    arrays, keys = validation.starting_point(x0)
    single = all(array.dtype.name == "float32" for array in arrays)
    return Parameters(arrays, keys, dtype or (np.float32 if single else np.float64))


def starting_point_of(optimizer, x0):
    """The parameters of a run that goes on with an optimizer from x0."""
    own, keys = validation.bound_parameters(optimizer)
    return ParametersOf(optimizer, validation.starting_point_like(x0, own, keys), keys)
