"""
Data that do not fit into memory
================================

Twenty files hold four times as much as this program may have in memory. It trains on them file by file, is interrupted
in the middle of an epoch, goes on from its checkpoint, and ends with the bits of a run without interruption.

The limit is a real one, set with `resource.setrlimit`: to read all files at once fails.
"""

import re
import resource
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

import fastopt

FILES, ROWS, FEATURES = 20, 8_000, 256
MEGABYTE = 1 << 20
ALLOWED = 40 * MEGABYTE  # beside the interpreter and its modules
BATCH_SIZE, EPOCHS = 500, 3
INTERRUPTED_AT = 467  # of 320 iterations an epoch, 16 a file

# %%
# The files
# ---------
# Each has some rows of `X` and the entries of `y` that belong to them: 8 MB. The labels are random, with the
# probabilities of a logistic model.


def write_files(folder):
    """Write the samples; returns the paths of the files."""
    weights = np.random.default_rng(0).standard_normal(FEATURES, np.float32) / 8
    paths = [folder / f"part_{k:02}.npz" for k in range(FILES)]
    for k, path in enumerate(paths):
        rng = np.random.default_rng([1, k])
        X = rng.standard_normal((ROWS, FEATURES), np.float32)
        np.savez(path, X=X, y=(rng.random(ROWS) < expit(X @ weights)).astype(np.float32))
    return paths


def read(path):
    """The samples of one file, or of one `np.load`: a chunk."""
    with np.load(path) as file:
        return file["X"], file["y"]


# %%
# A function that opens an epoch
# ------------------------------
# `data` is a function that returns an iterable of chunks, here in another order in each epoch. It is called with the
# number of the epoch, so that a resumed run reads the files in the order in which it would have read them. `map` opens
# a file when its samples are needed, and keeps nothing. With `batch_size`, `minimize` shuffles the samples of each
# chunk and cuts them into batches. The option `prefetch` would read the next file on a thread meanwhile, with the same
# result, and needs the memory for one file more.


def chunks_of(paths):
    """The argument `data` for these files."""

    def chunks(epoch):
        order = np.random.default_rng(epoch).permutation(len(paths))
        return map(read, [paths[k] for k in order])

    return chunks


def loss(w, X, y):
    """Mean logistic loss of a batch, and its gradient."""
    z = X @ w
    return np.mean(np.logaddexp(0, z) - y * z), X.T @ (expit(z) - y) / np.float32(len(y))


def train(paths, callback=None, resume=None, **options):
    """Three epochs, or the rest of them."""
    options = {"epochs": EPOCHS, "learning_rate": 0.003, **options}
    return fastopt.minimize(
        loss, np.zeros(FEATURES, np.float32), method="adam", jac=True, data=chunks_of(paths), batch_size=BATCH_SIZE,
        rng=0, callback=callback, resume=resume, options=options,
    )  # fmt: skip


# %%
# Ctrl-C in the middle of an epoch
# --------------------------------
# What a callback raises here is what Ctrl-C raises. The checkpoint that is written then says how many batches of the
# epoch have been used. The resumed run reads them again and drops them, which takes no steps.


def stop_in_the_middle(intermediate_result):
    """A callback."""
    if intermediate_result.nit == INTERRUPTED_AT:
        raise KeyboardInterrupt


def interrupted_and_resumed(paths, checkpoint):
    """The result of a run in two parts."""
    try:
        train(paths, stop_in_the_middle, checkpoint=checkpoint)
    except KeyboardInterrupt:
        print(f"interrupted after {INTERRUPTED_AT} iterations, in file {INTERRUPTED_AT % 320 // 16 + 1} of an epoch")
    return train(paths, resume=checkpoint)


# %%
# The limit
# ---------
# Linux counts the memory that a program may write, and gives no more than is allowed.


def memory_in_use():
    """Bytes of this process that count."""
    return int(re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


def limit_memory():
    """Allow so much more than is in use now; returns the former limit."""
    former = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_in_use() + ALLOWED, former[1]))
    return former


def try_all_at_once(paths):
    """What does not work."""
    try:
        everything = [read(path) for path in paths]
    except MemoryError:
        print("all files at once: MemoryError")
    else:
        print(f"all files at once: {len(everything)} of them fit")


def draw(losses):
    """Losses of the batches, and where the second run was interrupted."""
    ax = fastopt.plot.trace({"iteration": range(1, len(losses) + 1), "fun": losses}, label="loss of a batch")
    ax.axvline(INTERRUPTED_AT, color="black", linestyle=":", label="interrupted, and resumed")
    ax.legend()
    plt.show()


def main():
    with tempfile.TemporaryDirectory() as folder:
        paths, losses = write_files(Path(folder)), []
        size = sum(path.stat().st_size for path in paths)
        print(f"{FILES} files, {size / MEGABYTE:.0f} MB; allowed are {ALLOWED / MEGABYTE:.0f} MB")
        former = limit_memory()
        try_all_at_once(paths)
        whole = train(paths, lambda intermediate_result: losses.append(intermediate_result.fun))
        in_two_parts = interrupted_and_resumed(paths, Path(folder) / "run.npz")
        resource.setrlimit(resource.RLIMIT_DATA, former)
    print(f"loss {whole.history['fun'][0]:.4f} in the first epoch, {whole.fun:.4f} at the end")
    print(f"same bits: {whole.x.tobytes() == in_two_parts.x.tobytes()}")
    draw(losses)


if __name__ == "__main__":
    main()
