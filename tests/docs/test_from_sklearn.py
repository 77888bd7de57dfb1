"""The tables of "Coming from scikit-learn" name every parameter, with the defaults that both sides have."""

import inspect
import re
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import sklearn
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor

from fastopt.linear_model import LinearClassifier, LinearRegressor

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "from_sklearn.md"
PAIRS = {
    SGDClassifier: LinearClassifier,
    SGDRegressor: LinearRegressor,
    LogisticRegression: LinearClassifier,
}
OF_VERSION = (1, 9)  # whose defaults are on the page
GONE = {"multi_class"}  # parameters of versions before that one
OTHERWISE_NAMED = {("C", "alpha")}


def table(theirs, ours):
    """The rows of a table: the parameter there, and here, each as name and default; None where there is none."""
    text = PAGE.read_text(encoding="utf-8")
    rows = re.search(rf"^\| `{theirs}` \| `{ours}` \| what differs \|\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)[1]
    cells = [[cell.strip() for cell in row.strip().strip("|").split(" | ")[:2]] for row in rows.splitlines()]
    return [[None if cell == "none" else parameter(cell) for cell in pair] for pair in cells]


def parameter(cell):
    name, _, default = re.fullmatch(r"`(.*)`", cell)[1].partition("=")
    return name, eval(default) if default else None


def defaults(cls):
    return {name: each.default for name, each in inspect.signature(cls).parameters.items()}


@pytest.mark.parametrize("theirs", PAIRS, ids=lambda cls: cls.__name__)
def test_every_parameter_is_in_the_table(theirs):
    ours = PAIRS[theirs]
    there, here = zip(*table(theirs.__name__, ours.__name__), strict=True)
    names = [name for name, _ in there]
    assert sorted(names) == sorted(set(names)) and set(defaults(theirs)) - set(names) == set()
    assert set(names) - set(defaults(theirs)) <= GONE
    assert [name for name, default in filter(None, here) if defaults(ours)[name] != default] == []
    if tuple(map(int, sklearn.__version__.split(".")[:2])) == OF_VERSION:
        found = {name: default for name, default in there if name not in GONE}
        assert found == defaults(theirs)


@pytest.mark.parametrize("theirs", PAIRS, ids=lambda cls: cls.__name__)
def test_what_is_shared_has_its_name(theirs):
    """A parameter that both have is in the row of its name."""
    ours = PAIRS[theirs]
    for there, here in table(theirs.__name__, ours.__name__):
        if here is None:
            assert there[0] not in defaults(ours)
        else:
            assert there[0] == here[0] or (there[0], here[0]) in OTHERWISE_NAMED
