"""A checkpoint that would run code runs none, whichever way it comes in."""

import ast
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deepfake import evaluate, export, predict, train
from deepfake.checkpoints.loading import load
from deepfake.checkpoints.published.load import load_published
from deepfake.errors import DeepfakeError
from deepfake.inference import VideoPredictor
from preprocessing.batch import local_engine, preprocess_videos
from preprocessing.types import PreprocessOptions, Video

ROOT = Path(__file__).parents[2]


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.target), "w"))


def bare(path: Path, bomb: Bomb) -> None:
    path.write_bytes(pickle.dumps(bomb))


def torch_zip(path: Path, bomb: Bomb) -> None:
    torch.save({"state_dict": {"x": torch.zeros(1)}, "hyper_parameters": bomb}, path)


def torch_old(path: Path, bomb: Bomb) -> None:
    torch.save({"state_dict": bomb}, path, _use_new_zipfile_serialization=False)


FORMS = (bare, torch_zip, torch_old)
DOORS: dict[str, Callable[[Path], object]] = {
    "load": load,
    "load_published": load_published,
    "VideoPredictor": VideoPredictor.from_checkpoint,
    "predict": lambda p: predict.main([str(ROOT / "samples/real.mp4"), "--checkpoint", str(p)]),
    "evaluate": lambda p: evaluate.main(
        ["--checkpoint", str(p), "--data", str(p.parent / "faces"), "--out", str(p.parent / "out")]
    ),
    "export": lambda p: export.main(
        ["--checkpoint", str(p), "--format", "onnx", "--out", str(p.parent / "a.onnx")]
    ),
    "train": lambda p: train.main(["--ckpt_path", str(p), "--runs", str(p.parent / "runs")]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("door", DOORS)
def test_no_door_runs_code_of_a_checkpoint(
    tmp_path: Path, door: str, form: Callable[[Path, Bomb], None]
) -> None:
    target = tmp_path / "made_by_the_bomb"
    path = tmp_path / "evil.ckpt"
    form(path, Bomb(target))
    if door == "evaluate":
        clips = [
            Video(ROOT / f"samples/{name}.mp4", name, method=name) for name in ("real", "fake")
        ]
        labelled = [replace(clip, label=1 if clip.name == "fake" else 0) for clip in clips]
        options = PreprocessOptions(frames=1)
        preprocess_videos(labelled, tmp_path / "faces", options, local_engine(1))
    with pytest.raises(DeepfakeError) as caught:
        DOORS[door](path)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    assert "evil.ckpt" in str(caught.value)


def test_the_bomb_works(tmp_path: Path) -> None:
    target = tmp_path / "made"
    pickle.loads(pickle.dumps(Bomb(target))).close()
    assert target.exists()


def calls(folder: str) -> list[tuple[Path, ast.Call, str]]:
    return [
        (path, node, ast.unparse(node.func))
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize("folder", ["deepfake", "preprocessing"])
def test_nothing_unpickles_unsafely(folder: str) -> None:
    unsafe = ("pickle.load", "pickle.loads", "joblib.load", "yaml.load", "yaml.unsafe_load")
    for path, call, name in calls(folder):
        keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
        where = f"{path}:{call.lineno}"
        assert name not in unsafe, where
        assert not name.endswith("load_from_checkpoint"), where
        assert keywords.get("allow_pickle", "False") == "False", where
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", where
        if name.endswith(("trainer.fit", "trainer.test", "trainer.validate")):
            resumes = keywords.get("ckpt_path", "None") != "None"
            assert not resumes or keywords.get("weights_only") == "True", where
