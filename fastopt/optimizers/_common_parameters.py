"""What docstrings of optimizers say of the hyper-parameters that all of them have."""

import textwrap

from .. import _core
from ._storage import state_note

COMMON_PARAMETERS = """\
weight_decay : float, default={weight_decay}
    Strength of weight decay, in [0, inf): {coupled_decay}
decoupled_weight_decay : bool, default={decoupled_weight_decay}
    {decoupled_decay}
maximize : bool, default=False
    Maximize instead of minimize: the sign of the gradient is reversed.
clip_value : float, optional
    Limit each entry of the gradient to [-clip_value, clip_value] first; in (0, inf).
clip_norm : float, optional
    Then scale the gradient so that its Euclidean norm over all arrays is at most this; in (0, inf).
nonfinite : {{"propagate", "skip", "raise"}}
    What to do with a gradient that has NaN or infinite entries: use it, skip the step (it does not
    count), or raise FloatingPointError. The last two read the gradient once more.
sparse : {{"lazy", "exact", "deferred"}}
    What a sparse gradient does to entries that it does not touch: nothing, nor to their state, or what zeros
    in a dense gradient would do; at once, or before such a row is next touched or asked for by `catch_up`.
    {sparse}
state_dtype : {{None, "float32", "bfloat16", "log8"}}
    {state_dtype}
state_seed : int, default=0
    Seed of the rounding of such state, in [0, 2**63).
num_threads : int, optional
    Most threads to use; by default what `fastopt.get_num_threads` says. Results do not depend on it.
groups : dict, optional
    Other numbers for some of several arrays: ``{{key: {{"weight_decay": 0.0}}}}``, by their keys in a dict or indices
{own_numbers}"""


# How "lazy" and "exact" compare, by what the rule does where the gradient is zero.
SPARSE_NOTES = {
    "stays": "Without weight decay the two are the same, as zeros change nothing.",
    "decays": (
        "The two differ, as zeros let the state decay.\n"
        "    Without weight decay an exact step takes time proportional to the gradient, and 8 bytes are kept for\n"
        "    each row, or for each entry of a vector. With a `scipy.sparse` gradient of a\n"
        "    matrix, which touches parts of rows, it is a pass over all entries."
    ),
    "moves": "The two differ, and an exact step is a pass over all entries, as zeros move the parameter.",
    "couples": (
        "Here both mean zeros: each entry depends\n    on sums over all of them, and a step is a pass over all entries."
    ),
}


# What "deferred" comes to, by how rows make up for steps without a gradient.
DEFERRED_NOTES = {
    "linear": "A deferred step has the result of an exact one, to rounding, in time proportional to the gradient.",
    "fades": (
        "A deferred step has the result of an exact one, to rounding, in time proportional to the gradient\n"
        "    and to the steps, up to a limit, for which its rows have rested."
    ),
    "stays": "Deferred steps are the same, too, and are refused with weight decay.",
    None: "Deferred steps are refused, as many steps without a gradient have no short form.",
}


def sparse_note(cls, values):
    """What a docstring says about sparse gradients; momentum, where it is an option, changes it."""
    rule = cls.rule
    if _core.couples_entries(rule):
        return f"{SPARSE_NOTES['couples']}\n    {DEFERRED_NOTES[None]}"
    note = SPARSE_NOTES[_core.on_zero_gradient(rule, values)]
    if "momentum" in values:
        note += "\n    With momentum the two differ, and an exact step is a pass over all entries."
    rest = _core.rest(rule, values | {"weight_decay": 1.0})
    if rest["kind"] is None and _core.rest(rule, values | {"weight_decay": 0.0})["kind"] is not None:
        return f"{note}\n    {DEFERRED_NOTES['stays']}"
    note += f"\n    {DEFERRED_NOTES[rest['kind']]}"
    if rest["kind"] is not None and not rest["with_l2"]:
        note += (
            "\n    Weight decay must be decoupled then."
            if cls._no_decoupled_decay is None
            else "\n    Weight decay is refused then."
        )
    return note


def own_numbers_note(cls):
    """What a docstring says about the numbers that arrays may have for themselves."""
    own = [f"`{name}`" for name, each in cls._declared.items() if each.is_number and not each.joint]
    text = (
        f"in a list, any of {', '.join(own[:-1])} and {own[-1]}. ``opt.groups[key].weight_decay = 0.0`` sets one later."
    )
    return textwrap.fill(text, 112, initial_indent="    ", subsequent_indent="    ")


SMALL_DECAY = "\n    In float32 what is too small for one step is added up and takes effect in later ones."


def common_parameters(cls):
    """What the docstring of a class says about the hyper-parameters that every optimizer has."""
    defaults = {name: each.default for name, each in cls._declared.items()}
    notes = {
        "sparse": sparse_note(cls, defaults),
        "coupled_decay": cls._coupled_decay,
        "decoupled_decay": f"{cls._decoupled_decay}{SMALL_DECAY}",
        "state_dtype": state_note(cls.rule),
        "own_numbers": own_numbers_note(cls),
    }
    if cls._no_decoupled_decay is not None:
        notes["decoupled_decay"] = f"Must be False for {cls.__name__}, {cls._no_decoupled_decay[0]}."
    return COMMON_PARAMETERS.format(**defaults | notes)
