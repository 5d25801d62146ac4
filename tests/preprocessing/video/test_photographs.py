from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from preprocessing.errors import VideoError
from preprocessing.video import index_frames, read_frames
from preprocessing.video.photographs import read_image

RAMP = np.tile(np.arange(256, dtype=np.uint16), (16, 1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_deep_grey_is_the_same_picture_as_shallow(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"a{suffix}"), RAMP * 257)
    image, _ = read_image(tmp_path / f"a{suffix}", max_pixels=10**6)
    assert np.abs(image.astype(int) - RAMP[..., None]).max() == 0


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floating_point_is_scaled_by_what_it_holds(tmp_path: Path, top: float) -> None:
    Pillow.fromarray((RAMP / 255 * top).astype(np.float32)).save(tmp_path / "a.tif")
    image, _ = read_image(tmp_path / "a.tif", max_pixels=10**6)
    assert np.abs(image.astype(int) - RAMP[..., None]).max() <= 1


@pytest.mark.parametrize("suffix", [".webp", ".png", ".avif"])
def test_animations_are_videos(tmp_path: Path, suffix: str) -> None:
    images = [Pillow.new("RGB", (32, 24), (40 * k, 0, 200)) for k in range(5)]
    lasting = [100, 200, 100, 400, 100]
    images[0].save(
        tmp_path / f"a{suffix}", save_all=True, append_images=images[1:], duration=lasting
    )
    index = index_frames(tmp_path / f"a{suffix}")
    assert list(index.times_s) == pytest.approx([0, 0.1, 0.3, 0.4, 0.8], abs=2e-3)
    assert index.info.duration_s == pytest.approx(0.9, abs=2e-3)
    frames = list(read_frames(tmp_path / f"a{suffix}", index, [1, 4]))
    assert [frame.index for frame in frames] == [1, 4]
    assert [int(f.image[..., 0].mean()) for f in frames] == pytest.approx([40, 160], abs=6)


def test_content_decides_between_photograph_and_video(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes((samples / "real.mp4").read_bytes())
    assert index_frames(tmp_path / "a.jpg").info.frames > 1
    Pillow.new("RGB", (32, 24)).save(tmp_path / "b.png")
    (tmp_path / "b.png").rename(tmp_path / "b.mp4")
    assert index_frames(tmp_path / "b.mp4").still is not None


def test_heic_is_read_or_says_what_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(VideoError, match=r"\[heif\]|cannot be read as an image"):
        index_frames(path)
