"""What may know of what: files of csrc by folder, modules of fastopt by layer, and names that are told apart."""

import ast
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "fastopt"

# --- csrc: which folder includes which ------------------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
TEMPLATE = re.compile(r'^\s*#\s*define\s+FO_TEMPLATE\s+"([^"]+)"', re.MULTILINE)
GUARD = re.compile(r"^\s*#\s*ifndef\s+(FO_\w+_H)\s+#\s*define\s+\1\b", re.MULTILINE)
SOURCES = sorted(path for path in CSRC.rglob("*") if path.suffix in (".c", ".h"))
ABOVE = {"core": ("update/", "finite_sum/"), "update": ("finite_sum/",)}  # folder -> what it does not include
# dispatch.c has the tables of rules and of losses, so that it knows what an entry of either is.
ALLOWED = {("core/dispatch.c", "finite_sum/objective.h")}


def name_of(path):
    return path.relative_to(CSRC).as_posix()


def included(path):
    return set(INCLUDE.findall(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("folder", ABOVE)
def test_no_file_includes_a_header_of_a_folder_above(folder):
    files = [path for path in SOURCES if path.parent.name == folder]
    assert files
    pairs = {(name_of(path), header) for path in files for header in included(path)}
    assert {pair for pair in pairs if pair[1].startswith(ABOVE[folder])} <= ALLOWED


def test_includes_name_the_folder():
    """Such that the folder above is seen in the line, and a file is found from wherever it is included."""
    for path in SOURCES:
        for header in included(path):
            assert (CSRC / header).is_file(), f"{name_of(path)} includes {header}"


def has_guard(header):
    return GUARD.search((CSRC / header).read_text(encoding="utf-8"))


def included_once_per_variant():
    """The templates, and what they include that has no guard against a second time."""
    found = set()
    waiting = {name for path in SOURCES for name in TEMPLATE.findall(path.read_text(encoding="utf-8"))}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= {header for header in included(CSRC / name) if not has_guard(header)} - found
    return found


def test_files_that_are_included_once_per_variant_say_so_in_their_names():
    found = included_once_per_variant()
    assert "update/drivers_tmpl.h" in found
    assert [name for name in sorted(found) if not name.endswith("_tmpl.h")] == []


def test_files_with_the_name_of_a_template_are_included_once_per_variant():
    assert {name_of(path) for path in SOURCES if path.name.endswith("_tmpl.h")} <= included_once_per_variant()


# --- csrc: names that differ -----------------------------------------------------------------------------------


def edit_distance(one, other):
    """How many letters have to be inserted, deleted or replaced (Levenshtein 1966)."""
    row = list(range(len(other) + 1))
    for count, letter in enumerate(one, 1):
        above, row = row, [count]
        for column, each in enumerate(other, 1):
            row.append(min(above[column] + 1, row[-1] + 1, above[column - 1] + (letter != each)))
    return row[-1]


def test_edit_distance():
    assert [edit_distance(*pair) for pair in (("", "abc"), ("abc", "abc"), ("kitten", "sitting"))] == [3, 0, 3]


def test_names_of_files_differ_by_three_letters_or_more():
    """Files of one stem belong together; optimizers and losses are called as the papers call them.

    An optimizer, whose name is also the user's, is not called otherwise because of a file elsewhere that has a similar
    name: that is LARS beside loss.h.
    """
    stems = {}
    for path in SOURCES:
        stems.setdefault(path.stem.removesuffix("_tmpl"), set()).add(path.parent.name)
    pairs = [
        (one, other)
        for one, other in itertools.combinations(sorted(stems), 2)
        if not (stems[one] | stems[other] <= {"rules", "losses"} or {"rules"} in (stems[one], stems[other]))
    ]
    assert [pair for pair in pairs if edit_distance(*pair) < 3] == []


# --- fastopt: imports only downwards ---------------------------------------------------------------------------

DECLARATIONS = ("_csrc", "_fused")  # files .pxd of C types and functions, below all layers
CYTHON_IMPORT = re.compile(
    r"^\s*from\s+(\.*)([\w.]*)\s+c?import\s+(\([^)]*\)|[^#\n]+)|^\s*c?import\s+(fastopt[\w.]*)", re.MULTILINE
)
CYTHON_INCLUDE = re.compile(r'^\s*include\s+"(\w+)\.pxi"', re.MULTILINE)


def layers():
    """From the bottom up: the names before the colon of each bullet below "Layers" in docs/how_it_works.md."""
    page = (ROOT / "docs/how_it_works.md").read_text(encoding="utf-8")
    section = re.search(r"^## Layers$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)[1]
    bullets = re.findall(r"^- ([^:\n]*)", section, re.MULTILINE)
    return [DECLARATIONS, *(tuple(re.findall(r"`(\w+)`", bullet)) for bullet in bullets)]


def modules():
    """Top-level module or package -> the files that are part of it."""
    sources = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".pyx", ".pxd", ".pxi")]
    including = {
        name: path.stem
        for path in PACKAGE.glob("*.pyx")
        for name in CYTHON_INCLUDE.findall(path.read_text(encoding="utf-8"))
    }
    found = {}
    for path in sources:
        name = path.relative_to(PACKAGE).parts[0].partition(".")[0]
        found.setdefault(including.get(name, name), []).append(path)
    return found


def python_imports(text):
    """(number of dots, module, names) of each import, those inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((0, alias.name, []) for alias in node.names)


def cython_imports(text):
    for dots, module, listed, absolute in CYTHON_IMPORT.findall(text):
        yield len(dots), absolute or module, re.findall(r"\w+", listed)


def imported(path):
    """The top-level modules of fastopt that a file imports; `__init__` for the package itself."""
    read = python_imports if path.suffix == ".py" else cython_imports
    package = ("fastopt", *path.relative_to(PACKAGE).parts[:-1])
    for dots, module, listed in read(path.read_text(encoding="utf-8")):
        target = (package[: len(package) - dots + 1] if dots else ()) + tuple(filter(None, module.split(".")))
        if target[:1] != ("fastopt",):
            continue
        if len(target) > 1:
            yield target[1]
        else:
            yield from {name if name in MODULES else "__init__" for name in listed or ["__init__"]}


MODULES = modules()


def test_every_module_is_in_one_layer():
    listed = [name for layer in layers() for name in layer]
    assert sorted(listed) == sorted(MODULES)


def test_imports_that_are_read():
    text = "import os, fastopt.plot\ndef f():\n    from .. import _core as core\n    from ._base import A, B\n"
    assert sorted(python_imports(text)) == [
        (0, "fastopt.plot", []),
        (0, "os", []),
        (1, "_base", ["A", "B"]),
        (2, "", ["_core"]),
    ]
    text = "cimport numpy as cnp\nfrom .._csrc cimport (fo_batch,\n    fo_loss)\nfrom . import _validation  # why\n"
    assert [each[:2] for each in cython_imports(text)] == [(2, "_csrc"), (1, "")]
    assert list(cython_imports(text))[1][2] == ["_validation"]
    assert set(imported(PACKAGE / "_minimize/settings.py")) >= {"_finite_sum", "_validation", "optimizers"}
    assert set(imported(PACKAGE / "_sparse/coalesce.pyx")) == {"_core", "_fused", "_validation"}
    assert "__init__" in set(imported(PACKAGE / "_cli/bench.py"))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_modules_import_only_from_layers_below(name):
    """Modules of one layer do not know each other, but for the topmost: the public names and the command line."""
    rank = {each: height for height, layer in enumerate(layers()) for each in layer}
    top = max(rank.values())
    for path in MODULES[name]:
        for other in set(imported(path)) - {name}:
            assert rank[other] < rank[name] or rank[other] == rank[name] == top, f"{path} imports {other}"
