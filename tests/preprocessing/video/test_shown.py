import gc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from preprocessing.types import Image
from preprocessing.video import index_frames, read_frames
from preprocessing.video.shown import HLG, PQ, _to_pq, shown_size, upright
from tests.conftest import VideoMaker, numbered

PICTURE = np.array([[[1], [2], [3]], [[4], [5], [6]]], np.uint8).repeat(3, axis=2)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), [[1, 2, 3], [4, 5, 6]]),
        ((-1, 0, 0, 1), [[3, 2, 1], [6, 5, 4]]),
        ((1, 0, 0, -1), [[4, 5, 6], [1, 2, 3]]),
        ((-1, 0, 0, -1), [[6, 5, 4], [3, 2, 1]]),
        ((0, 1, -1, 0), [[4, 1], [5, 2], [6, 3]]),  # a quarter clockwise
        ((0, -1, 1, 0), [[3, 6], [2, 5], [1, 4]]),
        ((0, 1, 1, 0), [[1, 4], [2, 5], [3, 6]]),
        ((0, -1, -1, 0), [[6, 3], [5, 2], [4, 1]]),
    ],
)
def test_display_matrices(matrix: tuple[int, int, int, int], expected: list[list[int]]) -> None:
    # Worked out by hand from x' = a x + c y, y' = b x + d y with y downwards.
    assert upright(PICTURE, matrix)[..., 0].tolist() == expected


def test_the_short_side_is_stretched() -> None:
    assert shown_size(720, 576, Fraction(64, 45)) == (1024, 576)
    assert shown_size(100, 50, Fraction(1, 2)) == (100, 100)
    assert shown_size(100, 50, None) == (100, 50)
    assert shown_size(100, 50, Fraction(1000, 1)) == (100, 50)


def hdr(path: Path, signal: float, transfer: str) -> Image:
    """Write a grey HDR clip of a signal in [0, 1] and return its frame as it is shown."""
    deep = np.full((64, 64, 3), round(signal * 65535), np.uint16)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        # A stream shorter than its B-frames' delay gets times from nowhere: none of them.
        params = f"bframes=0:log-level=none:transfer={transfer}"
        params += ":colorprim=bt2020:colormatrix=bt2020nc"
        stream.options = {"x265-params": params, "crf": "2"}
        frame = av.VideoFrame.from_ndarray(deep, format="rgb48le")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    (shown,) = read_frames(path, index_frames(path), [0])
    return shown.image


@pytest.mark.parametrize(
    ("nits", "level"),
    [
        (0, 0),
        (50, 255 * (50 / 203) ** (1 / 2.4)),  # far below white: as it is
        (1000, 255),  # the peak
        (4000, 255),
    ],
)
def test_pq_is_shown_as_on_an_sdr_display(tmp_path: Path, nits: float, level: float) -> None:
    signal = float(_to_pq(np.array(float(nits))))
    image = hdr(tmp_path / "a.mp4", signal, "smpte2084")
    assert np.abs(image.astype(float) - level).max() < 4


def test_hlg_white_of_paper_is_as_bright_as_that_of_pq(tmp_path: Path) -> None:
    # ITU-R BT.2408: 75 % of HLG and 203 nits of PQ are the same white.
    hlg = hdr(tmp_path / "a.mp4", 0.75, "arib-std-b67")
    pq = hdr(tmp_path / "b.mp4", float(_to_pq(np.array(203.0))), "smpte2084")
    assert abs(float(hlg.mean()) - float(pq.mean())) < 4
    assert 215 < pq.mean() < 250  # rolled off to leave room for lights
    assert (PQ, HLG) == (16, 18)


def test_frames_are_let_go_without_the_garbage_collector(
    tmp_path: Path, make_video: VideoMaker
) -> None:
    video = make_video(tmp_path / "many.mp4", numbered(30))
    gc.collect()
    gc.disable()
    try:
        read = len(list(read_frames(video, index_frames(video), range(30))))
        held = sum(type(each) is av.VideoFrame for each in gc.get_objects())
    finally:
        gc.enable()
    assert read == 30
    assert held == 0
