"""The rules of Deepfake Workbench, and our figures by them: toy sets worked out by hand.

Its rules are written down here as its documentation and version 0.1.0b2 have them; no code of it.
Where ours differ on purpose, the test says how and holds both answers.
"""

import csv
import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from deepfake.aggregation import by_name
from deepfake.evaluate import main
from deepfake.evaluation import measures as m
from deepfake.evaluation.across import across
from deepfake.evaluation.comparison import compare_checkpoints
from deepfake.evaluation.coverage import Coverage, coverage, over_limit
from deepfake.evaluation.delong import delong_test, holm
from deepfake.evaluation.parts import parts
from deepfake.evaluation.predictions import read_predictions, write_predictions
from deepfake.evaluation.scores import Scores
from deepfake.evaluation.summary import judge
from deepfake.types import FaceScore

ROWS = (  # label, score (none: status missing or error)
    (1, 0.9), (1, 0.7), (1, 0.6), (0, 0.8), (0, 0.3), (0, 0.1), (1, None), (1, None), (0, None),
)  # fmt: skip
LABELS = [label for label, score in ROWS if score is not None]
SCORES = [score for _, score in ROWS if score is not None]
Rows = tuple[tuple[int, float | None], ...]


def exactly(value: float) -> object:
    return pytest.approx(value, abs=1e-9, rel=0)


def score_file(path: Path, rows: Rows, *, dataset: str = "toy", method: str = "swap") -> Path:
    """Write rows as its score files have them; of those without a score every second failed."""
    lines = ["dataset,key,compression,label,score,status,logit,label_key,method,n_clips,n_frames"]
    for k, (label, score) in enumerate(rows):
        status = "ok" if score is not None else ("missing", "error")[k % 2]
        made_by = method if label else ""
        given = "" if score is None else repr(score)
        lines.append(f"{dataset},v{k},c23,{label},{given},{status},,,{made_by},,")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def covered(path: Path, rows: Rows) -> Coverage:
    return coverage(read_predictions(score_file(path, rows)))


def test_missing_policies(tmp_path: Path) -> None:
    found = covered(tmp_path / "x.scores.csv", ROWS)
    assert (found.scored, found.unscored) == (6, 3)
    assert found.share == exactly(6 / 9)
    # exclude: 0.9 beats three reals, 0.7 and 0.6 two each.
    assert found.left_out == exactly(7 / 9)
    # as-real, 0.0 for the three: 0.9 beats four reals, 0.7 and 0.6 three, two zeros tie with one.
    assert found.as_real == exactly((4 + 3 + 3 + 2 * 0.5) / 20)
    # as-fake, 1.0: 0.9 beats three, 0.7 and 0.6 two, two ones beat three and tie with one.
    assert found.as_fake == exactly((3 + 2 + 2 + 2 * 3.5) / 20)
    # as-chance, 0.5: 0.9 beats four, 0.7 and 0.6 three, two halves beat two and tie with one.
    assert found.as_half == exactly((4 + 3 + 3 + 2 * 2.5) / 20)
    # Ours besides, whatever the scores' scale: eleven open pairs count half, nothing, or one.
    assert found.as_chance == exactly((7 + 11 / 2) / 20)
    assert found.least == exactly(7 / 20)
    assert found.most == exactly(18 / 20)


def test_missing_policies_tie_with_scores_of_0_and_1(tmp_path: Path) -> None:
    # A fake without a score beside a real of 0.0, and of 1.0: half a pair, not one lost or won.
    found = covered(tmp_path / "x.scores.csv", ((1, 0.9), (0, 0.0), (0, 1.0), (1, None)))
    assert found.as_real == exactly((1 + 0.5) / 4)
    assert found.as_fake == exactly((1 + 1.5) / 4)
    assert found.as_half == exactly((1 + 1) / 4)


@pytest.mark.parametrize("label", [0, 1])
def test_a_class_without_a_single_score(tmp_path: Path, label: int) -> None:
    rows = ((label, None), (label, None), (1 - label, 0.7), (1 - label, 0.2))
    found = covered(tmp_path / "x.scores.csv", rows)
    assert math.isnan(found.left_out)
    assert (found.as_chance, found.least, found.most) == (0.5, 0, 1)
    assert found.as_half == exactly(1 / 2)
    assert found.as_real == exactly(1 - label)
    one_class = covered(tmp_path / "y.scores.csv", ((label, None), (label, 0.2)))
    assert math.isnan(one_class.least)
    assert math.isnan(one_class.as_half)


