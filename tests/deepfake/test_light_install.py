"""Without extras clips are judged, without torch; all else is refused in one line.

The modules of other packages than the base dependencies and what these need are hidden from a
process of its own, as if they were not installed.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deepfake.inference import VideoPredictor
from tests.conftest import ROOT

LIGHT = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
sys.argv[0] = "deepfake"
from deepfake.inference import VideoPredictor
from deepfake.__main__ import main
main()
"""


def hidden() -> set[str]:
    """Return the modules that the base dependencies do not bring."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    left = [Requirement(text).name for text in project["dependencies"]]
    brought = set()
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in brought:
            continue
        brought.add(name)
        needed = [Requirement(text) for text in importlib.metadata.requires(name) or ()]
        left += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & {*brought, "deepfake"}
    }


def light(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    code = f"HIDDEN = {hidden()!r}\n{LIGHT}"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_heavy_ones_are_hidden() -> None:
    assert {"torch", "pytorch_lightning", "scipy", "pyarrow", "sklearn", "gradio"} <= hidden()
    assert not {"numpy", "cv2", "onnxruntime", "deepfake"} & hidden()


def test_clips_and_photographs_are_judged(samples: Path, tmp_path: Path) -> None:
    import av
    from PIL import Image

    with av.open(str(samples / "fake.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    Image.fromarray(picture).save(tmp_path / "face.jpg")
    outputs = ["--report", "pages", "--json", "all.json", "--annotate", "boxes", "--table", "t.csv"]
    clips = [str(samples / "fake.mp4"), "face.jpg"]
    done = light(["predict", *clips, "--checkpoint", "default", *outputs], tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    with_all = VideoPredictor.from_checkpoint("default").predict(samples / "fake.mp4")
    assert first["label"] == with_all.label
    assert first["score"] == pytest.approx(with_all.score, abs=1e-6)
    assert second["score"] is not None
    assert len(list((tmp_path / "boxes").iterdir())) == 2
    twice = ["--checkpoint", "default", "--checkpoint", "default"]
    assert light(["predict", clips[1], *twice], tmp_path).returncode == 0


def test_all_else_names_the_extra(samples: Path, tmp_path: Path, checkpoint: Path) -> None:
    clip = str(samples / "fake.mp4")
    extras = {
        "train": [
            ["train"],
            ["evaluate"],
            ["evaluate", "report", "scores.parquet"],
            ["preprocess", str(samples), "--out", "faces"],
            ["calibrate", "--data", "faces", "--out", "new.onnx"],
            ["export", "--format", "onnx", "--out", "new.onnx"],
            ["data", "check", "faces"],
            ["predict", clip, "--checkpoint", str(checkpoint)],
        ],
        "app": [["app"]],
        "evidence": [
            ["predict", clip, "--checkpoint", "default", "--evidence", "signed"],
            ["verify", "clip.evidence.zip", clip],
        ],
        "ray": [["predict", clip, "--engine", "ray"]],
    }
    for extra, commands in extras.items():
        for arguments in commands:
            done = light(arguments, tmp_path)
            assert done.returncode == 2, (arguments, done.stderr)
            (line,) = done.stderr.splitlines()
            assert f"pip install -e '.[{extra}]'" in line, (arguments, line)
    assert not (tmp_path / "faces").exists(), "faces were cut before the mistake was found"
