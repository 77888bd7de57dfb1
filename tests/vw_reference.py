"""Slow oracle of `minimize(method="vw")`: one sample after the other, in float64 and from the formulas of the papers.

S. Ross, P. Mineiro and J. Langford, "Normalized online learning", UAI 2013; N. Karampatziakis and J. Langford, "Online
importance weight aware updates", UAI 2011; J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods", JMLR 2011.
Where these leave a choice, it is that of Vowpal Wabbit: the prediction is made before the scales are brought up to
date, and a sample whose derivative is zero changes nothing.
"""

import numpy as np
from finite_sums import LOSSES, signs
from scipy import optimize, special


def towards(r, distance):
    """A step against the sign of r, at most to zero."""
    return -np.sign(r) * min(abs(r), distance)


def logistic(z, y, time):
    """With Lambert's W: the margin m = y z goes to where m + exp(m) is larger by the time."""
    target = y * z + np.exp(y * z) + time
    if target > 500:  # where exp(target) overflows: by a root of x + log(x) = target
        w = optimize.brentq(lambda x: x + np.log(x) - target, 1.0, target, xtol=1e-300, rtol=1e-15)
    else:
        w = special.lambertw(np.exp(target)).real
    return y * (np.log(w) - y * z)  # as w exp(w) = exp(target)


def squared_slack(slack, time):
    return slack * -np.expm1(-2 * time) if slack > 0 else 0.0


def modified_huber(z, y, time):
    slack = 1 - y * z
    linear = max(0.0, slack - 2) / 4  # the time until the loss is a square
    if time <= linear:
        return y * 4 * time
    return y * (max(0.0, slack - 2) + squared_slack(min(slack, 2.0), time - linear))


def huber(delta):
    def flow(z, y, time):
        r = z - y
        outside = max(0.0, abs(r) - delta)
        if time * delta <= outside:
            return -np.sign(r) * delta * time
        return -np.sign(r) * (outside + (abs(r) - outside) * -np.expm1(-(time - outside / delta)))

    return flow


def epsilon_insensitive(epsilon):
    return lambda z, y, time: towards(np.sign(z - y) * max(0.0, abs(z - y) - epsilon), time)


def squared_epsilon_insensitive(epsilon):
    return lambda z, y, time: -np.sign(z - y) * squared_slack(abs(z - y) - epsilon, time)


def poisson(z, y, time):
    if y == 0:
        return -np.log1p(np.exp(z) * time)
    change = (np.exp(z) / y - 1) * -np.expm1(-y * time)
    return -np.log1p(change) if change > -0.5 else -np.log(np.exp(-y * time) + np.exp(z) * -np.expm1(-y * time) / y)


def gamma(z, y, time):
    change = (y * np.exp(-z) - 1) * -np.expm1(-time)
    return np.log1p(change) if change > -0.5 else np.log(np.exp(-time) + y * np.exp(-z) * -np.expm1(-time))


def implicit(derivative):
    """The step with the derivative at its end, where the flow has no closed form; not past the minimum, log(y)."""

    def step(z, y, time):
        def excess(change):
            return change + time * float(derivative(np.array([z + change]), np.array([y]))[0])

        end = np.log(y) - z if y > 0 else -excess(0.0)
        return optimize.brentq(excess, min(end, 0.0), max(end, 0.0), xtol=1e-300, rtol=1e-15) if end else 0.0

    return step


def of_signs(flow):
    """For labels of two classes."""
    return lambda z, y, time: flow(z, float(signs(y)), time)


