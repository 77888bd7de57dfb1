# Part of _core.pyx: the tables and switches of C, for Python.

cdef list names(const char *const *table):
    cdef Py_ssize_t k = 0
    result = []
    while table[k] != NULL:
        result.append(table[k].decode())
        k += 1
    return result


cdef const fo_rule *find_rule(str name) except NULL:
    cdef const fo_rule *found = fo_find_rule(name.encode())
    if found == NULL:
        raise KeyError(name)
    return found


cdef int form_of(const fo_rule *rule, dict values):
    """The form bits of the options among the hyper-parameter values."""
    cdef int form = 0, bit = 2
    for name in names(rule.options):
        if values[name]:
            form |= bit
        bit <<= 1
    return form


def form(str rule, dict values):
    """The kernels that a rule has for hyper-parameters: which of its options are not zero."""
    return form_of(find_rule(rule), values)


def rule_names():
    """Names of the rules, as csrc/rules/rules.def lists them."""
    cdef Py_ssize_t k = 0
    result = []
    while fo_rules[k] != NULL:
        result.append(fo_rules[k].name.decode())
        k += 1
    return result


def rule_hyperparameters(str rule):
    """Names of the hyper-parameters that the rule reads, its options included."""
    cdef const fo_rule *found = find_rule(rule)
    return sorted({*names(found.hyper), *names(found.options)})


def rule_options(str rule):
    """Names of the hyper-parameters that choose the form of the rule's kernels."""
    return names(find_rule(rule).options)


def owns_weight_decay(str rule):
    """Whether the rule applies weight decay itself, which the loops do for all others."""
    return bool(find_rule(rule).own_weight_decay)


def rule_slots(str rule, dict values):
    """Name -> whether it starts at zero, for the state slots that exist with these hyper-parameters."""
    cdef const fo_rule *found = find_rule(rule)
    cdef int form = form_of(found, values)
    cdef Py_ssize_t k = 0
    result = {}
    while found.slots[k].name != NULL:
        if found.slots[k].options & form == found.slots[k].options:
            result[found.slots[k].name.decode()] = bool(found.slots[k].starts_at_zero)
        k += 1
    return result


def couples_entries(str rule):
    """Whether the step of each entry depends on all others: then a sparse gradient is one among zeros."""
    return bool(fo_couples(find_rule(rule)))


def rest(str rule, dict values):
    """How rows make up for steps without a gradient.

    "kind" is "stays", if nothing is to be made up for, "linear" or "fades", as csrc/update/catch_up.h says, or None, if
    it would take as many steps; "with_l2" is whether that holds for weight decay that joins the gradient. Where it
    fades, "ratio" is what a step adds, next to what the step before it has added.
    """
    cdef const fo_rule *found = find_rule(rule)
    cdef double[FO_MAX_HYPER] hyper
    cdef int form = form_of(found, values)
    cdef Py_ssize_t k
    if found.zero_gradient(form) == FO_STAYS and values["weight_decay"] == 0:
        return {"kind": "stays"}
    for k, name in enumerate(names(found.hyper)):
        hyper[k] = NAN if values[name] is None else values[name]
    return {
        "kind": {FO_NO_REST: None, FO_LINEAR: "linear", FO_FADES: "fades"}[found.rest],
        "with_l2": bool(found.rests_with_l2),
        "ratio": found.rest_ratio(hyper, form) if found.rest == FO_FADES else None,
    }


def takes_rows(str rule):
    """Whether the rule takes the rows of a parameter as a whole."""
    return bool(find_rule(rule).by_rows)


def takes_matrices(str rule):
    """Whether the rule makes sense of matrices only."""
    return bool(find_rule(rule).orthogonalises)


def uses_value(str rule):
    """Whether the step depends on the value of the objective."""
    return bool(find_rule(rule).uses_value)


cdef dict PER = {FO_PER_ENTRY: "entry", FO_PER_ROW: "row", FO_PER_ARRAY: "array", FO_SUM_PER_ARRAY: "sum",
                 FO_PER_MATRIX_ROW: "matrix row", FO_PER_MATRIX_COLUMN: "matrix column"}


def slot_layout(cnp.ndarray param not None, str per not None, storage=None):
    """Shape and dtype of a slot of a parameter, by what it has numbers for, see `slot_shapes`, and its storage.

    Rows and columns without entries have no numbers: there may be any number of them.
    """
    cdef fo_storage reduced = storage_of(param, storage)
    if reduced != FO_AS_PARAMETER:
        return codes_layout(param, reduced)
    shape = (<object>param).shape
    last = max(len(shape) - 1, 0)
    if per in ("array", "sum"):
        return (() if per == "array" else (3,)), np.dtype(np.float64)
    if per != "entry" and cnp.PyArray_SIZE(param) == 0:
        return (0,), (<object>param).dtype
    shapes = {"entry": shape, "row": shape[:1], "matrix row": shape[:last]}
    return shapes[per] if per in shapes else shape[: max(last - 1, 0)] + shape[last:], (<object>param).dtype


