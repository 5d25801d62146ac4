import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from deepfake.evaluation import measures as m
from tests.conftest import REFERENCE

SCORES = Path("../shared/data/protocols/genconvit_scores")

videos = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.05, 0.2, 0.35, 0.5, 0.81, 0.9, 1.0])),
    min_size=4,
    max_size=60,
).filter(lambda rows: 0 < sum(label for label, _ in rows) < len(rows))


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["celeb_df", "dfdc", "ffpp", "deepfake_timit"])
def test_measures_of_published_scores(name: str) -> None:
    if not SCORES.exists():
        pytest.skip(f"{SCORES} is not here")
    expected = json.loads((REFERENCE / "metrics.json").read_text())["sets"][name]
    with (SCORES / f"{name}.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = [int(row["label"] == "fake") for row in rows]
    scores = [float(row["score"]) for row in rows]
    tn, fp, fn, tp = m.confusion(labels, scores)
    assert {"tn": tn, "fp": fp, "fn": fn, "tp": tp} == expected["confusion_at_0.5"]
    found = {
        "auroc": m.auroc(labels, scores),
        "average_precision": m.average_precision(labels, scores),
        "eer": m.eer(labels, scores),
        "accuracy_at_0.5": m.accuracy(labels, scores),
        "balanced_accuracy_at_0.5": m.balanced_accuracy(labels, scores),
        "f1_at_0.5": m.f1(labels, scores),
        "log_loss": m.log_loss(labels, scores),
        "brier": m.brier(labels, scores),
        "ece_15": m.ece(labels, scores),
    }
    for measure, value in found.items():
        assert value == pytest.approx(expected[measure], abs=1e-9, rel=0), measure


@given(videos)
def test_measures_agree_with_scikit_learn(rows: list[tuple[int, float]]) -> None:
    y, s = [label for label, _ in rows], [score for _, score in rows]
    called = [score >= 0.5 for score in s]
    pairs = [
        (m.auroc(y, s), sk.roc_auc_score(y, s)),
        (m.average_precision(y, s), sk.average_precision_score(y, s)),
        (m.partial_auroc(y, s, max_fpr=0.3), sk.roc_auc_score(y, s, max_fpr=0.3)),
        (m.accuracy(y, s), sk.accuracy_score(y, called)),
        (m.balanced_accuracy(y, s), sk.balanced_accuracy_score(y, called)),
        (m.f1(y, s), sk.f1_score(y, called)),
        (m.log_loss(y, s), sk.log_loss(y, s)),
        (m.brier(y, s), sk.brier_score_loss(y, s)),
    ]
    for ours, theirs in pairs:
        assert ours == pytest.approx(theirs, abs=1e-9)
    fpr, tpr, _ = sk.roc_curve(y, s, drop_intermediate=False)
    curve = m.roc(y, s)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-12)
    assert m.tpr_at_fpr(y, s, fpr=0.1) == pytest.approx(tpr[fpr <= 0.1].max())


def test_eer_by_hand() -> None:
    assert m.eer([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]) == 0
    assert m.eer([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9]) == 1
    # One point at (1/2, 1/2): half the reals above half the fakes.
    assert m.eer([0, 1, 0, 1], [0.1, 0.2, 0.8, 0.9]) == pytest.approx(0.5)
    # A straight line from (0, 0) to (1, 1) meets the other diagonal in the middle.
    assert m.eer([0, 1], [0.3, 0.3]) == pytest.approx(0.5)


def test_rate_at_low_false_alarms_by_hand() -> None:
    labels, scores = [0] * 100 + [1] * 4, [0.5] * 99 + [0.95] + [0.4, 0.7, 0.9, 0.99]
    assert m.tpr_at_fpr(labels, scores, fpr=0.01) == 0.75
    assert m.tpr_at_fpr(labels, scores, fpr=0.009) == 0.25


def test_ece_by_hand() -> None:
    # Two bins: mean score 0.2 with half fakes, mean score 0.9 with all fakes.
    labels, scores = [0, 1, 1, 1], [0.1, 0.3, 0.8, 1.0]
    assert m.ece(labels, scores, bins=2) == pytest.approx((0.3 + 0.1) / 2)


@pytest.mark.parametrize("labels", [[], [0], [1], [0, 0, 0], [1, 1, 1]])
def test_one_class_gives_nan_where_undefined(labels: list[int]) -> None:
    scores = [0.3] * len(labels)
    for measure in (m.auroc, m.eer, m.partial_auroc, m.balanced_accuracy):
        assert math.isnan(measure(labels, scores))
    assert math.isnan(m.tpr_at_fpr(labels, scores, fpr=0.1))
    assert math.isnan(m.accuracy(labels, scores)) == (not labels)
    assert math.isnan(m.brier(labels, scores)) == (not labels)


def test_constant_classifier_is_at_chance() -> None:
    labels, scores = [0, 1] * 10, [0.7] * 20
    assert m.auroc(labels, scores) == 0.5
    assert m.partial_auroc(labels, scores) == pytest.approx(0.5)
    assert m.tpr_at_fpr(labels, scores, fpr=0.1) == 0


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are not finite"):
        m.auroc([0, 1], [0.1, math.nan])
    with pytest.raises(ValueError, match=r"got 2$"):
        m.auroc([0, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"\(2,\) and \(1,\)"):
        m.auroc([0, 1], [0.1])
