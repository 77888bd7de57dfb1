"""The update rules of the packages of docs/recipes.md, in the versions that it names, as plain NumPy formulas.

One function per method: `torch_adam` is `torch.optim.Adam`, `keras_ftrl` is `keras.optimizers.Ftrl`, `optax_yogi` is
`optax.yogi`, and `optax_adopt` is `optax.contrib.adopt`. Each takes the parameter, the gradient, a dict for its state
and the step number from 1, then the options of the method with their names and defaults there, and returns the new
parameter. Only options that change the formula are here. test_recipes.py proves them against the frameworks.
"""

import ast
import functools
import inspect

import numpy as np


def parse(call):
    """Split "torch.optim.Adam(params, lr=0.1)" into "torch", "optim.Adam" and {"lr": 0.1}."""
    node = ast.parse(call, mode="eval").body
    framework, _, method = ast.unparse(node.func).partition(".")
    return framework, method, {word.arg: ast.literal_eval(word.value) for word in node.keywords}


class Formula:
    """What a call such as "keras.optimizers.SGD(momentum=0.9)" makes, stepping one NumPy array."""

    def __init__(self, call):
        framework, method, self._options = parse(call)
        self._update = globals()[f"{framework}_{method.split('.')[-1].lower()}"]
        self.rate_name = "learning_rate" if framework in ("keras", "optax") else "lr"
        # The signature of a wrapped function is that of the function inside, defaults included.
        default = inspect.signature(self._update).parameters[self.rate_name].default
        self.learning_rate = self._options.get(self.rate_name, default)
        self.state = {}
        self._t = 0

    def step(self, p, g, **value):
        self._t += 1
        options = {**self._options, self.rate_name: self.learning_rate, **value}
        return self._update(p, g, self.state, self._t, **options)


def average(state, name, beta, value, start=0.0):
    """Exponential moving average kept in state[name]."""
    state[name] = beta * state.get(name, start) + (1 - beta) * value
    return state[name]


# ---- torch ------------------------------------------------------------------------------------------------


def torch_common(update):
    """What torch does with the gradient first: maximize, then weight_decay."""

    @functools.wraps(update)
    def formula(p, g, s, t, lr, weight_decay=0.0, decoupled_weight_decay=False, maximize=False, **options):
        if maximize:
            g = -g
        if decoupled_weight_decay:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        return update(p, g, s, t, lr, **options)

    return formula


@torch_common
def torch_sgd(p, g, s, t, lr=0.001, momentum=0.0, dampening=0.0, nesterov=False):
    if momentum == 0:
        return p - lr * g
    s["buf"] = g if t == 1 else momentum * s["buf"] + (1 - dampening) * g
    return p - lr * (g + momentum * s["buf"] if nesterov else s["buf"])


@torch_common
def torch_adagrad(p, g, s, t, lr=0.01, lr_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    s["sum"] = s.get("sum", initial_accumulator_value) + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["sum"]) + eps)


@torch_common
def torch_adadelta(p, g, s, t, lr=1.0, rho=0.9, eps=1e-6):
    square = average(s, "square", rho, g * g)
    delta = np.sqrt((s.get("delta", 0.0) + eps) / (square + eps)) * g
    average(s, "delta", rho, delta * delta)
    return p - lr * delta


