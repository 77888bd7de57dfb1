"""
Vectors of tokens: a factorization with sparse gradients
========================================================

Tokens that stand in the same places get similar vectors, when the products of two tables of vectors are fitted to the
logarithms of how often two tokens stand near each other (GloVe, Pennington, Socher & Manning 2014). The text is the
source code of Python's standard library.

Of the two tables a mini-batch touches a few thousand rows. Its gradients are those rows and their numbers,
`fastopt.RowSparse`, and a row that occurs several times in a batch is given several times: the optimizer adds.

Adagrad leaves the other rows alone. Adam moves them in every step, as it does on dense gradients: with
``sparse="deferred"`` they make up for that when they are read the next time.
"""

import collections

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse
from python_text import sample_lines

import fastopt

LINES, VOCABULARY, DIMENSIONS = 40_000, 2_000, 32
WINDOW = 4  # tokens to the right
BATCH_SIZE, EPOCHS, LEARNING_RATE = 1024, 12, 0.05
ADAM_RATE = 0.005
LARGE_COUNT, POWER = 50, 0.75  # pairs with smaller counts weigh less
SHOWN = "if elif else for while try except finally with return yield raise assert import from + - * / == != < > <= >= "
SHOWN += "( ) [ ] { } 0 1 2 3 10 True False None self cls def class and or not in is the of to that this which"
SEED = 0


def cooccurrences(lines):
    """The most frequent tokens, and how often one stands within WINDOW of another: weighted with 1 / distance."""
    frequent = collections.Counter(token for tokens, _ in lines for token in tokens).most_common(VOCABULARY)
    vocabulary = {token: k for k, (token, _) in enumerate(frequent)}
    pairs, weights = [], []
    for tokens, _ in lines:
        numbers = [vocabulary.get(token, -1) for token in tokens]
        for distance in range(1, WINDOW + 1):
            near = [(a, b) for a, b in zip(numbers, numbers[distance:], strict=False) if a >= 0 and b >= 0]
            pairs += near
            weights += [1 / distance] * len(near)
    shape = (len(vocabulary), len(vocabulary))
    counts = scipy.sparse.coo_array((weights, np.array(pairs).T), shape=shape)
    return vocabulary, (counts + counts.T).tocoo()


# %%
# The loss of a pair is ``weight * (u . v + a + b - log(count))**2``, with a vector and a number from each table. Two
# columns of every row are for the numbers: one is the number, the other stays at 1.


def initial_tables(n, rng):
    """Two tables of small random rows; a product of rows has both numbers in it."""
    left, right = [(rng.random((n, DIMENSIONS + 2), np.float32) - np.float32(0.5)) / DIMENSIONS for _ in range(2)]
    left[:, -2], left[:, -1] = 0, 1
    right[:, -1], right[:, -2] = 0, 1
    return {"left": left, "right": right}


def samples(counts):
    """The pairs, what their products are to be, and how much they weigh."""
    target = np.log(counts.data).astype(np.float32)
    weight = np.minimum(1, counts.data / LARGE_COUNT).astype(np.float32) ** np.float32(POWER)
    return counts.row.astype(np.int32), counts.col.astype(np.int32), target, weight


def loss_and_gradients_of(rows, i, j, target, weight):
    """Mean loss of the pairs (i, j), given the rows of both tables, and its gradient: a row for each pair and table."""
    left, right = rows["left"], rows["right"]
    residual = np.einsum("kd,kd->k", left, right) - target
    slope = (2 / len(i) * weight * residual)[:, None]
    grad_left, grad_right = slope * right, slope * left
    grad_left[:, -1] = grad_right[:, -2] = 0  # the ones stay
    gradients = {"left": fastopt.RowSparse(i, grad_left), "right": fastopt.RowSparse(j, grad_right)}
    return np.mean(weight * residual**2), gradients


def loss_and_gradients(tables, i, j, target, weight):
    """The same of whole tables, for `minimize`."""
    return loss_and_gradients_of({"left": tables["left"][i], "right": tables["right"][j]}, i, j, target, weight)


