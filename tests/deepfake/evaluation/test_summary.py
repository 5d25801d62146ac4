import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from deepfake.aggregation import RULES
from deepfake.calibration import fit
from deepfake.evaluation import measures as m
from deepfake.evaluation.comparison import compare_checkpoints, compare_rules, shortcuts
from deepfake.evaluation.parts import parts
from deepfake.evaluation.predictions import read_predictions
from deepfake.evaluation.scores import (
    Judge,
    ScoredVideo,
    ScoresError,
    read_scores,
    score_table,
    write_scores,
)
from deepfake.evaluation.summary import judge, result
from deepfake.types import FaceScore
from preprocessing.crops.manifest import to_table
from preprocessing.types import FaceCrop

PUBLISHED = Path("../shared/data/protocols/genconvit_scores")


def video(name: str, label: int | None, *people: list[float], method: str = "") -> ScoredVideo:
    faces = tuple(
        FaceScore(score, track=track, frame=frame)
        for track, scores in enumerate(people)
        for frame, score in enumerate(scores)
    )
    return ScoredVideo(
        "ours", "", 0, "set", method, "", name, name[:2],
        None if label is None else (1 if label else 0), None, faces, len(people),
        face_size=100.0 + len(name),
    )  # fmt: skip


def many(n: int = 60, *, shift: float = 2.0, seed: int = 0) -> list[ScoredVideo]:
    rng = np.random.default_rng(seed)
    found = []
    for k in range(n):
        logits = rng.normal((k % 2) * shift - shift / 2, 1.0, size=4) + rng.normal()
        scores = (1 / (1 + np.exp(-logits))).tolist()
        found.append(video(f"{k:02}", k % 2, scores, method=("a", "b")[k % 4 // 2] * (k % 2)))
    return found


def test_scores_survive_the_file(tmp_path: Path) -> None:
    def row(name: str, track: int, frame: int, score: float | None) -> pa.Table:
        box, points = (0.0, 0.0, 60.0, 80.0 + track), np.zeros((5, 2), dtype=np.float32)
        crop = FaceCrop(
            "crop.png", f"set/swap/c23/{name}", track, frame, 0.5, box, 1.0, points, box,
            1, ("7", "12"), None, "swap", "c23", "set", "test",
        )  # fmt: skip
        looks = None if score is None else [(score, 12.0, 0.4)]
        return score_table(to_table([crop]), looks, checkpoint="ours", groups={crop.video: "first"})

    calibration = fit([0, 1] * 20, [0.1, 0.9] * 20)
    path = tmp_path / "scores.parquet"
    rows = [row("b", 1, 3, 0.9), row("a", 0, 0, None), row("b", 0, 5, 0.2), row("b", 1, 1, 0)]
    judge_of = Judge(calibration, "mean", "c0ffee")
    write_scores(path, pa.concat_tables(rows), {"ours": judge_of, "plain": Judge()})
    found = read_scores(path)
    assert found.judges == {"ours": judge_of, "plain": Judge()}
    empty, full = found.videos
    assert (empty.video, empty.faces, empty.people) == ("set/swap/c23/a", (), 0)
    assert math.isnan(empty.face_size)
    assert [(face.track, face.frame, face.score) for face in full.faces] == [
        (0, 5, 0.2),
        (1, 1, 0),
        (1, 3, 0.9),
    ]
    assert (full.people, full.label, full.split, full.group) == (2, 1, "test", "first")
    assert full.face_size == 81


def test_scores_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match="No scores at"):
        read_scores(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ScoresError, match="not a file of scores"):
        read_scores(tmp_path / "bad.parquet")


def test_predictions_of_others(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("video,label,score\na,fake,0.9\na,REAL,0.1\nb,1,\n")
    first, second, third = read_predictions(path)
    assert (first.video, second.video, third.faces) == ("a", "a#2", ())
    assert (first.checkpoint, first.dataset, first.label, second.label) == (
        "theirs",
        "theirs",
        1,
        0,
    )
    assert judge([first, second, third]).unscored == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,score\n", "lacks the column label"),
        ("video,label,score\n", "has no row"),
        ("video,label,score\na,maybe,0.1\n", "line 2: label must be"),
        ("video,label,score\na,1,0.5\nb,1,7.5\n", "line 3: score must be"),
        ("video,label,score\na,1,high\n", "got 'high'"),
    ],
)
def test_bad_predictions_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises(ScoresError, match=message):
        read_predictions(path)


@pytest.mark.realdata
def test_published_predictions_with_intervals() -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"{PUBLISHED} is not here")
    videos = read_predictions(PUBLISHED / "dfdc.csv")
    found = result(videos, names=("auroc", "accuracy"), repeats=200)
    area = found.estimates["auroc"]
    assert area.value == pytest.approx(0.9994370954123276, abs=1e-6)  # logits are clipped
    assert area.by_video.low < area.value < area.by_video.high
    assert found.estimates["accuracy"].value == 0.985
    assert (found.reals, found.fakes) == (77, 323)


