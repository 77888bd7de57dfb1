"""The structure of x0: arrays for the user and the optimizer, and one vector for the run, which are the same memory."""

import itertools

import numpy as np

from .._memory import Held, sealed
from .._validation import starting_points as validation
from .._validation.gradients import flat_gradients
from .._validation.parameters import label, refuse_moved
from .gradients import as_gradient


class Parameters:
    """The parameters of a run.

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
    arrays : tuple of ndarrays
        The same numbers in the shapes of x0, for the optimizer: `vector` itself where x0 is one, else views of it,
        through which nobody gets hold of it.
    is_vector : bool
        Whether x0 is one array of one dimension, as for SciPy.
    """

    def __init__(self, arrays, keys, dtype):
        self.keys, self.shapes = keys, [array.shape for array in arrays]
        self.is_vector = keys is None and arrays[0].ndim == 1
        stops = [0, *itertools.accumulate(array.size for array in arrays)]
        self.parts = [slice(*ends) for ends in itertools.pairwise(stops)]
        self.vector = sealed(np.empty(stops[-1], dtype))
        self.own = self.views(self.vector)  # nobody else has these, so that their shapes and dtypes stay
        for own, array in zip(self.own, arrays, strict=True):
            own[...] = array
        self.arrays = (self.vector,) if self.is_vector else tuple(self.views(self.vector))
        self.held = [Held(array) for array in self.arrays]

    def views(self, vector):
        """Views of a vector like the parameters in the shapes of x0; read-only for good if it is."""
        parts = zip(self.parts, self.shapes, strict=True)
        return [sealed(vector[part].reshape(shape)) for part, shape in parts]

    def together(self, arrays):
        """Arrays in the structure of x0: one array, a list or a dict."""
        if self.keys is None:
            return arrays[0]
        return dict(zip(self.keys, arrays, strict=True)) if isinstance(self.keys, tuple) else list(arrays)

    def structured(self, vector):
        """A vector like the parameters in the structure of x0, without a copy; of the parameters themselves, theirs."""
        if self.is_vector:
            return vector
        return self.together(self.arrays if vector is self.vector else self.views(vector))

    def flat(self, structured):
        """The opposite: a vector with the numbers of arrays in the structure of x0."""
        if self.is_vector:
            return structured
        arrays = [structured] if self.keys is None else flat_gradients(structured, self.keys)
        return np.concatenate([array.ravel() for array in arrays])

    def function(self, function):
        """A function of the user's as one of a vector and what follows it."""
        return function if self.is_vector else InStructure(function, self)

    def converter(self, in_structure):
        """A function of what an evaluator gave as a gradient and of the vector: what the optimizer takes.

        `in_structure` says whether the evaluator gives gradients in the structure of x0, as the user does, or vectors.
        """
        if self.is_vector:
            return as_gradient
        return self.converted if in_structure else lambda gradient, vector: self.structured(gradient)

    def converted(self, given, vector):
        """The user's gradient in dtype and shapes of the parameters where that can be, and in memory of its own."""
        given = [given] if self.keys is None else flat_gradients(given, self.keys)
        gradients = [as_gradient(each, own) for each, own in zip(given, self.own, strict=True)]
        for k, each in enumerate(gradients):  # the gradient of a.b is b, a, and a step overwrites both
            if type(each) is np.ndarray and np.may_share_memory(each, vector):
                gradients[k] = each.copy()
        return self.together(gradients)

    def description(self):
        """The structure as text, for a checkpoint and the call that resumes it; None for a vector."""
        return None if self.is_vector else repr(self.together(self.shapes))

    def check_unmoved(self):
        """Refuse to go on with arrays that the caller's code has given another dtype or shape."""
        for k, held in enumerate(self.held):
            changed = held.now_and_before
            if changed is not None:
                refuse_moved(label("params", self.keys, k), "optimizer", *changed)


class InStructure:
    """A function of the user's, which is called with arrays in the structure of x0 in place of their vector."""

    def __init__(self, function, params):
        self.function, self.params = function, params
        self.vector = self.views = None

    def __call__(self, vector, *rest):
        if vector is not self.vector:  # in the iterations it always is
            self.views, self.vector = self.params.views(vector), vector
        return self.function(self.params.together(self.views), *rest)


def starting_point(x0, dtype=None):
    """The parameters of a run that begins at x0, in a dtype or else in that which x0 asks for."""
    arrays, keys = validation.starting_point(x0)
    single = all(array.dtype.name == "float32" for array in arrays)
    return Parameters(arrays, keys, dtype or (np.float32 if single else np.float64))
