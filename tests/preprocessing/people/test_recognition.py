"""Faces told apart by the network of the extra "recognition"."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocessing.people.recognition import recogniser
from preprocessing.pipeline import detector_for, extract_faces
from preprocessing.types import PreprocessOptions, Track


def test_without_the_extra_nothing_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    recogniser.cache_clear()
    assert recogniser() is None
    recogniser.cache_clear()


@pytest.mark.realdata
def test_one_person_is_near_and_two_are_far(shared_data: Path) -> None:
    tell = recogniser()
    if tell is None:
        pytest.skip("needs the extra: pip install -e '.[recognition]'")
    options = PreprocessOptions(frames=8)
    clip = next((shared_data / "clips").rglob("fake_2_faces_1.mp4"))
    found = extract_faces(clip, options, detector_for(options))

    def described(track: Track) -> Iterator[NDArray[np.float64]]:
        for face in found.faces:
            if face.track == track.id:
                x0, y0, x1, _ = face.crop_box
                scale = face.image.shape[1] / (x1 - x0)
                points = (face.detection.landmarks - np.array([x0, y0])) * scale
                vector = tell(face.image, points.astype(np.float32))
                if vector is not None:
                    yield vector

    first, second = (np.stack(list(described(track))) for track in found.tracks)
    within = np.linalg.norm(first[:1] - first[1:], axis=1).mean()
    between = np.linalg.norm(first[:, None] - second[None], axis=2).mean()
    assert within < 0.5
    assert between > 0.6
