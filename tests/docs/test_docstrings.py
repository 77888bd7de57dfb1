"""Docstrings and signatures as users see them: examples run, names are short, and what they point to exists."""

import ast
import dataclasses
import doctest
import functools
import importlib
import inspect
import io
import pkgutil
import pydoc
import re
import sys
import tokenize
from pathlib import Path

import pytest

import fastopt
import fastopt.data
import fastopt.distributed
import fastopt.linear_model
from fastopt._minimize.settings import Settings
from fastopt.objectives._base import Objective

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "docs/_ext"))
from public_names import MODULES as PUBLIC_MODULES  # noqa: E402

PATH = re.compile(r"\b(?:csrc|docs|fastopt|tests|asv_benchmarks)/[\w./-]*\w")

MODULES = [
    "fastopt",
    *(each.name for each in pkgutil.walk_packages(fastopt.__path__, "fastopt.") if "__main__" not in each.name),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("cls", fastopt.OPTIMIZERS.values())
def test_every_optimizer_has_an_example(cls):
    assert doctest.DocTestFinder(recurse=False).find(cls)[0].examples


def test_options_of_minimize_are_those_that_it_takes():
    """In the docstring are their names and, where they are not None, their defaults."""
    text = inspect.cleandoc(fastopt.minimize.__doc__)
    listed = text[text.index("\noptions : dict") : text.index("Unknown options give")]
    named = re.findall(r"^    (\w[\w, ]*) : (.*)$", listed, re.MULTILINE)
    documented = {name: form for names, form in named for name in names.split(", ")}
    fields = {each.name: each.default for each in dataclasses.fields(Settings)}
    assert sorted(documented) == sorted(fields)
    for name, form in documented.items():
        default = re.search(r"default=(.*)$|^\{(.*?)[,}]", form)  # of several strings, the first
        assert default is None or (default[1] or default[2]) in (repr(fields[name]), f'"{fields[name]}"')
        assert default is not None or fields[name] is None


def public_objects():
    """Dotted name -> every public module, function, class, method and property."""
    found = {module.__name__: module for module in PUBLIC_MODULES}
    for module in PUBLIC_MODULES:
        named = {name: getattr(module, name) for name in module.__all__}
        found |= {f"{module.__name__}.{name}": each for name, each in named.items() if callable(each)}
    for name, each in [*found.items()]:
        if inspect.isclass(each):
            members = [member for member in dir(each) if not member.startswith("_") or member == "__call__"]
            found |= {f"{name}.{member}": getattr(each, member) for member in members}
    return found


PUBLIC = public_objects()
CALLABLES = {name: each for name, each in PUBLIC.items() if callable(each)}
MADE_BY_SKLEARN = re.compile(r"\bset_\w+_request\b")  # methods with annotations of its own
OWN = {name: each for name, each in CALLABLES.items() if not MADE_BY_SKLEARN.search(name)}


@pytest.mark.parametrize("each", OWN.values(), ids=list(OWN))
def test_signatures_have_short_names(each):
    """No annotation is expanded to what its name stands for, and the only module that one names is NumPy, as np."""
    try:
        signature = str(inspect.signature(each))
    except ValueError:  # a method in C
        return
    lines = [line for line in pydoc.plain(pydoc.render_doc(each)).splitlines() if re.search(r"\w\(.*\)( ->|$)", line)]
    for text in (signature, *(line for line in lines if not MADE_BY_SKLEARN.search(line))):
        assert not re.search(r"\bUnion\[|\bOptional\[|\bForwardRef\(|numpy\._typing|\btyping\.|collections\.abc", text)
    for parameter in inspect.signature(each).parameters.values():
        if parameter.annotation is not parameter.empty:
            assert set(re.findall(r"(?<![\w.])([a-z_]\w*)\.", parameter.annotation)) <= {"np"}


@pytest.mark.parametrize("each", CALLABLES.values(), ids=list(CALLABLES))
def test_docstrings_describe_every_parameter(each):
    """As help() and the pages show them, whether or not the interpreter strips the indentation of docstrings."""
    text = inspect.getdoc(each) or ""
    assert "<common" not in text
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL)
    if section:
        described = re.findall(r"^(\S.*?)(?: :|$)", section[1], re.MULTILINE)
        taken = [name for name in inspect.signature(each).parameters if name != "self"]
        assert [name.strip("*") for names in described for name in names.split(", ")] == taken


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("base", [fastopt.Adam, Objective])
def test_common_text_is_indented_as_the_docstring_is(base, strip):
    docstring = """Summary.

    Parameters
    ----------
    own : int
        Of this class.
    <common parameters>

    Notes
    -----
    """
    documented = type("Documented", (base,), {"__doc__": inspect.cleandoc(docstring) if strip else docstring})
    lines = inspect.getdoc(documented).splitlines()
    common = lines[lines.index("    Of this class.") + 1 : lines.index("Notes") - 1]
    assert len(common) > 5
    assert all(re.match(r"\w[\w, ]* : |    \S", line) for line in common)


def test_class_without_a_docstring_inherits_it():
    assert inspect.getdoc(type("Quiet", (fastopt.objectives.Huber,), {})) == inspect.getdoc(fastopt.objectives.Huber)


@functools.cache
def page_titles():
    """The titles of all pages, in lower case."""
    pages = [page.read_text(encoding="utf-8") for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]]
    return {match[1].casefold() for text in pages if (match := re.search(r"^# (.*)$", text, re.MULTILINE))}


@pytest.mark.parametrize("each", PUBLIC.values(), ids=list(PUBLIC))
def test_docstrings_name_pages_and_not_paths(each):
    """An installed package has no folder of documentation: pages are named by their titles."""
    text = inspect.getdoc(each) or ""
    assert not re.search(r"\b(docs|csrc)/", text)
    titles = re.findall(r'"([^"]*)"\s+in\s+the\s+documentation', text)
    assert {title.casefold() for title in titles} <= page_titles()


def prose(file):
    """The comments and docstrings of a source file; of Cython all of it, which Python cannot parse."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return text
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = [ast.get_docstring(each) or "" for each in ast.walk(ast.parse(text)) if isinstance(each, documented)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    return "\n".join([*comments, *docstrings])


SOURCES = sorted(file for file in (ROOT / "fastopt").rglob("*") if file.suffix in (".py", ".pyx", ".pxi", ".pxd"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_paths_of_the_repository_exist(file):
    assert [path for path in PATH.findall(prose(file)) if not (ROOT / path).exists()] == []