def slot_shapes(str rule, dict values):
    """Name -> what the slot has numbers for.

    "entry", "row" or "array"; "matrix row" and "matrix column", of the last two axes; "sum" for the three of a sum
    over an array.
    """
    cdef const fo_rule *found = find_rule(rule)
    cdef Py_ssize_t k = 0
    result = {}
    exist = rule_slots(rule, values)
    while found.slots[k].name != NULL:
        if found.slots[k].name.decode() in exist:
            result[found.slots[k].name.decode()] = PER[found.slots[k].per]
        k += 1
    return result


def streams(str rule, dict state, Py_ssize_t size):
    """How many arrays as large as a parameter of `size` entries a step only reads, and how many it reads and writes.

    `state` is slot name -> the slot of this parameter. A dense gradient is among the first, the parameter among the
    second. What sums before the step read once more is not counted.
    """
    cdef const fo_rule *found = find_rule(rule)
    cdef Py_ssize_t k = 0, read = 1, readwrite = 1
    while found.slots[k].name != NULL:
        slot = state.get(found.slots[k].name.decode())
        if slot is not None and found.slots[k].kept:
            read += slot.size // size
        elif slot is not None:
            readwrite += slot.size // size
        k += 1
    return read, readwrite


def dtype_names():
    """The dtypes that parameters may have."""
    cdef int k = 0
    result = []
    while fo_dtype_name(k) != NULL:
        result.append(fo_dtype_name(k).decode())
        k += 1
    return result


def isa_names():
    """The instruction sets of this build, narrowest first."""
    cdef int k = 0
    result = []
    while fo_isa_name(k) != NULL:
        result.append(fo_isa_name(k).decode())
        k += 1
    return result


def isa_supported(str name):
    """Whether this processor runs the instruction set."""
    return bool(fo_isa_supported(isa_names().index(name)))


def isa_in_use():
    """The instruction set that kernels run with."""
    return fo_isa_name(fo_isa_in_use()).decode()


def always_share(bint flag):
    """Whether work is shared among threads though they are slow to wake, which only costs time: for tests."""
    fo_always_share(flag)


def use_isa(str name):
    """Select an instruction set; it must be supported."""
    fo_use_isa(isa_names().index(name))


def compiler():
    """The compiler that built the kernels."""
    return fo_compiler().decode()


def has_openmp():
    """Whether the build has threads."""
    return bool(fo_has_openmp())


def openmp_max_threads():
    """What the OpenMP runtime would use in this thread: OMP_NUM_THREADS, or a limit of threadpoolctl."""
    return fo_openmp_max_threads()


def advise_huge_pages(cnp.ndarray memory):
    """Ask for huge pages under a block of memory."""
    fo_advise_huge_pages(cnp.PyArray_DATA(memory), cnp.PyArray_NBYTES(memory))


def gauge(cnp.ndarray read, list readwrite, int num_threads):
    """One pass over 1 + len(readwrite) byte arrays of equal size with no arithmetic: the bandwidth gauge."""
    cdef void *streams[FO_MAX_STREAMS]
    cdef int n = len(readwrite)
    assert 1 <= n <= FO_MAX_STREAMS, n
    for k in range(n):
        streams[k] = cnp.PyArray_DATA(<cnp.ndarray?>readwrite[k])
    fo_bandwidth_pass(cnp.PyArray_DATA(read), streams, n, cnp.PyArray_NBYTES(read), num_threads)


def gauge_like(int read, int readwrite):
    """How many arrays the gauge, which only reads one, has to read and write for a mix most like that of a step.

    Writes are dearer than reads, so what has to be alike is their share in all that is moved.
    """
    cdef double share = readwrite / (read + 2.0 * readwrite)
    cdef int n, best = 1
    for n in range(1, FO_MAX_STREAMS + 1):
        if abs(n / (1 + 2.0 * n) - share) < abs(best / (1 + 2.0 * best) - share):
            best = n
    return best


def on_zero_gradient(str rule, dict values):
    """What the rule does where the gradient is zero: "moves" the parameter, "stays", or "decays" the state only."""
    cdef const fo_rule *found = find_rule(rule)
    return {FO_MOVES: "moves", FO_STAYS: "stays", FO_DECAYS: "decays"}[found.zero_gradient(form_of(found, values))]