@torch_common
def torch_rmsprop(p, g, s, t, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
    variance = average(s, "square", alpha, g * g)
    if centered:
        variance = variance - average(s, "grad", alpha, g) ** 2
    s["buf"] = momentum * s.get("buf", 0.0) + g / (np.sqrt(variance) + eps)
    return p - lr * s["buf"]


@torch_common
def torch_adam(p, g, s, t, lr=0.001, betas=(0.9, 0.999), eps=1e-8, amsgrad=False):
    m = average(s, "m", betas[0], g)
    v = average(s, "v", betas[1], g * g)
    if amsgrad:
        v = s["v_max"] = np.maximum(s.get("v_max", 0.0), v)
    return p - lr * m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def torch_adafactor(p, g, s, t, lr=0.01, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0.0):
    epsilon = np.finfo(p.dtype).eps if eps[0] is None else eps[0]
    alpha = max(eps[1], np.sqrt(np.mean(p * p))) * min(lr, t**-0.5)
    moments = [g * g] if p.ndim < 2 else [np.mean(g * g, axis=axis, keepdims=True) for axis in (-1, -2)]
    for k, moment in enumerate(moments):
        moments[k] = average(s, k, 1 - t**beta2_decay, moment)
    v = moments[0]
    if p.ndim > 1:
        v = moments[0] * moments[1] / np.maximum(moments[0].mean(axis=-2, keepdims=True), epsilon)
    update = g / np.sqrt(np.maximum(v, epsilon**2))
    return (1 - lr * weight_decay) * p - alpha / max(1.0, np.sqrt(np.mean(update * update)) / d) * update


def orthogonal(x, a=3.4445, b=-4.775, c=2.0315, steps=5, eps=1e-7):
    """The Newton-Schulz iteration of torch, without its bfloat16."""
    if x.shape[0] > x.shape[1]:
        return orthogonal(x.T, a, b, c, steps, eps).T
    x = x / max(np.linalg.norm(x), eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def torch_muon(
    p, g, s, t, lr=0.001, weight_decay=0.1, momentum=0.95, nesterov=True, ns_steps=5, adjust_lr_fn="original"
):
    m = average(s, "buf", momentum, g)
    step = orthogonal(momentum * m + (1 - momentum) * g if nesterov else m, steps=ns_steps)
    factor = (
        0.2 * np.sqrt(max(p.shape)) if adjust_lr_fn == "match_rms_adamw" else np.sqrt(max(1, p.shape[0] / p.shape[1]))
    )
    return (1 - lr * weight_decay) * p - lr * factor * step


def torch_adamw(p, g, s, t, lr=0.001, weight_decay=0.01, **options):
    return torch_adam(p, g, s, t, lr, weight_decay=weight_decay, decoupled_weight_decay=True, **options)


@torch_common
def torch_sparseadam(p, g, s, t, lr=0.001, betas=(0.9, 0.999), eps=1e-8):
    m = average(s, "m", betas[0], g)
    v = average(s, "v", betas[1], g * g)
    return p - lr * np.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t) * m / (np.sqrt(v) + eps)


@torch_common
def torch_adamax(p, g, s, t, lr=0.002, betas=(0.9, 0.999), eps=1e-8):
    m = average(s, "m", betas[0], g)
    s["u"] = np.maximum(betas[1] * s.get("u", 0.0), np.abs(g) + eps)
    return p - lr / (1 - betas[0] ** t) * m / s["u"]


@torch_common
def torch_nadam(p, g, s, t, lr=0.002, betas=(0.9, 0.999), eps=1e-8, momentum_decay=0.004):
    return p - lr * dozat_step(g, s, t, betas[0], betas[1], momentum_decay, eps)


def dozat_step(g, s, t, beta_1, beta_2, momentum_decay, eps):
    """NAdam with Dozat's warming momentum, as torch and Keras share it."""
    mu, mu_next = (beta_1 * (1 - 0.5 * 0.96 ** (step * momentum_decay)) for step in (t, t + 1))
    s["product"] = s.get("product", 1.0) * mu
    m = average(s, "m", beta_1, g)
    v = average(s, "v", beta_2, g * g)
    m_hat = mu_next * m / (1 - s["product"] * mu_next) + (1 - mu) * g / (1 - s["product"])
    return m_hat / (np.sqrt(v / (1 - beta_2**t)) + eps)


def rectification(t, beta_2):
    """RAdam's length of the averaging window at step t, and its correction of the step size."""
    longest = 2 / (1 - beta_2) - 1
    length = longest - 2 * t * beta_2**t / (1 - beta_2**t)
    ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return length, np.sqrt(max(ratio, 0.0))


@torch_common
def torch_radam(p, g, s, t, lr=0.001, betas=(0.9, 0.999), eps=1e-8):
    m_hat = average(s, "m", betas[0], g) / (1 - betas[0] ** t)
    v = average(s, "v", betas[1], g * g)
    length, factor = rectification(t, betas[1])
    if length > 5:
        return p - lr * m_hat * factor * np.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)
    return p - lr * m_hat


