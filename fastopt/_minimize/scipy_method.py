"""The adapter that makes an optimizer a method of scipy.optimize.minimize."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .._validation import minimize as validation
from ..objectives._base import Objective

# Arguments of minimize() that the call has anyway.
GIVEN = ("fun", "x0", "method", "options")


def scipy_method(name: Any = None, **hyper: Any) -> Callable[..., Any]:
    """A method for `scipy.optimize.minimize`.

    Parameters
    ----------
    name : str, Optimizer class, callable or None, optional
        As `method` of `fastopt.minimize`.
    **hyper
        Hyper-parameters of the method, other options of `fastopt.minimize`, and its arguments, such as `jac`, `bounds`,
        `data`, `batch_size` and `rng`. Arguments and options that SciPy's `minimize` is given come before these.

    Returns
    -------
    callable
        To be passed as ``method=``. It can be pickled, if what it was made of can.

    Notes
    -----
    With ``jac=True`` SciPy wraps the objective so that it is called once for value and gradient, and not again
    while x stays the same. As a stochastic objective gives another value at the same x, the wrapper is removed.

    SciPy passes a `jac` on to methods like this one if it is True or callable; of another, such as "3-point" or "spsa",
    it passes None. As that cannot be told from no `jac`, there is an OptimizeWarning then, unless `jac` is given
    here: ``scipy_method("adam", jac="3-point")``, or None for what `fastopt.minimize` does by itself.

    Constraints are refused; `hess` and `hessp` are ignored with a RuntimeWarning.

    Examples
    --------
    >>> import fastopt
    >>> from scipy.optimize import minimize, rosen, rosen_der
    >>> method = fastopt.scipy_method("adam", learning_rate=0.05)
    >>> res = minimize(rosen, [-1.0, 2.0], jac=rosen_der, method=method, options={"maxiter": 3000})
    >>> bool(res.fun < 1e-6)
    True
    """

    return ScipyMethod(name, hyper)


class ScipyMethod:
    """What `scipy_method` returns; can be pickled if the method and its options can.

    Parameters
    ----------
    name : str, Optimizer class, callable or None
        As `method` of `fastopt.minimize`.
    options : dict
        Options and arguments of `fastopt.minimize`.
    """

    def __init__(self, name, options):
        self.name, self.options = name, options

    def __call__(
        self, fun, x0, args=(), jac=None, hess=None, hessp=None, bounds=None, constraints=(), callback=None, **options
    ):
        from scipy import LowLevelCallable

        from . import minimize

        if constraints is not None and (not hasattr(constraints, "__len__") or len(constraints) > 0):
            validation.refuse_constraints()
        for unused, value in (("hess", hess), ("hessp", hessp)):
            if value is not None:
                validation.warn_unused_derivative(unused)
        if getattr(jac, "__self__", None) is fun and hasattr(fun, "fun"):
            fun, jac = fun.fun, True
        options = {**self.options, **options}
        known = inspect.signature(minimize).parameters
        arguments = {key: options.pop(key) for key in known if key in options and key not in GIVEN}
        if jac is None and "jac" not in arguments and not isinstance(fun, (Objective, LowLevelCallable)):
            validation.warn_lost_jac()
        passed_on = {"args": args or None, "jac": jac, "bounds": bounds, "callback": callback}
        arguments |= {key: value for key, value in passed_on.items() if value is not None}
        return minimize(fun, x0, method=self.name, options=options, **arguments)

    def __repr__(self):
        name = getattr(self.name, "__qualname__", None) or repr(self.name)
        given = [name, *(f"{option}={value!r}" for option, value in self.options.items())]
        return f"fastopt.scipy_method({', '.join(given)})"
