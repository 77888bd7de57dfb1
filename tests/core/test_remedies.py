"""Every remedy in a message is tried: what it says is done, and then the call succeeds."""

import ast
import functools
import importlib.metadata
import re
from pathlib import Path

import pytest
import remedies
from remedies import TABLE

import fastopt

PACKAGE = Path(fastopt.__file__).parent
# Messages of files are those of the checkpoint tests, usage errors those of the command line.
SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name not in ("_cli", "_checkpoint")]
# Ends of messages that explain and give no advice, and advice that cannot be followed in a test.
EXPLANATIONS = {
    "; an iterator that has been used up gives no more.",
    "; it is moved there.",
    "; its row pointers do not fit its shape and its entries.",
    "; its row pointers descend.",
    "; NumPy has none of that name.",
    "; results of fastopt.minimize have it.",
}
INSTALLATIONS = {"plot", "progress", "sklearn"}
# A remedy begins after a semicolon, and has code of NumPy, of a method or an assignment in it.
ADVICE = re.compile(r"(; |Did you mean|^np\.\w+\(|^\.\w+\(|^\w+ = )")


@pytest.mark.parametrize("name", TABLE)
def test_what_the_message_says_can_be_done(name):
    row = TABLE[name]
    names = remedies.followed(row)
    assert eval(row.check, names), str(remedies.refusal(row)[1])


@functools.cache
def refusals():
    """The messages of the table, and where they were raised."""
    errors = [remedies.refusal(row)[1] for row in TABLE.values()]
    return [str(error) for error in errors], {remedies.raised_at(error) for error in errors}


def constants(path):
    """The strings of a module that are no docstrings, with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    for each in ast.walk(tree):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in documentation:
            yield each.lineno, each.value


def advice_in(text):
    """The part of a string that gives advice, or nothing."""
    found = ADVICE.search(text)
    return "" if found is None or "\n" in text else text[found.start() :]


def test_every_piece_of_advice_is_in_a_message_of_the_table():
    messages, _ = refusals()
    missing = []
    for path in SOURCES:
        for line, text in constants(path):
            advice = advice_in(text)
            known = advice in EXPLANATIONS or any(f'"fastopt[{each}]"' in advice for each in INSTALLATIONS)
            if advice and not known and not any(advice in message for message in messages):
                missing.append(f"{path.relative_to(PACKAGE)}:{line}: {advice!r}")
    assert missing == []


def gives_advice(statement):
    """Whether a statement raises with advice in its message, written there or put together before."""
    parts = list(ast.walk(statement))
    texts = [advice_in(each.value) for each in parts if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    written = any(text and text not in EXPLANATIONS for text in texts)
    return written or any(isinstance(each, ast.Name) and each.id in ("advice", "remedy") for each in parts)


def test_every_statement_that_raises_with_advice_is_reached():
    _, places = refusals()
    missing = []
    for path in (PACKAGE / "_validation").glob("*.py"):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.Raise) and gives_advice(each):
                reached = any(file == str(path) and each.lineno <= line <= each.end_lineno for file, line in places)
                if not reached:
                    missing.append(f"{path.name}:{each.lineno}")
    assert missing == []


def test_explanations_are_still_given():
    found = {advice_in(text) for path in SOURCES for _, text in constants(path)}
    assert EXPLANATIONS - found == set()


def test_extras_that_messages_name_exist():
    assert set(importlib.metadata.metadata("fastopt").get_all("Provides-Extra")) >= INSTALLATIONS