def test_least_coverage_is_an_exit_status(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = score_file(tmp_path / "x.scores.csv", ROWS)
    scores = Scores(tuple(read_predictions(path)), {})
    assert over_limit(scores, 3 / 9) == []  # a share that just meets the limit passes
    assert len(over_limit(scores, 0.33)) == 1
    arguments = ["report", str(path), "--out", str(tmp_path / "out"), "--repeats", "5"]
    assert main(arguments) == 0
    assert main([*arguments, "--max-unscored", "0.01"]) == 1  # 3 there; the tables are written
    assert "3 of 9 videos have no score" in caplog.text
    table = (tmp_path / "out" / "tables.md").read_text(encoding="utf-8")
    assert "| 6 | 3 | 66.7% | 0.778 | 0.625 | 0.550 | 0.700 | 0.750 | 0.350 | 0.900 |" in table


def test_measures_of_scored_videos() -> None:
    # 0.9 fake, 0.8 real, 0.7 fake, 0.6 fake, 0.3 real, 0.1 real.
    y, s = LABELS, SCORES
    assert m.auroc(y, s) == exactly(7 / 9)
    assert m.average_precision(y, s) == exactly((1 + 2 / 3 + 3 / 4) / 3)
    assert m.eer(y, s) == exactly(1 / 3)
    assert m.tpr_at_fpr(y, s, fpr=0.0) == exactly(1 / 3)
    assert m.tpr_at_fpr(y, s, fpr=0.33) == exactly(1 / 3)  # of thresholds alone, nothing between
    assert m.tpr_at_fpr(y, s, fpr=1 / 3) == exactly(1)
    assert m.accuracy(y, s) == exactly(5 / 6)
    assert m.brier(y, s) == exactly((0.01 + 0.64 + 0.09 + 0.16 + 0.09 + 0.01) / 6)
    logs = math.log(0.9) + math.log(0.2) + math.log(0.7) + math.log(0.6) + math.log(0.7)
    assert m.log_loss(y, s) == exactly(-(logs + math.log(0.9)) / 6)
    # Each score alone in one of fifteen bins: the mean distance from its label.
    assert m.ece(y, s) == exactly((0.1 + 0.8 + 0.3 + 0.4 + 0.3 + 0.1) / 6)
    # Two bins: 0.1 and 0.3 of no fake; mean 0.75 of three fakes in four.
    assert m.ece(y, s, bins=2) == exactly(0.2 * 2 / 6)


def test_eer_between_thresholds_and_across_ties() -> None:
    # From (FPR 0, FNR 1/2) to (2/3, 0), since one fake and two reals share 0.5: they meet at 3/7.
    assert m.eer([1, 1, 0, 0, 0], [0.9, 0.5, 0.5, 0.5, 0.2]) == exactly(2 / 7)


def test_aurc() -> None:
    # Surest first: 0.9 and 0.1 right, 0.8 wrong, 0.7 and 0.3 right, 0.6 right.
    assert m.aurc(LABELS, SCORES) == exactly((1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 6)
    # Fakes of 0.5 are called fake: 0.9 wrong, 0.5 right, so risks of 1 and 1/2.
    assert m.aurc([0, 1], [0.9, 0.5]) == exactly(3 / 4)


def test_aurc_of_ties_is_the_mean_over_the_orders_of_the_file() -> None:
    # There, videos that are equally sure are taken as the file has them: it depends on the order.
    rows = [(1, 0.8), (0, 0.8), (1, 0.2), (0, 0.6)]

    def in_order(order: tuple[int, ...]) -> float:
        surest = sorted(order, key=lambda k: -max(rows[k][1], 1 - rows[k][1]))
        wrong = np.cumsum([(rows[k][1] >= 0.5) != (rows[k][0] == 1) for k in surest])
        return float(np.mean(wrong / np.arange(1, 5)))

    orders = [in_order(order) for order in permutations(range(4))]
    assert min(orders) < max(orders)
    # Two of the first three are wrong, and the fourth: 2/3, 2/3, 2/3, 3/4.
    assert float(np.mean(orders)) == exactly((3 * 2 / 3 + 3 / 4) / 4)
    assert m.aurc([y for y, _ in rows], [s for _, s in rows]) == exactly(float(np.mean(orders)))


def test_delong(tmp_path: Path) -> None:
    # Fakes beat 1 and 2/3 of the reals by one, 1/3 and 1 by the other; reals are beaten by 1/2, 1
    # and 1 of the fakes, and by 1/2, 1/2 and 1. Variance 1/4 + 1/36, so z = 1/6 / sqrt(10/36).
    first = score_file(
        tmp_path / "a.scores.csv", ((1, 0.9), (1, 0.4), (0, 0.6), (0, 0.3), (0, 0.1), (1, 0.5))
    )
    other = score_file(
        tmp_path / "b.scores.csv", ((1, 0.5), (1, 0.8), (0, 0.6), (0, 0.7), (0, 0.2), (1, None))
    )
    number, test = compare_checkpoints(read_predictions(first), read_predictions(other))
    assert number == 5  # of the videos that both scored, only
    assert (test.first, test.second) == (exactly(5 / 6), exactly(2 / 3))
    assert test.p_value == exactly(math.erfc(1 / math.sqrt(20)))
    half = 1.959963984540054 * math.sqrt(10 / 36)
    assert (test.low, test.high) == (exactly(1 / 6 - half), exactly(1 / 6 + half))


def test_delong_without_variance_or_rows() -> None:
    y = [1, 1, 0, 0]
    same = delong_test(y, [0.9, 0.8, 0.2, 0.1], [0.7, 0.6, 0.5, 0.4])
    assert (same.difference, same.p_value) == (0, 1)
    # Constant against perfect: p = 0 there. Four videos cannot bear that out; ours has no p.
    sure = delong_test(y, [0.9, 0.8, 0.2, 0.1], [0.5] * 4)
    assert sure.difference == exactly(1 / 2)
    assert math.isnan(sure.p_value)
    alone = delong_test([1, 0, 0], [0.9, 0.2, 0.1], [0.1, 0.2, 0.3])
    assert alone.difference == exactly(1)
    assert math.isnan(alone.p_value)


def test_holm_leaves_out_pairs_that_have_no_test() -> None:
    # Four tests: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 1 * 0.04, which may not be less than 0.06.
    adjusted = holm([0.01, 0.04, math.nan, 0.03, 0.005])
    assert [adjusted[k] for k in (4, 0, 3, 1)] == [exactly(p) for p in (0.02, 0.03, 0.06, 0.06)]
    assert math.isnan(adjusted[2])
    assert holm([0.4]) == [0.4]
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_mean_over_sets_leaves_out_what_is_not_defined(tmp_path: Path) -> None:
    sets = [
        score_file(tmp_path / "a.scores.csv", ((1, 0.9), (1, 0.6), (0, 0.5), (0, 0.2))),
        score_file(tmp_path / "b.scores.csv", ((1, 0.4), (1, 0.3), (0, 0.1), (0, 0.35))),
        score_file(tmp_path / "c.scores.csv", ((1, 0.4), (1, 0.3), (0, None))),
    ]
    found = across([judge(read_predictions(path)) for path in sets])
    assert found is not None
    assert found.sets == 2  # of three: the third has no AUROC
    assert found.mean == exactly((1 + 3 / 4) / 2)
    assert found.lowest == exactly(3 / 4)
    # Ours besides. Pooled, 0.9 and 0.6 beat four reals, 0.4 three and 0.3 two.
    assert found.pooled == exactly((4 + 4 + 3 + 2) / 16)
    # Best alone: all right of the first set, one of four wrong in the second. Together, 0.6 has the
    # fakes of the second wrong, and 0.4 a real of the first and a fake of the second.
    assert found.own == exactly((1 + 3 / 4) / 2)
    assert found.one == exactly((1 + 1 / 2) / 2)
    # At 0.5 a real of the first set is called fake, and both fakes of the second real.
    assert found.stored == exactly((3 / 4 + 1 / 2) / 2)


def test_each_method_stands_beside_all_reals(tmp_path: Path) -> None:
    swap = read_predictions(score_file(tmp_path / "s.scores.csv", ((1, 0.9), (0, 0.4), (0, 0.6))))
    other = score_file(tmp_path / "t.scores.csv", ((1, 0.5), (1, None)), method="talk")
    found = parts([*swap, *read_predictions(other)])
    values = {
        name: m.auroc(one.labels, one.raw)
        for name, videos in found.items()
        if (one := judge(videos)).labels.size
    }
    assert values["method: swap"] == exactly(1)
    assert values["method: talk"] == exactly(1 / 2)


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ("mean-prob", "mean", 1.7 / 4),
        ("median", "median", 0.7 / 2),
        ("max", "max", 0.9),
        # Logits ln 9, 0, -ln 4 and -ln 9: their mean is -ln 4 / 4, the odds 1 in the root of 2.
        ("mean-logit", "mean_logit", 1 / (1 + math.sqrt(2))),
        # Two of four are 0.5 or more there; ours asks for more than 0.5.
        ("vote", "vote", 1 / 4),
    ],
)
def test_frames_to_a_video(theirs: str, ours: str, expected: float) -> None:
    faces = [FaceScore(s, track=0, frame=k) for k, s in enumerate((0.9, 0.5, 0.2, 0.1))]
    assert by_name(ours)(faces) == exactly(expected), theirs


def test_what_we_write_keeps_its_contract(tmp_path: Path) -> None:
    videos = read_predictions(score_file(tmp_path / "theirs.scores.csv", ROWS))
    path = tmp_path / "ours.scores.csv"
    write_predictions(path, videos, rule=by_name("worst_person"))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known = {"dataset", "key", "compression", "label", "score", "status"}
    assert known <= set(rows[0])
    # Any other column is refused there unless it is one of these or begins with x_.
    known |= {"logit", "label_key", "method", "n_clips", "n_frames"}
    assert all(name in known or name.startswith("x_") for name in rows[0])
    assert len({(row["dataset"], row["key"], row["compression"]) for row in rows}) == len(ROWS)
    for row, (label, score) in zip(rows, ROWS, strict=True):
        assert row["label"] == str(label)
        assert row["status"] == ("missing" if score is None else "ok")
        assert row["score"] == "" if score is None else float(row["score"]) == exactly(score)
    again = read_predictions(path)
    assert [(v.video, v.checkpoint, v.group, v.label) for v in again] == [
        (v.video, v.checkpoint, v.group, v.label) for v in videos
    ]
