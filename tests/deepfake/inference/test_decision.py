from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deepfake.calibration import Calibration
from deepfake.inference.decision import Parts, decide, pictures, shot_bounds, shot_of
from deepfake.types import FaceScore, Interval, ShotScore, TrackScore, Verdict
from preprocessing.pipeline import Extraction
from preprocessing.types import Detection, ReadReport, Track, VideoInfo

BAND = Calibration(threshold=0.8, low=0.2, high=0.8, reals=50, fakes=50)
INFO = VideoInfo(640, 360, 25.0, 40.0, "h264", "yuv420p", 100_000, 500_000, 1000, 1000)
REPORT = ReadReport(wanted=32, read=32)


def track(number: int, *, still: bool = False) -> Track:
    points = np.zeros((5, 2), dtype=np.float32)
    seen = tuple(Detection(n, n / 25, (0, 0, 50, 50), 0.99, points) for n in range(4))
    return Track(number, seen, still)


def extraction(*tracks: Track, **more: Any) -> Extraction:  # noqa: ANN401
    return Extraction(INFO, REPORT, tracks, (), **more)


def decided(score: float, calibration: Calibration = BAND, **parts: Any) -> tuple[str, str]:  # noqa: ANN401
    empty: dict[str, Any] = {"people": (), "shots": (), "intervals": ()}
    return decide(score, calibration, extraction(track(0)), Parts(**empty | parts), rejected=0)


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"people": [TrackScore(1, 0.9, 3, 20.0, 23.0)]}, "person 2 looks fake (0.90)"),
        ({"shots": [ShotScore(20.0, 23.8, 0.95, 4)]}, "the shot from 20.0 to 23.8 s"),
        ({"intervals": [Interval(0, 4.7, 7.8, 0.85)]}, "person 1 from 4.7 to 7.8 s"),
    ],
)
def test_nothing_that_scored_fake_vanishes_from_a_real(parts: dict[str, Any], what: str) -> None:
    assert decided(0.1) == ("real", "")
    label, reason = decided(0.1, **parts)
    assert label == "undecided"
    assert what in reason


def test_a_part_below_the_limit_leaves_a_real_alone() -> None:
    assert decided(0.1, shots=[ShotScore(0, 5, 0.79, 4), ShotScore(5, 9, None, 0)]) == ("real", "")


def test_a_crowd_that_was_not_judged_is_no_real() -> None:
    seen = extraction(track(0), rejected={"more than 50 people": 9})
    label, reason = decide(0.1, BAND, seen, Parts((), (), ()), rejected=0)
    assert label == "undecided"
    assert "more than 50 people" in reason


@pytest.mark.parametrize("score", [0.001, 0.5, 0.965])
def test_scores_that_nothing_is_known_of_decide_nothing(score: float) -> None:
    label, reason = decided(score, Calibration())
    assert label == "undecided"
    assert "deepfake.calibrate" in reason
    verdict = Verdict("a.mp4", "undecided", score, 0.5, calibrated=False)
    side = "fake" if score >= 0.5 else "real"
    assert f"not calibrated, leans to {side}" in str(verdict)


def test_who_does_not_move_is_left_out_beside_others_only() -> None:
    both = extraction(track(0), track(1, still=True))
    assert list(pictures(both)) == [1]
    assert "no motion of its own" in pictures(both)[1]
    assert pictures(extraction(track(0, still=True))) == {}


def test_shots_lie_between_cuts() -> None:
    seen = extraction(track(0), cuts_s=(10.0, 14.0))
    assert shot_bounds(seen) == [(0.0, 10.0), (10.0, 14.0), (14.0, 40.0)]
    assert [shot_of(seen, t) for t in (0.0, 9.9, 10.0, 39.0)] == [0, 0, 1, 2]


def test_nobody_looks_fake_in_a_clip_that_is_not_called_so() -> None:
    high, low = Interval(0, 1.0, 2.0, 0.9), Interval(0, 3.0, 4.0, 0.7)
    fake = Verdict("a.mp4", "fake", 0.9, 0.8, fake_from=0.8)
    assert fake.moment(high) == "looks fake"
    assert fake.moment(low) == "highest here"
    assert replace(fake, label="undecided").moment(high) == "highest here"
    assert replace(fake, fake_from=None).moment(high) == "highest here"
    assert FaceScore(0.9, 0, 0).shot == 0
