"""How an optimizer is made and used: names, hyper-parameters, one call at a time."""

import difflib

import numpy as np

from . import names
from .scalars import inside, number, real
from .text import shown


def optimizer_name(value, registry, argument="name"):
    """Return the class that the registry holds under a name."""
    if isinstance(value, str) and value.lower() in registry:
        return registry[value.lower()]
    near = difflib.get_close_matches(str(value).lower(), registry, n=1) if isinstance(value, str) else []
    remedy = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"`{argument}` must be one of {', '.join(registry)}, got {shown(value)}.{remedy}")


def refuse_unknown_argument(owner, name, known):
    """Raise for a keyword that does not exist, with the nearest that does."""
    advice = names.hint(name, known) or f" It takes {', '.join(f'`{each}`' for each in known)}."
    raise TypeError(f"{owner}() got an unexpected keyword argument `{name}`.{advice}")


def refuse_attribute(owner, name, known):
    """Raise for an assignment to an attribute that the class does not have, with the nearest that it has."""
    advice = names.hint(name, known) or f" It has {', '.join(f'`{each}`' for each in known)}."
    raise AttributeError(f"{owner} has no attribute `{name}` to be set.{advice}")


def no_alias(owner, name, known):
    """Refuse an attribute of a user's class that is another library's name of a hyper-parameter, or one misspelt."""
    is_alias = any(each in known for each in names.ALIASES.get(name.lower(), ()))
    if is_alias or difflib.get_close_matches(name, known, n=1, cutoff=0.9):
        raise AttributeError(f"{owner} has no attribute `{name}` to be set.{names.hint(name, known)}")


def refuse_replacement(owner, name):
    """Raise for an assignment to a method, or to what a class is made of."""
    raise AttributeError(f"`{name}` of {owner} cannot be replaced, but by a subclass.")


def refuse_base_class(name, lacks="an update rule", example="fastopt.Adam"):
    """Raise for a class that lacks what its subclasses have."""
    raise TypeError(f"{name} is a base class without {lacks}; make one of its subclasses, such as {example}.")


def refuse_second_init(name):
    """Raise for __init__ on an optimizer that is already bound to its parameters."""
    raise RuntimeError(f"{name}.__init__() must be called once only; make a new optimizer.")


def refuse_uninitialised(name):
    """Raise for an object that was made by __new__ alone."""
    raise RuntimeError(f"{name} must be initialised before it is used, got one without; call {name}(...).")


def refuse_assignment(name, new=None):
    """Raise for an assignment to a hyper-parameter that decides which state there is, or how arrays are updated.

    `new` is the call that makes an optimizer with the value, if it needs other state arrays than the optimizer has.
    """
    if new is not None:
        advice = f"make a new optimizer, as the state differs: opt = {new}"
    else:
        set_it = f"state['hyperparameters']['{name}'] = value"
        advice = f"load it: state = opt.state_dict(); {set_it}; opt.load_state_dict(state)"
    raise AttributeError(
        f"`{name}` is fixed when the optimizer is made, as it decides how arrays are updated. "
        f"To go on with another value, {advice}."
    )


def refuse_finite_sum_assignment(name):
    """Raise for an assignment to a hyper-parameter of a method that needs a built-in objective."""
    raise AttributeError(f"`{name}` is fixed during a run; pass options={{'{name}': ...}} to fastopt.minimize.")


def refuse_concurrent_use(call):
    """Raise for a call, or an attribute that is set, while a step, save or load of the same optimizer is under way."""
    deed = "called" if call.endswith(")") else "set"
    raise RuntimeError(
        f"{call} must not be {deed} while another step, save or load of this optimizer is under way; "
        "use one optimizer per thread, or a lock."
    )


def learning_rate(value, interval, name="learning_rate"):
    """Return a learning rate as a float, or the callable that gives it for a step number."""
    if callable(value):
        return value
    return real(name, value, interval, "a real number or a callable t -> float")


