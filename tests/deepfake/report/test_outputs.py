import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator

import deepfake
from deepfake.checkpoints.loading import Checkpoint, load
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.errors import DeepfakeError
from deepfake.inference import VideoPredictor
from deepfake.predict import describe, main
from deepfake.report.outputs import Outputs
from deepfake.types import FaceScore, Interval, TrackScore, Verdict
from preprocessing import pipeline
from preprocessing.types import Detection, Image, PreprocessOptions

Maker = Callable[..., Path]
Numbered = Callable[..., list[Image]]
SCHEMA = json.loads((Path(deepfake.__file__).parent / "report" / "verdict.schema.json").read_text())


class CountingScorer:
    """Takes clips of T faces; scores them 0.1, 0.2, ... in the order they come."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def score(self, faces: Faces) -> Scores:
        self.shapes.append(faces.shape)
        return np.arange(1, len(faces) + 1, dtype=np.float64) / 10

    def warm_up(self) -> None:
        pass


class OneFace:
    """Finds the same face in every frame."""

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        points = np.array([[50, 60], [80, 60], [65, 75], [55, 90], [75, 90]], np.float32)
        return [[Detection(0, 0.0, (40.0, 40.0, 90.0, 100.0), 1.0, points)] for _ in images]


@pytest.fixture(scope="session")
def loaded(checkpoint: Path) -> Checkpoint:
    return load(checkpoint)


@pytest.fixture(scope="session")
def judged(loaded: Checkpoint, samples: Path) -> Verdict:
    return VideoPredictor(loaded).predict(samples / "fake.mp4", fps=4.0)


def test_json_keeps_its_schema(judged: Verdict) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    plain = json.loads(json.dumps(judged.to_dict()))
    Draft202012Validator(SCHEMA).validate(plain)
    empty = Verdict(
        "a.mp4", "undecided", None, 0.5, reason="no face", provenance=plain["provenance"]
    )
    Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(empty.to_dict())))
    assert list(Draft202012Validator(SCHEMA).iter_errors({**plain, "score": 1.5}))


def test_frames_per_second(judged: Verdict) -> None:
    times = [face.time_s for face in judged.faces]
    np.testing.assert_allclose(np.diff(times), 0.25, atol=0.041)
    assert judged.provenance["frames_wanted"] == len(times) == 16


def test_one_person_alone(loaded: Checkpoint, samples: Path) -> None:
    alone = VideoPredictor(loaded, only_person=1).predict(samples / "fake.mp4")
    assert [person.track for person in alone.tracks] == [0]
    nobody = VideoPredictor(loaded, only_person=7).predict(samples / "fake.mp4")
    assert (nobody.label, nobody.score) == ("undecided", None)
    assert nobody.reason == "there is no person 7 (found: 1)"


@pytest.mark.parametrize(
    ("frames", "clips", "scores"),
    [(2, 2, [0.1, 0.2, 0.1, 0.2]), (3, 1, [0.1] * 4), (5, 1, [0.1] * 4)],
)
def test_a_network_of_clips_judges_interleaved_clips_of_a_track(
    loaded: Checkpoint, samples: Path, frames: int, clips: int, scores: list[float]
) -> None:
    scorer = CountingScorer()
    temporal = replace(loaded, scorer=scorer, frames=frames)
    verdict = VideoPredictor(temporal).predict(samples / "fake.mp4")  # of four faces
    assert scorer.shapes == [(clips, frames, 3, 256, 256)]
    assert [round(face.score, 1) for face in verdict.faces] == scores


def test_memory_is_bounded_by_letting_every_second_frame_go(
    tmp_path: Path, make_video: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(60, 200, (160, 160, 3), dtype=np.uint8)
    clip = make_video(tmp_path / "a.mp4", [pixels] * 40)
    options = PreprocessOptions()
    whole = pipeline.extract_faces(clip, options, OneFace(), fps=25.0)
    crop = whole.faces[0].image.nbytes
    assert (len(whole.faces), whole.stride) == (40, 1)
    monkeypatch.setattr(pipeline, "MAX_CROP_BYTES", 12 * crop)
    thinned = pipeline.extract_faces(clip, options, OneFace(), fps=25.0)
    assert thinned.stride == 4
    assert [face.detection.frame for face in thinned.faces] == list(range(0, 40, 4))
    assert len(pipeline.extract_faces(clip, options, OneFace()).faces) == 32


def test_table_and_errors(
    checkpoint: Path, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(samples / "real.mp4", tmp_path / "a,b.mp4")
    (tmp_path / "bad.mp4").write_text("no video")
    for name in ("t.csv", "t.parquet"):
        table = tmp_path / name
        arguments = ["--checkpoint", str(checkpoint), "--frames", "1", "--table", str(table)]
        assert main([str(tmp_path), *arguments]) == 1
    with (tmp_path / "t.csv").open(newline="") as stream:
        good, bad = csv.DictReader(stream)
    assert good["video"].endswith("a,b.mp4")
    assert (good["people"], good["faces"], good["threshold"]) == ("1", "1", "0.5")
    assert (bad["label"], bad["score"]) == ("error", "")
    assert "bad.mp4" in bad["reason"]
    assert pq.read_table(tmp_path / "t.parquet").to_pylist()[0]["score"] == float(good["score"])


@pytest.mark.parametrize("option", ["--report", "--annotate", "--table", "--json"])
def test_what_cannot_be_written_is_said_before_any_work(
    option: str, tmp_path: Path, samples: Path
) -> None:
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "inside.csv"
    with pytest.raises(DeepfakeError, match=r"inside\.csv: Not a directory"):
        main([str(samples / "real.mp4"), option, str(target), "--checkpoint", "none"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fps", "0"], "--fps must be above 0"),
        (["--fps", "2", "--frames", "3"], "exclude each other"),
        (["--only-person", "0"], "there is no person 0: people count from 1"),
        (["--judges", "-1", "--engine", "ray"], "from 1, of --engine ray"),
        (["--judges", "2"], "from 1, of --engine ray"),
        (["--table", "a.txt"], r"\.csv or \.parquet"),
    ],
)
def test_senseless_arguments(arguments: list[str], words: str) -> None:
    with pytest.raises(DeepfakeError, match=words):
        main(["a.mp4", *arguments])


def test_words_and_notebook_tell_when() -> None:
    verdict = Verdict(
        "<b>.mp4",
        "fake",
        0.9,
        0.5,
        tracks=(TrackScore(0, 0.9, 8, 0.0, 9.0),),
        intervals=(Interval(track=0, start_s=2.0, end_s=5.5, score=0.97),),
        real_below=0.2388,
        fake_from=0.793,
    )
    assert describe(verdict).splitlines() == [
        "<b>.mp4: FAKE (score 0.90; real below 0.24, fake from 0.79)",
        "  person 1: 0.90  0.0-9.0 s  8 faces",
        "    looks fake 2.0-5.5 s (0.97)",
    ]
    assert str(verdict) == describe(verdict).splitlines()[0]
    shown = verdict._repr_html_()
    assert "&lt;b&gt;.mp4" in shown
    assert "2.0\N{EN DASH}5.5 s" in shown


def test_what_to_expect_comes_first_and_what_helps_last() -> None:
    seen = {"frames_wanted": 32, "bits_per_pixel": 0.01}
    face = FaceScore(0.3, 0, 4, box=(0.0, 0.0, 60.0, 90.0))
    unsure = Verdict("a", "undecided", 0.3, 0.5, faces=(face,) * 9, provenance=seen)
    lines = describe(unsure).splitlines()
    assert lines[0] == "a: expect an unsure answer: faces only 90 pixels high, strong compression"
    assert lines[1].startswith("a: UNDECIDED (score 0.30, in between")
    assert lines[-1] == "    - ask who published it first where it is from"
    assert "what helps" not in describe(unsure, alone=False)
    nobody = replace(unsure, score=None, faces=(), provenance={**seen, "only_person": 9})
    assert describe(nobody).splitlines()[-1] == (
        "    - judge everybody, to see who there is (without --only-person)"
    )


def test_a_score_is_shown_on_its_side_of_a_limit() -> None:
    near = Verdict("a", "undecided", 0.7921, 0.793, real_below=0.2388, fake_from=0.793)
    assert str(near) == (
        "a: UNDECIDED (score 0.792, in between; real below 0.239, fake from 0.793)"
    )
    for score in (0.1, 0.9):
        kept = replace(near, score=score, reason="not all were judged")
        assert str(kept).startswith(f"a: UNDECIDED (score {score:.2f}, held back; ")
    sure = Verdict("a", "fake", 0.99999, 0.5, fake_from=0.5)
    assert str(sure) == "a: FAKE (score over 0.99; none called real, fake from 0.50)"
    still = Verdict("a.jpg", "fake", 0.9, 0.5, tracks=(TrackScore(1, 0.9, 1, 0.0, 0.0),))
    assert describe(still).splitlines()[1] == "  person 2: 0.90  1 face"


def test_nothing_to_write_writes_nothing(tmp_path: Path) -> None:
    Outputs().prepare()
    Outputs().finish([])
    assert not list(tmp_path.iterdir())
