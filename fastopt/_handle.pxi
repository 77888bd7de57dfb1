# Part of _core.pyx: optimizers for compiled code, which may have no interpreter at hand. Most steps are made in C, see
# csrc/interface; here are the handles, and the steps that need Python.

@cython.no_gc
cdef class Handle:
    """What compiled code knows an optimizer by. The optimizer owns it.

    Compiled code may run without the interpreter's lock, so nothing can be pinned then: the memory of the parameters is
    pinned as long as there is a handle. Of the caller's array only the address and the flags are looked at.
    """

    def __dealloc__(self):
        if self.pins is not None:
            self.pins.release()
        PyMem_Free(self.arrays)

    cdef int bind(self, Engine engine) except -1:
        """Let all point to parts of an optimizer, which the caller has claimed: in a step parameters are pinned."""
        cdef Py_ssize_t k, n = engine.it.work.n_arrays
        cdef array_fields *fields
        self.arrays = <fo_caller_array *>PyMem_Calloc(max(n, 1), sizeof(fo_caller_array))
        if self.arrays == NULL:
            raise MemoryError()
        self.pins = Pins()
        self.pins.reserve(n)
        for k in range(n):
            engine.check_param(k)
        for k in range(n):
            held = <Held>engine.held[k]
            fields = <array_fields *><PyObject *>held.array
            self.arrays[k].memory, self.arrays[k].flags = <void *const *>&fields.data, &fields.flags
            self.pins.add(held.view)
        self.it.as_public.functions, self.it.python = &fo_interface_functions, &in_python
        self.it.owner, self.it.it, self.it.arrays = <void *>engine, &engine.it, self.arrays
        self.it.owned, self.it.n_owned = engine.owned, engine.n_owned
        self.it.busy, self.it.skipped, self.it.last_rate = &engine.busy, &engine.skipped, &engine.last_rate
        self.it.lazy, self.it.exact = <int *>&engine.lazy, <int *>&engine.exact
        self.it.scheduled = <int *>&engine.scheduled
        self.it.bytes, self.it.sparse_plan = &engine.bytes, <int *>&engine.sparse_plan
        self.it.writeable = cnp.NPY_ARRAY_WRITEABLE
        return 0


cdef void forget_owner(object capsule) noexcept:
    Py_DECREF(<object>PyCapsule_GetContext(capsule))


cdef object capsule_of(Engine engine):
    """A capsule of the handle that keeps the optimizer alive."""
    capsule = PyCapsule_New(engine.public_handle(), "fastopt.optimizer", NULL)
    PyCapsule_SetContext(capsule, <void *>engine)
    Py_INCREF(engine)
    PyCapsule_SetDestructor(capsule, forget_owner)
    return capsule


# --- steps that need Python ---------------------------------------------------------------------------------------

cdef int status_of(object error) noexcept:
    """What the C interface returns for what Python raises."""
    if isinstance(error, KeyboardInterrupt):
        PyErr_SetInterrupt()                  # it comes once compiled code has returned
    for kind, status in ((FloatingPointError, FO_STATUS_NONFINITE), (IndexError, FO_STATUS_BAD_INDEX),
                         (RuntimeError, FO_STATUS_BUSY), (MemoryError, FO_STATUS_NO_MEMORY)):
        if type(error) is kind:
            return status
    return FO_STATUS_REFUSED


cdef cnp.ndarray array_at(const void *memory, tuple shape, int typenum):
    """An array over memory of compiled code, for the time of a call."""
    cdef cnp.npy_intp[FO_MAX_DIMS] extents
    for axis, extent in enumerate(shape):
        extents[axis] = extent
    return cnp.PyArray_SimpleNewFromData(len(shape), extents, typenum, <void *>memory)


cdef int dense_in_python(void *owner, const void *const *grads) noexcept with gil:
    engine = <Engine>owner
    try:
        params = [(<Held>held).view for held in engine.held]
        arrays = tuple([
            None if grads[k] == NULL else array_at(grads[k], (<object>params[k]).shape, cnp.PyArray_TYPE(params[k]))
            for k in range(len(params))
        ])
        engine.step(engine._structured(arrays))
    except BaseException as error:
        return status_of(error)
    return FO_STATUS_OK


cdef object index_at(const void *indices, int index64, Py_ssize_t n):
    return array_at(indices, (n,), cnp.NPY_INT64 if index64 else cnp.NPY_INT32)


cdef object alone(Engine engine, Py_ssize_t array, object of_array):
    """What there is of one parameter, in the structure of all."""
    arrays = [None] * len(engine.arrays)
    arrays[array] = of_array
    return engine._structured(tuple(arrays))


cdef int rows_in_python(void *owner, Py_ssize_t array, const void *indices, int index64, Py_ssize_t n, const void *rows,
                        int unique) noexcept with gil:
    cdef cnp.ndarray param
    engine = <Engine>owner
    try:
        param = (<Held>engine.held[array]).view
        values = array_at(rows, (n, *(<object>param).shape[1:]), cnp.PyArray_TYPE(param))
        index = index_at(indices, index64, n)
        engine.step(alone(engine, array, sparse_gradients.RowSparse(index, values, unique=bool(unique))))
    except BaseException as error:
        return status_of(error)
    return FO_STATUS_OK


cdef int catch_up_in_python(void *owner, Py_ssize_t array, const void *indices, int index64, Py_ssize_t n) noexcept \
        with gil:
    engine = <Engine>owner
    try:
        engine.acquire("catch_up()")
        try:
            rows = [None] * len(engine.arrays)
            rows[array] = index_at(indices, index64, n)
            engine._catch_up_rows(rows)
        finally:
            engine.release()
    except BaseException as error:
        return status_of(error)
    return FO_STATUS_OK


cdef int rate_in_python(void *owner, double rate) noexcept with gil:
    engine = <Engine>owner
    try:
        engine.learning_rate = rate
    except ValueError:
        return FO_STATUS_BAD_ARGUMENT
    except BaseException as error:
        return status_of(error)
    return FO_STATUS_OK


cdef fo_in_python in_python

in_python.step_dense, in_python.step_rows, in_python.catch_up = dense_in_python, rows_in_python, catch_up_in_python
in_python.set_learning_rate = rate_in_python


def interface_addresses():
    """Name -> address of each function of the C interface."""
    return {
        "step_dense": <uintptr_t>fo_interface_functions.step_dense,
        "step_rows": <uintptr_t>fo_interface_functions.step_rows,
        "catch_up": <uintptr_t>fo_interface_functions.catch_up,
        "learning_rate": <uintptr_t>fo_interface_functions.learning_rate,
        "set_learning_rate": <uintptr_t>fo_interface_functions.set_learning_rate,
        "step_count": <uintptr_t>fo_interface_functions.step_count,
        "last_norm": <uintptr_t>fo_interface_functions.last_norm,
        "measure": <uintptr_t>fo_interface_functions.measure,
    }
