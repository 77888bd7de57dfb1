# Part of _core.pyx: slots that are stored in fewer bits than their parameters have; update/storage.h has the codes.

cdef dict CONTENT = {FO_WHOLE: "whole", FO_MOMENT: "moment", FO_SECOND_MOMENT: "second moment"}
cdef dict STORAGE = {"float32": FO_FLOAT32, "bfloat16": FO_BFLOAT16, "log8": FO_LOG8}
cdef dict STORAGE_NAME = {storage: name for name, storage in STORAGE.items()}
LONGEST_ROW = FO_VIEW_ENTRIES  # of a rule that takes rows as a whole
GROUP_ENTRIES = FO_GROUP_ENTRIES  # that are rounded together, and share the offset of 8-bit codes


def slot_contents(str rule, dict values=None):
    """Name -> what the slot holds, which says how it may be stored: "whole", "moment" or "second moment".

    Of the slots that exist with these hyper-parameters, or of all.
    """
    cdef const fo_rule *found = find_rule(rule)
    cdef Py_ssize_t k = 0
    result = {}
    exist = None if values is None else rule_slots(rule, values)
    while found.slots[k].name != NULL:
        if exist is None or found.slots[k].name.decode() in exist:
            result[found.slots[k].name.decode()] = CONTENT[found.content[k]]
        k += 1
    return result


cdef str storage_name(const fo_rule *rule, Py_ssize_t slot, str state_dtype):
    """How `state_dtype` stores a slot; None: in its parameter's dtype."""
    if state_dtype is None:
        return None
    return STORAGE_NAME.get(fo_storage_for(STORAGE[state_dtype], rule.content[slot]))


def slot_storages(str rule, dict values):
    """Name -> "float32", "bfloat16" or "log8", of the slots that `state_dtype` stores in fewer bits."""
    cdef const fo_rule *found = find_rule(rule)
    cdef Py_ssize_t k = 0
    result = {}
    exist = rule_slots(rule, values)
    while found.slots[k].name != NULL:
        name, storage = found.slots[k].name.decode(), storage_name(found, k, values["state_dtype"])
        if name in exist and storage is not None:
            result[name] = storage
        k += 1
    return result


cdef fo_storage storage_of(cnp.ndarray param, object name) except *:
    """How a slot of a parameter lies in memory; a float32 under float32 is as its parameter."""
    if name is None or name == param.dtype.name:
        return FO_AS_PARAMETER
    if (name == "float32") != (cnp.PyArray_ITEMSIZE(param) == sizeof(double)):
        raise ValueError(f"state in {name} is not for {param.dtype} parameters.")
    return STORAGE[name]


cdef tuple codes_layout(cnp.ndarray param, fo_storage storage):
    """Shape and dtype of the codes of a reduced slot."""
    if storage == FO_LOG8:
        return (<Py_ssize_t>fo_log8_bytes(cnp.PyArray_SIZE(param)),), np.dtype(np.uint8)
    return (<object>param).shape, np.dtype(np.float32 if storage == FO_FLOAT32 else np.uint16)


cdef class Codes:
    """The codes of one slot of one parameter, in memory that is an array as `slot_layout` says."""

    cdef fo_array array
    cdef fo_reduced reduced
    cdef cnp.ndarray param, memory

    def __cinit__(self, cnp.ndarray param not None, str storage not None, cnp.ndarray memory not None, int64_t seed=0):
        cdef fo_storage found = storage_of(param, storage)
        layout = codes_layout(param, found) if found != FO_AS_PARAMETER else None
        if layout != ((<object>memory).shape, memory.dtype) or not cnp.PyArray_ISCARRAY_RO(memory):
            raise ValueError("memory that goes with the parameter and the storage is needed, got other.")
        self.param, self.memory = param, memory
        self.array.size = cnp.PyArray_SIZE(param)
        self.array.dtype = dtype_names().index(param.dtype.name)
        self.array.reduced = &self.reduced
        self.reduced.codes[0] = fo_codes_at(found, self.array.size, cnp.PyArray_DATA(memory))
        self.reduced.seed = seed

    def decoded(self):
        """The numbers in an array like the parameter."""
        values = np.empty((<object>self.param).shape, self.param.dtype)
        fo_decode_slot(&self.array, 0, cnp.PyArray_DATA(<cnp.ndarray>values))
        return values

    def encode(self, cnp.ndarray values not None):
        """Write the codes of numbers, which are a C-contiguous array like the parameter."""
        fits = (<object>values).shape == (<object>self.param).shape and values.dtype == self.param.dtype
        if not (fits and cnp.PyArray_ISCARRAY_RO(values) and cnp.PyArray_ISWRITEABLE(self.memory)):
            raise ValueError("numbers like the parameter are needed, got others.")
        fo_encode_slot(&self.array, 0, cnp.PyArray_DATA(values))
