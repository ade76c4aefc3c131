"""Rows of the case table for the steps of optimizers (see csrc/ops/optim.cpp).

Imported by cases.py. References are the published rules, written out; each returns the new values
of what the op changes, in the order of its inputs. test_optim_rules.py goes on for 50 steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from samples import REGISTRY, Array, Bad, Maker, Reference, Shape, rows

from ranvier import _C


def number(value: float) -> Maker:
    """A 0-dimensional float64, as learning rate and step count are."""
    return lambda rng: np.array(float(value))


def between(low: float, high: float) -> Any:
    """Makes what stands for a shape: numbers of that range, such as a second moment's."""
    return lambda shape: lambda rng: rng.uniform(low, high, shape)


PLAIN, MOMENT, SMALL = between(-4, 4), between(0.01, 2), between(-0.05, 0.05)
LR = number(0.125)


def descent(
    param: Array, grad: Array, lr: Array, weight_decay: float, decoupled: bool, maximize: bool
) -> tuple[Array, Array]:
    """The parameter after decoupled decay, and the gradient to go along."""
    g = -grad if maximize else grad
    if decoupled:
        return param * (1 - lr * weight_decay), g
    return param, g + weight_decay * param


def sgd(
    param: Array,
    grad: Array,
    lr: Array,
    buffer: Array | None = None,
    step: Array | None = None,
    now: Array | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
    decoupled: bool = False,
    lr_in_momentum: bool = False,
) -> list[Array]:
    """PyTorch's SGD; with the learning rate in the buffer, Sutskever's and Keras'."""
    param, d = descent(param, grad, lr, weight_decay, decoupled, maximize)
    momentum = momentum if now is None else now
    d, lr = (lr * d, 1) if lr_in_momentum else (d, lr)
    if buffer is not None:
        first = step is not None and step == 0
        buffer = d if first else momentum * buffer + (1 - dampening) * d
        d = d + momentum * buffer if nesterov else buffer
    changed = [param - lr * d, buffer, None if step is None else step + 1]
    return [x for x in changed if x is not None]


def adam(
    param: Array,
    grad: Array,
    lr: Array,
    m: Array,
    v: Array,
    step: Array,
    largest: Array | None = None,
    now: Array | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    eps_hat: bool = False,
    uncorrected: bool = False,
) -> list[Array]:
    """Kingma and Ba's algorithm 1; AdamW, AMSGrad; eps before the correction."""
    param, g = descent(param, grad, lr, weight_decay, decoupled, maximize)
    beta1, t = np.longdouble(beta1 if now is None else now), step + 1
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - np.longdouble(beta2)) * g * g
    top = v if largest is None else np.maximum(largest, v)
    one, two = (1, 1) if uncorrected else (1 - beta1**t, np.sqrt(1 - np.longdouble(beta2) ** t))
    change = m * two / (np.sqrt(top) + eps) if eps_hat else m / (np.sqrt(top) / two + eps)
    return [param - lr / one * change, m, v, t, *([] if largest is None else [top])]


def rmsprop(
    param: Array,
    grad: Array,
    lr: Array,
    v: Array,
    m: Array | None = None,
    buffer: Array | None = None,
    now: Array | None = None,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    maximize: bool = False,
    decoupled: bool = False,
    eps_inside: bool = False,
    lr_in_momentum: bool = False,
) -> list[Array]:
    """Hinton's lecture 6e; Graves' equations 38 to 41."""
    param, g = descent(param, grad, lr, weight_decay, decoupled, maximize)
    alpha = np.longdouble(alpha)
    v = alpha * v + (1 - alpha) * g * g
    m = None if m is None else alpha * m + (1 - alpha) * g
    spread = v if m is None else v - m * m
    g = g / (np.sqrt(spread + eps) if eps_inside else np.sqrt(spread) + eps)
    g, lr = (lr * g, 1) if lr_in_momentum else (g, lr)
    if buffer is not None:
        g = buffer = (momentum if now is None else now) * buffer + g
    return [x for x in (param - lr * g, v, m, buffer) if x is not None]


def adagrad(
    param: Array,
    grad: Array,
    lr: Array,
    total: Array,
    step: Array,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    initial: float = 0.0,
    maximize: bool = False,
    decoupled: bool = False,
    eps_inside: bool = False,
) -> list[Array]:
    """Duchi, Hazan and Singer."""
    param, g = descent(param, grad, lr, weight_decay, decoupled, maximize)
    total = total + (initial if step == 0 else 0) + g * g
    root = np.sqrt(total + eps) if eps_inside else np.sqrt(total) + eps
    return [param - lr / (1 + step * lr_decay) * g / root, total, step + 1]