#: Name in finite_sums.LOSSES -> where z' = -derivative leads from a margin z in some time, less z.
FLOWS = {
    "least_squares": lambda z, y, time: (y - z) * -np.expm1(-time),
    "logistic": of_signs(logistic),
    "hinge": of_signs(lambda z, y, time: y * min(time, max(0.0, 1 - y * z))),
    "squared_hinge": of_signs(lambda z, y, time: y * squared_slack(1 - y * z, time)),
    "modified_huber": of_signs(modified_huber),
    "huber": huber(1.0),
    "huber_narrow": huber(0.3),
    "quantile": lambda z, y, time: towards(z - y, time * (0.7 if z > y else 0.3)),
    "epsilon_insensitive": epsilon_insensitive(0.1),
    "squared_epsilon_insensitive": squared_epsilon_insensitive(0.3),
    "poisson": poisson,
    "gamma": gamma,
    "tweedie": implicit(LOSSES["tweedie"].derivative),
    "tweedie_inverse_gaussian": implicit(LOSSES["tweedie_inverse_gaussian"].derivative),
}
#: Those whose flow is that of the definition.
EXACT = [name for name in FLOWS if not name.startswith("tweedie")]


class Reference:
    """The update on a finite sum of one output (reference_epochs.Sum).

    `flow` is a row of FLOWS. `adaptive` has sums of squared gradients, in units in which features are at most 1;
    `scale` is s, and `weight_sum` and `norm_sum` are t and N of "Normalized online learning".
    """

    def __init__(self, f, flow, x, learning_rate=0.5):
        self.f, self.flow, self.learning_rate = f, flow, learning_rate
        self.w = np.array(x, np.float64)
        self.adaptive, self.scale = np.zeros_like(self.w), np.zeros_like(self.w)
        self.weight_sum = self.norm_sum = 0.0

    @property
    def gain(self):
        """The factor that all rates share: one over the root of the mean of sums of squared features, at most 1."""
        return np.sqrt(self.weight_sum / self.norm_sum) if self.norm_sum > 0 else 0.0

    def rates(self):
        """Of each parameter, without the learning rate."""
        moved = self.adaptive > 0
        sizes = np.where(moved, np.sqrt(self.adaptive) * self.scale**2, 1.0)
        return np.where(moved, self.gain / sizes, 0.0)

    def step(self, i):
        """One sample; then the penalties, whose flow each parameter follows at its own rate."""
        f, x = self.f, self.f.X[i]
        weight, y = f.weight[i], f.y[i]
        z = float(x @ self.w)
        slope = float(np.ravel(f.case.derivative(np.array([z]), np.array([y])))[0])
        if slope != 0 and weight != 0:
            self.learn(x, z, y, slope, weight)
        self.w = self.shrunk(self.learning_rate * self.rates())

    def learn(self, x, z, y, slope, weight):
        former, self.scale = self.scale, np.maximum(self.scale, abs(x))
        kept = np.divide(former, self.scale, out=np.ones_like(x), where=former > 0)
        self.w *= kept
        self.adaptive *= kept**2
        normalised = np.divide(x, self.scale, out=np.zeros_like(x), where=x != 0)
        self.adaptive += weight * slope**2 * normalised**2
        self.weight_sum += weight
        self.norm_sum += weight * (normalised**2).sum()
        rates = self.rates()
        sensitivity = (rates * x**2).sum()
        if sensitivity > 0:
            change = self.flow(z, y, self.learning_rate * weight * sensitivity)
            self.w += change / sensitivity * rates * x

    def shrunk(self, time):
        """Where w' = -l2 w - l1 sign(w) leads, staying at zero."""
        f = self.f
        mean = np.divide(-np.expm1(-f.l2 * time), f.l2, out=time.copy(), where=f.l2 > 0)
        return np.sign(self.w) * np.maximum(0, np.abs(self.w) * np.exp(-f.l2 * time) - f.l1 * mean)


def vw_run(f, flow, x, all_batches, rate=lambda t: 0.5, after=None):
    """The parameters after each step."""
    reference = Reference(f, flow, x)
    for t, (i,) in enumerate(all_batches):
        reference.learning_rate = rate(t)
        reference.step(i)
        reference.w = reference.w if after is None else after(reference.w)
        yield reference.w.copy()
