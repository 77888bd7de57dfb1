"""rules.def, classes, oracles and documentation name the same optimizers with the same hyper-parameters."""

import inspect
import math
import re
from pathlib import Path

import numpy as np
import pytest
import reference
from cases import is_refused

import fastopt
from fastopt import _core

ROOT = Path(__file__).resolve().parents[2]


def rules_in_source():
    return re.findall(r"^RULE\((\w+)\)$", (ROOT / "csrc/rules/rules.def").read_text(), re.MULTILINE)


def documented():
    """Name -> (class, defaults, slots) from the table of docs/optimizers.md."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.*?) \| (.*?) \|$", (ROOT / "docs/optimizers.md").read_text(), re.M)
    return {name: (cls, defaults, slots) for name, cls, defaults, slots in rows}


def test_rules_are_sorted_and_have_one_file_each():
    rules = rules_in_source()
    assert rules == sorted(rules)
    assert rules == sorted(path.stem for path in (ROOT / "csrc/rules").glob("*.c"))
    assert rules == _core.rule_names()


def test_every_rule_has_a_class_and_every_class_a_rule():
    assert {cls.rule for cls in fastopt.OPTIMIZERS.values()} == set(_core.rule_names())


def test_names_are_the_classes_in_lower_case_and_public():
    for name, cls in fastopt.OPTIMIZERS.items():
        assert name == cls.__name__.lower()
        assert getattr(fastopt, cls.__name__) is cls
        assert cls.__name__ in fastopt.__all__
        assert (ROOT / f"fastopt/optimizers/{name}.py").exists()


def test_every_optimizer_has_an_oracle():
    assert reference.available() == sorted(fastopt.OPTIMIZERS)


@pytest.mark.parametrize("name", fastopt.OPTIMIZERS)
def test_every_oracle_has_the_learning_rates_of_the_problems(name):
    assert sorted(reference.rule(name).LEARNING_RATES) == ["digits", "quadratic"]


def test_every_optimizer_is_documented():
    assert list(documented()) == sorted(fastopt.OPTIMIZERS)
    recipes = (ROOT / "docs/recipes.md").read_text()
    for cls in fastopt.OPTIMIZERS.values():
        assert f"fastopt.{cls.__name__}(" in recipes


@pytest.mark.parametrize("name", fastopt.OPTIMIZERS)
def test_documented_signature_and_slots_are_the_real_ones(name):
    cls = fastopt.OPTIMIZERS[name]
    class_name, defaults, slots = documented()[name]
    assert class_name == cls.__name__
    written = dict(re.findall(r"(\w+)=([\w.+-]+)", defaults))
    real = {key: each.default for key, each in cls._declared.items() if not each.keyword_only}
    if "as `" not in defaults:
        assert list(written)[: len(real)] == list(real)
    for key, value in written.items():
        assert eval(value, {"inf": math.inf}) == cls._declared[key].default
    if "as `" not in slots:
        assert re.findall(r"`(\w+)`", slots)[0:1] == [*_core.rule_slots(cls.rule, all_options(cls))][0:1] or (
            slots.startswith("none")
        )
        for slot in _core.rule_slots(cls.rule, all_options(cls)):
            assert f"`{slot}`" in slots


def all_options(cls):
    """Hyper-parameters that bring every slot into being."""
    values = {key: each.default for key, each in cls._declared.items()}
    return values | {key: 1 for key in _core.rule_hyperparameters(cls.rule) if not values[key]}


@pytest.mark.parametrize("cls", fastopt.OPTIMIZERS.values())
def test_class_declares_what_the_rule_reads(cls):
    own = {name for name, each in cls._declared.items() if not each.keyword_only} - {"learning_rate"}
    read = set(_core.rule_hyperparameters(cls.rule))
    decay = read & {"weight_decay", "decoupled_weight_decay"}
    assert own == read - decay and bool(decay) == _core.owns_weight_decay(cls.rule)


@pytest.mark.parametrize("cls", fastopt.OPTIMIZERS.values())
def test_docstring_describes_every_parameter(cls):
    described = re.findall(r"^(\w+) : ", inspect.getdoc(cls), re.M)
    assert described == list(inspect.signature(cls).parameters)
    for section in ("Notes", "References", "Examples", ".. math::"):
        assert section in cls.__doc__
    for slot in _core.rule_slots(cls.rule, all_options(cls)):
        assert f"``{slot}``" in cls.__doc__ or "As for `Adam`" in cls.__doc__ or "State as for" in cls.__doc__


@pytest.mark.parametrize("cls", fastopt.OPTIMIZERS.values())
def test_docstring_says_how_large_the_state_is(cls):
    """Per parameter, by default and at most; the arrays of numbers per row and per array are too small to count."""
    said = re.search(r"(\d+)(?:(?:,| or| to) (\d+))* bytes per float32 parameter", " ".join(cls.__doc__.split()))
    default, most = (said[1], said[2] or said[1]) if said else (0, 0)
    if "State as for" in cls.__doc__:
        pytest.skip("its base says it")
    for dtype in (np.float32, np.float64):
        options = {name: 0.9 if name == "momentum" else True for name in _core.rule_options(cls.rule)}
        for keywords, expected in (({}, default), (options, most)):
            param = np.zeros((500, 400), dtype)
            slots = cls(param, **keywords).state.values()
            per_parameter = sum(slot.nbytes for slot in slots) / param.size
            assert round(per_parameter) == int(expected) * param.itemsize // 4


@pytest.mark.parametrize("cls", fastopt.OPTIMIZERS.values())
def test_docstring_says_where_weight_decay_cannot_be_decoupled(cls):
    refuses = is_refused(cls, {"weight_decay": 0.1, "decoupled_weight_decay": True})
    assert (f"Must be False for {cls.__name__}, " in cls.__doc__) == refuses
    assert ("* weight_decay`` before the update instead" in cls.__doc__) <= (not refuses)


def test_every_optimizer_is_in_the_table_of_exact_steps():
    """Those whose steps depend on sums over arrays in one row, where other pages look for them."""
    rows = re.findall(r"^\| (`.*?) \|(.*)", (ROOT / "docs/sparse.md").read_text(), re.M)
    named = [re.findall(r"`(\w+)`", optimizers) for optimizers, _ in rows]
    assert {name for names in named for name in names} - {"weight_decay"} == {
        cls.__name__ for cls in fastopt.OPTIMIZERS.values()
    }
    (coupled,) = [names for names, (_, rest) in zip(named, rows, strict=True) if "both are a dense pass" in rest]
    assert {*coupled} == {cls.__name__ for cls in fastopt.OPTIMIZERS.values() if _core.couples_entries(cls.rule)}


def test_registry_lookup():
    assert fastopt.get_optimizer("adam") is fastopt.Adam
    assert fastopt.get_optimizer("AdamW") is fastopt.AdamW
    with pytest.raises(ValueError, match=r"got 'adm'\. Did you mean 'adam'\?"):
        fastopt.get_optimizer("adm")


def test_changelog_names_every_optimizer():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    for cls in fastopt.OPTIMIZERS.values():
        assert f"`{cls.__name__}`" in changelog
