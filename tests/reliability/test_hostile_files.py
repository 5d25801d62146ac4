from collections.abc import Callable
from pathlib import Path

import pytest

from preprocessing.errors import VideoError
from preprocessing.limits import Limits
from preprocessing.pipeline import detector_for, extract_faces
from preprocessing.types import PreprocessOptions
from preprocessing.video import index_frames, read_frames
from tests.reliability import throw
from tests.reliability.attacks import WRONG
from tests.reliability.corpus import NAMES, write_corpus
from tests.reliability.media import COMMON, FAST, ODD, faces, video

OPTIONS = PreprocessOptions(frames=4)


def written(folder: Path, name: str, make: Callable[[], bytes]) -> Path:
    path = folder / name
    path.write_bytes(make())
    return path


def test_a_corpus_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    once = [p.read_bytes() for p in write_corpus(tmp_path / "a", 30, 5)]
    assert [p.read_bytes() for p in write_corpus(tmp_path / "b", 30, 5)] == once
    assert [p.read_bytes() for p in write_corpus(tmp_path / "c", 30, 6)] != once


def test_hostile_files_give_a_verdict_or_one_line(tmp_path: Path) -> None:
    files = write_corpus(tmp_path / "corpus", 60, seed=11)
    tally = throw.throw(files, tmp_path / "faces")
    assert tally.wrong == []
    assert tally.files == 60
    assert tally.labels["refused"] > 5
    judged = [tally.labels[label] for label in ("real", "fake", "undecided")]
    assert sum(judged) > 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.mp4", "is empty"),
        ("text.mp4", "cannot be read as a video"),
        ("playlist.mp4", "cannot be read as a video"),
        ("concat.mp4", "cannot be read as a video"),
        ("session.mp4", "cannot be read as a video"),
        ("script.png", "cannot be read as an image"),
        ("16k.mkv", "more than the limit of 40,000,000 pixels"),
        ("bomb_header.png", "2500000000 pixels) exceeds limit"),
        ("bomb.jpg", "pixels) exceeds limit"),
        ("bomb.png", "10000x10000 pixels, over the limit"),
        ("years.mkv", "lasts 2e+06 s by its time stamps, over the limit of 86400 s"),
    ],
)
def test_lies_are_refused_by_name(tmp_path: Path, name: str, words: str) -> None:
    path = written(tmp_path, name, {**WRONG, **ODD}[name])
    with pytest.raises(VideoError) as caught:
        extract_faces(path, OPTIONS, detector_for(OPTIONS))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sound_alone_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"no video stream \(found: audio\)"):
        index_frames(written(tmp_path, "a.mp4", ODD["sound_only.mp4"]))


@pytest.mark.parametrize(
    # Not hdr.mp4: its plain values, called PQ, are shown as dark as a player shows them.
    "name",
    ["yuv444p10.mkv", "gray.mkv", "alpha.webm", "interlaced.mkv", "bframes.avi"],
)
def test_unusual_pixels_show_the_same_face(tmp_path: Path, name: str) -> None:
    found = extract_faces(written(tmp_path, name, ODD[name]), OPTIONS, detector_for(OPTIONS))
    assert (found.report.read, len(found.tracks)) == (4, 1)
    usual = extract_faces(
        written(tmp_path, "a.mp4", COMMON["h264.mp4"]), OPTIONS, detector_for(OPTIONS)
    )
    boxes = [[d.box for d in e.tracks[0].detections] for e in (found, usual)]
    for here, there in zip(*boxes, strict=True):
        assert here == pytest.approx(there, abs=12)


@pytest.mark.parametrize("name", ["endless.mp4", "endless.mkv", "no_number.mkv"])
def test_endless_durations_are_not_believed(tmp_path: Path, name: str) -> None:
    info = index_frames(written(tmp_path, name, WRONG[name])).info
    assert (info.frames, info.complete) == (24, 1.0)
    assert info.duration_s == pytest.approx(24 / 25, abs=0.01)


