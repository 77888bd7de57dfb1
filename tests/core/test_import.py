"""Importing the package: instruction set, public names, and what stays unloaded."""

import ast
import inspect

import pytest
from cases import ISAS
from helpers import FREE_THREADED, exactly, run_python

import fastopt
import fastopt.data
import fastopt.linear_model
from fastopt import _core, _info, _types, _validation

NAMES = ["baseline", "v3", "v4"]
PUBLIC_MODULES = [fastopt, fastopt.data, fastopt.linear_model, fastopt.objectives, fastopt.plot, fastopt.schedules]


@pytest.mark.parametrize("isa", ISAS)
def test_instruction_set_that_was_asked_for(isa):
    code = """
        import fastopt, numpy as np
        x = np.ones(100)
        fastopt.Adam(x, 0.5, epsilon=0.0).step(x.copy())
        print(x[0])
        fastopt.show_versions()
    """
    first, *shown = run_python(code, FASTOPT_ISA=isa).splitlines()
    assert float(first) == 0.5
    assert f"instruction sets  {', '.join(ISAS)} found, {isa} used" in shown


@pytest.mark.parametrize("unset", [None, ""], ids=repr)
def test_widest_instruction_set_by_default(unset):
    code = "import fastopt; from fastopt import _core; print(_core.isa_in_use())"
    assert run_python(code, FASTOPT_ISA=unset) == ISAS[-1]


def test_unknown_instruction_set():
    code = """
        try:
            import fastopt
        except ValueError as error:
            print(error)
    """
    listed = ", ".join(_core.isa_names())
    message = f"`FASTOPT_ISA` must be one of {listed}, got 'avx9'; or unset it."
    assert run_python(code, FASTOPT_ISA="avx9") == message


def test_unsupported_instruction_set():
    def supported(name):
        return name in ("baseline", "v3")

    assert _validation.machine.instruction_set("v3", NAMES, supported) == "v3"
    message = "`FASTOPT_ISA` is 'v4', which this processor does not run; use one of baseline, v3."
    with pytest.raises(RuntimeError, match=exactly(message)):
        _validation.machine.instruction_set("v4", NAMES, supported)
    with pytest.raises(
        ValueError, match=exactly("`FASTOPT_ISA` must be one of baseline, v3, v4, got 'V3'; or unset it.")
    ):
        _validation.machine.instruction_set("V3", NAMES, supported)


@pytest.mark.parametrize("module", PUBLIC_MODULES, ids=lambda each: each.__name__)
def test_public_names(module):
    assert list(module.__all__) == list(dict.fromkeys(module.__all__))
    for name in module.__all__:
        assert hasattr(module, name)
        assert not name.startswith("_") or name == "__version__"
        each = getattr(module, name)
        if callable(each):
            assert inspect.getdoc(each)


@pytest.mark.parametrize("module", PUBLIC_MODULES, ids=lambda each: each.__name__)
def test_dir_shows_the_public_names_only(module):
    assert dir(module) == sorted(module.__all__)


def test_names_that_look_public_and_are_not():
    code = """
        import fastopt
        print([name for name in vars(fastopt) if not name.startswith("_") and name not in fastopt.__all__])
    """
    assert run_python(code) == "['optimizers']"


def test_star_import():
    code = """
        before = set(dir()) | {"before"}
        from fastopt import *
        import fastopt
        print(set(dir()) - before - {"fastopt"} == set(fastopt.__all__))
    """
    assert run_python(code) == "True"


def test_what_stays_unloaded():
    code = """
        import sys
        import fastopt
        unwanted = ("matplotlib", "sklearn", "threadpoolctl", "scipy", "importlib.metadata", "numpy.random")
        unwanted += ("fastopt._cli", "fastopt._minimize", "fastopt.linear_model")
        print([name for name in unwanted if name in sys.modules])
    """
    assert run_python(code) == "[]"


@pytest.mark.skipif(not FREE_THREADED, reason="a Python with an interpreter lock")
def test_no_compiled_module_asks_for_the_interpreter_lock():
    """One that does would have it put on, with a warning, when it is imported."""
    code = """
        import importlib, importlib.machinery, pathlib, sys
        import numpy.random, scipy.linalg.cython_blas, scipy.sparse
        print(sys._is_gil_enabled())
        import fastopt

        (folder,) = map(pathlib.Path, fastopt.__path__)
        suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
        found = [path.relative_to(folder.parent) for path in folder.rglob("*" + suffix)]
        for path in found:
            importlib.import_module(".".join(path.parts).removesuffix(suffix))
        print(sys._is_gil_enabled(), len(found) >= 9)
    """
    assert run_python(code, PYTHON_GIL=None).split() == ["False", "False", "True"]


def test_names_for_type_checkers_are_those_that_are_imported_later():
    tree = ast.parse(inspect.getsource(fastopt))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "_TYPE_CHECKING"]
    listed = {}
    for node in block.body:
        listed |= {alias.asname: node.module or alias.name for alias in node.names}
    assert listed == fastopt._MODULE_OF


def test_a_name_that_does_not_exist():
    with pytest.raises(AttributeError, match=exactly("module 'fastopt' has no attribute 'minimise'")):
        fastopt.minimise  # noqa: B018


def test_show_versions(capsys):
    fastopt.show_versions()
    shown = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line)
    expected = ["fastopt", "Python", "NumPy", "SciPy", "compiler", "OpenMP", "instruction sets", "threads"]
    assert list(shown)[: len(expected)] == expected
    assert shown["fastopt"].strip() == fastopt.__version__
    assert shown["threads"].strip() == str(fastopt.get_num_threads())


def test_show_versions_without_threadpoolctl(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "threadpoolctl", None)
    assert _info._thread_pools() == []


def test_tables_of_the_kernels():
    """What Python reads from the C side is what the tests above rely on."""
    assert _core.isa_names()[0] == "baseline" and set(_core.isa_names()) <= set(NAMES)
    assert _core.isa_supported("baseline") and _core.isa_in_use() in ISAS
    assert _core.dtype_names() == list(_types.DTYPES)
    with pytest.raises(KeyError, match="nosuchrule"):
        _core.rule_slots("nosuchrule", {})
