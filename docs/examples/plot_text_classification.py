"""
Classifying text: a pipeline with hashed features
=================================================

Which part of Python's standard library does a file come from? A pipeline of scikit-learn hashes its words into 2**15
columns, and a `LinearClassifier` learns from them which of five packages it belongs to: from all files at once, and
from chunks as they come. There is nothing to download; the figures differ between versions of Python.
"""

import os
import re
import sysconfig
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction import FeatureHasher
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from fastopt.linear_model import LinearClassifier

PACKAGES = ("asyncio", "email", "json", "tkinter", "unittest")
PARAGRAPH_LINES, CHUNK, EPOCHS = 12, 128, 5
MOST = int(os.environ.get("FASTOPT_EXAMPLE_LINES", 40_000))  # samples

# %%
# Paragraphs and their words
# --------------------------
# A sample is a dozen lines of a file; its label is the package. A word that names a package is left out: it would give
# the answer away.


def paragraphs():
    """Lists of words, and their packages."""
    library, words, labels = Path(sysconfig.get_path("stdlib")), [], []
    for package in PACKAGES:
        for path in sorted((library / package).rglob("*.py")):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            for first in range(0, len(lines), PARAGRAPH_LINES):
                found = re.findall(r"[a-z]{3,}", " ".join(lines[first : first + PARAGRAPH_LINES]).lower())
                kept = [word for word in found if word not in PACKAGES]
                if kept:
                    words.append(kept)
                    labels.append(package)
    some = np.random.default_rng(0).permutation(len(words))[:MOST]
    return [words[k] for k in some], np.array(labels)[some]


# %%
# All at once
# -----------
# The columns are hashed, counted and normalised row by row. The classifier needs no learning rate: it takes SciPy's
# L-BFGS-B for data of this size. It fits all five classes at once, in float32, as that is what the hasher gives.


def features():
    """The steps of the pipeline before the classifier."""
    return make_pipeline(
        FeatureHasher(2**15, input_type="string", alternate_sign=False, dtype=np.float32), Normalizer()
    )


def fit_at_once(train, test):
    model = make_pipeline(features(), LinearClassifier(alpha=1e-4))
    model.fit(*train)
    print(f"all at once: {model.score(*test):.1%} of {len(test[1]):,} test paragraphs")
    return model


# %%
# Chunk by chunk
# --------------
# Text that does not fit into memory comes in chunks. `partial_fit` makes the steps of a chunk with an optimizer whose
# state it keeps, here Adagrad; columns that a chunk does not touch cost nothing.


def fit_chunks(train, test):
    words, labels = train
    steps, model = features(), LinearClassifier(solver="adagrad", learning_rate=1.0, alpha=1e-6, batch_size=16)
    X_test, scores = steps.transform(test[0]), []
    for _ in range(EPOCHS):
        for first in range(0, len(labels), CHUNK):
            X = steps.transform(words[first : first + CHUNK])
            model.partial_fit(X, labels[first : first + CHUNK], classes=PACKAGES)
            scores.append(model.score(X_test, test[1]))
    print(f"in chunks: {scores[-1]:.1%} after {EPOCHS} epochs of {len(scores) // EPOCHS} chunks")
    return scores


# %%
# The share of test paragraphs that are told right, after each chunk, beside that of the fit over all of them.


def draw(scores, score):
    _, ax = plt.subplots()
    ax.plot(np.arange(1, len(scores) + 1) / len(scores) * EPOCHS, scores, label="partial_fit, chunk by chunk")
    ax.axhline(score, color="black", linestyle="--", label="fit, all at once")
    ax.set(xlabel="epochs", ylabel="accuracy on test paragraphs", title=f"{len(PACKAGES)} packages, {2**15:,} columns")
    ax.legend()
    plt.show()


def main():
    words, labels = paragraphs()
    split = train_test_split(words, labels, stratify=labels, random_state=0)
    train, test = split[0::2], split[1::2]
    print(f"{len(train[1]):,} training paragraphs; the most frequent answer: {np.mean(test[1] == 'tkinter'):.1%}")
    model = fit_at_once(train, test)
    draw(fit_chunks(train, test), model.score(*test))


if __name__ == "__main__":
    main()
