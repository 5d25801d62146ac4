"""Comparisons, coverage and figures across data sets: answers worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from deepfake.aggregation import WorstPerson
from deepfake.evaluation.across import across
from deepfake.evaluation.coverage import coverage, over_limit
from deepfake.evaluation.delong import delong_test, holm
from deepfake.evaluation.measures import aurc, auroc, risks
from deepfake.evaluation.predictions import read_predictions, write_predictions
from deepfake.evaluation.scores import ScoredVideo, Scores, ScoresError
from deepfake.evaluation.summary import judge
from deepfake.types import FaceScore


def video(name: str, label: int, score: float | None) -> ScoredVideo:
    faces = () if score is None else (FaceScore(score, track=0, frame=0),)
    return ScoredVideo("ours", "", 0, "set", "", "", name, name, 1 if label else 0, None, faces)


def test_holm_by_hand() -> None:
    # 3 * 0.01, then 2 * 0.03, then no less than that.
    assert holm([0.04, 0.01, 0.03, math.nan])[:3] == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_aurc_by_hand() -> None:
    # Surest first: 0.95 right, 0.1 right, 0.7 wrong, 0.6 right: risks 0, 0, 1/3, 1/4.
    assert aurc([1, 0, 0, 1], [0.95, 0.1, 0.7, 0.6]) == pytest.approx((1 / 3 + 1 / 4) / 4)
    # Ties in mean order: one of two wrong is a half wherever it stands.
    assert risks([1, 0, 0, 1], [0.95, 0.1, 0.7, 0.6]) == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert not risks([], []).size
    assert aurc([1, 0], [0.9, 0.9]) == pytest.approx(0.5)
    assert aurc([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1]) == 0


def test_coverage_by_hand() -> None:
    seen = [video("a", 1, 0.9), video("b", 1, 0.2), video("c", 0, 0.3), video("d", 0, 0.1)]
    found = coverage([*seen, video("e", 1, None), video("f", 0, None)])
    # 3 of 4 pairs are right; of the 9 pairs with the two others 5 are open.
    assert found.left_out == 3 / 4
    assert found.share == 4 / 6
    assert (found.least, found.most) == pytest.approx((3 / 9, 8 / 9))
    assert found.as_chance == pytest.approx((3 + 2.5) / 9)
    for value, figure in ((0.0, found.as_real), (1.0, found.as_fake)):
        filled = [*seen, video("e", 1, value), video("f", 0, value)]
        judged = judge(filled)
        assert figure == pytest.approx(auroc(judged.labels, judged.raw))


def test_leaving_out_the_hardest_does_not_raise_the_least() -> None:
    rng = np.random.default_rng(0)
    videos = [video(str(k), k % 2, float(rng.beta(2 + k % 2, 3 - k % 2))) for k in range(100)]
    by_error = sorted(videos, key=lambda v: abs((v.label or 0) - v.faces[0].score))
    easy = by_error[:80] + [video(v.video, v.label or 0, None) for v in by_error[80:]]
    assert coverage(easy).left_out > coverage(videos).left_out + 0.1
    assert coverage(easy).least <= coverage(videos).left_out <= coverage(easy).most
    scores = Scores(tuple(easy), {})
    assert "20 of 100 videos have no score" in over_limit(scores, 0.1)[0]
    assert over_limit(scores, 0.2) == []


def test_sets_of_different_scales_pool_badly() -> None:
    low = judge([video(str(k), k % 2, 0.1 + 0.1 * (k % 2)) for k in range(10)])
    high = judge([video(str(k), k % 2, 0.8 + 0.1 * (k % 2)) for k in range(10)])
    found = across([low, high])
    assert found is not None
    assert (found.mean, found.lowest, found.own) == (1, 1, 1)
    assert found.pooled == pytest.approx(3 / 4)  # the fakes of one lie below the reals of the other
    assert found.one == pytest.approx(3 / 4)
    assert found.stored == pytest.approx(1 / 2)
    assert across([low]) is None


@pytest.mark.parametrize("people", [10, 16])
def test_people_who_repeat_do_not_make_findings(people: int) -> None:
    # Two checkpoints that are equally good but like different people: no difference to find.
    found = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        who = np.repeat(np.arange(people), 8)
        labels = np.tile([0, 1], people * 4)
        first, second = (
            labels + rng.normal(size=who.size) + rng.normal(size=(people, 2))[who, labels]
            for _ in range(2)
        )
        found += delong_test(labels, first, second, who).p_value < 0.05
    assert found <= 0.075 * 400


def test_predictions_as_excel_writes_them(tmp_path: Path) -> None:
    rows = "Video;Label;Score\nM\u00fcller;fake;0,9\nb;real;0,25\n"
    for encoding in ("cp1252", "utf-8", "utf-8-sig", "utf-16"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes(rows.replace("\n", "\r\n").encode(encoding))
        first, second = read_predictions(path)
        assert (first.video, first.faces[0].score) == ("M\u00fcller", 0.9)
        assert (second.label, second.faces[0].score) == (0, 0.25)
    (tmp_path / "bad.csv").write_bytes(b"video,label,score\n\x81\x00\xff,1,0.5\n\xff\xfe")
    with pytest.raises(ScoresError):
        read_predictions(tmp_path / "bad.csv")


def test_scores_go_to_others_and_come_back(tmp_path: Path) -> None:
    videos = [video("a", 1, 0.1 + 0.2), video("b", 0, 1e-9), video("c", 1, None)]
    path = tmp_path / "ours.scores.csv"
    write_predictions(path, videos, rule=WorstPerson())
    found = read_predictions(path)
    assert [(v.video, v.label, v.dataset, v.checkpoint, v.group) for v in found] == [
        (v.video, v.label, v.dataset, v.checkpoint, v.group) for v in videos
    ]
    assert found[0].faces[0].score == pytest.approx(0.3, abs=1e-12)
    assert found[2].faces == ()


def test_score_files_of_deepfake_workbench(tmp_path: Path) -> None:
    path = tmp_path / "x.scores.csv"
    path.write_text(
        "dataset,key,compression,label,score,status,x_note\n"
        "ffpp,000,c23,0,0.25,ok,\nffpp,000,c40,0,,missing,\nffpp,000_003,c23,1,0.5,error,n\n"
    )
    first, second, third = read_predictions(path)
    assert (first.dataset, first.video, first.faces[0].score) == ("ffpp", "c23/000", 0.25)
    assert (second.video, second.group, second.faces, third.faces) == ("c40/000", "000", (), ())
