"""What a researcher adds in a file of their own goes through every verb."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from deepfake import app, evaluate, export, predict, preprocess, train
from deepfake.aggregation import RuleError, by_name
from deepfake.checkpoints.loading import load
from deepfake.cli.outside import import_and_make
from deepfake.errors import CheckpointError, DeepfakeError

MINE = """
import numpy as np
import torch
from torch import nn

from deepfake.aggregation import Aggregator
from deepfake.data.transforms import Augmentation
from preprocessing.types import Video


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, stride=4), nn.ReLU())
        self.num_features = width
        self.head = nn.Linear(width, 1)
        self.cue = nn.Linear(2, 1, bias=False)
        self.seen = []

    def forward_features(self, faces):
        return self.body(faces).mean(dim=(2, 3))

    def forward(self, faces, loudness=None):
        logits = self.head(self.forward_features(faces)).squeeze(1)
        if loudness is None:
            return logits
        self.seen.append(loudness)
        return logits + self.cue(torch.nan_to_num(loudness)).squeeze(1)


class Loss(nn.Module):
    def forward(self, logits, labels):
        return ((logits.sigmoid() - labels) ** 2).mean()


class Darker(Augmentation):
    calls = 0

    def __init__(self, by=10):
        self.by = by

    def __call__(self, clip, points, rng):
        Darker.calls += 1
        return [np.clip(frame.astype(int) - self.by, 0, 255).astype(np.uint8) for frame in clip]


class Quantile(Aggregator):
    def __init__(self, share=0.5):
        self.share = share

    def __call__(self, faces):
        return float(np.quantile([face.score for face in faces], self.share)) if faces else None


def spread(labels, scores):
    return float(scores.max() - scores.min())


class Listed:
    name, dataset, layout, official = "listed", "mine", "a file list.txt", ()

    def matches(self, root):
        return (root / "list.txt").is_file()

    def videos(self, root):
        lines = (root / "list.txt").read_text().split()
        return [Video(path=root / line, name=line, label=1, dataset="mine") for line in lines]

    def missing(self, root):
        return []
"""
KEPT = Path(__file__).parents[2] / "fixtures"
Forget = Callable[[], None]


@pytest.fixture
def forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forget:
    """In a folder with `mine.py`; what is returned lets the process forget it, as a new one."""
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def forget() -> None:
        sys.modules.pop("mine", None)

    forget()
    return forget


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """The kept crops, with a cue beside the manifest."""
    folder = Path(shutil.copytree(KEPT / "faces", tmp_path / "faces"))
    path = pq.read_table(folder / "manifest.parquet", columns=["path"])["path"]
    loud = [[float(row), 1.0] for row in range(len(path) - 1)]
    pq.write_table(pa.table({"path": path[:-1], "loudness": loud}), folder / "loudness.parquet")
    return folder


@pytest.mark.filterwarnings("ignore")
def test_all_of_ones_own_goes_through_every_verb(
    forget: Forget,
    crops: Path,
    samples: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.yaml").write_text(
        "model:\n"
        "  network: {class_path: mine.Net, init_args: {width: 6}}\n"
        "  criterion: {class_path: mine.Loss}\n"
        "  optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}\n"
        "  aggregation: mine.Quantile(share=0.9)\n"
        "data:\n"
        f"  root: {crops}\n"
        "  augmentation: {class_path: mine.Darker, init_args: {by: 20}}\n"
        "  cues: [loudness]\n"
        "  recipe: {image_size: 32}\n"
        "  num_workers: 0\n"
        "trainer: {max_epochs: 1, logger: false}\n",
        encoding="utf-8",
    )
    assert train.main(["--config", "mine.yaml"]) == 0
    assert sys.modules["mine"].Darker.calls > 0
    checkpoint = Path("runs/latest/best.ckpt")
    settings = torch.load(checkpoint, weights_only=True)["deepfake"]
    assert settings["network"] == {"class_path": "mine.Net", "init_args": {"width": 6}}
    assert settings["aggregation"] == "mine.Quantile(share=0.9)"

    forget()
    with pytest.raises(CheckpointError, match="--import mine"):
        load(checkpoint)
    assert "mine" not in sys.modules, "what a file names is never imported"

    known = ["--checkpoint", str(checkpoint), "--import", "mine"]
    data = ["--data", str(crops), "--repeats", "10", "--out", "out"]
    assert evaluate.main([*known, *data, "--measure", "mine.spread"]) == 0
    assert "mine.spread" in Path("out/tables.md").read_text(encoding="utf-8")
    assert "mine.Quantile(share=0.9)" in str(pq.read_schema("out/scores.parquet").metadata)
    forget()
    report = ["report", "out/scores.parquet", "--import", "mine", "--repeats", "10"]
    assert evaluate.main([*report, "--out", "again"]) == 0

    forget()
    assert export.main([*known, "--format", "onnx", "--out", "mine.onnx"]) == 0
    forget()
    clip = str(samples / "fake.mp4")
    verdicts = []
    for name in (checkpoint, "mine.onnx"):
        forget()
        options = ["--checkpoint", str(name), "--import", "mine", "--json", "verdict.json"]
        assert predict.main([clip, *options]) == 0
        verdicts += json.loads(Path("verdict.json").read_text(encoding="utf-8"))
    assert verdicts[0]["score"] == pytest.approx(verdicts[1]["score"], abs=1e-3)
    assert verdicts[0]["provenance"]["aggregation"] == "mine.Quantile(share=0.9)"

    pytest.importorskip("gradio")
    forget()
    monkeypatch.setattr("deepfake.web.page.launch", lambda *_, **__: None)
    assert app.main(known) == 0
    capsys.readouterr()


def test_cues_reach_the_network(forget: Forget, crops: Path) -> None:
    from deepfake.data.datamodule import FaceDataModule
    from deepfake.recipe import InputRecipe
    from deepfake.training.module import FakeClassifier

    data = FaceDataModule(crops, cues=["loudness"], num_workers=0, recipe=InputRecipe(32))
    batch = next(iter(data.test_dataloader()))
    assert batch["cues"]["loudness"].shape == (4, 2)
    network = import_and_make("mine.Net(width=2)")
    classifier = FakeClassifier(network)
    classifier(batch["face"], batch["cues"])
    assert len(network.seen) == 1
    with pytest.raises(DeepfakeError, match="sound"):
        FaceDataModule(crops, cues=["sound"]).setup()


def test_a_source_of_ones_own(forget: Forget, samples: Path, tmp_path: Path) -> None:
    shutil.copy(samples / "fake.mp4", tmp_path / "a.mp4")
    (tmp_path / "list.txt").write_text("a.mp4")
    assert preprocess.main([str(tmp_path), "--source", "mine.Listed", "--dry-run"]) == 0
    with pytest.raises(DeepfakeError, match=r"a file list\.txt"):
        preprocess.main([str(samples), "--source", "mine.Listed", "--dry-run"])
    with pytest.raises(DeepfakeError, match="nowhere"):
        preprocess.main([str(samples), "--source", "nowhere.Listed", "--dry-run"])


@pytest.mark.parametrize(
    "text", ["nonsense", "os.system('true')", "subprocess.Popen('true')", "a.b(c=open('x'))", "a b"]
)
def test_a_rule_in_a_file_runs_nothing_unknown(text: str) -> None:
    with pytest.raises(RuleError, match="No aggregation rule"):
        by_name(text)
