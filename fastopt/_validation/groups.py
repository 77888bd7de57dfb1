"""Hyper-parameters of single arrays: `groups` of an optimizer, and what is set between steps."""

from . import names
from .text import shown


def place(key):
    """What messages call the hyper-parameters of an array."""
    return f"groups[{shown(key)}]"


def mapping(value, keys, owner):
    """Return `groups` as a dict whose keys are some of the parameters', each with a dict that is not empty.

    `keys` is the structure of the parameters, as `flat_parameters` returns it.
    """
    if not isinstance(value, dict):
        raise TypeError(
            f"`groups` must be a dict that has a dict of hyper-parameters for some of the parameters, such as "
            f"{{{shown(_known(keys)[0])}: {{'weight_decay': 0.0}}}}, got {type(value).__name__}."
        )
    if keys is None and value:
        raise ValueError(
            f"`groups` must be left out for a single array, got {shown(value)}; pass what it has to {owner}() itself."
        )
    for key, own in value.items():
        known_key(key, keys)
        if not isinstance(own, dict):
            raise TypeError(f"`{place(key)}` must be a dict of hyper-parameters, got {shown(own)}.")
        if not own:
            raise ValueError(f"`{place(key)}` must have a hyper-parameter at least, got {{}}; leave the key out.")
    return value


def _known(keys):
    """The keys of the parameters: those of a dict, or the indices of a list."""
    return range(1 if keys is None else keys) if keys is None or isinstance(keys, int) else keys


def known_key(key, keys):
    """Refuse a key that no parameter has."""
    if isinstance(keys, int):
        if type(key) is int and 0 <= key < keys:
            return
        raise ValueError(f"`groups` must have indices from 0 to {keys - 1} as keys, got {shown(key)}.")
    if key not in keys:
        near = [each for each in keys if str(each) == str(key)]
        advice = f" Did you mean {shown(near[0])}?" if near else names.hint(key, [str(each) for each in keys])
        raise ValueError(f"`groups` must have keys of the parameters, got {shown(key)}.{advice}")


def number(name, key, owner, declared, exception=ValueError):
    """Return the declaration of a number that an array may have for itself, or refuse the name."""
    own = [known for known, each in declared.items() if each.is_number and not each.joint]
    if name not in declared:
        advice = names.hint(name, own) or f" It takes {', '.join(f'`{each}`' for each in own)}."
        raise exception(f"`{place(key)}` must have numbers of {owner}, got {shown(name)}.{advice}")
    if name in own:
        return declared[name]
    why = "it belongs to all arrays together" if declared[name].is_number else "it decides how all arrays are updated"
    raise exception(f"`{place(key)}` must not have `{name}`, as {why}; pass it to {owner}() itself.")


def refuse_form(name, key, value, general):
    """Raise for a number that is zero where the optimizer's is not, or the opposite, and decides on the state."""
    wanted = "be 0" if general == 0 else "not be 0"
    raise ValueError(
        f"`{place(key)}[{name!r}]` must {wanted}, as `{name}` of the optimizer is {shown(general)} and decides which "
        f"state there is, got {value!r}."
    )


def refuse_combination(key, error):
    """Raise for hyper-parameters of an array that do not go with those that it has in common with the others."""
    raise ValueError(f"`{place(key)}` must go with the other hyper-parameters: {error}") from None


def refuse_start(name, owner):
    """Raise for a number that only the state begins with, and that is set afterwards."""
    raise AttributeError(
        f"`{name}` of {owner} says what the state begins with, and is fixed when the optimizer is made; "
        "make a new optimizer."
    )


def refuse_all(example):
    """Raise for an assignment to `groups` as a whole."""
    raise AttributeError(f"`groups` cannot be replaced; set single numbers, such as {example}.")


def refuse_single(owner):
    """Raise for the group of a single array."""
    raise KeyError(f"`groups` has no keys for a single array; set what it has on the {owner} itself.")


def refuse_unset(name, key):
    """Raise for handing back a number that is the optimizer's already."""
    raise AttributeError(f"`{place(key)}` has no `{name}` of its own to be deleted: it is that of the optimizer.")
