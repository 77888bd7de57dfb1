# Part of _core.pyx: the hyper-parameters of arrays as C reads them, one group of arrays after the other.

cdef class GroupTable:
    """Groups of arrays with the same hyper-parameters; the first has the optimizer's own, and may have no arrays.

    Parameters
    ----------
    own : list of dicts
        Per group, the hyper-parameters in which it differs from the optimizer.
    of_arrays : list of int
        Per array, the index of its group.
    """

    def __cinit__(self, list own not None, list of_arrays not None):
        self.own, self.of_arrays, self.schedules = own, of_arrays, []
        self.n = len(own)
        self.groups = <fo_group *>PyMem_Calloc(self.n, sizeof(fo_group))
        if self.groups == NULL:
            raise MemoryError()

    def __dealloc__(self):
        PyMem_Free(self.groups)

    cdef int fill(self, const fo_rule *rule, dict values) except -1:
        """Write the hyper-parameters, validated, of which those of the optimizer are `values`."""
        cdef Py_ssize_t k, n
        cdef fo_group *group
        hyper, schedules = names(rule.hyper), {}
        for k in range(self.n):
            group, merged = &self.groups[k], values | self.own[k]
            for n, name in enumerate(hyper):
                group.hyper[n] = NAN if merged[name] is None else merged[name]
            group.weight_decay = merged["weight_decay"]
            group.step.clip_value = INFINITY if merged["clip_value"] is None else merged["clip_value"]
            rate = merged["learning_rate"]
            group.learning_rate = NAN if callable(rate) else rate
            if callable(rate):
                schedules.setdefault(id(rate), (rate, []))[1].append(k)
        self.schedules = list(schedules.values())
        return 0


cdef tuple identity(dict own, dict carry):
    """What tells groups apart: numbers by their values, schedules by themselves."""
    numbers = [(name, id(value) if callable(value) else value) for name, value in own.items()]
    return *sorted(numbers), *sorted(carry.items())


cdef class Grouped(Bound):
    """What is bound, and the hyper-parameters of its arrays."""

    def __cinit__(self):
        self.it.n_groups = 0

    cdef GroupTable regrouped(self, dict values, list own_of_arrays, dict carry, list carry_of_arrays):
        """A table in which arrays that agree, in what steps carry for them, too, are together; nothing changes yet."""
        cdef Py_ssize_t k, n
        cdef GroupTable table
        found, own, carries, of_arrays = {identity({}, carry): 0}, [{}], [carry], []
        for each, carried in zip(own_of_arrays, carry_of_arrays, strict=True):
            index = found.setdefault(identity(each, carried), len(own))
            if index == len(own):
                own.append(each)
                carries.append(carried)
            of_arrays.append(index)
        table = GroupTable(own, of_arrays)
        for k in range(table.n):
            for n, name in enumerate(names(self.it.rule.carry)):
                table.groups[k].carried[n] = carries[k][name]
            for n, name in enumerate(OWED):
                table.groups[k].carried[FO_OWED_DECAY + n] = carries[k].get(name, 0.0)
        table.fill(self.it.rule, values)
        return table

    cdef void take_groups(self, GroupTable table) noexcept:
        cdef Py_ssize_t k
        cdef GroupTable former = self.table      # given up after the lock
        with self.replacing:
            self.table, self.it.groups, self.it.n_groups = table, table.groups, table.n
        self.scheduled = len(table.schedules) > 0
        for k in range(self.it.work.n_arrays):
            self.it.work.arrays[k].group = table.of_arrays[k]

    def _set_values(self, dict values not None, list own_of_arrays=None):
        """Copy validated hyper-parameters to where the next step reads them.

        Parameters
        ----------
        values : dict
            Those of the optimizer.
        own_of_arrays : list of dicts, optional
            Per array, those in which it differs; by default they stay.
        """
        cdef GroupTable table
        self.check_initialised()
        if own_of_arrays is None:
            table = GroupTable(self.table.own, self.table.of_arrays)
            for k in range(table.n):
                table.groups[k] = self.it.groups[k]
            table.fill(self.it.rule, values)
        else:
            table = self.regrouped(values, own_of_arrays, self._carry, self._carry_of_arrays)
        self.take_values(values)
        self.take_groups(table)

    cdef int take_values(self, dict values) except -1:
        """Those that hold for all arrays."""
        cdef Py_ssize_t k
        cdef int form = form_of(self.it.rule, values)
        self.check_slots(form)
        self.it.form = form
        for k in range(self.it.work.n_arrays if self.reduced_of_arrays != NULL else 0):
            self.reduced_of_arrays[k].seed = values["state_seed"]
        limit = values["clip_norm"]
        self.it.clip_norm = INFINITY if limit is None else limit
        self.it.decoupled = values["decoupled_weight_decay"]
        self.it.sign = -1.0 if values["maximize"] else 1.0
        self.exact = values["sparse"] == "exact" or fo_couples(self.it.rule)
        self.defer(values["sparse"] == "deferred")
        self.lazy = values["sparse"] == "lazy"
        self.it.nonfinite = {"propagate": FO_PROPAGATE, "skip": FO_SKIP, "raise": FO_RAISE}[values["nonfinite"]]
        return 0

    cdef dict carry_of(self, const double *carried):
        """Scalars that pass from step to step, by name; decay that is owed to float32 arrays, unless there is none."""
        cdef Py_ssize_t k
        carry = {name: fo_peek_real(&carried[k]) for k, name in enumerate(names(self.it.rule.carry))}
        owed = {name: fo_peek_real(&carried[FO_OWED_DECAY + k]) for k, name in enumerate(OWED)}
        return carry | {name: value for name, value in owed.items() if value != 0}

    cdef GroupTable present_table(self):
        """The table, for readers that have not claimed the optimizer: another thread may replace it meanwhile."""
        self.check_initialised()
        with self.replacing:
            return self.table

    cdef void show_carried(self, Py_ssize_t group, const double *carried) noexcept:
        """Set what steps carry for a group, which others may look at meanwhile."""
        cdef Py_ssize_t k
        for k in range(FO_N_CARRIED):
            fo_show_real(&self.it.groups[group].carried[k], carried[k])

    @property
    def _carry(self):
        """What steps carry for arrays with the hyper-parameters of the optimizer."""
        cdef GroupTable table = self.present_table()
        return self.carry_of(table.groups[0].carried)

    @property
    def _carry_of_arrays(self):
        """The same, of each array."""
        cdef GroupTable table = self.present_table()
        carries = [self.carry_of(table.groups[k].carried) for k in range(table.n)]
        return [carries[k] for k in table.of_arrays]

    @property
    def _group_of_arrays(self):
        """Per array, the index of its group: 0 for those that have all in common with the optimizer."""
        return [*self.present_table().of_arrays]


def load_schedules(list schedules not None, tuple copies not None):
    """Give each of some learning rates a state, or none of them if there is anything wrong with one."""
    before = [(schedule, schedule.state_dict()) for schedule, _ in schedules]
    try:
        for schedule, state in schedules:
            schedule.load_state_dict(state)
        _validation.state_dicts.unchanged_layout(copies)
    except BaseException as error:
        for schedule, state in before:
            try:
                schedule.load_state_dict(state)
            except Exception:
                pass  # it loads nothing at all; the first reason is the one to tell
        raise error
