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
    rates, errors = [], []
    labels, scores = videos(40000, seed=99)
    y, s = np.array(labels), np.array(scores)
    for seed in range(60):
        found = fit(*videos(160, seed=seed), false_alarms=0.1, target_error=0.1)
        p = found.apply_all(s)
        rates.append((p[y == 0] >= found.threshold).mean())
        fake, real = p >= (found.high or 2), p < (found.low or -1)
        errors.append(((fake & (y == 0)) | (real & (y == 1))).sum() / (fake | real).sum())
    assert 0.07 < np.mean(rates) <= 0.1
    assert np.mean(errors) <= 0.1


def test_threshold_and_band_by_hand() -> None:
    # 20 reals below 20 fakes but for one pair: one false alarm of 20 is (1 + 1) / 21 > 5 %.
    reals = [0.01 * k for k in range(19)] + [0.8]
    fakes = [0.3] + [0.81 + 0.005 * k for k in range(19)]
    found = fit([0] * 20 + [1] * 20, reals + fakes, method="none")
    assert found.threshold == pytest.approx(0.805)
    assert found.high == pytest.approx(0.805)
    assert found.low == pytest.approx((0.18 + 0.3) / 2)
    assert [found.verdict(p) for p in (0.1, 0.24, 0.5, 0.8, 0.81, 1.0)] == [
        "real", "undecided", "undecided", "undecided", "fake", "fake",
    ]  # fmt: skip
    assert found.limits() == ""


def test_separable_classes_leave_nothing_undecided() -> None:
    found = fit([0] * 30 + [1] * 30, [0.0] * 30 + [1.0] * 30)
    assert found.low == found.high == found.threshold
    assert 0 < found.apply(0.0) < 0.05
    assert 0.95 < found.apply(1.0) < 1


def test_too_few_videos_say_so() -> None:
    found = fit([0] * 18 + [1] * 30, [0.1] * 18 + [0.9] * 30)
    assert {found.verdict(p) for p in (0.0, 0.5, 1.0)} == {"undecided"}
    assert "No video is called real or fake: 18 real and 30 fake" in found.limits()
    assert "At least 19" in found.limits()
    enough = fit([0] * 19 + [1] * 19, [0.1] * 19 + [0.9] * 19)
    assert [enough.verdict(p) for p in (0.0, 1.0)] == ["real", "fake"]
    tiny = fit([0, 1], [0.1, 0.9])
    assert (tiny.low, tiny.high) == (None, None)
    assert 0.1 < tiny.apply(0.5) < 0.9
    assert tiny.undecided == (0.0, 1.0)


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
     ("low", 0.9), ("knots", [0.1]), ("bias", math.nan), ("extra", 1), ("values", "x")],
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
