"""Validate the docstrings of public names as they are at run time, with the checks in pyproject.toml."""

import inspect
import sys
import tomllib
from pathlib import Path

from numpydoc.validate import validate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs/_ext"))

from public_names import MODULES


def public_names():
    """Dotted names of all that users call, public methods and properties included."""
    for module in MODULES:
        for name in module.__all__:
            each = getattr(module, name)
            if not callable(each) or name.startswith("_"):
                continue
            yield f"{module.__name__}.{name}"
            if inspect.isclass(each) and each.__module__.startswith("fastopt"):
                yield from (f"{module.__name__}.{name}.{member}" for member in vars(each) if is_public(each, member))


def is_public(cls, member):
    return not member.startswith("_") and (
        inspect.isfunction(vars(cls)[member]) or isinstance(vars(cls)[member], property)
    )


# numpydoc leaves a first parameter of this name out of signatures, as that of a class method.
MISTAKEN = ("PR02", "Unknown parameters {'cls'}")


def main():
    checks = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["numpydoc_validation"]["checks"]
    names = sorted(set(public_names()))
    errors = [(name, *error) for name in names for error in validate(name)["errors"] if tuple(error) != MISTAKEN]
    found = [f"{name}: {code} {text}" for name, code, text in errors if code in checks]
    print(*found, f"{len(names)} docstrings, {len(found)} findings", sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
