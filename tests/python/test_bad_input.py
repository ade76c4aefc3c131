"""The usual mistakes in training a network, through every door.

Each is an error or a warning that says which layer or loss, what was expected, what came and what
to do; after an error the model has the weights that it had, or those of a whole step.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import keras, nn, optim

F = nn.functional
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("f4")
LABELS = RNG.integers(0, 3, 40)
ANSWERS = (LABELS > 1).astype("f4")
QUIET = {"epochs": 1, "verbose": 0}


def net(outputs: int = 3, *after: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs), *after)


def keras_net(*after: Any, loss: Any = None, **last: Any) -> Any:
    layers = keras.layers
    last = {"units": 3} | last
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(**last)])
    for layer in after:
        model.add(layer)
    scores = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", scores if loss is None else loss)
    return model


def told(run: Callable[[], Any]) -> list[str]:
    """The library's warnings of a run, each as often as a user would see it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        run()
    return [str(w.message) for w in caught if issubclass(w.category, rv.RanvierWarning)]


# ---- labels


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (lambda x, t: F.cross_entropy(x, t), [0, 3, 2]),
        (lambda x, t: F.nll_loss(x.log_softmax(1), t), [0, 3, 2]),
        (lambda x, t: F.multi_margin_loss(x, t), [0, 3, 2]),
        (lambda x, t: F.multilabel_margin_loss(x, t), [[0, -1, 1], [1, 3, -1], [2, 0, -1]]),
    ],
)
def test_labels_that_are_no_class(loss: Any, labels: Any) -> None:
    said = r"_(entropy|loss)\] expected labels from 0 to 2 for 3 classes, got 3 in row 1; labels s"
    with pytest.raises(IndexError, match=said):
        loss(rv.rand(3, 3), rv.tensor(labels))


@pytest.mark.parametrize("name", ["multi_margin_loss", "cross_entropy"])
def test_labels_below_0_and_with_fractions(name: str) -> None:
    loss = getattr(F, name)
    with pytest.raises(IndexError, match=rf"\[{name}\].*got -1 in row 0"):
        loss(rv.rand(2, 3), rv.tensor([-1, 0]))
    with pytest.raises(TypeError, match=rf"\[{name}\].*integer labels.*got float32.*long"):
        loss(rv.rand(2, 3), rv.tensor([1.0, 0.0]))


def test_margins_still_take_all_integer_dtypes() -> None:
    x = rv.rand(3, 3)
    expected = F.multi_margin_loss(x, rv.tensor([0, 2, 1]))
    for dtype in (rv.uint8, rv.int8, rv.int16, rv.int32):
        assert F.multi_margin_loss(x, rv.tensor([0, 2, 1], dtype=dtype)) == expected


# ---- (N,) against (N, 1)


@pytest.mark.parametrize("loss", [nn.PoissonNLLLoss(), nn.GaussianNLLLoss(), nn.MSELoss()])
def test_a_row_of_targets_for_a_column_of_outputs(loss: Any) -> None:
    more = [rv.ones(5, 1)] if isinstance(loss, nn.GaussianNLLLoss) else []
    with pytest.raises(rv.ShapeError, match=r"shape \(5, 1\), got \(5,\); use target.unsqueeze\(1"):
        loss(rv.rand(5, 1), rv.rand(5), *more)


def test_one_rate_for_every_value_is_no_mistake() -> None:
    x = rv.rand(5, 3)
    assert F.poisson_nll_loss(x, rv.tensor(2.0)) == F.poisson_nll_loss(x, rv.full((5, 3), 2.0))


def test_fit_takes_the_row() -> None:
    for loss in ("poisson_nll", "mse", nn.BCEWithLogitsLoss()):
        assert rv.fit(net(1), X, ANSWERS, loss=loss, **QUIET).epochs == 1


# ---- softmax twice


