"""The registries of the package, read from the sources beside this folder and not from what is installed.

asv finds the parameters of a benchmark once, and passes them to the processes of all commits by their position. So
every commit must see the same lists, also one that lacks some of what they name.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "fastopt"


def _statements(path):
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8")).body


def _imported_classes(path):
    """The classes that a folder's __init__.py imports from its public modules, one of each."""
    imports = [each for each in _statements(path) if isinstance(each, ast.ImportFrom) and each.level == 1]
    public = [each for each in imports if each.module and not each.module.startswith("_")]
    return [alias.name for each in public for alias in each.names]


def _assigned(path, name):
    """The expression that a module assigns to a name."""
    for each in _statements(path):
        if isinstance(each, ast.Assign) and [target.id for target in each.targets] == [name]:
            return each.value
    raise LookupError(f"{PACKAGE / path} assigns nothing to {name}.")


OPTIMIZERS = sorted(name.lower() for name in _imported_classes("optimizers/__init__.py"))
LOSSES = sorted(_imported_classes("objectives/__init__.py"))
FINITE_SUM_METHODS = sorted(key.value for key in _assigned("_finite_sum/methods.py", "FINITE_SUM_METHODS").keys)
DTYPES = list(ast.literal_eval(_assigned("_types.py", "DTYPES")))
