"""GPU paths. Where there is no GPU, the detector is tested on the CPU and the rest is skipped."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deepfake.errors import DeepfakeError
from deepfake.preprocess import main
from preprocessing.faces.detection import FaceDetector, FaceFollower
from preprocessing.faces.mtcnn import MTCNN
from preprocessing.faces.mtcnn_gpu import BatchedMTCNN
from preprocessing.pipeline import make_detector
from preprocessing.types import Image, PreprocessOptions
from preprocessing.video import index_frames, read_frames

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def images(samples: Path) -> list[Image]:
    """Frames of two sizes, the last without a face."""
    found = []
    for name in ("real.mp4", "fake.mp4"):
        index = index_frames(samples / name)
        found += [f.image for f in read_frames(samples / name, index, range(0, 40, 10))]
    found[1] = np.ascontiguousarray(found[1][::2, ::2])
    return [*found, np.zeros_like(found[0])]


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=gpu)])
def test_frames_at_once_have_the_faces_of_frames_one_by_one(
    images: list[Image], device: str
) -> None:
    detector: FaceDetector = BatchedMTCNN(device=device)
    assert not isinstance(detector, FaceFollower)
    expected = MTCNN().detect(images)
    found = detector.detect(images)
    assert [len(faces) for faces in found] == [len(faces) for faces in expected]
    assert found[-1] == []
    assert sum(map(len, found)) >= len(images) - 1
    for number, (faces, others) in enumerate(zip(found, expected, strict=True)):
        for face, other in zip(faces, others, strict=True):
            assert face.frame == number
            np.testing.assert_allclose(face.box, other.box, atol=0.1)
            np.testing.assert_allclose(face.landmarks, other.landmarks, atol=0.1)
            assert face.score == pytest.approx(other.score, abs=1e-3)


@gpu
def test_the_gpu_decodes_the_same_frames(samples: Path) -> None:
    clip = samples / "real.mp4"
    index = index_frames(clip)
    positions = range(0, len(index.times_s), 7)
    usual = list(read_frames(clip, index, positions))
    found = list(read_frames(clip, index, positions, device="cuda"))
    assert [frame.index for frame in found] == [frame.index for frame in usual]
    for frame, other in zip(found, usual, strict=True):  # colours may be rounded otherwise
        assert np.abs(frame.image.astype(int) - other.image).max() <= 2


@gpu
def test_a_folder_is_cut_on_the_gpu(samples: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    assert main([str(samples), "--out", str(out), "--frames", "4", "--device", "cuda"]) == 0
    assert len(list(out.rglob("*.png"))) == 8


def test_options_choose_the_detector() -> None:
    options = PreprocessOptions()
    assert isinstance(make_detector(options), MTCNN)
    assert isinstance(make_detector(options, "meta"), BatchedMTCNN)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_told(samples: Path, tmp_path: Path) -> None:
    with pytest.raises(DeepfakeError, match="--device cuda cannot be used: "):
        main([str(samples), "--out", str(tmp_path), "--device", "cuda"])
    with pytest.raises(DeepfakeError, match="--device gpu cannot be used: "):
        main([str(samples), "--out", str(tmp_path), "--device", "gpu"])


@pytest.mark.parametrize("other", [["--sandbox"], ["--engine", "ray"]])
def test_only_local_workers_outside_a_sandbox_have_the_gpu(samples: Path, other: list[str]) -> None:
    with pytest.raises(DeepfakeError, match="local workers outside a sandbox"):
        main([str(samples), "--device", "cuda", *other])
