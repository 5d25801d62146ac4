"""What every test may use: made videos, the sample clips, and the shared data where it is."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import hypothesis
import numpy as np
import pytest

from preprocessing.types import Image

# A busy machine makes single examples slow, which says nothing about the code.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
REFERENCE = ROOT / "tests" / "reference"  # numbers of published implementations

VideoMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of sample clips."""
    return ROOT / "samples"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real labelled videos, for `realdata` tests."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs ../shared/data, which is not part of the repository")
    return SHARED / "data"


def numbered(count: int, *, width: int = 64, height: int = 48) -> list[Image]:
    """Frames whose brightness tells their number: 4 levels a frame."""
    return [np.full((height, width, 3), 10 + 4 * k, dtype=np.uint8) for k in range(count)]


def write_video(
    path: Path,
    images: Iterable[Image],
    *,
    rate: int = 25,
    codec: str = "libx264",
    times: Iterable[int] | None = None,
    gop: int = 12,
    options: dict[str, str] | None = None,
) -> Path:
    """Write images as a video; `times` are presentation times in 1/1000 s."""
    images = list(images)
    stamps = None if times is None else list(times)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = images[0].shape[1], images[0].shape[0]
        stream.pix_fmt = "yuv420p"
        stream.gop_size = gop
        quality = {"crf": "5"} if codec == "libx264" else {}
        stream.options = {"threads": "1", **quality, **(options or {})}
        if stamps is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if stamps is not None:
                frame.time_base, frame.pts = Fraction(1, 1000), stamps[number]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def make_video() -> VideoMaker:
    """Return `write_video`."""
    return write_video


@pytest.fixture(scope="session")
def make_numbered() -> Callable[..., list[Image]]:
    """Return `numbered`."""
    return numbered
