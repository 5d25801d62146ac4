"""A small checkpoint, as training writes it, and a small folder of drawn faces to train on."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deepfake.models.mesonet import Meso4
from deepfake.recipe import InputRecipe
from preprocessing.types import PreprocessOptions, Split
from tests.crop_folders import make_row, write_folder

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
    rows = []
    for person in range(8):
        split: Split = "train" if person < 4 else "val" if person < 6 else "test"
        real, fake = f"real/p{person}", f"fake/p{person}"
        for t in range(2):
            rows.append(make_row(real, t, label=0, time_s=t / 2, split=split))
            rows.append(make_row(fake, t, label=1, source=real, time_s=t / 2, split=split))
    return write_folder(tmp_path_factory.mktemp("data") / "faces", rows)
