"""How the state of an optimizer may be stored."""

from .parameters import label
from .text import shown


def refuse_whole_state(owner, state_dtype, possible):
    """Raise for an optimizer whose state cannot be stored in fewer bits, all of it or all that its options leave."""
    why = "whose state has to be exact" if not possible else f"which keeps no {' or '.join(possible)} like this"
    raise ValueError(f"`state_dtype` must be None for {owner}, {why}, got {shown(state_dtype)}; leave it out.")


def check_dtypes(arrays, keys, state_dtype):
    """Refuse codes of 16 and 8 bits under float64, which has numbers that they cannot come near."""
    for k, array in enumerate(arrays):
        if state_dtype != "float32" and array.dtype.itemsize > 4:
            raise ValueError(
                f"`state_dtype` must be None or 'float32' for {array.dtype} parameters, got {shown(state_dtype)} "
                f'for {label("params", keys, k)}; pass state_dtype="float32", or make the parameters float32.'
            )


def check_saved(arrays, state_dtype):
    """Refuse a state dictionary with codes of 16 and 8 bits for float64 parameters."""
    wide = [array.dtype for array in arrays if array.dtype.itemsize > 4]
    if wide and state_dtype not in (None, "float32"):
        raise ValueError(
            f"`state_dict['hyperparameters']['state_dtype']` must be None or 'float32' for {wide[0]} parameters, got "
            f"{shown(state_dtype)}; load it into an optimizer of float32 parameters."
        )


def no_codes_when_centered(values):
    """Refuse codes of 16 and 8 bits for a variance that is the small difference of two numbers."""
    if values["centered"] and values["state_dtype"] not in (None, "float32"):
        raise ValueError(
            "`state_dtype` must be None or 'float32' with `centered`, which divides by a difference of means that has "
            f"to be exact, got {shown(values['state_dtype'])}; leave it out."
        )


def check_rows(arrays, keys, owner, longest):
    """Refuse rows that are too long to be decoded as a whole."""
    for k, array in enumerate(arrays):
        width = array.size // array.shape[0] if array.ndim > 1 and array.size else 1
        if width > longest:
            raise ValueError(
                f"`state_dtype` must be None for {owner} with rows of more than {longest:,} entries, got rows of "
                f"{width:,} in {label('params', keys, k)}; leave it out."
            )


def refuse_in_epochs(owner, state_dtype, why):
    """Raise for a built-in objective whose epochs read or write state in a way that codes do not allow."""
    raise ValueError(
        f"`state_dtype` must be None for {owner} over a built-in objective {why}, got {shown(state_dtype)}; "
        "leave the option out."
    )
