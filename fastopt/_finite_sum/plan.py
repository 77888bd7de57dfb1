"""The settings of an epoch in C: how batches are run, and how the penalties are applied."""

from typing import Any, NamedTuple


class Plan(NamedTuple):
    """How the mini-batches of a segment are run.

    Attributes
    ----------
    batch_size, most_entries : int
        Samples in a batch, and the most entries of CSR samples that one has.
    dense_steps : bool
        Whether steps on CSR samples go over all parameters, too.
    n_workers : int
        Number of lock-free workers; 1 for one batch after the other.
    deferred : bool
        Whether columns that no sample of a batch touches catch up later with what zeros would have done.
    shared : bool
        Whether other processes have samples of each batch, too.
    """

    batch_size: int
    most_entries: int
    dense_steps: bool
    n_workers: int
    deferred: bool = False
    shared: bool = False


class Penalty(NamedTuple):
    """The penalties of an objective, and how an optimizer applies them: csrc/finite_sum/lagged_penalty.h.

    Attributes
    ----------
    kind : {"none", "proximal", "flow", "closed_form", "lagged_gradient"}
        A key of `epochs.PENALTIES`.
    l2, l1 : float
        Those of the objective.
    step_gain : float
        Factor of l2 and l1 in the "proximal" step; above 1 with momentum, where a constant gradient moves
        the parameters further than one step does.
    accumulator : ndarray or None
        For "flow", Adagrad's, with its `epsilon` and `epsilon_root`.
    """

    kind: str
    l2: float
    l1: float
    step_gain: float = 1.0
    accumulator: Any = None
    epsilon: float = 0.0
    epsilon_root: float = 0.0
