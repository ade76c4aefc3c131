"""`utils.tensorboard.SummaryWriter`: what it writes, as TensorBoard's own readers find it."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranvier as rv
from ranvier import keras, nn

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ranvier.utils.tensorboard import SummaryWriter, graph

RNG = np.random.default_rng(0)


def read(folder: Path) -> Any:
    """All that is in a folder."""
    everything = dict.fromkeys(("scalars", "images", "histograms", "tensors", "audio"), 0)
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def net() -> nn.Sequential:
    rv.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)
    )


def test_numbers(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        assert writer.get_logdir() == str(tmp_path)
        for step, value in enumerate((1.5, rv.tensor([2.5]), np.float32(3.5), 4)):
            writer.add_scalar("loss", value, step, walltime=100.0 + step)
        for step, dtype in enumerate((rv.bfloat16, rv.float16, rv.float64, rv.int8, rv.bool)):
            writer.add_scalar("types", rv.ones((), dtype=dtype), step)
            writer.add_histogram("types", rv.ones((3,), dtype=dtype), step)
        writer.add_scalar("new", 0.25, 7, new_style=True, double_precision=True)
        writer.add_scalars("pair", {"a": 1.0, "b/c": 2.0}, 3)
        writer.add_tensor("whole", rv.tensor([[1.0, 2.0]]), 1)
    found = read(tmp_path)
    assert [(e.step, e.value, e.wall_time) for e in found.Scalars("loss")] == [
        (0, 1.5, 100.0), (1, 2.5, 101.0), (2, 3.5, 102.0), (3, 4.0, 103.0),
    ]  # fmt: skip
    assert [e.value for e in found.Scalars("types")] == [1.0] * 5
    assert [e.histogram_value.sum for e in found.Histograms("types")] == [3.0] * 5
    (new,) = found.Tensors("new")
    assert new.step == 7 and new.tensor_proto.double_val[:] == [0.25]
    assert [read(tmp_path / f"pair_{name}").Scalars("pair")[0].value for name in ("a", "b_c")] == [
        1.0, 2.0,
    ]  # fmt: skip
    assert "whole" in found.Tags()["tensors"]


@pytest.mark.parametrize("bins", ["tensorflow", "auto", 7])
def test_histograms(tmp_path: Path, bins: Any) -> None:
    values = np.concatenate([RNG.standard_normal(1000), [0.0, 0.0, -1e-13, 1e6]])
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("h", rv.tensor(values), 1, bins=bins)
        writer.add_histogram("few", values, 1, bins=bins, max_bins=5)
        writer.add_histogram("one", [2.0], 1, bins=bins)
    found = read(tmp_path)
    for tag in ("h", "few"):
        h = found.Histograms(tag)[0].histogram_value
        assert (h.num, h.min, h.max) == (1004, values.min(), 1e6)
        assert math.isclose(h.sum, values.sum()) and math.isclose(h.sum_squares, values @ values)
        limits, counts = np.array(h.bucket_limit), np.array(h.bucket)
        assert counts[0] == 0 and counts.sum() == 1004 and (np.diff(limits) > 0).all()
        # Each bucket holds what is between its limit and the one before.
        lower = limits[:-1]
        for k in (1, len(counts) // 2, len(counts) - 1):
            upper = values <= limits[k] if k == len(counts) - 1 else values < limits[k]
            assert counts[k] == ((values >= lower[k - 1]) & upper).sum()
        assert tag != "few" or len(counts) <= 6
    assert sum(found.Histograms("one")[0].histogram_value.bucket) == 1


def test_pictures(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    picture = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    many = RNG.random((5, 1, 4, 6)).astype(np.float32)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("hwc", picture, 1, dataformats="HWC")
        writer.add_image("chw", rv.tensor(picture.transpose(2, 0, 1) / 255.0), 1)
        writer.add_image("hw", picture[..., 0] / 255.0, 1, dataformats="HW")
        writer.add_images("many", many, 1)
        writer.add_video("moving", RNG.random((2, 4, 3, 8, 8)), 1)
    found = read(tmp_path)

    def decoded(tag: str) -> Any:
        (event,) = found.Images(tag)
        array = np.asarray(pillow.open(io.BytesIO(event.encoded_image_string)))
        assert (event.height, event.width) == array.shape[:2]
        return array

    assert (decoded("hwc") == picture).all() and (decoded("chw") == picture).all()
    assert (decoded("hw") == picture[..., 0]).all()
    grid = decoded("many")
    assert grid.shape == (8, 18)  # three in a row, and a place that stays black
    assert (grid[4:, 6:12] == (many[4, 0] * 255).round()).all() and not grid[4:, 12:].any()
    film = pillow.open(io.BytesIO(found.Images("moving")[0].encoded_image_string))
    assert film.n_frames == 4 and film.size == (16, 8)


def test_figures(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(2, 1), dpi=50)
    axes.plot([1, 2])
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("one", figure, 1, close=False)
        writer.add_figure("two", [figure, figure], 1)
    assert not pyplot.get_fignums()
    found = read(tmp_path)
    assert (found.Images("one")[0].width, found.Images("two")[0].width) == (100, 200)


def test_sounds_and_words(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        writer.add_audio("tone", np.sin(np.arange(500) / 5), 1, sample_rate=8000)
        writer.add_text("note", "# é", 2)
    found = read(tmp_path)
    (tone,) = found.Audio("tone")
    assert tone.encoded_audio_string[:4] == b"RIFF" and tone.length_frames == 500
    (note,) = found.Tensors("note")
    assert note.tensor_proto.string_val[0].decode() == "# é"
    assert found.SummaryMetadata("note").plugin_data.plugin_name == "text"


def test_precision_and_recall(tmp_path: Path) -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8, 1.0])
    truth = np.array([0, 0, 1, 1, 1])
    with SummaryWriter(tmp_path) as writer:
        writer.add_pr_curve("pr", truth, rv.tensor(scores), 1, num_thresholds=11)
    (event,) = read(tmp_path).Tensors("pr")
    from tensorboard.util.tensor_util import make_ndarray

    tp, fp, tn, fn, precision, recall = make_ndarray(event.tensor_proto)
    for k, threshold in enumerate(np.floor(np.linspace(0, 1, 11) * 10) / 10):
        taken = np.floor(scores * 10) / 10 >= threshold - 1e-9
        assert (tp[k], fp[k]) == ((taken & (truth == 1)).sum(), (taken & (truth == 0)).sum())
        assert tp[k] + fn[k] == 3 and fp[k] + tn[k] == 2
        if taken.any():
            assert math.isclose(precision[k], tp[k] / taken.sum(), rel_tol=1e-6)
        assert math.isclose(recall[k], tp[k] / 3, rel_tol=1e-6)


def test_settings_of_a_run(tmp_path: Path) -> None:
    settings = {"lr": 0.1, "act": "relu", "bias": True, "none": None, "size": np.int64(3)}
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams(settings, {"acc": 0.5}, {"act": ["relu", "tanh"]}, run_name="first")
    found = read(tmp_path / "first")
    assert found.Scalars("acc")[0].value == 0.5
    from tensorboard.plugins.hparams import metadata

    def content(tag: str) -> bytes:
        return found.SummaryMetadata(tag).plugin_data.content

    start = metadata.parse_session_start_info_plugin_data(content(metadata.SESSION_START_INFO_TAG))
    assert start.hparams["lr"].number_value == 0.1 and start.hparams["bias"].bool_value is True
    assert start.hparams["act"].string_value == "relu" and start.hparams["size"].number_value == 3
    whole = metadata.parse_experiment_plugin_data(content(metadata.EXPERIMENT_TAG))
    assert [m.name.tag for m in whole.metric_infos] == ["acc"]
    kinds = {info.name: info.type for info in whole.hparam_infos}  # 1 text, 2 bool, 3 number
    assert kinds == {"lr": 3, "act": 1, "bias": 2, "none": 1, "size": 3}
    (act,) = (info for info in whole.hparam_infos if info.name == "act")
    assert [v.string_value for v in act.domain_discrete.values] == ["relu", "tanh"]
    ended = metadata.parse_session_end_info_plugin_data(content(metadata.SESSION_END_INFO_TAG))
    assert ended.end_time_secs > 0


def test_points(tmp_path: Path) -> None:
    points = RNG.random((5, 3)).astype(np.float32)
    with SummaryWriter(tmp_path) as writer:
        writer.add_embedding(rv.tensor(points), [f"a\t{i}" for i in range(5)],
                             RNG.random((5, 3, 4, 6)), 2, "words")  # fmt: skip
        writer.add_embedding(points, [("x", 1)] * 5, metadata_header=["letter", "number"])
        writer.add_embedding(points, global_step=2, tag="words")  # in place of the first
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    assert [one.tensor_name for one in config.embeddings] == ["default:00000", "words:00002"]
    first, second = config.embeddings
    assert np.allclose(np.loadtxt(tmp_path / first.tensor_path), points)
    assert (tmp_path / first.metadata_path).read_text().splitlines()[:2] == [
        "letter\tnumber",
        "x\t1",
    ]
    assert not second.metadata_path
    assert (tmp_path / "00002/words/metadata.tsv").read_text().splitlines()[1] == "a 1"


# --- graphs ---------------------------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), net()

    def forward(self, x: rv.Tensor, y: rv.Tensor) -> dict[str, rv.Tensor]:
        return {"sum": self.a(x) + 1.0, "twice": self.b(self.b[:1](y)[:, :4])}


def test_the_graph_of_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, modes = net(), []
    model[4].eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    random = rv.get_rng_state()
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, rv.ones((2, 4)), verbose=True)
    modes = [module.training for module in model]
    assert modes == [True] * 4 + [False] and rv.equal(random, rv.get_rng_state())
    assert all(rv.equal(before[k], v) for k, v in model.state_dict().items())
    nodes = {node.name: node for node in read(tmp_path).Graph().node}
    assert [*nodes["4/linear"].input] == ["2/batch_norm_by", "4/weight", "4/bias"]
    assert [*nodes["1/relu"].input] == ["0/linear"] and nodes["output"].input[:] == ["4/linear"]
    assert nodes["4/weight"].op == "Parameter" and nodes["2/running_mean"].op == "Buffer"
    (shape,) = nodes["0/linear"].attr["_output_shapes"].list.shape
    assert [d.size for d in shape.dim] == [2, 8]
    assert nodes["2/batch_norm_by"].attr["eps"].f == pytest.approx(1e-5)
    text = capsys.readouterr().out
    assert "1/relu = relu(0/linear)  float32 (N, 8)" in text
    (event,) = read(tmp_path).Tensors("graph")
    assert event.tensor_proto.string_val[0].decode().replace("    ", "").strip() == text.strip()


def test_graphs_of_other_models() -> None:
    nodes = graph.nodes_of(Two(), [np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)])
    names = [node.name for node in nodes]
    assert len(set(names)) == len(names) and {"input", "input_1", "a/linear"} <= set(names)
    known = set()
    for node in nodes:  # each reads what stands before it
        assert {one.partition(":")[0] for one in node.inputs} <= known
        known.add(node.name)
    assert [n.inputs for n in nodes if n.op == "Output"] == [["add"], ["b/4/linear"]]
    assert "b/4/linear" in names and "b/0/linear_1" in names
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, activation="relu", name="fc")]
    )
    found = {node.name for node in graph.nodes_of(model, [np.ones((2, 4), np.float32)])}
    assert {"fc/kernel", "fc/relu"} <= found

    class Asks(nn.Module):
        def forward(self, x: rv.Tensor) -> rv.Tensor:
            return x if float(x.sum().item()) > 0 else -x

    with pytest.raises(ValueError, match=r"\[add_graph\] model: expected one list of operations"):
        graph.nodes_of(Asks(), [np.ones((2, 4), np.float32)])
    with pytest.raises(ValueError, match="expected one that can be listed"):
        graph.nodes_of(nn.Linear(3, 2), [np.ones((2, 4), np.float32)])


# --- files ----------------------------------------------------------------------------------------


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path) as writer:
        for step in range(10):
            writer.add_scalar("loss", step, step)
    with SummaryWriter(tmp_path, purge_step=6) as writer:
        for step in range(6, 12):
            writer.add_scalar("loss", 100 + step, step)
    values = [(e.step, e.value) for e in read(tmp_path).Scalars("loss")]
    assert values == [(i, i) for i in range(6)] + [(i, 100 + i) for i in range(6, 12)]


def test_names_and_queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="_mine", filename_suffix=".end", max_queue=3) as writer:
        folder = Path(writer.get_logdir())
        assert folder.parts[0] == "runs" and folder.name.endswith("_mine")
        (file,) = folder.iterdir()
        assert file.name.startswith("events.out.tfevents.") and file.name.endswith(".end")
        size = file.stat().st_size
        for step in range(2):
            writer.add_scalar("a", 1.0, step)
        assert file.stat().st_size == size and writer.waiting == 2
        writer.add_scalar("a", 1.0, 2)
        assert file.stat().st_size > size and writer.waiting == 0
    writer.add_scalar("a", 1.0, 3)  # after close: another file
    writer.close()
    assert len(list(folder.iterdir())) == 2
    assert [e.step for e in read(folder).Scalars("a")] == [0, 1, 2, 3]


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ranvier.utils.tensorboard import events

    class Full:
        def __init__(self, path: str, mode: str) -> None:
            self.file = io.FileIO(path, "ab")

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[: len(data) // 2])
            raise OSError(28, "No space left on device")

    writer = SummaryWriter(tmp_path, max_queue=2)
    writer.add_scalar("a", 1.0, 0)
    writer.flush()
    monkeypatch.setattr(events, "open", Full, raising=False)
    writer.add_scalar("a", 2.0, 1)
    with pytest.raises(OSError, match="No space left"):
        writer.add_scalar("a", 3.0, 2)
    assert [e.value for e in read(tmp_path).Scalars("a")] == [1.0]  # no part of a record
    monkeypatch.undo()
    writer.close()
    assert [e.value for e in read(tmp_path).Scalars("a")] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("folder", ["file/log", "/proc/log", "/sys/log"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError):
        SummaryWriter(tmp_path / folder)
    assert (tmp_path / "file").read_text() == "mine"


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'ranvier\[tensorboard\]'"):
        SummaryWriter(tmp_path / "log")
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda w: w.add_scalar("a", [1.0, 2.0]), ValueError, r"one number, got shape \(2,\)"),
        (lambda w: w.add_scalar("a", "1"), TypeError, "scalar_value: expected numbers, got str"),
        (lambda w: w.add_scalar(3, 1.0), TypeError, "tag: expected a string, got 3"),
        (lambda w: w.add_histogram("a", []), ValueError, "at least one number"),
        (lambda w: w.add_histogram("a", [1.0, math.nan]), ValueError, "finite numbers.*first nan"),
        (lambda w: w.add_image("a", np.ones((2, 3, 3))), ValueError, "1, 3 or 4 channels"),
        (lambda w: w.add_image("a", np.ones((3, 3))), ValueError, r"expected 3 axes, got shape"),
        (lambda w: w.add_image("a", np.ones((3, 3)), dataformats="XY"), ValueError, "letters"),
        (lambda w: w.add_video("a", np.ones((3, 3))), ValueError, "vid_tensor: expected 5 axes"),
        (lambda w: w.add_audio("a", np.ones((3, 3))), ValueError, "snd_tensor: expected 1 axes"),
        (lambda w: w.add_text("a", 3), TypeError, "text_string: expected a string, got int"),
        (lambda w: w.add_pr_curve("a", [1, 0], [0.5]), ValueError, "one for each of 2 labels"),
        (lambda w: w.add_pr_curve("a", [1], [1.5]), ValueError, "expected probabilities"),
        (lambda w: w.add_hparams([], {}), TypeError, "hparam_dict: expected a dict, got list"),
        (lambda w: w.add_embedding(np.ones(3)), ValueError, r"points \(N, D\), got shape \(3,\)"),
        (lambda w: w.add_embedding(np.ones((3, 2)), ["a"]), ValueError, "each of 3 points, got 1"),
        (lambda w: w.add_graph(net()), ValueError, "input_to_model: expected some rows, got None"),
        (lambda w: w.add_graph(3), TypeError, "model: expected a Module, got int"),
    ],
)
def test_refused(tmp_path: Path, call: Any, error: type[Exception], words: str) -> None:
    with SummaryWriter(tmp_path) as writer, pytest.raises(error, match=words):
        call(writer)


# --- the program itself ---------------------------------------------------------------------------


@pytest.mark.slow  # it starts a server
@pytest.mark.parametrize("fast", ["false", "true"])
def test_tensorboard_opens_our_logs(tmp_path: Path, fast: str) -> None:
    X = RNG.standard_normal((60, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    log = rv.callbacks.TensorBoard(
        tmp_path / "run", histogram_freq=1, write_images=True, write_grads=True
    )
    history = rv.fit(
        net(), X, y, loss="cross_entropy", validation=0.2, epochs=3, verbose=0, callbacks=log
    )
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path), "--port", "0"]
    with open(tmp_path / "said", "w+") as said:
        served = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--load_fast", fast], stdout=said, stderr=said
        )
        try:
            until = time.monotonic() + 60
            while not (at := re.search(r"http://\S+/", (tmp_path / "said").read_text())):
                assert time.monotonic() < until and served.poll() is None
                time.sleep(0.1)
            url = at[0]

            def get(path: str, **query: Any) -> bytes:
                words = urllib.parse.urlencode(query)
                with urllib.request.urlopen(f"{url}data/{path}?{words}", timeout=20) as answer:
                    return bytes(answer.read())

            def plugin(path: str, **query: Any) -> Any:
                return json.loads(get(f"plugin/{path}", **query))

            while "run/validation" not in json.loads(get("runs")) and time.monotonic() < until:
                time.sleep(0.2)
            train = {"run": "run/train"}
            while not plugin("text/tags") and time.monotonic() < until:
                time.sleep(0.2)
            for run, name in (("train", "loss"), ("validation", "val_loss")):
                shown = plugin("scalars/scalars", run=f"run/{run}", tag="loss")
                assert [step for _, step, _ in shown] == [1, 2, 3]
                assert np.allclose([v for *_, v in shown], history.history[name], rtol=1e-6)
            for tag in ("4/weight/histogram", "4/weight/gradient"):
                shown = plugin("histograms/histograms", tag=tag, **train)
                assert len(shown) == 3 and sum(count for *_, count in shown[0][2]) == 24
            (picture, *_) = plugin("images/images", tag="4/weight/image", sample=0, **train)
            query = dict(urllib.parse.parse_qsl(picture["query"]))
            assert get("plugin/images/individualImage", **query)[:4] == b"\x89PNG"
            drawn = get("plugin/graphs/graph", **train).decode()
            assert '"4/linear"' in drawn and '"2/batch_norm_by"' in drawn
            (words, *_) = plugin("text/text", tag="graph", **train)
            assert "relu(0/linear)" in words["text"]
        finally:
            served.kill()  # a signal that it may handle, it may also miss
            served.wait()