@pytest.mark.parametrize("name", ["front.mp4", "mpeg4.avi", "h264.mkv"])
def test_a_cut_is_measured_by_the_header(tmp_path: Path, name: str) -> None:
    clip = [image for image in faces() for _ in range(4)]
    codec, kind, muxer = {
        "front.mp4": ("libx264", "mp4", {"movflags": "faststart"}),
        "mpeg4.avi": ("mpeg4", "avi", {}),
        "h264.mkv": ("libx264", "matroska", {}),
    }[name]
    options = {"g": "4", **(FAST if codec == "libx264" else {"qscale": "3"})}
    whole = video(kind, codec, images=clip, options=options, muxer=muxer)
    assert index_frames(written(tmp_path, name, lambda: whole)).info.complete == 1.0
    cut = written(tmp_path, f"cut_{name}", lambda: whole[: int(0.3 * len(whole))])
    info = index_frames(cut).info
    assert info.complete == pytest.approx(info.frames / 96, abs=0.03)
    assert info.complete < 0.45
    verdict = throw.predictor().predict(cut)
    assert verdict.label == "undecided"
    assert "of what its header promises" in verdict.reason


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(".png")])
def test_names_mean_nothing(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, COMMON["h264.mp4"])
    assert index_frames(path).info.frames == 24


def test_names_are_no_protocols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a|b.mp4", "http:x.mp4", "file:a.mp4"):
        written(tmp_path, name, COMMON["h264.mp4"])
        assert index_frames(Path(name)).info.frames == 24


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(pixels=192 * 191), "192x192 pixels, over the limit of 36,672"),
        (Limits(duration_s=0.5), "over the limit of 0.5 s"),
        (Limits(decoded_bytes=192 * 192 * 3 * 10), "of frames on the way"),
    ],
)
def test_limits_are_kept(tmp_path: Path, limits: Limits, words: str) -> None:
    path = written(tmp_path, "a.mp4", COMMON["h264.mp4"])
    with pytest.raises(VideoError, match=words):
        extract_faces(path, OPTIONS, detector_for(OPTIONS), limits=limits)


def test_limits_of_faces_and_people(tmp_path: Path) -> None:
    import numpy as np

    pair = [np.concatenate([image, image], axis=1) for image in faces()[:8]]
    path = written(tmp_path, "a.mkv", lambda: video("matroska", "ffv1", images=pair))
    two = extract_faces(path, OPTIONS, detector_for(OPTIONS))
    assert (len(two.tracks), len(two.faces)) == (2, 8)
    one = extract_faces(path, OPTIONS, detector_for(OPTIONS), limits=Limits(faces=1))
    assert len(one.faces) == 4
    assert one.rejected["more than 1 faces in a frame"] == 4
    one = extract_faces(path, OPTIONS, detector_for(OPTIONS), limits=Limits(tracks=1))
    assert (len(one.tracks), one.rejected["more than 1 people"]) == (1, 4)


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="pixels must be above 0"):
        Limits(pixels=0)


def test_frames_may_change_size(tmp_path: Path) -> None:
    path = written(tmp_path, "a.mpg", ODD["resolution_change.mpg"])
    index = index_frames(path)
    shapes = {frame.image.shape for frame in read_frames(path, index, range(len(index.times_s)))}
    assert shapes == {(192, 192, 3), (240, 320, 3)}


@pytest.mark.parametrize(
    "name", [n for n in (*COMMON, *ODD) if n.endswith(("png", "jpg", "webp", "bmp", "tiff"))]
)
def test_photographs_of_every_kind_are_read(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, {**COMMON, **ODD}[name])
    found = extract_faces(path, OPTIONS, detector_for(OPTIONS))
    assert (found.info.width, found.info.height) == (192, 192)
    if name not in ("bit.png", "gray.png"):  # a face in one bit a pixel is none
        assert len(found.faces) == (4 if name == "animated.webp" else 1)  # which is a video