def scheduled_rate(value, interval, t):
    """Return what a learning-rate callable gave for step `t`, as a float."""
    return real(f"learning_rate({t})", value, interval)


def scheduled_rates(values, interval, t):
    """Return what a learning-rate callable gave for the steps from `t` on, as an array of floats."""
    if all([type(value) is float for value in values]):
        rates = np.array(values)
        if inside(rates, interval).all():
            return rates
    return np.array([scheduled_rate(value, interval, t + k) for k, value in enumerate(values)])


def objective_value(owner, value):
    """Return the value of the objective, which the steps of a rule depend on; it may be NaN or infinite."""
    if value is None:
        raise TypeError(f"{owner}.step() needs the value of the objective, got None; call step(grad, value=f).")
    return number("value", value)


def refuse_value(owner, value):
    """Raise for a value of the objective that a rule has no use for."""
    raise TypeError(f"{owner}.step() takes no `value`, got {shown(value)}; leave it out.")


def no_nesterov_without_momentum(values):
    """Refuse the combinations in which Nesterov's look-ahead has no meaning."""
    if values["nesterov"] and values["momentum"] == 0:
        raise ValueError("`nesterov` needs `momentum` > 0, got 0.0; pass for example momentum=0.9.")
    if values["nesterov"] and values.get("dampening", 0) != 0:
        raise ValueError(f"`nesterov` needs `dampening` = 0, got {values['dampening']!r}.")


def no_decoupled_decay(values, owner, why, advice):
    """Refuse decoupled weight decay for a rule whose formula has no place for it."""
    if values["decoupled_weight_decay"]:
        raise ValueError(f"`decoupled_weight_decay` must be False for {owner}, {why}, got True; {advice}.")


def deferrable(owner, values, rest, may_decouple):
    """Refuse deferred steps where rows cannot make up in bounded time for those that they have missed.

    `rest` is what `_core.rest` says of the rule, and `may_decouple` whether its weight decay may be decoupled.
    """
    if rest["kind"] is None:
        raise ValueError(
            f'`sparse` must be "lazy" or "exact" for {owner}, as many steps without a gradient have no short form, '
            'got "deferred"; pass sparse="exact".'
        )
    if rest["kind"] == "stays":
        return
    if values["state_dtype"] is not None:
        raise ValueError(
            f'`state_dtype` must be None for {owner} with sparse="deferred", as steps that are not made are not '
            f'rounded, got {shown(values["state_dtype"])}; pass sparse="exact" or state_dtype=None.'
        )
    if values["weight_decay"] != 0 and not values["decoupled_weight_decay"] and not rest["with_l2"]:
        instead = "decoupled_weight_decay=True" if may_decouple else 'sparse="exact"'
        raise ValueError(
            f'`weight_decay` must be {"decoupled" if may_decouple else "0"} for {owner} with sparse="deferred", as it '
            f"is else a gradient for all rows in each step, got {shown(values['weight_decay'])}; pass {instead}."
        )
    if rest["kind"] == "linear" and values.get("epsilon") == 0 and not values.get("epsilon_root"):
        raise ValueError(
            f'`epsilon` must be above 0 for {owner} with sparse="deferred", as rows without a gradient are divided by '
            "it, got 0.0; pass epsilon=1e-8."
        )
    if rest["kind"] == "fades" and not rest["ratio"] < 1:
        betas = ", ".join(f"{name}={shown(value)}" for name, value in values.items() if name.startswith("beta_"))
        raise ValueError(
            f'`sparse` must be "lazy" or "exact" for {owner} with {betas}, as the momentum of a row without gradients '
            'outlasts what it is divided by, got "deferred"; pass sparse="exact".'
        )


def ordered_steps(values):
    """Refuse an empty range of step sizes."""
    if values["step_min"] > values["step_max"]:
        raise ValueError(f"`step_min` must be at most `step_max`, got {values['step_min']!r} > {values['step_max']!r}.")
