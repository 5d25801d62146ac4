"""Small folders of drawn faces."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from preprocessing.types import FaceCrop, Image, Split
from tests.crop_folders import POINTS, draw_face, make_row, write_folder


@pytest.fixture
def write_faces() -> Callable[[Path, list[FaceCrop]], Path]:
    return write_folder


@pytest.fixture
def row() -> Callable[..., FaceCrop]:
    return make_row


@pytest.fixture
def face() -> Callable[..., Image]:
    return draw_face


@pytest.fixture
def landmarks() -> np.ndarray:
    return POINTS


@pytest.fixture
def drawn_faces(tmp_path: Path) -> Path:
    """Six people: three crops of each real video, three of a fake made from it."""
    rows = []
    for person in range(6):
        split: Split = "train" if person < 4 else "val" if person == 4 else "test"
        real, fake = f"real/p{person}", f"fake/p{person}"
        for t in range(3):
            rows.append(make_row(real, t, label=0, time_s=t / 2, split=split))
            rows.append(make_row(fake, t, label=1, source=real, time_s=t / 2, split=split))
    return write_folder(tmp_path / "faces", rows)
