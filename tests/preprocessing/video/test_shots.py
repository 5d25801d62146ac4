from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from preprocessing.types import Image
from preprocessing.video.index import index_frames
from preprocessing.video.shots import EXTRA, PER_SHOT, _beside, _telling, grown, schedule

FPS = 25
SCENECUTS = {"libx264": {}, "no cuts": {"x264-params": "scenecut=0"}, "mpeg4": {}}


def scene(seed: int, number: int) -> Image:
    """Return a picture of a scene: a coloured texture under a little noise."""
    random = np.random.default_rng(seed)
    texture = random.integers(0, 90, (72, 96, 3)) + random.integers(10, 150, 3)
    noise = np.random.default_rng(number).integers(-2, 3, (144, 192, 1))
    return np.asarray(texture.repeat(2, axis=0).repeat(2, axis=1) + noise, dtype=np.uint8)


def write(path: Path, scenes: list[tuple[int, float]], kind: str = "libx264") -> Path:
    """Write scenes, each a seed and a duration in seconds."""
    codec = "mpeg4" if kind == "mpeg4" else "libx264"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 192, 144, "yuv420p"
        stream.gop_size = 12 if codec == "mpeg4" else 250
        stream.options = (
            {"preset": "veryfast", "threads": "1", **SCENECUTS[kind]} if codec == "libx264" else {}
        )
        number = 0
        for seed, seconds in scenes:
            for _ in range(round(seconds * FPS)):
                frame = av.VideoFrame.from_ndarray(scene(seed, number), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                out.mux(stream.encode(frame))
                number += 1
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize("kind", SCENECUTS)
def test_a_short_scene_gets_frames_however_it_is_coded(tmp_path: Path, kind: str) -> None:
    clip = write(tmp_path / "a.mp4", [(1, 11), (2, 2), (1, 7)], kind)
    index = index_frames(clip)
    even = schedule(clip, index, 8, shots=False)
    assert sum(11 <= index.times_s[p] < 13 for p in even.positions) <= 1
    found = schedule(clip, index, 8)
    np.testing.assert_allclose(found.starts_s, [11, 13], atol=0.5 if kind == "mpeg4" else 0.15)
    assert sum(11 <= index.times_s[p] < 13 for p in found.positions) >= PER_SHOT
    assert found.seen == 3


def test_one_scene_gets_the_even_frames(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4", [(1, 5)])
    index = index_frames(clip)
    found = schedule(clip, index, 5)
    assert list(found.positions) == list(schedule(clip, index, 5, shots=False).positions)
    assert (list(found.starts_s), found.seen) == ([], 1)


def test_the_frames_of_many_scenes_are_bounded_and_what_is_left_out_is_told(
    tmp_path: Path,
) -> None:
    clip = write(tmp_path / "a.mp4", [(seed, 0.5) for seed in range(20)])
    found = schedule(clip, index_frames(clip), 4)
    assert len(found.starts_s) >= 15
    assert len(found.positions) <= (1 + EXTRA) * 4
    assert found.seen < len(found.starts_s) + 1


def test_only_the_span_asked_for_is_looked_at(tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4", [(1, 8), (2, 3), (1, 8)])
    index = index_frames(clip)
    found = schedule(clip, index, 4, start_s=9.0, end_s=14.0)
    times = index.times_s[np.array(found.positions)]
    assert times.min() >= 9.0
    assert times.max() <= 14.0
    np.testing.assert_allclose(found.starts_s, [11], atol=0.05)


def test_long_videos_get_more_frames_but_not_many() -> None:
    assert [grown(32, s) for s in (1, 60, 600, 3600, 3 * 3600)] == [32, 32, 40, 48, 54]


def test_a_short_shot_unlike_the_others_comes_before_cuts_back(tmp_path: Path) -> None:
    scenes = [(1 + k % 2, 1.0) for k in range(24)]
    clip = write(tmp_path / "a.mp4", [*scenes[:13], (7, 0.4), *scenes[13:]])
    index = index_frames(clip)
    found = schedule(clip, index, 3)
    assert found.seen < len(found.starts_s) + 1
    assert any(13 <= index.times_s[p] < 13.4 for p in found.positions)


def test_key_frames_that_come_sooner_than_usual_tell_of_a_short_shot() -> None:
    keys = np.cumsum([0] + [250, 250, 220] * 60 + [90] + [250, 250, 220] * 60)
    sizes = np.zeros(keys[-1] + 1)
    sizes[keys] = np.random.default_rng(0).uniform(9e3, 14e3, len(keys))
    sizes[keys[179:183]] = 1e4  # in size the short shot is like the others
    chosen = _telling(keys, sizes, 256)
    assert {keys[180], keys[181]} <= set(chosen.tolist())


def test_a_shots_frames_fill_its_gaps_and_lie_behind_key_frames_where_they_are_sparse() -> None:
    times = np.arange(400) / 25
    chosen = np.array([10, 160, 390])  # one of them in the shot from 100 to 300
    found = _beside(times, chosen, 100, 300, 4, None)
    np.testing.assert_allclose(found, [125, 225, 275], atol=1)
    keys = np.array([0, 108, 210, 290])
    assert _beside(times, chosen, 100, 300, 1, keys) == []
    found = _beside(times, np.array([10, 390]), 100, 300, 2, keys)
    np.testing.assert_allclose(found, [125, 225], atol=1)  # the middles are 150 and 250
