"""The examples in docstrings run and print what they say."""

import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import fastopt
from fastopt._minimize.settings import Settings

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
