"""The demonstration and the command line that starts it."""

import importlib.util
import io
import os
import subprocess
import sys

import numpy as np
import pytest

from fastopt import __main__
from fastopt._cli import demo

LABELS = [method.label for method in demo.METHODS]


@pytest.fixture
def small_problem():
    """A network and a batch in float64, small enough for finite differences of every parameter."""
    rng = np.random.default_rng(3)
    params = demo.initial_parameters(rng, n_inputs=5, n_hidden=4, n_classes=3, dtype=np.float64)
    for bias in (params["b1"], params["b2"]):
        bias[:] = rng.normal(size=bias.shape)
    return params, rng.normal(size=(7, 5)), rng.integers(3, size=7)


@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2"])
def test_gradients_against_finite_differences(small_problem, name):
    params, X, y = small_problem
    gradient, array, h = demo.gradients(params, X, y)[name], params[name], 1e-5
    differences = np.empty_like(array)
    for index in np.ndindex(array.shape):
        value = array[index]
        array[index] = value + h
        above = demo.mean_loss(params, X, y)
        array[index] = value - h
        differences[index] = (above - demo.mean_loss(params, X, y)) / (2 * h)
        array[index] = value
    assert gradient.shape == array.shape
    np.testing.assert_allclose(gradient, differences, rtol=1e-7, atol=1e-9)


def test_log_probabilities(small_problem):
    params, X, y = small_problem
    params["W2"] *= 1e4  # exp of such scores would overflow
    log_probabilities = demo.forward(params, X)[1]
    np.testing.assert_allclose(np.exp(log_probabilities).sum(axis=1), 1.0)
    assert np.isfinite(demo.mean_loss(params, X, y))


def test_network_stays_in_single_precision():
    (X, y), _ = demo.split_digits()
    params = demo.initial_parameters(np.random.default_rng(0))
    for name, gradient in demo.gradients(params, X, y).items():
        assert gradient.dtype == params[name].dtype == np.float32
        assert gradient.shape == params[name].shape and gradient.flags.c_contiguous


def test_split_is_complete_and_fixed():
    (_, y_train), (X_test, y_test) = demo.split_digits()
    assert len(y_test) == demo.TEST_SAMPLES and len(y_train) + len(y_test) == 1797
    assert set(y_test) == set(y_train) == set(range(10))
    for first, again in zip(demo.split_digits()[1], (X_test, y_test), strict=True):
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("method", demo.METHODS, ids=lambda method: method.label)
def test_every_method_learns(method):
    calls = []
    result = demo.train(method, *demo.split_digits(), 5, 1, lambda *call: calls.append(call))
    assert calls == [(method.label, epoch, result.losses[epoch]) for epoch in range(1, 6)]
    assert len(result.losses) == 6 and result.losses[-1] < result.losses[0]
    # Five steps do not take gradient descent far; the others make hundreds.
    assert result.accuracy > (0.4 if method.batch_size is None else 0.85)
    assert 0 < result.update_seconds < result.total_seconds


def test_same_seed_same_result():
    def outcome(seed):
        result = demo.train(demo.METHODS[-1], *demo.split_digits(), 2, seed, lambda *call: None)
        return result.accuracy, result.losses

    assert outcome(5) == outcome(5) != outcome(6)


def test_demo_prints_every_method(capsys):
    assert __main__.main(["demo", "--epochs", "1", "--seed", "7"]) == 0
    out, err = capsys.readouterr()
    table = out.splitlines()
    assert "epochs: 1, seed: 7" in table[0]
    assert [line[:24].rstrip() for line in table[2:]] == LABELS
    assert [line[:24].rstrip() for line in err.splitlines()] == LABELS


def test_progress_on_a_terminal_rewrites_one_line():
    stream = io.StringIO()
    stream.isatty = lambda: True
    progress = demo.progress_printer(10, stream)
    progress("Adam", 1, 0.5)
    progress("Adam", 10, 0.25)
    lines = stream.getvalue().split(demo.CLEAR_LINE)
    assert [" ".join(line.split()) for line in lines] == [
        "",
        "Adam epoch 1/10 training loss 0.5000",
        "Adam epoch 10/10 training loss 0.2500",
    ]
    assert "\n" not in stream.getvalue()


def test_save_writes_a_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.png"
    assert __main__.main(["demo", "--epochs", "1", "--save", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert str(path) in capsys.readouterr().out


def refuse_training(*arguments):
    raise AssertionError("training has started")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--save", "no/such/folder/curves.png"], "--save: the folder 'no/such/folder' does not exist."),
        (["--save", "curves.jpg"], "--save needs a file name that ends in .png, got 'curves.jpg'."),
        (["--save", "curves.png"], "--save needs matplotlib: python -m pip install matplotlib"),
    ],
)
def test_save_is_checked_before_training(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(demo, "train", refuse_training)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert __main__.main(["demo", *arguments]) == 2
    assert capsys.readouterr() == ("", f"fastopt: {message}\n")


def test_save_reports_a_failed_write(tmp_path, monkeypatch, capsys):
    def fail(results, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "METHODS", demo.METHODS[:1])
    monkeypatch.setattr(demo, "save_curves", fail)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert __main__.main(["demo", "--epochs", "1", "--save", str(tmp_path / "curves.png")]) == 2
    assert "fastopt: --save: [Errno 28] No space left on device\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--epochs", "0"], "argument --epochs: must be an integer >= 1, got '0'."),
        (["demo", "--epochs", "many"], "argument --epochs: must be an integer >= 1, got 'many'."),
        (["demo", "--seed", "-1"], "argument --seed: must be an integer >= 0, got '-1'."),
        (["demo", "--speed", "9"], "unrecognized arguments: --speed 9"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        __main__.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_info(monkeypatch, capsys):
    monkeypatch.setattr(__main__.fastopt, "show_versions", lambda: print("all versions"))
    assert __main__.main(["info"]) == 0
    assert capsys.readouterr().out == "all versions\n"


def test_interrupt(monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "train", interrupt)
    assert __main__.main(["demo"]) == 130
    assert capsys.readouterr().err == "fastopt: interrupted\n"


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe the POSIX way")
def test_broken_pipe_is_quiet():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "fastopt", "info"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