def train(tables, data, rng):
    """Fit the tables, which `minimize` takes as a dict."""
    options = {"learning_rate": LEARNING_RATE, "initial_accumulator_value": 1e-8, "epochs": EPOCHS}
    result = fastopt.minimize(
        loss_and_gradients, tables, method="adagrad", jac=True, data=data, batch_size=BATCH_SIZE, rng=rng,
        options=options,
    )  # fmt: skip
    print(result.optimizer)
    return result


# %%
# A loop of our own with Adam: `gather` brings the rows that a batch reads up to date, and copies them.


def train_with_adam(tables, data, rng):
    """Fit the tables in place; returns the mean loss of each epoch."""
    opt = fastopt.Adam(tables, learning_rate=ADAM_RATE, sparse="deferred")
    losses, n = [], len(data[0])
    for _ in range(EPOCHS):
        batches = np.array_split(rng.permutation(n), n // BATCH_SIZE + 1)
        total = 0.0
        for batch in batches:
            i, j, target, weight = (each[batch] for each in data)
            rows = opt.gather({"left": i, "right": j})
            loss, gradients = loss_and_gradients_of(rows, i, j, target, weight)
            opt.step(gradients)
            total += loss
        losses.append(total / len(batches))
    print(opt)  # says how many rows are behind
    opt.catch_up()
    return losses


def nearest(vectors, vocabulary, token, n=5):
    """The tokens with the most similar vectors, by the cosine."""
    names, order = list(vocabulary), np.argsort(-(vectors @ vectors[vocabulary[token]]))
    return [names[k] for k in order if names[k] != token][:n]


def unit_vectors(tables):
    """The sum of a token's two vectors, of length 1."""
    both = (tables["left"] + tables["right"])[:, :DIMENSIONS]
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def apart(places, least=(0.06, 0.03)):
    """Which labels to show so that none covers another: the first of those that are too near each other."""
    scaled, kept = (places - places.min(axis=0)) / np.ptp(places, axis=0) / least, []
    for k, place in enumerate(scaled):
        if all(np.abs(place - scaled[other]).max() > 1 for other in kept):
            kept.append(k)
    return kept


def draw(history, adam_losses, vectors, vocabulary):
    """The losses, and the vectors of some tokens in the plane of their two largest principal components."""
    _, (left, right) = plt.subplots(1, 2, figsize=(13, 6.5), layout="constrained", width_ratios=[1, 2.2])
    fastopt.plot.trace(history, x="epoch", ax=left)
    left.plot(np.arange(1, EPOCHS + 1), adam_losses, label="Adam, deferred")
    left.legend()
    left.set_title("Adagrad and Adam, sparse gradients")
    tokens = [token for token in SHOWN.split() if token in vocabulary]
    chosen = vectors[[vocabulary[token] for token in tokens]]
    centred = chosen - chosen.mean(axis=0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    right.plot(*plane.T, ".", color="0.85", zorder=0)
    for k in apart(plane):
        right.annotate(tokens[k], plane[k], ha="center", va="center", family="monospace")
    right.set(title="Vectors of tokens", xticks=[], yticks=[])
    plt.show()


def main():
    rng = np.random.default_rng(SEED)
    vocabulary, counts = cooccurrences(sample_lines(LINES, 200, rng))
    print(f"{len(vocabulary):,} tokens, {counts.nnz:,} pairs")
    tables, data = initial_tables(len(vocabulary), rng), samples(counts)
    adam_losses = train_with_adam({name: table.copy() for name, table in tables.items()}, data, rng)
    result = train(tables, data, rng)
    vectors = unit_vectors(result.x)
    for token in ("if", "0", "(", "self"):
        print(f"{token:>6}: {' '.join(nearest(vectors, vocabulary, token))}")
    draw(result.history, adam_losses, vectors, vocabulary)


if __name__ == "__main__":
    main()