class Squeezed(nn.Module):
    """Shares in another shape and dtype, which makes them no scores."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net()

    def forward(self, x: Any) -> Any:
        return F.softmax(self.inner(x), dim=1).reshape(-1, 1, 3).squeeze(1).double().float()


TWICE = {
    "last": lambda: net(3, nn.Softmax(1)),
    "then flattened": lambda: net(3, nn.Softmax(1), nn.Flatten()),
    "inside": lambda: nn.Sequential(net(3, nn.Softmax(1)), nn.Identity()),
    "in other shapes": Squeezed,
}


@pytest.mark.parametrize("name", TWICE)
def test_softmax_before_a_loss_that_applies_it(name: str) -> None:
    x, y = rv.tensor(X), rv.tensor(LABELS)
    criterion, model = nn.CrossEntropyLoss(), TWICE[name]()

    def own_loop(loss: Any) -> None:
        for _ in range(3):
            loss(model(x), y).backward()

    once = [told(lambda: own_loop(criterion)), told(lambda: own_loop(F.cross_entropy))]
    once.append(told(lambda: rv.fit(TWICE[name](), X, LABELS, loss="cross_entropy", **QUIET)))
    for said in once:
        assert len(said) == 1
        assert "expected scores, got the result of softmax, which this loss applies" in said[0]


def test_sigmoid_before_a_loss_that_applies_it() -> None:
    model = net(1, nn.Sigmoid(), nn.Flatten(0))
    loss = F.binary_cross_entropy_with_logits
    said = told(lambda: loss(model(rv.tensor(X)), rv.tensor(ANSWERS)))
    said += told(lambda: rv.fit(model, X, ANSWERS, loss=nn.BCEWithLogitsLoss(), **QUIET))
    assert len(said) == 2
    assert all("got the result of sigmoid" in words for words in said)


def test_scores_are_no_reason_for_a_warning() -> None:
    x, y = rv.tensor(X), rv.tensor(LABELS)
    assert not told(lambda: F.cross_entropy(net()(x), y))
    assert not told(lambda: F.cross_entropy(net(3, nn.Flatten())(x), y))
    assert not told(lambda: F.cross_entropy(net()(x).softmax(1) * 3, y))
    assert not told(lambda: F.cross_entropy(x[:, :3], y))


def test_softmax_twice_in_keras() -> None:
    layers = keras.layers
    for model in (
        keras_net(layers.Softmax(), layers.Reshape((3,))),
        keras_net(activation="softmax"),
    ):
        said = told(lambda m=model: m.fit(X, LABELS, **QUIET))
        assert len(said) == 1
        assert "which applies softmax itself" in said[0]
    model = keras_net(loss="binary_crossentropy", units=1, activation="softmax")
    said = told(lambda: model.fit(X, ANSWERS, **QUIET))
    assert len(said) == 1
    assert "expected several units for softmax, got 1" in said[0]


# ---- a forward without return


class NoReturn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Any) -> None:
        self.layer(x)


def test_a_forward_that_returns_none() -> None:
    for run in (
        lambda: rv.fit(NoReturn(), X, LABELS, loss="cross_entropy", **QUIET),
        lambda: rv.predict(NoReturn(), X),
        lambda: rv.evaluate(NoReturn(), X, LABELS, loss="cross_entropy"),
    ):
        with pytest.raises(TypeError, match=r"got NoneType; end NoReturn\.forward with `return`"):
            run()
    for loss in (F.cross_entropy, nn.CrossEntropyLoss(), F.mse_loss):
        with pytest.raises(TypeError, match=r"'input', got None; a forward\(\) without `return`"):
            loss(NoReturn()(rv.tensor(X)), rv.tensor(LABELS))
    inside = nn.Sequential(nn.Linear(4, 4), NoReturn(), nn.Linear(4, 3))
    with pytest.raises(
        TypeError, match=r"layer 2 \(Linear\).*before, '1' \(NoReturn\), gives None"
    ):
        inside(rv.tensor(X))
    with pytest.raises(TypeError, match="got None"):
        net()(None)


# ---- metrics


def test_a_metric_without_a_number() -> None:
    model = net()
    for metric, got in ((lambda p, t: None, "NoneType"), (lambda p, t: p, r"shape \(32, 3\)")):
        with pytest.raises(TypeError, match=rf"metrics: <lambda>: .* one number, got {got}"):
            rv.fit(model, X, LABELS, loss="cross_entropy", metrics=[metric], **QUIET)
    assert rv.fit(model, X, LABELS, loss="cross_entropy", **QUIET).epochs == 1
    model = keras_net()
    model.compile("adam", model.loss, metrics=[lambda t, p: None])
    with pytest.raises(TypeError, match=r"\[metrics\] .*lambda.*got None; end it with `return`"):
        model.fit(X, LABELS, **QUIET)


# ---- one class, no weight, no label that counts


def test_one_class_only() -> None:
    runs = [
        lambda: rv.fit(net(), X, LABELS * 0 + 2, loss="cross_entropy", **QUIET),
        lambda: rv.fit(net(1), X, ANSWERS * 0 + 2, loss="mse", **QUIET),
        lambda: rv.fit(net(1), X, ANSWERS * 0, loss="bce_with_logits", **QUIET),
        lambda: keras_net().fit(X, LABELS * 0, **QUIET),
        lambda: keras_net(loss="binary_crossentropy", units=1, activation="sigmoid").fit(
            X, ANSWERS * 0 + 1, **QUIET
        ),
        lambda: keras_net(loss="categorical_crossentropy", activation="softmax").fit(
            X, np.eye(3)[LABELS * 0 + 1], **QUIET
        ),
    ]
    only = [told(run) for run in runs]
    assert only[1] == []  # numbers are no classes
    classes = [words[0].split("only class ")[1][0] for words in (only[0], *only[2:])]
    assert classes == ["2", "0", "0", "1", "1"]
    assert all(len(words) == 1 for words in (only[0], *only[2:]))


def test_labels_of_which_none_counts() -> None:
    model = net()
    weights = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=r"other labels than .*ignore_index, got only -100"):
        rv.fit(model, X, LABELS * 0 - 100, loss=nn.CrossEntropyLoss(), **QUIET)
    with pytest.raises(ValueError, match="a weight above 0 for at least one class of y"):
        rv.fit(model, X, LABELS, loss=nn.CrossEntropyLoss(weight=rv.zeros(3)), **QUIET)
    assert all(rv.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    some = np.where(LABELS == 1, -100, LABELS)
    assert rv.fit(model, X, some, loss=nn.CrossEntropyLoss(), **QUIET).epochs == 1


@pytest.mark.parametrize(
    "weights", [{"sample_weight": np.zeros(40)}, {"class_weight": {0: 0, 1: 0, 2: 0}}]
)
def test_weights_that_are_all_zero(weights: dict[str, Any]) -> None:
    model = keras_net()
    before = model.get_weights()
    said = "at least one training row that counts, got weights that are all zero"
    with pytest.raises(ValueError, match=said):
        model.fit(X, LABELS, **weights, **QUIET)
    with pytest.raises(ValueError, match=said):
        rv.fit(net(), X, LABELS, loss="cross_entropy", **weights, **QUIET)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(ValueError, match="sample_weight: expected finite"):
        model.fit(X, LABELS, sample_weight=np.full(40, np.nan), **QUIET)


# ---- optimizers, validation rows, names


def test_an_optimizer_that_holds_a_layer_that_was_replaced() -> None:
    model = net()
    updates = optim.SGD(model.parameters(), lr=0.1)
    model[0] = nn.Linear(4, 8)
    run = {"loss": "cross_entropy", "optimizer": updates, **QUIET}
    said = told(lambda: rv.fit(model, X, LABELS, **run))
    assert len(said) == 1
    assert "got 2 of 4 that belong to others or to a layer that was replaced" in said[0]


def test_part_of_the_parameters_is_no_mistake() -> None:
    model = net()
    run = {"loss": "cross_entropy", "optimizer": optim.SGD(model[2].parameters(), lr=0.1)}
    assert not told(lambda: rv.fit(model, X, LABELS, **run, **QUIET))


def test_validation_rows_that_do_not_fit() -> None:
    model = net()
    before = model[0].weight.detach().clone()
    with pytest.raises(rv.ShapeError, match=r"4 features .*; these rows are those of `validation`"):
        rv.fit(model, X, LABELS, loss="cross_entropy", validation=(X[:, :3], LABELS), **QUIET)
    assert rv.equal(before, model[0].weight)


def test_losses_by_names_that_people_type() -> None:
    for name, other in (("mean_squared_error", "mse"), ("mean_absolute_error", "l1")):
        rv.manual_seed(0)
        model = net(1)
        assert rv.evaluate(model, X, ANSWERS, loss=name) == rv.evaluate(
            model, X, ANSWERS, loss=other
        )
    with pytest.raises(TypeError, match=r"got the class CrossEntropyLoss; write CrossEntropyLoss"):
        rv.fit(net(), X, LABELS, loss=nn.CrossEntropyLoss, **QUIET)


# ---- arguments of other kinds


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: rv.EarlyStopping(monitor=3), r"\[EarlyStopping\] monitor: .*got 3"),
        (lambda: keras.callbacks.EarlyStopping(patience="a"), r"patience: .* got 'a'"),
        (lambda: keras.callbacks.EarlyStopping(min_delta="a"), r"min_delta: .* number, got 'a'"),
        (lambda: keras.callbacks.EarlyStopping(None), r"monitor: expected the name .* got None"),
        (lambda: keras.callbacks.ReduceLROnPlateau(factor="a"), r"factor: .* number, got 'a'"),
        (lambda: keras.callbacks.ReduceLROnPlateau(patience=-1), r"patience: .* got -1"),
        (lambda: rv.distributions.Independent(3, 1), r"\[Independent\] base_dist.*got int"),
        (
            lambda: rv.distributions.Independent(rv.distributions.Normal(rv.zeros(2), 1.0), "a"),
            r"reinterpreted_batch_ndims: expected a whole number, got 'a'",
        ),
        (lambda: rv.distributions.Distribution(3), r"\[Distribution\] batch_shape: .* got 3"),
        (lambda: rv.linalg.vector_norm(rv.ones(2), "fro"), r"\[vector_norm\] ord: .* got 'fro'"),
        (lambda: F.rrelu(rv.ones(2), "a"), r"\[rrelu\] lower: expected a number, got 'a'"),
        (lambda: F.softmin("a"), r"\[softmin\] input: expected a tensor, got str"),
        (lambda: F.pairwise_distance(1, 2), r"\[pairwise_distance\] x1: expected a tensor"),
        (lambda: rv.ones(2).cauchy_("a"), r"\[cauchy_\] median: expected a number, got 'a'"),
        (lambda: F.gaussian_nll_loss(rv.ones(2), rv.ones(2), None), r"var: .* number, got None"),
        (lambda: F.gaussian_nll_loss(rv.ones(2), rv.ones(3), 1.0), r"shape \(2,\), got \(3,\)"),
        (lambda: F.poisson_nll_loss(rv.ones(2), rv.ones(3)), r"shape \(2,\), got \(3,\)"),
        (lambda: rv.set_printoptions(profile=[]), r"\[set_printoptions\] profile: .* got \[\]"),
    ],
)
def test_arguments_of_another_kind(call: Callable[[], Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        call()


def test_float64_rows_for_a_float32_model() -> None:
    with pytest.raises(
        TypeError, match=r"layer 0 .* got float32 for 'weight'; call .float\(\) on 'i"
    ):
        net()(rv.tensor(X.astype("f8")))