def test_levels_count_faces_people_and_videos() -> None:
    videos = [video("aa", 1, [0.9, 0.9], [0.1]), video("bb", 0, [0.2]), video("cc", None, [0.5])]
    assert judge(videos, level="face").labels.tolist() == [1, 1, 1, 0]
    np.testing.assert_allclose(judge(videos, level="person").scores, [0.9, 0.1, 0.2])
    np.testing.assert_allclose(judge(videos).scores, [0.9, 0.2])


def test_result_agrees_with_the_measures_and_its_intervals_hold_the_value() -> None:
    videos = many()
    calibration = fit([v.label or 0 for v in many(seed=1)], judge(many(seed=1)).raw.tolist())
    found = result(videos, calibration=calibration, repeats=200)
    judged = judge(videos, calibration=calibration)
    assert found.estimates["brier"].value == m.brier(judged.labels, judged.scores)
    assert found.estimates["ece_raw"].value == m.ece(judged.labels, judged.raw)
    assert found.undecided == judged.undecided > 0
    for name, estimate in found.estimates.items():
        for span in (estimate.by_video, estimate.by_identity):
            if not math.isnan(span.low) and name not in ("ece", "eer"):
                assert span.low <= estimate.value <= span.high, name


def test_a_constant_classifier_is_at_chance_with_an_honest_interval() -> None:
    videos = [video(f"{k:02}", k % 2, [0.7]) for k in range(40)]
    found = result(videos, repeats=100)
    area = found.estimates["auroc"]
    assert area.value == 0.5
    assert area.by_video.low < 0.35 < 0.65 < area.by_video.high
    assert found.estimates["accuracy"].value == 0.5
    assert math.isnan(found.estimates["partial_auroc"].by_video.low)


@pytest.mark.parametrize(
    "videos",
    [
        [],
        [video("aa", 1, [0.5])],
        [video("aa", 1), video("bb", 0)],
        [video("aa", 1, [math.nan]), video("bb", 0, [0.1])],
        [video(f"{k:02}", 1, [0.1 * k]) for k in range(8)],
        [video("aa", None, [0.5])],
    ],
)
def test_degenerate_data_gives_a_result(videos: list[ScoredVideo]) -> None:
    found = result(videos, repeats=20)
    assert math.isnan(found.estimates["auroc"].value)
    assert found.unscored == sum(
        v.label is not None and not any(math.isfinite(f.score) for f in v.faces) for v in videos
    )
    parts(videos)
    shortcuts(videos)
    compare_rules(videos, repeats=5)
    compare_checkpoints(videos, videos)


def test_parts_put_each_method_beside_all_reals() -> None:
    videos = many(40)
    found = parts(videos)
    assert {"method: a", "method: b"} <= set(found)
    assert len(found["method: a"]) == 20 + 10
    assert not any(name.startswith(("people", "compression", "face size")) for name in found)
    people = parts([*videos, video("xx", 1, [0.2], [0.9], [0.1], [0.3])])
    assert len(people["people: 1"]) == 40
    assert len(people["people: 3 or more"]) == 1
    sizes = parts([video("a" * k, k % 2, [0.5]) for k in range(1, 10)])
    assert [len(v) for n, v in sizes.items() if n.startswith("face size")] == [3, 3, 3]


def test_every_rule_is_compared_best_first() -> None:
    # One fake person among three real ones: the mean hides them, the worst person does not.
    rng = np.random.default_rng(2)
    videos = []
    for k in range(40):
        people = [[float(p)] * 5 for p in rng.uniform(0.05, 0.5, size=4)]
        if k % 2:
            people[0] = [0.6] * 5
        videos.append(video(f"{k:02}", k % 2, *people))
    found = compare_rules(videos, repeats=10)
    assert {r.rule for r in found} == set(RULES)
    values = {r.rule: r.estimates["auroc"].value for r in found}
    assert values["worst_person"] == 1 > values["mean"]
    assert list(values.values()) == sorted(values.values(), reverse=True)


def test_checkpoints_are_compared_on_the_videos_that_both_scored() -> None:
    good, bad = many(60, shift=4.0), many(60, shift=0.2)
    number, test = compare_checkpoints(good[:-10], bad[10:])
    assert number == 40
    assert test.first > test.second
    assert test.p_value < 0.05


def test_shortcut_of_face_size() -> None:
    videos = [video("a" * (1 + k % 2) + f"{k:02}", k % 2, [0.3 + 0.4 * (k % 2)]) for k in range(20)]
    found = shortcuts(videos)
    assert found["face_size alone"] == 1
    assert found["score without them"] == 0.5
    assert math.isnan(found["sharpness alone"])
