import csv
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from deepfake.calibration import Calibration, CalibrationError, Method, fit
from deepfake.evaluation.measures import ece, log_loss
from deepfake.evaluation.selective import allowed_errors, decided_needed
from tests.reliability.simulate import decided

SCORES = Path("../shared/data/protocols/genconvit_scores/celeb_df.csv")


def videos(
    n: int, *, seed: int = 0, spread: float = 1.0, shift: float = 0.0
) -> tuple[list[int], list[float]]:
    """Logits of reals around -2, of fakes around 2, each true to sigmoid(logit) before spread."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    logits = rng.normal(np.where(labels == 1, 2.0, -2.0), 2.0)
    return labels.tolist(), (1 / (1 + np.exp(-(logits * spread + shift)))).tolist()


def test_temperature_finds_the_slope_that_made_the_scores_wrong() -> None:
    # Two normals at +-2 with deviation 2 have the true log odds 2 * 2 / 4 * x = x.
    labels, scores = videos(20000, spread=3.0, shift=1.5)
    found = fit(labels, scores)
    assert found.temperature == pytest.approx(3.0, rel=0.05)
    assert found.bias == pytest.approx(-0.5, abs=0.05)
    calibrated = found.apply_all(scores)
    assert ece(labels, calibrated) < 0.01 < 0.1 < ece(labels, scores)


def test_temperature_agrees_with_logistic_regression() -> None:
    labels, scores = videos(4000, spread=0.5)
    logits = np.log(np.array(scores) / (1 - np.array(scores)))
    line = LogisticRegression(C=np.inf).fit(logits[:, None], labels)
    found = fit(labels, scores)
    assert 1 / found.temperature == pytest.approx(line.coef_[0, 0], rel=5e-3)  # Platt's targets
    assert found.bias == pytest.approx(line.intercept_[0], abs=5e-3)


@pytest.mark.parametrize("method", ["temperature", "isotonic"])
def test_calibration_is_monotone_and_helps(method: Method) -> None:
    labels, scores = videos(2000, spread=2.5)
    found = fit(labels, scores, method=method)
    assert log_loss(labels, found.apply_all(scores)) < log_loss(labels, scores)
    line = found.apply_all(np.linspace(0, 1, 101))
    assert (np.diff(line) >= 0).all()
    assert 0 < line[0] < line[-1] < 1
    assert found.apply(0.0) == pytest.approx(line[0])


def test_threshold_keeps_the_rate_of_false_alarms_on_new_reals() -> None:
    labels, scores = videos(40000, seed=99)
    y, s = np.array(labels), np.array(scores)
    found = [fit(*videos(160, seed=k), method="none", false_alarms=0.1) for k in range(60)]
    rates = [(s[y == 0] >= each.threshold).mean() for each in found]
    assert 0.07 < np.mean(rates) <= 0.1


@pytest.mark.parametrize("area", [0.8, 0.9, 0.97])
@pytest.mark.parametrize(
    ("reals", "fakes", "target"),
    [(40, 40, 0.1), (100, 100, 0.05), (300, 300, 0.05), (60, 240, 0.1)],
)
def test_at_most_the_target_of_the_decided_is_wrong(
    reals: int, fakes: int, target: float, area: float
) -> None:
    shares = [decided(seed, reals, fakes, area, target) for seed in range(200)]
    assert sum(wrong <= target * share for share, wrong in shares) >= 190
    if area > 0.95 and target * (reals + fakes) > 15:
        assert sum(share > 0 for share, _ in shares) > 150  # the promise is not kept by silence


@pytest.mark.parametrize(("number", "target"), [(100, 0.05), (412, 0.15)])
def test_looking_often_is_paid_for(number: int, target: float) -> None:
    # Where every video is wrong with the target's probability, the walk passes in 5 % of cases.
    rng = np.random.default_rng(0)
    errors = np.cumsum(rng.random((4000, number)) < target, axis=1)
    looks = allowed_errors(number, target)
    passed = np.any([errors[:, k - 1] <= most for k, most in looks.items()], axis=0).mean()
    assert 0.02 < passed < 0.057
    assert looks[number] < target * number


def test_videos_needed_by_hand() -> None:
    assert 0.95**59 < 0.05 < 0.95**58
    assert decided_needed(0.05) == 59
    assert decided_needed(0.05, 0.02) > decided_needed(0.05, 0.01) > 59
    with pytest.raises(ValueError, match="wrong"):
        decided_needed(0.05, 0.05)


def test_threshold_and_band_by_hand() -> None:
    # 100 reals below 100 fakes but for one of each; 4 alarms in 100 reals: (4 + 1) / 101 < 5 %.
    reals = [0.004 * k for k in range(99)] + [0.8]
    fakes = [0.3] + [0.81 + 0.001 * k for k in range(99)]
    found = fit([0] * 100 + [1] * 100, reals + fakes, method="none")
    assert found.threshold == pytest.approx((0.38 + 0.384) / 2)
    # 5 of all 200 are too many; of 190, 95 from each end, the one fake at 0.3 is not.
    assert found.undecided == pytest.approx(((0.372 + 0.376) / 2, (0.813 + 0.814) / 2))
    assert [found.verdict(p) for p in (0.1, 0.5, 0.82)] == ["real", "undecided", "fake"]
    assert found.limits() == ""


def test_separable_classes_leave_nothing_undecided() -> None:
    found = fit([0] * 40 + [1] * 40, [0.0] * 40 + [1.0] * 40)
    assert found.low == found.high == found.threshold
    assert 0 < found.apply(0.0) < 0.05
    assert 0.95 < found.apply(1.0) < 1


def test_too_few_videos_say_so() -> None:
    found = fit([0] * 18 + [1] * 90, [0.1] * 18 + [0.9] * 90)
    assert found.verdict(1.0) == "undecided"
    assert "No video is called real or fake: 18 real and 90 fake" in found.limits()
    few = fit([0] * 25 + [1] * 25, [0.1] * 25 + [0.9] * 25)
    assert {few.verdict(p) for p in (0.0, 0.5, 1.0)} == {"undecided"}
    assert "At least 19 of each and 59 decided without a mistake" in few.limits()
    enough = fit([0] * 30 + [1] * 30, [0.1] * 30 + [0.9] * 30)
    assert [enough.verdict(p) for p in (0.0, 1.0)] == ["real", "fake"]
    tiny = fit([0, 1], [0.1, 0.9])
    assert (tiny.low, tiny.high) == (None, None)
    assert 0.1 < tiny.apply(0.5) < 0.9
    assert tiny.undecided == (0.0, 1.0)


def test_likelihood_ratio_is_free_of_the_prior() -> None:
    # Two normals at +-2 with deviation 2: the true ratio is exp(logit), whatever the mix.
    rng = np.random.default_rng(1)
    for fakes in (2000, 500):
        labels = [0] * 2000 + [1] * fakes
        logits = rng.normal(np.where(np.array(labels) == 1, 2.0, -2.0), 2.0)
        found = fit(labels, (1 / (1 + np.exp(-logits))).tolist())
        for logit in (-2.0, 0.0, 1.5):
            ratio = found.likelihood_ratio(1 / (1 + math.exp(-logit)))
            assert ratio is not None
            assert math.log(ratio.value) == pytest.approx(logit, abs=0.4)
    assert Calibration().likelihood_ratio(0.9) is None


def test_likelihood_ratio_says_no_more_than_the_videos() -> None:
    found = fit([0] * 40 + [1] * 40, [0.01 + 0.001 * k for k in range(40)] + [0.99] * 40)
    ratio = found.likelihood_ratio(1.0)
    assert ratio is not None
    assert ratio.value <= 41
    assert "moderate support" in str(ratio)


def test_a_constant_classifier_decides_nothing() -> None:
    found = fit([0, 1] * 100, [0.7] * 200)
    assert found.apply(0.7) == pytest.approx(0.5, abs=1e-3)
    assert found.verdict(found.apply(0.7)) == "undecided"


def test_a_reversed_classifier_decides_nothing() -> None:
    labels, scores = videos(400)
    found = fit([1 - label for label in labels], scores)
    assert found.apply(0.9) == pytest.approx(0.5, abs=0.05)
    assert {found.verdict(p) for p in found.apply_all(scores)} == {"undecided"}


@pytest.mark.parametrize("method", ["none", "temperature", "isotonic"])
def test_survives_json(method: Method) -> None:
    found = fit(*videos(60), method=method)
    stored = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Calibration.from_dict(stored) == found
    assert Calibration.from_dict(Calibration().to_dict()) == Calibration()


@pytest.mark.parametrize(
    ("name", "value"),
    [("version", 9), ("method", "magic"), ("temperature", 0.0), ("threshold", 1.5),
     ("low", 1.9), ("knots", [0.1]), ("bias", math.nan), ("extra", 1), ("values", "x")],
)  # fmt: skip
def test_damaged_calibrations_are_refused(name: str, value: object) -> None:
    with pytest.raises(CalibrationError):
        Calibration.from_dict({**Calibration().to_dict(), name: value})


def test_bad_scores_are_refused() -> None:
    with pytest.raises(CalibrationError, match="0 real and 2 fake"):
        fit([1, 1], [0.1, 0.2])
    with pytest.raises(CalibrationError, match=r"\[0, 1\]"):
        fit([0, 1], [0.1, math.nan])
    with pytest.raises(ValueError, match="rates"):
        fit([0, 1], [0.1, 0.2], target_error=0)
    with pytest.raises(ValueError, match="low"):
        replace(Calibration(), low=0.7, high=0.6)


@pytest.mark.realdata
def test_calibration_of_published_scores() -> None:
    if not SCORES.exists():
        pytest.skip(f"{SCORES} is not here")
    with SCORES.open() as file:
        rows = list(csv.DictReader(file))
    labels = [int(row["label"] == "fake") for row in rows]
    scores = [float(row["score"]) for row in rows]
    halves = np.random.default_rng(0).permutation(len(rows))
    fitted, new = halves[::2], halves[1::2]
    found = fit([labels[i] for i in fitted], [scores[i] for i in fitted])
    y, p = [labels[i] for i in new], found.apply_all([scores[i] for i in new])
    assert ece(y, p) < ece(y, [scores[i] for i in new])


def test_applying_needs_no_torch_and_no_scikit_learn() -> None:
    code = (
        "import sys; from deepfake.calibration import Calibration; Calibration().apply(0.2);"
        "sys.exit(bool({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
