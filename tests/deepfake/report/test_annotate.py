from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from deepfake.calibration import Calibration
from deepfake.checkpoints.loading import Checkpoint, load
from deepfake.inference import VideoPredictor
from deepfake.predict import main
from deepfake.report.annotate import COLOURS, NO_COLOUR, Overlay, annotate, box_at
from deepfake.timeline import Timeline
from preprocessing.types import Detection, Track

POINTS = np.zeros((5, 2), np.float32)


@pytest.fixture(scope="session")
def loaded(checkpoint: Path) -> Checkpoint:
    return load(checkpoint)


def detection(frame: int, time_s: float, left: float) -> Detection:
    return Detection(frame, time_s, (left, 10.0, left + 20, 30.0), 1.0, POINTS)


def with_sound(source: Path, target: Path, *, codec: str = "aac", frames: int = 30) -> Path:
    """Copy the first frames of a clip and add a tone."""
    rate = 44100
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        video = made.add_stream("libx264", rate=25)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = given.streams.video[0].width, given.streams.video[0].height
        sound = made.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(sound, av.AudioStream)
        for number, frame in enumerate(given.decode(video=0)):
            if number == frames:
                break
            image = frame.to_ndarray(format="rgb24")
            plain = av.VideoFrame.from_ndarray(image, format="rgb24")
            plain.time_base, plain.pts = Fraction(1, 25), number
            made.mux(video.encode(plain))
        made.mux(video.encode())
        tone = 0.2 * np.sin(np.arange(rate * frames // 25) * 2 * np.pi * 440 / rate)
        pcm = (tone * 32767).astype(np.int16)[None]
        heard = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        heard.sample_rate, heard.pts, heard.time_base = rate, 0, Fraction(1, rate)
        made.mux(sound.encode(heard))
        made.mux(sound.encode())
    return target


def audio_packets(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [
            (round(float(packet.pts * stream.time_base), 2), bytes(packet))
            for packet in container.demux(stream)
            if packet.size and packet.pts is not None and stream.time_base is not None
        ]


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_boxes_sound_and_times(
    checkpoint: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = with_sound(samples / "fake.mp4", tmp_path / "loud.mp4")
    out = tmp_path / "out"
    assert main([str(clip), "--checkpoint", str(checkpoint), "--annotate", str(out)]) == 0
    (made,) = out.iterdir()
    assert f"written: {made}" in capsys.readouterr().out
    assert made.name.startswith("loud-")
    assert made.suffix == ".mp4"
    assert audio_packets(made) == audio_packets(clip)
    before, after = frames_of(clip), frames_of(made)
    assert len(after) == len(before) == 30
    changed = np.abs(after[15].astype(int) - before[15]).max(axis=2) > 60
    height = changed.shape[0]
    assert changed[-height // 60 :].mean() > 0.5  # the timeline
    assert 0.005 < changed[: -height // 20].mean() < 0.3  # box and words, not the whole picture


def test_sound_that_mp4_cannot_hold_goes_into_mkv(
    loaded: Checkpoint, samples: Path, tmp_path: Path
) -> None:
    clip = with_sound(samples / "fake.mp4", tmp_path / "a.mkv", codec="pcm_s16le", frames=5)
    predictor = VideoPredictor(loaded)
    extraction = predictor.look(clip)
    made = annotate(tmp_path, predictor.judge(clip, extraction), extraction, predictor)
    assert made.suffix == ".mkv"
    assert b"".join(d for _, d in audio_packets(made)) == b"".join(
        d for _, d in audio_packets(clip)
    )
    assert not list(tmp_path.glob(".*"))


def test_photographs_become_photographs(loaded: Checkpoint, samples: Path, tmp_path: Path) -> None:
    from PIL import Image as Pillow

    first = frames_of(samples / "real.mp4")[0]
    Pillow.fromarray(first).save(tmp_path / "a.png")
    predictor = VideoPredictor(loaded)
    extraction = predictor.look(tmp_path / "a.png")
    verdict = predictor.judge(tmp_path / "a.png", extraction)
    made = annotate(tmp_path, verdict, extraction, predictor)
    drawn = np.asarray(Pillow.open(made))
    assert drawn.shape == first.shape
    assert not verdict.calibrated
    assert (drawn == NO_COLOUR).all(axis=2).any()


def test_boxes_move_on_straight_lines_but_not_across_cuts() -> None:
    track = Track(0, (detection(0, 0.0, 0.0), detection(25, 1.0, 50.0), detection(50, 2.0, 10.0)))
    assert box_at(track, 0.5, []) == (25.0, 10.0, 45.0, 30.0)
    assert box_at(track, 1.5, [1.2]) == (10.0, 10.0, 30.0, 30.0)
    assert box_at(track, 1.1, [1.2]) == (50.0, 10.0, 70.0, 30.0)
    assert box_at(track, 0.5, [0.2, 0.9]) is None


def test_the_bar_has_the_colour_of_the_worst_person() -> None:
    times = np.array([0.5, 1.5])
    lines = [
        Timeline(k, times, np.array(scores), times - 0.5, times + 0.5)
        for k, scores in enumerate([(0.1, 0.1), (0.1, 0.9)])
    ]
    tracks = [Track(k, (detection(0, 0.5, 0.0),)) for k in range(2)]
    fitted = Calibration(low=0.5, high=0.5, reals=50, fakes=50)
    overlay = Overlay(list(zip(tracks, lines, strict=True)), fitted, [], 4.0)
    bar = overlay.bar(90, 40)
    assert bar is not None
    assert tuple(bar[0, 2]) == COLOURS["real"]
    assert tuple(bar[0, 17]) == COLOURS["fake"]
    assert tuple(bar[0, 30]) == (40, 40, 40)
