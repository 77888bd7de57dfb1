"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import fastopt

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
