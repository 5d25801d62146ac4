"""Scores are finite and in [0, 1] or absent, and depend on the faces alone."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake.aggregation import RULES, by_name, person_scores, sigmoid
from deepfake.checkpoints.scorers import Faces, Scores
from deepfake.types import FaceScore
from preprocessing.pipeline import Extraction, detector_for, extract_faces
from preprocessing.types import PreprocessOptions, ReadReport
from preprocessing.workers.local import run_local
from tests.reliability import throw
from tests.reliability.media import COMMON

ANY = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1.0])
OPTIONS = PreprocessOptions(frames=6)


@pytest.fixture(scope="module")
def extraction(tmp_path_factory: pytest.TempPathFactory) -> Extraction:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    path.write_bytes(COMMON["h264.mp4"]())
    return extract_faces(path, OPTIONS, detector_for(OPTIONS))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "a.mp4"
    path.write_bytes(b"any")
    return path


@given(st.lists(ANY, max_size=40))
def test_logits_give_scores_or_nan(logits: list[float]) -> None:
    scores = sigmoid(np.array(logits, dtype=np.float32))
    assert ((scores >= 0) & (scores <= 1) | np.isnan(logits)).all()


def test_float16_overflow_is_no_score() -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        overflown = np.array([1e6, -1e6], dtype=np.float32).astype(np.float16)
        undefined = overflown + overflown[::-1]  # inf - inf
    assert sigmoid(overflown).tolist() == [1.0, 0.0]
    assert np.isnan(sigmoid(undefined)).all()


@pytest.mark.parametrize("rule", sorted(RULES))
@given(
    faces=st.lists(
        st.tuples(st.sampled_from([math.nan, math.inf]) | st.floats(0, 1), st.integers(0, 3)),
        max_size=20,
    ),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40)
def test_rules_give_a_score_or_none_in_any_order(
    rule: str, faces: list[tuple[float, int]], seed: int
) -> None:
    scored = [FaceScore(score, track, frame) for frame, (score, track) in enumerate(faces)]
    video = by_name(rule)(scored)
    usable = [face for face in scored if math.isfinite(face.score)]
    assert (video is None) == (not usable)
    if video is not None:
        assert 0 <= video <= 1
        shuffled = list(np.random.default_rng(seed).permutation(np.array(scored, dtype=object)))
        assert by_name(rule)(shuffled) == pytest.approx(video, abs=1e-9)
    assert all(0 <= person.score <= 1 for person in person_scores(usable, by_name(rule)))


class Given:
    """Gives the faces these scores, whatever they show."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = iter(scores)

    def score(self, faces: Faces) -> Scores:
        return np.array([next(self.scores) for _ in faces])

    def warm_up(self) -> None:
        pass


@given(scores=st.lists(st.just(math.nan) | st.floats(0, 1), min_size=6, max_size=6))
@settings(max_examples=30, deadline=None)
def test_faces_without_a_number_are_left_out(
    extraction: Extraction, file: Path, scores: list[float]
) -> None:
    judge = throw.predictor()
    judge.checkpoint = replace(judge.checkpoint, scorer=Given(scores))
    verdict = judge.judge(file, extraction)
    numbers = [score for score in scores if math.isfinite(score)]
    assert sorted(face.score for face in verdict.faces) == sorted(numbers)
    if numbers:
        assert verdict.score is not None
        assert 0 <= verdict.score <= 1
    else:
        assert (verdict.label, verdict.score) == ("undecided", None)
        assert "no finite score for 6 faces" in verdict.reason


def test_nobody_is_undecided(extraction: Extraction, file: Path) -> None:
    nobody = replace(extraction, tracks=(), faces=())
    verdict = throw.predictor().judge(file, nobody)
    assert (verdict.label, verdict.score, verdict.tracks) == ("undecided", None, ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"report": ReadReport(wanted=6, read=2)}, "only 2 of 6 frames could be decoded"),
        ({"complete": 0.3}, "30% of what its header promises"),
    ],
)
def test_a_part_is_not_judged_as_the_whole(
    extraction: Extraction, file: Path, change: dict[str, object], words: str
) -> None:
    if "complete" in change:
        change = {"info": replace(extraction.info, complete=0.3)}
    verdict = throw.predictor().judge(file, replace(extraction, **change))  # type: ignore[arg-type]
    assert verdict.label == "undecided"
    assert words in verdict.reason


@pytest.mark.parametrize("size", [1, 2, 5, 64])
def test_the_verdict_does_not_depend_on_the_batch(
    extraction: Extraction, file: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = throw.predictor().judge(file, extraction)
    monkeypatch.setattr("deepfake.inference.faces.BATCH", size)
    assert throw.predictor().judge(file, extraction).score == whole.score


def test_the_verdict_does_not_depend_on_workers_order_or_name(tmp_path: Path) -> None:
    clips = []
    for name in ("a.mp4", "z z.mp4", "zz.mkv"):
        clips.append(tmp_path / name)
        clips[-1].write_bytes(COMMON["h264.mp4"]())
    clips.append(tmp_path / "other.mkv")
    clips[-1].write_bytes(COMMON["h264.mkv"]())
    seen: dict[str, set[float | None]] = {}
    judge = throw.predictor()
    for number, (workers, order) in enumerate([(1, clips), (2, clips[::-1]), (3, clips[1:])]):
        jobs = [throw.Throw(clip, tmp_path / f"faces{number}") for clip in order]
        for outcome in run_local(throw.work, jobs, workers=workers):
            assert outcome.result is not None
            assert outcome.result.extraction is not None
            score = judge.judge(outcome.task.path, outcome.result.extraction).score
            seen.setdefault(outcome.task.path.name, set()).add(score)
    assert all(len(scores) == 1 for scores in seen.values())
    assert seen["a.mp4"] == seen["z z.mp4"] == seen["zz.mkv"]
