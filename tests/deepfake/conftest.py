"""A small checkpoint, as training writes it, and a small folder of drawn faces to train on."""

import importlib.util
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deepfake.models.mesonet import Meso4
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions

RECIPE = InputRecipe(image_size=256, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def checkpoint_contents(frames: int = 4) -> dict[str, Any]:
    """What a checkpoint of a Meso4 with random weights holds."""
    torch.manual_seed(0)
    network = Meso4().eval()
    return {
        "state_dict": {f"network.{name}": value for name, value in network.state_dict().items()},
        "deepfake": {
            "version": 1,
            "network": {"class_path": "deepfake.models.mesonet.Meso4", "init_args": {}},
            "recipe": asdict(RECIPE),
            "preprocess": asdict(replace(PreprocessOptions(), frames=frames)),
            "calibration": None,
            "aggregation": "worst_person",
        },
    }


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as `runs/latest/best.ckpt`."""
    path = tmp_path_factory.mktemp("run") / "best.ckpt"
    torch.save(checkpoint_contents(), path)
    return path


@pytest.fixture
def contents() -> dict[str, Any]:
    """What such a file holds, to be changed."""
    return checkpoint_contents()


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people, each with two crops of a real video and two of a fake made from it."""
    spec = importlib.util.spec_from_file_location(
        "drawn_faces", Path(__file__).parent / "data" / "conftest.py"
    )
    assert spec is not None
    assert spec.loader is not None
    drawn = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawn)
    rows = []
    for person in range(8):
        split = "train" if person < 4 else "val" if person < 6 else "test"
        for t in range(2):
            at = {"time_s": t / 2, "split": split}
            rows.append(drawn.make_row(f"real/p{person}", t, label=0, **at))
            rows.append(
                drawn.make_row(f"fake/p{person}", t, label=1, source=f"real/p{person}", **at)
            )
    folder: Path = drawn.write_folder(tmp_path_factory.mktemp("data") / "faces", rows)
    return folder
