import numpy as np
import pytest

from deepfake.calibration import Calibration
from deepfake.timeline import limits, smooth, timelines
from deepfake.types import FaceScore

PLAIN = Calibration()


def faces(scores: dict[float, float], track: int = 0) -> list[FaceScore]:
    return [FaceScore(s, track, round(t * 25), t) for t, s in scores.items()]


def test_a_constant_score_stays_what_it_is() -> None:
    (line,) = timelines(faces({0.0: 0.7, 0.1: 0.7, 0.9: 0.7, 1.1: 0.7}), PLAIN)
    np.testing.assert_allclose(line.scores, 0.7)


def test_smoothing_is_the_kernel_weighted_mean_of_logits() -> None:
    times = np.array([0.0, 0.5, 0.6])
    values = np.array([1.0, 3.0, -2.0])
    weights = np.exp(-0.5 * ((times[:, None] - times) / 0.5) ** 2)
    expected = weights @ values / weights.sum(axis=1)
    np.testing.assert_allclose(smooth(times, values, 0.5), expected)


def test_a_fake_stretch_is_found_between_its_neighbours() -> None:
    seconds = {float(t): 0.99 if 10 <= t < 20 else 0.01 for t in range(30)}
    (line,) = timelines(faces(seconds), PLAIN, duration_s=30.0)
    (found,) = line.intervals(0.5, 0.4)
    assert (found.start_s, found.end_s) == (9.5, 19.5)
    assert 0.9 < found.score < 0.99
    assert line.at(15.0) == pytest.approx(0.99, abs=0.01)


def test_hysteresis_bridges_what_falls_between_the_limits() -> None:
    # Far apart in time, so that smoothing does nothing and every score counts as it is.
    scores = [0.1, 0.9, 0.6, 0.9, 0.3, 0.6, 0.1]
    seen = faces({10.0 * k: score for k, score in enumerate(scores)})
    (line,) = timelines(seen, PLAIN)
    unsmoothed = type(line)(0, line.times_s, np.array(scores), line.starts_s, line.ends_s)
    (found,) = unsmoothed.intervals(0.8, 0.5)
    assert (found.track, found.start_s, found.end_s) == (0, 5.0, 35.0)
    assert found.score == pytest.approx(0.8)
    assert len(unsmoothed.intervals(0.8, 0.7)) == 2


def test_cuts_and_absences_are_never_smoothed_over() -> None:
    seen = faces({0.0: 0.1, 0.5: 0.1, 1.0: 0.9, 1.5: 0.9})
    (cut,) = timelines(seen, PLAIN, cuts_s=[1.0])
    np.testing.assert_allclose(cut.scores, [0.1, 0.1, 0.9, 0.9])
    away = faces({0.0: 0.9, 0.5: 0.9, 1.0: 0.9, 9.0: 0.9, 9.5: 0.9})
    (line,) = timelines(away, PLAIN, duration_s=9.6)
    assert [(i.start_s, i.end_s) for i in line.intervals(0.5, 0.4)] == [(0.0, 1.25), (8.75, 9.5)]
    assert line.at(5.0) is None


def test_people_are_apart_and_broken_scores_left_out() -> None:
    seen = faces({0.0: 0.2, 1.0: float("nan")}, track=3) + faces({0.0: 0.8}, track=1)
    lines = timelines(seen, PLAIN)
    assert [(line.track, len(line.scores)) for line in lines] == [(1, 1), (3, 1)]
    assert timelines([], PLAIN) == ()


def test_a_photograph_has_no_interval() -> None:
    (line,) = timelines(faces({0.0: 0.99}), PLAIN, duration_s=0.0)
    assert line.intervals(0.5, 0.4) == ()


def test_the_calibration_of_the_video_counts() -> None:
    halved = Calibration(method="temperature", temperature=2.0)
    (line,) = timelines(faces({0.0: 0.9}), halved)
    assert line.scores[0] == pytest.approx(halved.apply(0.9))


def test_limits_are_the_undecided_band_where_there_is_one() -> None:
    assert limits(Calibration(threshold=0.6, low=0.3, high=0.8)) == (0.8, 0.6)
    np.testing.assert_allclose(limits(Calibration()), (0.5, 0.4))
    np.testing.assert_allclose(limits(Calibration(threshold=0.6, high=None)), (0.6, 0.48))