def adadelta(
    param: Array,
    grad: Array,
    lr: Array,
    v: Array,
    u: Array,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
    decoupled: bool = False,
) -> list[Array]:
    """Zeiler's algorithm 1."""
    param, g = descent(param, grad, lr, weight_decay, decoupled, maximize)
    rho = np.longdouble(rho)
    v = rho * v + (1 - rho) * g * g
    change = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    return [param - lr * change, v, rho * u + (1 - rho) * change * change]


def adamax(
    param: Array,
    grad: Array,
    lr: Array,
    m: Array,
    u: Array,
    step: Array,
    now: Array | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    maximize: bool = False,
    decoupled: bool = False,
    eps_inside: bool = False,
) -> list[Array]:
    """Kingma and Ba's algorithm 2."""
    param, g = descent(param, grad, lr, weight_decay, decoupled, maximize)
    beta1, t = np.longdouble(beta1 if now is None else now), step + 1
    m = beta1 * m + (1 - beta1) * g
    u = np.maximum(beta2 * u, np.abs(g) + (0 if eps_inside else eps))
    return [param - lr / (1 - beta1**t) * m / (u + (eps if eps_inside else 0)), m, u, t]


def nadam(
    param: Array,
    grad: Array,
    lr: Array,
    m: Array,
    v: Array,
    product: Array,
    step: Array,
    now: Array | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
    momentum_decay: float = 4e-3,
) -> list[Array]:
    """Dozat's algorithm 8 with the momentum schedule of Sutskever et al."""
    param, g = descent(param, grad, lr, weight_decay, decoupled, maximize)
    beta1, beta2 = np.longdouble(beta1 if now is None else now), np.longdouble(beta2)
    t = step + 1
    mu, after = (
        beta1 * (1 - 0.5 * np.longdouble(0.96) ** (n * momentum_decay)) for n in (t, t + 1)
    )
    product = (1 if step == 0 else product) * mu
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    ahead = (1 - mu) / (1 - product) * g + after / (1 - product * after) * m
    return [param - lr * ahead / (np.sqrt(v / (1 - beta2**t)) + eps), m, v, product, t]


