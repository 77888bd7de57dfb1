"""
How sensitive is each method to its learning rate?
==================================================

The optimizers of the package on the same problem, softmax regression on handwritten digits, for the same five epochs,
with learning rates from a hundred-thousandth to a hundred. The picture shows the loss over all samples that each of
them reached; a wide, flat valley forgives a bad choice. Rprop has none: it is made for gradients without noise, and its
rate is only where its step sizes begin. COCOB has none either: its rate weighs gradients, and its steps do not
depend on their scale. Muon is left out: it takes matrices, and the parameters here are a vector.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastopt
from fastopt.data import load_digits

RATES = 10.0 ** np.arange(-5, 2.5, 0.5)
EPOCHS = 5
HOPELESS = 10.0  # where the picture ends
SEED = 0
OVERFLOWED = (2, 3, 4)  # statuses of runs that met numbers that are not finite


def final_losses(objective, method):
    """The loss over all samples that a method reaches, for each rate; infinite where it overflowed."""
    losses = []
    for rate in RATES:
        options = {"learning_rate": rate, "epochs": EPOCHS}
        x0 = np.zeros(objective.n_parameters)
        res = fastopt.minimize(objective, x0, method=method, batch_size=32, rng=SEED, options=options)
        losses.append(np.inf if res.status in OVERFLOWED else res.fun)
    return np.array(losses)


def report(losses):
    """The best rate, the loss there, and the range of rates within twice that loss."""
    print(f"{'method':<10}{'best rate':>12}{'loss':>10}{'rates within twice that loss':>34}")
    for name, reached in losses.items():
        good = RATES[reached < 2 * reached.min()]
        best = RATES[reached.argmin()]
        print(f"{name:<10}{best:>12.2g}{reached.min():>10.3f}{f'{good[0]:.2g} to {good[-1]:.2g}':>34}")


def draw(losses):
    """A panel for each method, with the others in grey."""
    columns = 5
    rows = -(-len(losses) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(13, 2.4 * rows), sharex=True, sharey=True, layout="constrained")
    for ax, (name, reached) in zip(axes.flat, losses.items(), strict=False):
        for other in losses.values():
            ax.loglog(RATES, np.minimum(other, 2 * HOPELESS), color="0.85", linewidth=0.8)
        ax.loglog(RATES, np.minimum(reached, 2 * HOPELESS), ".-", color="tab:blue")
        ax.set(title=fastopt.OPTIMIZERS[name].__name__, ylim=(0.05, HOPELESS))
        ax.grid(alpha=0.3)
    for ax in axes.flat[len(losses) :]:
        ax.remove()
    figure.supxlabel("learning rate")
    figure.supylabel(f"loss after {EPOCHS} epochs")
    plt.show()


def main():
    objective = fastopt.objectives.Softmax(*load_digits(), fit_intercept=True)
    methods = [name for name in fastopt.OPTIMIZERS if name != "muon"]
    losses = {name: final_losses(objective, name) for name in methods}
    report(losses)
    draw(losses)


if __name__ == "__main__":
    main()