@torch_common
def torch_rprop(p, g, s, t, lr=0.01, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)):
    size, product = s.get("size", lr), g * s.get("prev", 0.0)
    factor = np.where(product > 0, etas[1], np.where(product < 0, etas[0], 1.0))
    s["size"] = np.clip(size * factor, *step_sizes)
    s["prev"] = np.where(product < 0, 0.0, g)
    return p - np.sign(s["prev"]) * s["size"]


@torch_common
def torch_asgd(p, g, s, t, lr=0.01, lambd=1e-4, alpha=0.75, t0=1e6):
    eta, mu = s.get("eta", lr), s.get("mu", 1.0)
    p = p - eta * (lambd * p + g)
    s["ax"] = p + (1 - mu) * (s.get("ax", 0.0) - p)
    # Made now for the next step: a new learning rate takes effect one step late.
    s["eta"] = lr / (1 + lambd * lr * t) ** alpha
    s["mu"] = 1 / max(1, t - t0)
    return p


def trust_ratio(p, update, eps=0.0):
    """The ratio of the norms of a parameter and its update, or 1, as Keras and optax share it."""
    p_norm, norm = np.linalg.norm(p), np.linalg.norm(update)
    return p_norm / (norm + eps) if p_norm > 0 and norm > 0 else 1.0


# ---- Keras ------------------------------------------------------------------------------------------------


def keras_common(update):
    """What every Keras optimizer does first: clip, then shrink the parameter."""

    @functools.wraps(update)
    def formula(p, g, s, t, learning_rate, weight_decay=0.0, clipvalue=None, global_clipnorm=None, **options):
        if clipvalue is not None:
            g = np.clip(g, -clipvalue, clipvalue)
        if global_clipnorm is not None:
            g = g * min(1.0, global_clipnorm / np.linalg.norm(g))
        p = p - learning_rate * weight_decay * p
        return update(p, g, s, t, learning_rate, **options)

    return formula


@keras_common
def keras_sgd(p, g, s, t, learning_rate=0.01, momentum=0.0, nesterov=False):
    velocity = s["velocity"] = momentum * s.get("velocity", 0.0) - learning_rate * g
    return p + (momentum * velocity - learning_rate * g if nesterov else velocity)


@keras_common
def keras_adagrad(p, g, s, t, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7):
    s["sum"] = s.get("sum", initial_accumulator_value) + g * g
    return p - learning_rate * g / np.sqrt(s["sum"] + epsilon)


@keras_common
def keras_adadelta(p, g, s, t, learning_rate=0.001, rho=0.95, epsilon=1e-7):
    square = average(s, "square", rho, g * g)
    delta = np.sqrt((s.get("delta", 0.0) + epsilon) / (square + epsilon)) * g
    average(s, "delta", rho, delta * delta)
    return p - learning_rate * delta


@keras_common
def keras_rmsprop(p, g, s, t, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False):
    variance = average(s, "square", rho, g * g)
    if centered:
        variance = variance - average(s, "grad", rho, g) ** 2
    s["momentum"] = momentum * s.get("momentum", 0.0) + learning_rate * g / np.sqrt(variance + epsilon)
    return p - s["momentum"]


@keras_common
def keras_adam(p, g, s, t, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False):
    m = average(s, "m", beta_1, g)
    v = average(s, "v", beta_2, g * g)
    if amsgrad:
        v = s["v_hat"] = np.maximum(s.get("v_hat", 0.0), v)
    return p - learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)


def keras_adamw(p, g, s, t, learning_rate=0.001, weight_decay=0.004, **options):
    return keras_adam(p, g, s, t, learning_rate, weight_decay=weight_decay, **options)