def radam(
    param: Array,
    grad: Array,
    lr: Array,
    m: Array,
    v: Array,
    step: Array,
    now: Array | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> list[Array]:
    """Liu's algorithm 2."""
    param, g = descent(param, grad, lr, weight_decay, decoupled, maximize)
    beta1, beta2 = np.longdouble(beta1 if now is None else now), np.longdouble(beta2)
    t = step + 1
    m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    change = m / (1 - beta1**t)
    if length > 5:
        r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        change = change * np.sqrt(r * (1 - beta2**t)) / (np.sqrt(v) + eps)
    return [param - lr * change, m, v, t]


def lion(
    param: Array,
    grad: Array,
    lr: Array,
    m: Array,
    now: Array | None = None,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> list[Array]:
    """Chen's algorithm 2."""
    g = -grad if maximize else grad
    beta1 = beta1 if now is None else now
    change = np.sign(beta1 * m + (1 - beta1) * g) + weight_decay * param
    return [param - lr * change, beta2 * m + (1 - np.longdouble(beta2)) * g]


def rprop(
    param: Array,
    grad: Array,
    lr: Array,
    prev: Array,
    size: Array,
    step: Array,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    step_min: float = 1e-6,
    step_max: float = 50.0,
    maximize: bool = False,
) -> list[Array]:
    """Riedmiller and Braun's rule without going back."""
    g = -grad if maximize else grad
    turn = np.sign(g) * np.sign(prev)
    factor = np.where(turn > 0, eta_plus, np.where(turn < 0, eta_minus, 1.0))
    size = np.clip((lr if step == 0 else size) * factor, step_min, step_max)
    g = np.where(turn < 0, 0, g)
    return [param - np.sign(g) * size, g, size, step + 1]


def asgd(
    param: Array,
    grad: Array,
    lr: Array,
    ax: Array,
    eta: Array,
    mu: Array,
    step: Array,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> list[Array]:
    """Polyak and Juditsky's mean, Bottou's step sizes."""
    param, g = descent(param, grad, lr, weight_decay, False, maximize)
    eta, mu, t = (lr if step == 0 else eta), (np.array(1.0) if step == 0 else mu), step + 1
    param = param * (1 - lambd * eta) - eta * g
    ax = ax + mu * (param - ax)
    return [param, ax, lr / (1 + lambd * lr * t) ** np.longdouble(alpha), 1 / max(1, t - t0), t]


def ftrl(
    param: Array,
    grad: Array,
    lr: Array,
    n: Array,
    z: Array,
    step: Array,
    lr_power: float = -0.5,
    initial: float = 0.1,
    l1: float = 0.0,
    l2: float = 0.0,
    l2_shrinkage: float = 0.0,
    beta: float = 0.0,
    weight_decay: float = 0.0,
    maximize: bool = False,
    decoupled: bool = False,
) -> list[Array]:
    """McMahan's algorithm 1 with TensorFlow's shrinkage."""
    param, g = descent(param, grad, lr, weight_decay, decoupled, maximize)
    n = n + (initial if step == 0 else 0)
    more = n + g * g
    z = z + g + 2 * l2_shrinkage * param - (more**-lr_power - n**-lr_power) / lr * param
    divisor = more**-lr_power / lr + 2 * (l2 + beta / (2 * lr))
    return [(np.clip(z, -l1, l1) - z) / divisor, more, z, step + 1]


# ---- rows: an update is (op, reference, what the state is made of), then samples of its settings


def size_of_numbers(ref: Any, *inputs: Any, **attrs: Any) -> float:
    """Twice the largest number that went in or came out."""
    return 2 * max(
        (float(np.max(np.abs(x), initial=0)) for x in (*inputs, ref) if x is not None), default=0.0
    )


SINGLES = ("lr", "step", "momentum_now", "mu_product", "eta", "mu")
BAD_STATE = (_C.ShapeError, ("(3,)", "(4,)"))
ATTRS = ["weight_decay", "maximize", "decoupled"]
Settings = dict[str, Any]
# Every row as (op, reference, samples, tolerance): cases_optim_many.py puts parameters together.
UPDATES: list[tuple[str, Reference, list[Any], str]] = []


def update(
    name: str,
    reference: Reference,
    *state: Any,
    settings: Sequence[Settings] = (),
    steps: Sequence[float] = (0, 3),
    tolerance: str = "update",
) -> None:
    """A row. `state` holds makers by shape, numbers, "step", or None for what is not given.

    A setting "given" puts other makers into the places of state.
    """
    names = REGISTRY[name]["inputs"]
    has = {attr["name"] for attr in REGISTRY[name]["attrs"]}
    commons = [
        {k: v for k, v in zip(ATTRS, values, strict=True) if k in has}
        for values in ((0.25, False, False), (0.25, True, True))
    ]

    def sample(shape: Shape, count: float, layouts: tuple[str, ...], attrs: Settings) -> Any:
        attrs, made = dict(attrs), dict(enumerate(state))
        made.update(attrs.pop("given", {}))
        inputs: list[Any] = [PLAIN(shape), PLAIN(shape), LR]
        for i in range(len(state)):
            one = made[i]
            inputs.append(
                number(count)
                if one == "step"
                else number(one)
                if isinstance(one, float)
                else one and one(shape)
            )
        kinds = [
            layouts[i % 2] if n not in SINGLES else "packed"
            for i, n in enumerate(names[: len(inputs)])
        ]
        return inputs, attrs, tuple(kinds)

    def samples() -> Iterator[Any]:
        for shape in ((1,), (17,), (3, 5), (0,), (1000,)):
            yield sample(shape, steps[0], ("packed", "packed"), {})
        for i, attrs in enumerate((*settings, *commons)):
            yield sample((33,), steps[i % len(steps)], ("packed", "packed"), attrs)
        for layouts in (("transposed", "packed"), ("strided", "transposed"), ("packed", "strided")):
            yield sample((5, 3), steps[-1], layouts, {})

    def bad() -> Iterator[Bad]:
        good = [(3,) if n not in SINGLES else np.array(1.0) for n in names]
        for i, n in enumerate(names[1:], 1):
            if n in SINGLES:
                yield Bad((*good[:i], np.array([0.1]), *good[i + 1 :]), {}, _C.ShapeError, (n,))
            else:
                yield Bad((*good[:i], (4,), *good[i + 1 :]), {}, *BAD_STATE)
        yield Bad(
            (np.zeros(3, np.float32), np.zeros(3), *good[2:]),
            {},
            TypeError,
            ("grad", "float32", "float64"),
        )

        if name == "ftrl_update":
            yield Bad((*good[:2], np.array(0.0), *good[3:]), {}, ValueError, ("lr", "above 0"))

    def arranged() -> Iterator[Any]:
        for inputs, attrs, layouts in samples():
            arrays = tuple(relaid(x, layout) for x, layout in zip(inputs, layouts, strict=True))
            yield arrays, attrs, layouts

    entries = list(arranged())
    UPDATES.append((name, reference, entries, tolerance))
    rows(
        name,
        reference,
        *entries,
        writes=True,
        tolerance=tolerance,
        integers="refused",
        fixed=[i for i, n in enumerate(names) if n in SINGLES],
        magnitude=size_of_numbers,
        bad=tuple(bad()),
    )


def relaid(make: Any, layout: str) -> Any:
    """A maker whose array lies in memory as the layout says."""
    from samples import laid_out

    return make and (lambda rng: laid_out(np.asarray(make(rng)), layout))


HEAVY = {"momentum": 0.875, "dampening": 0.125, "weight_decay": 0.0625}
BUFFER = {"given": {0: PLAIN, 1: "step"}}
update(
    "sgd_update",
    sgd,
    None,
    None,
    None,
    tolerance="sgd",
    settings=(
        {**BUFFER, **HEAVY},
        {**BUFFER, **HEAVY},
        {**BUFFER, "nesterov": True},
        {**BUFFER, "momentum": 0.5, "nesterov": True},
        {"given": {0: PLAIN, 2: 0.75}, "momentum": 0.5, "lr_in_momentum": True},
        {"given": {0: PLAIN}, "momentum": 0.5, "nesterov": True, "lr_in_momentum": True},
    ),
)
update(
    "adam_update",
    adam,
    PLAIN,
    MOMENT,
    "step",
    None,
    None,
    steps=(0, 9),
    tolerance="adam",
    settings=(
        {"beta1": 0.5, "beta2": 0.75},
        {"given": {3: MOMENT}},
        {"eps_hat": True, "eps": 0.125},
        {"uncorrected": True},
        {"given": {4: 0.5}},
    ),
)
update(
    "rmsprop_update",
    rmsprop,
    MOMENT,
    None,
    None,
    None,
    settings=(
        {"alpha": 0.5, "eps": 0.125},
        {"given": {2: PLAIN}, "momentum": 0.5},
        {"given": {0: between(1, 2), 1: SMALL}},
        {"given": {2: PLAIN, 3: 0.75}, "lr_in_momentum": True},
        {"eps_inside": True, "eps": 0.125},
    ),
)
update(
    "adagrad_update",
    adagrad,
    MOMENT,
    "step",
    settings=({"initial": 0.5}, {"lr_decay": 0.25}, {"eps_inside": True, "eps": 0.125}),
)
update("adadelta_update", adadelta, MOMENT, MOMENT, settings=({"rho": 0.5, "eps": 0.125},))
update(
    "adamax_update",
    adamax,
    PLAIN,
    MOMENT,
    "step",
    None,
    settings=(
        {"beta1": 0.5, "beta2": 0.75},
        {"eps_inside": True, "eps": 0.125},
        {"given": {3: 0.5}},
    ),
)
update(
    "nadam_update",
    nadam,
    PLAIN,
    MOMENT,
    0.25,
    "step",
    None,
    settings=({"beta1": 0.5, "beta2": 0.75}, {"momentum_decay": 1.0}, {"given": {4: 0.5}}),
)
update(
    "radam_update",
    radam,
    PLAIN,
    MOMENT,
    "step",
    None,
    steps=(2, 20),
    settings=({"beta1": 0.5, "beta2": 0.75}, {"eps": 0.125}, {"given": {3: 0.5}}),
)
update(
    "lion_update", lion, PLAIN, None, settings=({"beta1": 0.5, "beta2": 0.75}, {"given": {1: 0.5}})
)
update(
    "rprop_update",
    rprop,
    PLAIN,
    MOMENT,
    "step",
    settings=({"eta_minus": 0.25, "eta_plus": 2.0}, {"step_min": 0.5, "step_max": 1.0}),
)
update(
    "asgd_update",
    asgd,
    PLAIN,
    0.125,
    0.5,
    "step",
    settings=({"lambd": 0.125, "alpha": 0.5, "t0": 1.0}, {"lambd": 0.125, "t0": 1.0}),
)
update(
    "ftrl_update",
    ftrl,
    MOMENT,
    PLAIN,
    "step",
    settings=(
        {"l1": 1.0, "l2": 0.5, "l2_shrinkage": 0.25},
        {"beta": 0.5, "initial": 0.5},
        {"lr_power": -0.25},
    ),
)
