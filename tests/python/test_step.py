"""The arithmetic of a training step: it reads no value, and changes nothing where one is bad."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest
from training_setup import LABELS, VALUES, X, classifier, fit, weights

import ranvier as rv
from ranvier import keras, nn, optim
from ranvier.keras.tensors import flatten, map_structure
from ranvier.training import NonFiniteError, RanvierWarning
from ranvier.training.batches import Batch
from ranvier.training.loop import Run
from ranvier.training.penalties import Penalties
from ranvier.utils.data import DataLoader, TensorDataset

STEPS = 6


def dropping() -> nn.Sequential:
    rv.manual_seed(3)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)
    )


def recorded(run: Run) -> None:
    """In place of the loop: a step, a recorded one and its replays, all with the same rows."""
    step = next(iter(run.task.batches))
    arithmetic = run.arithmetic

    def whole(*tensors: rv.Tensor) -> list[rv.Tensor]:
        left = list(tensors)
        given = [
            Batch(
                left.pop(0),
                map_structure(lambda _: left.pop(0), b.target),
                b.rows,
                b.weight,
                b.given,
            )
            for b in step
        ]
        taken = arithmetic.whole(given, True)
        return [*(loss for loss, _ in taken.losses), taken.finite]

    run.task.prepare_step(step)
    arithmetic.write_keys(step, 1)
    arithmetic.whole(step, True)
    run.task.prepare_step(step)  # now it is known what the model puts out
    arithmetic.write_keys(step, 2)
    flat = [tensor for batch in step for tensor in (batch.x, *flatten(batch.target))]
    program = rv.Program.record(whole, *flat)
    for number in range(3, STEPS + 1):
        arithmetic.write_keys(step, number)
        assert program.replay(*flat)[-1].item() is True


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "sgd": {"optimizer": "sgd", "lr": 0.1},
    "l1": {"l1": 1e-2},
    "l1 of sgd": {"l1": 1e-2, "optimizer": "sgd", "lr": 0.1},
    "l1 of rmsprop": {"l1": 1e-2, "optimizer": "rmsprop"},
    "l2": {"l2": 1e-2},
    "max_norm": {"max_norm": 0.5},
    "clip_norm": {"clip_norm": 0.1},
    "sample_weight": {"sample_weight": np.linspace(0.1, 2, 8)},
    "class_weight": {"class_weight": {0: 2.0}},
    "weights of labels": {"loss": nn.CrossEntropyLoss(weight=rv.tensor([1.0, 2.0, 0.5]))},
    "metrics": {"metrics": "accuracy"},
}


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_step_can_be_recorded(
    options: dict[str, Any], accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option of fit: replays give the bits of steps that are taken one by one."""
    make = dropping if accumulate == 1 else classifier
    named = {"seed": 1, "shuffle": False, "batch_size": 8 // accumulate, "epochs": STEPS}
    named |= {"accumulate": accumulate, **options}
    eager, replayed = make(), make()
    fit(eager, X[:8], LABELS[:8], **named)
    monkeypatch.setattr(Run, "run_epochs", recorded)
    fit(replayed, X[:8], LABELS[:8], **named)
    assert weights(replayed) == weights(eager) != weights(make())
    assert [b.tolist() for b in replayed.buffers()] == [b.tolist() for b in eager.buffers()]


def test_a_step_of_a_loader_can_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    eager, replayed = classifier(), classifier()
    loader = DataLoader(TensorDataset(rv.tensor(X[:8]), rv.tensor(LABELS[:8])), batch_size=8)
    loader = Batched(loader)
    fit(eager, loader, None, seed=1, epochs=STEPS)
    monkeypatch.setattr(Run, "run_epochs", recorded)
    fit(replayed, loader, None, seed=1, epochs=STEPS)
    assert weights(replayed) == weights(eager)


class Batched:
    """A loader that is no TensorDataset's: its rows are not simply there."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.dataset, self.batch_size = loader, None, loader.batch_size

    def __iter__(self) -> Any:
        return iter(self.loader)

    def __len__(self) -> int:
        return len(self.loader)


# --- numbers that are not finite ------------------------------------------------------------------


class Spoiled(nn.Module):
    """Its gradient, or its loss, is not finite where a row begins with a large number."""

    def __init__(self, what: str) -> None:
        super().__init__()
        rv.manual_seed(0)
        self.a, self.b, self.what = nn.Linear(4, 5), nn.Linear(5, 3), what

    def forward(self, x: rv.Tensor) -> rv.Tensor:
        hidden, bad = self.a(x), x[:, :1] > 5
        if self.what == "loss":
            hidden = hidden * rv.where(bad, float("nan"), 1.0)
        else:
            hidden = hidden + (hidden * 0 + rv.where(bad, 0.0, 1.0)).sqrt()
        return self.b(hidden)


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop", "ASGD", "LBFGS", "Own"])
@pytest.mark.parametrize("later", [False, True])
def test_nothing_changes(what: str, optimizer: str, later: bool) -> None:
    """Neither weights nor what the optimizer remembers, in the first step or in the second.

    The largest norm is far below that of the weights: a constraint that is not skipped shows.
    """
    rows = X[:16].copy()
    rows[8 if later else 0, 0] = 6
    kinds = {"Own": Own}
    net, other = Spoiled(what), Spoiled(what)
    ours, theirs = (
        kinds.get(optimizer, getattr(optim, optimizer, None))(model.parameters(), lr=0.01)
        for model in (net, other)
    )
    named: dict[str, Any] = {"l1": 1e-2, "max_norm": 0.1, "clip_norm": 0.1, "shuffle": False}
    named |= {"batch_size": 8, "epochs": 1, "seed": 0}
    with pytest.raises(NonFiniteError) as caught:
        fit(net, rows, LABELS[:16], optimizer=ours, **named)
    assert (caught.value.step, what in caught.value.tensor) == (1 + later, True)
    if later:
        fit(other, rows[:8], LABELS[:8], optimizer=theirs, **named)
    assert weights(net) == weights(other)
    assert remembered(ours) == remembered(theirs)
    assert ours.stepped is theirs.stepped is later
    assert ours.finite is None and ours.grad_scale is None


class Own(optim.Optimizer):
    """Somebody's own update: it cannot be told to change nothing."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def _update(self, group: Any, param: rv.Tensor, grad: rv.Tensor) -> None:
        state = self.state[param]
        state["calls"] = state.get("calls", 0) + 1
        param.sub_(group["lr"] * grad.sign())


def remembered(optimizer: optim.Optimizer) -> list[Any]:
    return [
        {n: v.tolist() if isinstance(v, rv.Tensor) else str(v) for n, v in state.items()}
        for state in optimizer.state.values()
    ]


def test_who_can_be_told_to_change_nothing() -> None:
    net = classifier()

    class Stepping(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            return super().step(closure)

    adam = optim.Adam(net.parameters())
    assert adam.takes_finite
    handle = adam.register_step_post_hook(lambda *_: None)
    assert not adam.takes_finite
    handle.remove()
    assert adam.takes_finite
    adam.step = adam.step  # type: ignore[method-assign]
    assert not adam.takes_finite
    for own in (
        Own(net.parameters(), 0.1),
        Stepping(net.parameters()),
        optim.LBFGS(net.parameters()),
    ):
        assert not own.takes_finite


def test_a_false_flag_stops_every_update() -> None:
    for name in sorted(vars(optim)):
        kind = getattr(optim, name)
        if not isinstance(kind, type) or kind in (optim.Optimizer, optim.LBFGS):
            continue
        if not issubclass(kind, optim.Optimizer):
            continue
        w = rv.tensor([1.0, -2.0], requires_grad=True)
        optimizer = kind([w])
        for _ in range(2):
            w.grad = rv.tensor([0.5, 0.25])
            optimizer.step()
        before = w.tolist(), remembered(optimizer)
        w.grad = rv.tensor([float("nan"), 1.0])
        optimizer.finite = rv.tensor(False)
        optimizer.step()
        assert (w.tolist(), remembered(optimizer)) == before, name


# --- Ctrl-C ---------------------------------------------------------------------------------------


def test_interrupt_within_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes behind the step, constraints included, and nothing is left set."""
    apply = Penalties.apply

    def interrupted(self: Penalties, optimizer: optim.Optimizer) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        apply(self, optimizer)

    net, one_step = classifier(), classifier()
    optimizer = optim.Adam(net.parameters())
    named: dict[str, Any] = {"max_norm": 0.1, "clip_norm": 0.1, "shuffle": False, "epochs": 1}
    named |= {"batch_size": None, "seed": 0}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(Penalties, "apply", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fit(net, optimizer=optimizer, **named)
    finally:
        signal.signal(signal.SIGINT, before)
    fit(one_step, optimizer=optim.Adam(one_step.parameters()), **named)
    assert weights(net) == weights(one_step)
    assert optimizer.finite is None and optimizer.grad_scale is None


# --- loaders --------------------------------------------------------------------------------------


def test_an_output_that_changes_its_shape() -> None:
    """Targets are made for what comes out, also where something else came out before."""

    class Changing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = nn.Linear(4, 1), 0

        def forward(self, x: rv.Tensor) -> rv.Tensor:
            self.calls += 1
            return self.layer(x)[:, 0] if self.calls % 2 else self.layer(x)

    data = TensorDataset(rv.tensor(X[:16]), rv.tensor(VALUES[:16]))
    loader = Batched(DataLoader(data, batch_size=4))
    with pytest.warns(RanvierWarning, match=r"sets self\.calls"):
        history = fit(Changing(), loader, None, loss="mse", epochs=2)
    assert history.epochs == 2  # "mse" refuses another shape


def test_a_wrong_label_in_a_later_batch() -> None:
    labels = LABELS[:16].copy()
    labels[12] = 7
    net, one_step = classifier(), classifier()
    data = TensorDataset(rv.tensor(X[:16]), rv.tensor(labels))
    with pytest.raises(ValueError, match=r"y: expected labels from 0 to 2 .* got 1 of 8 otherwise"):
        fit(net, Batched(DataLoader(data, batch_size=8)), None, seed=0)
    fit(one_step, X[:8], labels[:8], batch_size=8, epochs=1, shuffle=False, seed=0)
    assert weights(net) == weights(one_step)


# --- Keras ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", ["clipnorm", "clipvalue", "global_clipnorm"])
def test_clipping_leaves_given_gradients_alone(clip: str) -> None:
    w, v = keras.Variable([1.0, 2.0]), keras.Variable([3.0])
    given = [rv.tensor([3.0, 4.0]), rv.tensor([5.0])]
    keras.optimizers.SGD(1.0, **{clip: 0.5}).apply(given, [w, v])
    assert [g.tolist() for g in given] == [[3.0, 4.0], [5.0]]
    assert 0 < abs(np.array(w.tolist()) - [1, 2]).max() <= 0.5


@pytest.mark.parametrize(
    "clip", [{}, {"clipnorm": 0.1}, {"clipvalue": 0.1}, {"global_clipnorm": 0.1}]
)
def test_keras_changes_nothing_where_a_gradient_is_not_finite(clip: dict[str, float]) -> None:
    """Nor does it count the step; the message speaks of the gradient as it came."""
    keras.utils.set_random_seed(0)

    class Root(keras.layers.Layer):
        def call(self, x: rv.Tensor) -> rv.Tensor:
            return x + (x * 0).sqrt()

    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(0.01))(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(Root()(hidden)))
    model.compile(keras.optimizers.Adam(0.1, **clip), "mse")
    before = [w.tolist() for w in model.get_weights()]
    with pytest.raises(NonFiniteError, match=r"gradient: expected finite numbers, got \d+ of"):
        model.fit(X, VALUES.reshape(-1, 1), verbose=0)
    assert [w.tolist() for w in model.get_weights()] == before
    assert model.optimizer.iterations.item() == 0


@pytest.mark.parametrize("clip", [{}, {"clipnorm": 0.1}, {"clipvalue": 0.1}])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_step_of_keras_can_be_recorded(
    outputs: int, clip: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels, penalties, constraints, clipping, and the losses of several outputs."""

    def fitted() -> list[Any]:
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        limit, penalty = keras.constraints.MaxNorm(0.5), keras.regularizers.L2(0.01)
        hidden = keras.layers.Dense(8, "relu", kernel_constraint=limit, kernel_regularizer=penalty)(
            inputs
        )
        heads = [keras.layers.Dense(3)(hidden) for _ in range(outputs)]
        model = keras.Model(inputs, heads if outputs > 1 else heads[0])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.1, **clip), loss=[loss] * outputs)
        y = [LABELS[:8]] * outputs if outputs > 1 else LABELS[:8]
        model.fit(X[:8], y, epochs=STEPS, batch_size=8, shuffle=False, verbose=0)
        return [w.tolist() for w in model.get_weights()]

    eager = fitted()
    monkeypatch.setattr(Run, "run_epochs", recorded)
    assert fitted() == eager


def test_a_wrong_label_in_a_later_batch_of_keras() -> None:
    """Seen before the step, where the number of classes is known."""
    labels = LABELS[:16].copy()
    labels[12] = 7
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")

    def batches() -> Any:
        yield from ((X[at : at + 8], labels[at : at + 8]) for at in (0, 8))

    with pytest.raises(ValueError, match=r"y: expected labels from 0 to 2 .* got 7"):
        model.fit(batches(), verbose=0)
    assert model.optimizer.iterations.item() == 1
