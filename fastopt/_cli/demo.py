"""``fastopt demo``: one small neural network, trained on handwritten digits by ten methods.

The network has one hidden layer of tanh units and a softmax output, in plain NumPy; only the parameter
updates are fastopt's. Every method starts from the same parameters and sees the samples in the same order.
"""

import dataclasses
import importlib.util
import os
import sys
import time

import numpy as np

import fastopt

from ..data import load_digits
from .arguments import UsageError, at_least

HIDDEN_UNITS = 64
TEST_SAMPLES = 360
SPLIT_SEED = 0  # not the user's seed: accuracies of different seeds are over the same test set
CLEAR_LINE = "\r\033[K"


@dataclasses.dataclass(frozen=True)
class Method:
    """One line of the comparison."""

    label: str
    optimizer: type
    arguments: dict
    batch_size: int | None  # None: all training samples


METHODS = (
    Method("batch gradient descent", fastopt.SGD, {"learning_rate": 1.0}, None),
    Method("SGD, batch size 1", fastopt.SGD, {"learning_rate": 0.02}, 1),
    Method("mini-batch SGD", fastopt.SGD, {"learning_rate": 0.5}, 32),
    Method("momentum", fastopt.SGD, {"learning_rate": 0.05, "momentum": 0.9}, 32),
    Method("Nesterov", fastopt.SGD, {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}, 32),
    Method("Adagrad", fastopt.Adagrad, {"learning_rate": 0.1}, 32),
    Method("RMSprop", fastopt.RMSprop, {"learning_rate": 0.001}, 32),
    Method("Adadelta", fastopt.Adadelta, {"learning_rate": 1.0}, 32),
    Method("Adam", fastopt.Adam, {"learning_rate": 0.002}, 32),
    Method("AdamW", fastopt.AdamW, {"learning_rate": 0.002, "weight_decay": 0.01}, 32),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What one method achieved; `losses` has one training loss per epoch, after the initial one."""

    label: str
    accuracy: float
    losses: list
    update_seconds: float
    total_seconds: float


def split_digits():
    """The digits as (X_train, y_train), (X_test, y_test), always the same split."""
    X, y = load_digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(y))
    test, train = order[:TEST_SAMPLES], order[TEST_SAMPLES:]
    return (X[train], y[train]), (X[test], y[test])


def initial_parameters(rng, n_inputs=64, n_hidden=HIDDEN_UNITS, n_classes=10, dtype=np.float32):
    """Weights uniform in the range of Glorot & Bengio (2010), biases zero."""

    def weights(rows, columns):
        limit = np.sqrt(6.0 / (rows + columns))
        return rng.uniform(-limit, limit, (rows, columns)).astype(dtype)

    return {
        "W1": weights(n_inputs, n_hidden),
        "b1": np.zeros(n_hidden, dtype),
        "W2": weights(n_hidden, n_classes),
        "b2": np.zeros(n_classes, dtype),
    }


def forward(params, X):
    """Hidden activations and log-probabilities of the classes, one row per sample."""
    hidden = np.tanh(X @ params["W1"] + params["b1"])
    scores = hidden @ params["W2"] + params["b2"]
    scores -= scores.max(axis=1, keepdims=True)  # exp cannot overflow
    scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return hidden, scores


def mean_loss(params, X, y):
    """Mean cross-entropy."""
    _, log_probabilities = forward(params, X)
    return -float(log_probabilities[np.arange(len(y)), y].mean())


def accuracy(params, X, y):
    """Share of samples whose most probable class is the right one."""
    _, log_probabilities = forward(params, X)
    return float((log_probabilities.argmax(axis=1) == y).mean())


def gradients(params, X, y):
    """Gradient of `mean_loss`, a dict like `params`."""
    hidden, log_probabilities = forward(params, X)
    d_scores = np.exp(log_probabilities)
    d_scores[np.arange(len(y)), y] -= 1
    d_scores /= len(y)
    d_hidden = d_scores @ params["W2"].T * (1 - hidden * hidden)
    return {"W1": X.T @ d_hidden, "b1": d_hidden.sum(axis=0), "W2": hidden.T @ d_scores, "b2": d_scores.sum(axis=0)}


def train(method, train_set, test_set, epochs, seed, progress):
    """Train a fresh network by one method; `progress(label, epoch, loss)` is called after every epoch."""
    X, y = train_set
    rng = np.random.default_rng(seed)
    params = initial_parameters(rng)
    optimizer = method.optimizer(params, **method.arguments)
    batch_size = method.batch_size or len(y)
    losses, update_seconds, started = [mean_loss(params, X, y)], 0.0, time.perf_counter()
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(y))
        for first in range(0, len(y), batch_size):
            batch = order[first : first + batch_size]
            grads = gradients(params, X[batch], y[batch])
            before = time.perf_counter()
            optimizer.step(grads)
            update_seconds += time.perf_counter() - before
        losses.append(mean_loss(params, X, y))
        progress(method.label, epoch, losses[-1])
    total_seconds = time.perf_counter() - started
    return Result(method.label, accuracy(params, *test_set), losses, update_seconds, total_seconds)


def progress_printer(epochs, stream):
    """A `progress` for `train`: one line rewritten on a terminal, else one line per method."""
    on_terminal = stream.isatty()

    def progress(label, epoch, loss):
        if on_terminal or epoch == epochs:
            start, end = (CLEAR_LINE, "") if on_terminal else ("", "\n")
            line = f"{label:<24} epoch {epoch:>{len(str(epochs))}}/{epochs}  training loss {loss:.4f}"
            print(start + line, end=end, file=stream, flush=True)

    return progress


def format_table(results):
    """The comparison as text."""
    lines = [f"{'method':<24}{'test accuracy':>14}{'final loss':>12}{'update time':>13}{'total time':>12}"]
    lines += [
        f"{r.label:<24}{r.accuracy:>13.1%} {r.losses[-1]:>12.5f}{r.update_seconds:>11.3f} s{r.total_seconds:>10.2f} s"
        for r in results
    ]
    return "\n".join(lines)


def save_curves(results, path):
    """Draw training loss against epochs, one curve per method, into a PNG file."""
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    curves = {each.label: {"epoch": range(len(each.losses)), "fun": each.losses} for each in results}
    fastopt.plot.compare(curves, "epoch", ax=axes, marker="")
    axes.set(ylabel="training loss", title=f"Digits, 64-{HIDDEN_UNITS}-10 network")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=150)


def check_target(path):
    """Refuse a picture that could not be written after the training, with a message for the user."""
    folder = os.path.dirname(path) or "."
    if not path.lower().endswith(".png"):
        raise UsageError(f"--save needs a file name that ends in .png, got {path!r}.")
    if not os.path.isdir(folder):
        raise UsageError(f"--save: the folder {folder!r} does not exist.")
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--save needs matplotlib: python -m pip install matplotlib")


def add_arguments(parser):
    """Declare the options of ``fastopt demo``."""
    parser.add_argument(
        "--epochs",
        type=at_least(1),
        default=100,
        metavar="N",
        help="passes over the training samples (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=at_least(0),
        default=0,
        metavar="N",
        help="for initial parameters and order of samples (default: %(default)s)",
    )
    parser.add_argument("--save", metavar="FILE.png", help="draw the loss curves (needs matplotlib)")


def run(arguments):
    """Train with every method and print the comparison."""
    if arguments.save is not None:
        check_target(arguments.save)
    train_set, test_set = split_digits()
    print(
        f"{len(train_set[1])} training and {len(test_set[1])} test samples, "
        f"epochs: {arguments.epochs}, seed: {arguments.seed}",
        flush=True,
    )
    progress = progress_printer(arguments.epochs, sys.stderr)
    try:
        results = [train(method, train_set, test_set, arguments.epochs, arguments.seed, progress) for method in METHODS]
    finally:
        if sys.stderr.isatty():
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
    print(format_table(results))
    if arguments.save is not None:
        try:
            save_curves(results, arguments.save)
        except OSError as error:
            raise UsageError(f"--save: {error}") from error
        print(f"Loss curves saved to {arguments.save}")