@keras_common
def keras_adamax(p, g, s, t, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m = average(s, "m", beta_1, g)
    s["u"] = np.maximum(beta_2 * s.get("u", 0.0), np.abs(g))
    return p - learning_rate * m / ((1 - beta_1**t) * (s["u"] + epsilon))


@keras_common
def keras_nadam(p, g, s, t, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    return p - learning_rate * dozat_step(g, s, t, beta_1, beta_2, 1.0, epsilon)


@keras_common
def keras_lion(p, g, s, t, learning_rate=0.001, beta_1=0.9, beta_2=0.99):
    direction = np.sign(beta_1 * s.get("m", 0.0) + (1 - beta_1) * g)
    average(s, "m", beta_2, g)
    return p - learning_rate * direction


@keras_common
def keras_lamb(p, g, s, t, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m = average(s, "m", beta_1, g)
    v = average(s, "v", beta_2, g * g)
    update = m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return p - learning_rate * trust_ratio(p, update) * update


@keras_common
def keras_ftrl(
    p,
    g,
    s,
    t,
    learning_rate=0.001,
    initial_accumulator_value=0.1,
    l1_regularization_strength=0.0,
    l2_regularization_strength=0.0,
    beta=0.0,
):
    before = s.get("n", initial_accumulator_value)
    s["n"] = before + g * g
    z = s["z"] = s.get("z", 0.0) + g - (np.sqrt(s["n"]) - np.sqrt(before)) / learning_rate * p
    quadratic = (beta + np.sqrt(s["n"])) / learning_rate + 2 * l2_regularization_strength
    return (np.clip(z, -l1_regularization_strength, l1_regularization_strength) - z) / quadratic


# ---- optax ------------------------------------------------------------------------------------------------


def optax_sgd(p, g, s, t, learning_rate, momentum=0.0, nesterov=False):
    trace = s["trace"] = g + momentum * s.get("trace", 0.0)
    return p - learning_rate * (g + momentum * trace if nesterov else trace)


def optax_adagrad(p, g, s, t, learning_rate, initial_accumulator_value=0.1, eps=1e-7):
    s["sum"] = s.get("sum", initial_accumulator_value) + g * g
    return p - learning_rate * g / np.sqrt(s["sum"] + eps)


def optax_adadelta(p, g, s, t, learning_rate, rho=0.9, eps=1e-6, weight_decay=0.0):
    return torch_adadelta(p, g, s, t, learning_rate, rho=rho, eps=eps, weight_decay=weight_decay)


def optax_rmsprop(
    p,
    g,
    s,
    t,
    learning_rate,
    decay=0.9,
    eps=1e-8,
    initial_scale=0.0,
    eps_in_sqrt=True,
    centered=False,
    momentum=0.0,
    bias_correction=False,
):
    correction = 1 - decay**t if bias_correction else 1.0
    variance = average(s, "nu", decay, g * g, start=initial_scale) / correction
    if centered:
        variance = variance - (average(s, "mu", decay, g) / correction) ** 2
    scaled = g / (np.sqrt(variance + eps) if eps_in_sqrt else np.sqrt(variance) + eps)
    s["trace"] = learning_rate * scaled + momentum * s.get("trace", 0.0)
    return p - s["trace"]


def optax_adam(p, g, s, t, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, nesterov=False, weight_decay=0.0):
    m = average(s, "m", b1, g)
    v = average(s, "v", b2, g * g)
    m_hat = m / (1 - b1**t)
    if nesterov:
        m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
    direction = m_hat / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
    return p - learning_rate * (direction + weight_decay * p)


def optax_adamw(p, g, s, t, learning_rate, weight_decay=1e-4, **options):
    return optax_adam(p, g, s, t, learning_rate, weight_decay=weight_decay, **options)


def optax_nadam(p, g, s, t, learning_rate, **options):
    return optax_adam(p, g, s, t, learning_rate, nesterov=True, **options)


def optax_nadamw(p, g, s, t, learning_rate, weight_decay=1e-4, **options):
    return optax_nadam(p, g, s, t, learning_rate, weight_decay=weight_decay, **options)


def optax_amsgrad(p, g, s, t, learning_rate, b1=0.9, b2=0.999, eps=1e-8, eps_root=0.0, bias_correction_nu=True):
    m = average(s, "m", b1, g)
    v = average(s, "v", b2, g * g)
    largest = s["v_max"] = np.maximum(s.get("v_max", 0.0), v / (1 - b2**t) if bias_correction_nu else v)
    return p - learning_rate * m / (1 - b1**t) / (np.sqrt(largest + eps_root) + eps)


def optax_adamax(p, g, s, t, learning_rate, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0):
    m = average(s, "m", b1, g)
    s["u"] = np.maximum(b2 * s.get("u", 0.0), np.abs(g) + eps)
    return p - learning_rate * (m / (1 - b1**t) / s["u"] + weight_decay * p)


def optax_adamaxw(p, g, s, t, learning_rate, weight_decay=1e-4, **options):
    return optax_adamax(p, g, s, t, learning_rate, weight_decay=weight_decay, **options)


def optax_radam(p, g, s, t, learning_rate, b1=0.9, b2=0.999, eps=1e-8, threshold=5.0):
    m_hat = average(s, "m", b1, g) / (1 - b1**t)
    v_hat = average(s, "v", b2, g * g) / (1 - b2**t)
    length, factor = rectification(t, b2)
    if length >= threshold:
        return p - learning_rate * factor * m_hat / (np.sqrt(v_hat) + eps)
    return p - learning_rate * m_hat


def optax_lion(p, g, s, t, learning_rate, b1=0.9, b2=0.99, weight_decay=1e-3):
    direction = np.sign(b1 * s.get("m", 0.0) + (1 - b1) * g)
    average(s, "m", b2, g)
    return p - learning_rate * (direction + weight_decay * p)


def optax_lamb(p, g, s, t, learning_rate, b1=0.9, b2=0.999, eps=1e-6, weight_decay=0.0):
    m = average(s, "m", b1, g)
    v = average(s, "v", b2, g * g)
    update = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps) + weight_decay * p
    return p - learning_rate * trust_ratio(p, update) * update


def optax_lars(p, g, s, t, learning_rate, trust_coefficient=0.001, eps=0.0, momentum=0.9, nesterov=False):
    change = learning_rate * trust_coefficient * trust_ratio(p, g, eps) * g
    trace = s["trace"] = change + momentum * s.get("trace", 0.0)
    return p - (change + momentum * trace if nesterov else trace)


def optax_yogi(p, g, s, t, learning_rate, b1=0.9, b2=0.999, eps=1e-3):
    start = 1e-6
    m = average(s, "m", b1, g, start=start)
    v = s.get("v", start)
    v = s["v"] = v - (1 - b2) * np.sign(v - g * g) * g * g
    return p - learning_rate * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


def optax_adabelief(p, g, s, t, learning_rate, b1=0.9, b2=0.999, eps=1e-16, eps_root=1e-16):
    m = average(s, "m", b1, g)
    variance = s["s"] = b2 * s.get("s", 0.0) + (1 - b2) * (g - m) ** 2 + eps_root
    return p - learning_rate * m / (1 - b1**t) / (np.sqrt(variance / (1 - b2**t)) + eps)


def optax_adopt(p, g, s, t, learning_rate, b1=0.9, b2=0.9999, eps=1e-6, use_clipping=True):
    """Counts from 0, so that the second step clips to 1."""
    return p - learning_rate * adopt_direction(g, s, t, (b1, b2), eps, (t - 1) ** 0.25 if use_clipping else np.inf)


def adopt_direction(g, s, t, betas, eps, bound):
    """ADOPT without learning rate, the same everywhere but for the bound of the clipping."""
    if t == 1:
        s["v"] = g * g
        return np.zeros_like(g)
    direction = average(s, "m", betas[0], np.clip(g / np.maximum(np.sqrt(s["v"]), eps), -bound, bound))
    average(s, "v", betas[1], g * g)
    return direction


def optax_ademamix(
    p, g, s, t, learning_rate, b1=0.9, b2=0.999, b3=0.9999, alpha=5.0, eps=1e-8, eps_root=0.0, weight_decay=0.0
):  # fmt: skip
    direction = ademamix_direction(g, s, t, (b1, b2, b3), alpha, eps, eps_root)
    return p - learning_rate * (direction + weight_decay * p)


def ademamix_direction(g, s, t, betas, alpha, eps, eps_root=0.0):
    """AdEMAMix without learning rate and weight decay, `alpha` and the last beta being those of the step."""
    m = average(s, "m", betas[0], g) / (1 - betas[0] ** t)
    v = average(s, "v", betas[1], g * g) / (1 - betas[1] ** t)
    return (m + alpha * average(s, "slow", betas[2], g)) / (np.sqrt(v + eps_root) + eps)


def optax_cocob(p, g, s, t, learning_rate=1.0, alpha=100.0, eps=1e-8, weight_decay=0.0):
    """Chained behind the learning rate, which therefore multiplies the gradient."""
    return coin_betting(p, learning_rate * (g + weight_decay * p), s, alpha, eps)


def coin_betting(p, g, s, alpha, eps):
    """COCOB-Backprop, which has no learning rate."""
    start = s.setdefault("start", p)
    largest = s["L"] = np.maximum(s.get("L", eps), np.abs(g))
    total = s["G"] = s.get("G", 0.0) + np.abs(g)
    reward = s["R"] = np.maximum(s.get("R", 0.0) - g * (p - start), 0.0)
    s["theta"] = s.get("theta", 0.0) - g
    return start + s["theta"] / (largest * np.maximum(total + largest, alpha * largest)) * (largest + reward)


def optax_schedule_free_sgd(p, g, s, t, learning_rate=1.0, b1=0.9, weight_decay=0.0, weight_lr_power=2.0):
    z = s.get("z", p)
    return schedule_free(p, z - learning_rate * (g + weight_decay * p), s, t, learning_rate, b1, 0.0, weight_lr_power)


def optax_schedule_free_adamw(
    p, g, s, t, learning_rate=0.0025, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0, weight_lr_power=2.0
):
    v = average(s, "v", b2, g * g)
    z = s.get("z", p) - learning_rate * (g / (np.sqrt(v / (1 - b2**t)) + eps) + weight_decay * p)
    return schedule_free(p, z, s, t, learning_rate, b1, 0.0, weight_lr_power)


# ---- schedulefree -----------------------------------------------------------------------------------------


def schedule_free(p, z, s, t, lr, beta, r, power):
    """Take the new z into the average, and return the point at which gradients are taken."""
    s["lr_max"] = max(s.get("lr_max", 0.0), lr)
    weight = t**r * s["lr_max"] ** power
    s["weight_sum"] = s.get("weight_sum", 0.0) + weight
    c = weight / s["weight_sum"] if s["weight_sum"] else 0.0
    s["z"], s["x"] = z, (1 - c) * s.get("x", p) + c * z
    return beta * s["x"] + (1 - beta) * z


def warmed_up(lr, t, warmup_steps):
    return lr * t / warmup_steps if t < warmup_steps else lr


def schedulefree_sgdschedulefreereference(
    p, g, s, t, lr=1.0, momentum=0.9, weight_decay=0.0, warmup_steps=0, r=0.0, weight_lr_power=2.0
):
    lr = warmed_up(lr, t, warmup_steps)
    z = s.get("z", p) - lr * (g + weight_decay * p)
    return schedule_free(p, z, s, t, lr, momentum, r, weight_lr_power)


def schedulefree_adamwschedulefreereference(
    p,
    g,
    s,
    t,
    lr=0.0025,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    warmup_steps=0,
    r=0.0,
    weight_lr_power=2.0,
):
    lr = warmed_up(lr, t, warmup_steps)
    v = average(s, "v", betas[1], g * g)
    z = s.get("z", p) - lr * (g / (np.sqrt(v / (1 - betas[1] ** t)) + eps) + weight_decay * p)
    return schedule_free(p, z, s, t, lr, betas[0], r, weight_lr_power)


# ---- pytorch-optimizer, parameterfree ---------------------------------------------------------------------


def decayed(update):
    """What most methods of pytorch-optimizer do first: weight decay of either kind."""

    @functools.wraps(update)
    def formula(p, g, s, t, lr, weight_decay=0.0, weight_decouple=False, **options):
        if weight_decouple:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        return update(p, g, s, t, lr, **options)

    return formula


def pytorch_optimizer_adan(
    p, g, s, t, lr=0.001, betas=(0.98, 0.92, 0.99), eps=1e-8, weight_decay=0.0, weight_decouple=False
):  # fmt: skip
    difference = g - s.get("g", g)
    s["g"] = g
    m = average(s, "m", betas[0], g) / (1 - betas[0] ** t)
    d = average(s, "d", betas[1], difference) / (1 - betas[1] ** t)
    v = average(s, "v", betas[2], (g + betas[1] * difference) ** 2) / (1 - betas[2] ** t)
    change = lr * (m + betas[1] * d) / (np.sqrt(v) + eps)
    if weight_decouple:
        return (1 - lr * weight_decay) * p - change
    return (p - change) / (1 + lr * weight_decay)


@decayed
def pytorch_optimizer_adopt(p, g, s, t, lr=0.001, betas=(0.9, 0.9999), eps=1e-6):
    """Counts all steps, so that the second one clips to the fourth root of 2."""
    return p - lr * adopt_direction(g, s, t, betas, eps, t**0.25)


@decayed
def pytorch_optimizer_ademamix(
    p, g, s, t, lr=0.001, betas=(0.9, 0.999, 0.9999), alpha=5.0, t_alpha_beta3=None, eps=1e-8
):  # fmt: skip
    beta_1, beta_2, beta_3 = betas
    if t_alpha_beta3 is not None:
        done, log_1, log_3 = t / t_alpha_beta3, np.log(beta_1), np.log(beta_3)
        alpha = min(done * alpha, alpha)
        beta_3 = min(np.exp(log_1 * log_3 / ((1 - done) * log_3 + done * log_1)), beta_3)
    return p - lr * ademamix_direction(g, s, t, (beta_1, beta_2, beta_3), alpha, eps)


def parameterfree_cocob(p, g, s, t, lr=1.0, alpha=100, eps=1e-8, weight_decay=0.0):
    """Has no learning rate: `lr` is not used."""
    return coin_betting(p, g + weight_decay * p, s, alpha, eps)


def optax_prodigy(p, g, s, t, learning_rate=1.0, eps=1e-8, estim_lr0=1e-6, estim_lr_coef=1.0, weight_decay=0.0):
    correction = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return prodigy(p, g, s, learning_rate * correction, eps, estim_lr0, estim_lr_coef, weight_decay)


def optax_dog(p, g, s, t, learning_rate=1.0, eps=1e-8, weight_decay=0.0):
    return dog_dog(p, g, s, t, learning_rate, eps=eps, weight_decay=weight_decay)


def optax_momo(p, g, s, t, value, learning_rate=1.0, beta=0.9, lower_bound=0.0, weight_decay=0.0):
    beta = 0.0 if t == 1 else beta
    m, mean_value = average(s, "exp_avg", beta, g), average(s, "barf", beta, value)
    mean_gp = average(s, "gamma", beta, g @ p)
    grown = 1 + learning_rate * weight_decay
    above = max(grown * (mean_value - lower_bound - mean_gp) + m @ p, 0.0)
    return p / grown - min(learning_rate, above / (m @ m)) * m


# ---- packages of papers -----------------------------------------------------------------------------------


def prodigy(p, g, s, lr, eps, d0, d_coef, weight_decay, beta_1=0.9, beta_2=0.999):
    """The step of Prodigy with its new d, of which the learning rate is a factor."""
    beta_3, d, p0 = np.sqrt(beta_2), s.get("d", d0), s.setdefault("p0", p)
    s["numerator"] = beta_3 * s.get("numerator", 0.0) + d / d0 * d * lr * (g @ (p0 - p))
    m = average(s, "exp_avg", beta_1, d * g)
    v = average(s, "exp_avg_sq", beta_2, d**2 * g**2)
    total = s["s"] = beta_3 * s.get("s", 0.0) + d / d0 * d * lr * g
    s["d"] = max(d, d_coef * s["numerator"] / np.abs(total).sum())
    return p - weight_decay * d * lr * p - d * lr * m / (np.sqrt(v) + s["d"] * eps)


def prodigyopt_prodigy(p, g, s, t, lr=1.0, eps=1e-8, weight_decay=0.0, d0=1e-6, d_coef=1.0):
    return prodigy(p, g, s, lr, eps, d0, d_coef, weight_decay)


def dog_dog(p, g, s, t, lr=1.0, reps_rel=1e-6, eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    p0 = s.setdefault("p0", p)
    distance = reps_rel * (1 + np.linalg.norm(p)) if t == 1 else np.linalg.norm(p - p0)
    s["rbar"] = max(s.get("rbar", 0.0), distance)
    s["G"] = s.get("G", eps) + g @ g
    return p - lr * s["rbar"] / np.sqrt(s["G"]) * g


dog_ldog = dog_dog  # of one array
